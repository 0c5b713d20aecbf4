package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secretFile holds the key of everything at rest in the cache folder, wrapped by the master key.
const secretFile = "key"

// secretSize is the size of that key in bytes.
const secretSize = 32

// localSecret reads the folder's key, or makes one when the folder is new.
func localSecret(ctx context.Context, b Bucket, dir string) (secret [secretSize]byte, err error) {
	path := filepath.Join(dir, secretFile)
	wrapped, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSecret(ctx, b, path)
	}
	if err != nil {
		return secret, fmt.Errorf("read the key of the cache: %w", err)
	}
	plain, err := b.UnwrapLocal(ctx, wrapped)
	if err != nil {
		return secret, fmt.Errorf("open the key of the cache %q: %w", path, err)
	}
	defer clear(plain)
	if len(plain) != secretSize {
		return secret, fmt.Errorf("key of the cache %q has %d bytes, want %d", path, len(plain), secretSize)
	}
	copy(secret[:], plain)
	return secret, nil
}

// newSecret makes a key and stores it wrapped, durably, before anything is written under it.
func newSecret(ctx context.Context, b Bucket, path string) (secret [secretSize]byte, err error) {
	if _, err := rand.Read(secret[:]); err != nil {
		return secret, fmt.Errorf("make a key for the cache: %w", err)
	}
	wrapped, err := b.WrapLocal(ctx, secret[:])
	if err != nil {
		return secret, fmt.Errorf("wrap the key of the cache: %w", err)
	}
	if err := writeDurably(path, wrapped); err != nil {
		return secret, fmt.Errorf("store the key of the cache: %w", err)
	}
	return secret, nil
}

// writeDurably creates a file that is whole or absent after a crash.
func writeDurably(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
