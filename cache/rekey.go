package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

// A write-only host replaces the key of its cache folder whenever nothing that it seals is needed: everything is in the bucket, and no
// file is open that was changed. What the files of the index still hold of older content keys is worthless then. The new key is
// stored first, then the index changes, then the old one is destroyed: overwritten in place, which a disk that moves its blocks
// (an SSD) may not carry out.

// rekeyPause is how long the key stays at least: a program that writes one file after the other, each of which goes up at once, would
// have it replaced for each.
const rekeyPause = 5 * time.Second

// rekeyTimeout bounds the wrapping of a key.
const rekeyTimeout = time.Minute

// rekeySoon replaces the key with rekey of the bodies, unless that happened just now. It can be called before c.bodies is set.
func (c *Cache) rekeySoon(rekey func([secretSize]byte) error) (again bool) {
	if time.Since(c.rekeyed) < rekeyPause {
		return true
	}
	err := c.rekey(rekey)
	if err != nil && !errors.Is(err, index.ErrInUse) {
		c.o.Logger.Error("cannot replace the key of the cache", "error", err)
	}
	c.rekeyed = time.Now()
	if err == nil { // calls that were ending may have held keys still
		c.work.run(func() {
			select {
			case <-time.After(rekeyPause):
				wipeMemory()
			case <-c.background.Done():
			}
		})
	}
	return err != nil
}

// rekeyLast replaces the key at the end, when nobody uses the cache any more.
func (c *Cache) rekeyLast() error {
	if !c.bucket.WriteOnly() || c.o.ReadOnly || !c.db.Stale() {
		return nil
	}
	err := c.rekey(func(secret [secretSize]byte) error {
		return c.db.Rekey(secret, func(swap func()) bool { swap(); return true })
	})
	if errors.Is(err, index.ErrFailed) {
		return nil // reported already
	}
	return ignore(err, index.ErrInUse)
}

// rekey draws a key, has it put into use by swap and destroys the old one.
func (c *Cache) rekey(swap func([secretSize]byte) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), rekeyTimeout)
	defer cancel()
	var secret [secretSize]byte
	defer clear(secret[:])
	if _, err := rand.Read(secret[:]); err != nil {
		return fmt.Errorf("make a key for the cache: %w", err)
	}
	next := filepath.Join(c.o.Dir, nextSecretFile)
	if err := storeSecret(ctx, c.bucket, next, secret[:]); err != nil {
		return err
	}
	if err := swap(secret); err != nil {
		if errors.Is(err, index.ErrInUse) {
			return errors.Join(err, destroy(next))
		}
		return err // the index may want it
	}
	err := replaceSecret(c.o.Dir)
	wipeMemory()
	return err
}

// replaceSecret puts the next key into the place of the present one, and destroys that.
func replaceSecret(dir string) error {
	path := filepath.Join(dir, secretFile)
	old, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = os.Rename(filepath.Join(dir, nextSecretFile), path)
		if err == nil {
			err = syncDir(dir)
		}
		if err == nil {
			err = overwrite(old)
		}
		err = errors.Join(err, old.Close())
	}
	if err != nil {
		return fmt.Errorf("replace the key of the cache: %w", err)
	}
	return nil
}

// destroy overwrites a file and removes it.
func destroy(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("destroy a key: %w", err)
	}
	if err := errors.Join(overwrite(f), f.Close(), os.Remove(path)); err != nil {
		return fmt.Errorf("destroy a key: %w", err)
	}
	return nil
}

// overwrite fills a file with zeros, on the disk.
func overwrite(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
		return err
	}
	return f.Sync()
}

// wipeMemory has the collector free what is not used any more: twice, because pools keep things for one round. With
// GODEBUG=clobberfree=1, which the command sets for such hosts, that overwrites it.
func wipeMemory() {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
}
