package cache

import (
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// mayWrite fails with ErrAccess for a key where this host may not write: readers would not believe what it did there.
func (c *Cache) mayWrite(key string) error {
	if !c.bucket.WriteOnly() {
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
