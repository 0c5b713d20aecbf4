package cache

import (
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// mayWrite fails with ErrAccess for a key where this host may not write: readers would not believe what it did there.
func (c *Cache) mayWrite(key string) error {
	if !c.bucket.WriteOnly() || key == "" { // the root has no object
		return nil
	}
	err := c.bucket.MayWrite(key)
	if err == nil {
		return nil
	}
	c.o.Logger.Warn("refused: this host may not write there", "path", c.keyPath(key), "error", err)
	return fmt.Errorf("%w: %w", ErrAccess, err)
}

// mayChange is mayWrite for the key of an inode. One without a name has none.
func (c *Cache) mayChange(tx *index.Tx, i *index.Inode) error {
	if !c.bucket.WriteOnly() {
		return nil
	}
	key, linked := tx.Path(i.Ino)
	if !linked {
		return nil
	}
	return c.mayWrite(key)
}

// changeAllowed is mayChange outside of a transaction.
func (c *Cache) changeAllowed(ino Ino) error {
	if !c.bucket.WriteOnly() {
		return nil
	}
	i, err := c.inode(ino)
	if err != nil {
		return err
	}
	return c.db.View(func(tx *index.Tx) error { return c.mayChange(tx, &i) })
}

// xattrsKnown fails with ErrAccess when the extended attributes of an inode are sealed in the bucket and this host cannot open them.
func (c *Cache) xattrsKnown(ino Ino) error {
	if !c.bucket.WriteOnly() {
		return nil
	}
	i, err := c.inode(ino)
	if err != nil {
		return err
	}
	var home index.Object
	err = c.db.View(func(tx *index.Tx) (err error) {
		home, _, err = homeRow(tx, &i)
		return err
	})
	if err == nil && home.State == object.StateSealed && i.CachedGen != i.Gen {
		err = fmt.Errorf("extended attributes: %w: %w", ErrAccess, object.ErrWriteOnly)
	}
	return err
}

// canTakeAlong fails with ErrAccess when this host would lose attributes of a file, or of one below a directory, by giving it another name:
// what others changed by a tag, which is bound to the name.
func (c *Cache) canTakeAlong(tx *index.Tx, i *index.Inode) error {
	if !c.bucket.WriteOnly() {
		return nil
	}
	if !isDir(i) {
		if i.Unproven&object.FieldsOfOthers == 0 {
			return nil
		}
		return fmt.Errorf("somebody else changed its attributes: %w: %w", ErrAccess, object.ErrWriteOnly)
	}
	var refused error
	err := tx.Children(i.Ino, "", func(_ string, ino Ino) bool {
		below, ok, err := tx.Inode(ino)
		if refused = err; err == nil && ok {
			refused = c.canTakeAlong(tx, &below)
		}
		return refused == nil
	})
	return orErr(err, refused)
}

// unprovenMeta is where the index keeps that the cache tells what a write-only host has only heard of.
const (
	unprovenMeta = "unproven"
	unprovenKept = "1"
)

// doubtAttributes marks, once, what a cache of before has taken from plain headers. Changes that are not in the bucket yet stay as they were
// made, as a whole.
func (c *Cache) doubtAttributes() error {
	if !c.bucket.WriteOnly() {
		return nil
	}
	var heard []Ino
	err := c.db.View(func(tx *index.Tx) error {
		if done, _, err := tx.Meta(unprovenMeta); err != nil || string(done) == unprovenKept {
			return err
		}
		var failed error
		err := tx.Inodes(func(i index.Inode) bool {
			var o index.Object
			var found bool
			key, linked := tx.Path(i.Ino)
			if linked && i.Ino != Root {
				o, found, failed = tx.Object(key)
			}
			if found && o.Ino == i.Ino && o.Gen == i.Gen && o.AttrVer == i.AttrVer && i.Unproven == 0 {
				heard = append(heard, i.Ino)
			}
			return failed == nil
		})
		return orErr(err, failed)
	})
	for len(heard) > 0 && err == nil {
		n := min(len(heard), importBatch)
		err = c.db.Update(func(tx *index.Tx) error {
			for _, ino := range heard[:n] {
				i, ok, err := tx.Inode(ino)
				if err != nil || !ok {
					return err
				}
				i.Unproven = object.AllFields
				if err := tx.PutInode(i); err != nil {
					return err
				}
			}
			return nil
		})
		heard = heard[n:]
	}
	if err != nil {
		return err
	}
	return c.db.Update(func(tx *index.Tx) error { return tx.PutMeta(unprovenMeta, []byte(unprovenKept)) })
}
