package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

// secretFile holds the key of everything at rest in the cache folder, wrapped by the volume key and the master key.
const secretFile = "key"

// secretSize is the size of that key in bytes.
const secretSize = 32

// nextSecretFile holds the key that is about to replace that of secretFile. Which of both is right, the index tells.
const nextSecretFile = "key.next"

// openIndex opens the index of the folder with its key, or with the next one when the process ended while it was replaced.
func openIndex(ctx context.Context, o Options) (*index.DB, error) {
	db, err := openWith(ctx, o, secretFile)
	next := filepath.Join(o.Dir, nextSecretFile)
	if _, statErr := os.Stat(next); statErr == nil {
		switch {
		case err == nil:
			err = destroy(next)
		case errors.Is(err, index.ErrWrongSecret):
			if db, err = openWith(ctx, o, nextSecretFile); err == nil {
				err = replaceSecret(o.Dir)
			}
		}
		if err != nil && db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// lockWait bounds the wait for a killed process that has not quite ended; a folder in use is told after it.
const lockWait = 3 * time.Second

// openWith opens the index with the key in one of the two files.
func openWith(ctx context.Context, o Options, file string) (*index.DB, error) {
	secret, err := localSecret(ctx, o.Bucket, filepath.Join(o.Dir, file))
	if err != nil {
		return nil, err
	}
	defer clear(secret[:])
	db, err := index.Open(filepath.Join(o.Dir, "index"), index.Options{Secret: secret, Logger: o.Logger, LockWait: lockWait})
	if err != nil {
		return nil, fmt.Errorf("open cache %q: %w", o.Dir, err)
	}
	return db, nil
}

// localSecret reads the folder's key, or makes one when the folder is new.
func localSecret(ctx context.Context, b Bucket, path string) (secret [secretSize]byte, err error) {
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
	if !b.LocalStale(wrapped) {
		return secret, nil
	}
	return secret, storeSecret(ctx, b, path, secret[:])
}

// newSecret makes a key and stores it wrapped, durably, before anything is written under it.
func newSecret(ctx context.Context, b Bucket, path string) (secret [secretSize]byte, err error) {
	if _, err := rand.Read(secret[:]); err != nil {
		return secret, fmt.Errorf("make a key for the cache: %w", err)
	}
	return secret, storeSecret(ctx, b, path, secret[:])
}

// storeSecret writes the key, wrapped under the present master key and volume key.
func storeSecret(ctx context.Context, b Bucket, path string, secret []byte) error {
	wrapped, err := b.WrapLocal(ctx, secret)
	if err != nil {
		return fmt.Errorf("wrap the key of the cache: %w", err)
	}
	if err := writeDurably(path, wrapped); err != nil {
		return fmt.Errorf("store the key of the cache: %w", err)
	}
	return nil
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
