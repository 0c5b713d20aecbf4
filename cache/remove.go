package cache

import (
	"context"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Unlink removes the name of a file. The file itself goes with its last opening.
func (c *Cache) Unlink(ctx context.Context, parent Ino, name string) error {
	if _, done := c.answered(ctx); done {
		return nil
	}
	return c.removeName(ctx, parent, name, c.look(ctx, parent, name), func(tx *index.Tx, i *index.Inode) error {
		if isDir(i) {
			return ErrIsDir
		}
		return nil
	})
}

// Rmdir removes an empty directory.
func (c *Cache) Rmdir(ctx context.Context, parent Ino, name string) error {
	if _, done := c.answered(ctx); done {
		return nil
	}
	before := c.look(ctx, parent, name)
	if err := c.freshChild(ctx, parent, name); err != nil {
		return err
	}
	return c.removeName(ctx, parent, name, before, func(tx *index.Tx, i *index.Inode) error {
		if !isDir(i) {
			return ErrNotDir
		}
		return c.emptyDir(tx, i.Ino)
	})
}

// emptyDir checks that a directory has no entries.
func (c *Cache) emptyDir(tx *index.Tx, ino Ino) error {
	full, err := tx.HasChildren(ino)
	if err == nil && full {
		err = ErrNotEmpty
	}
	return err
}

// freshChild brings the listing of a child that is a directory up to date, before it is judged empty.
func (c *Cache) freshChild(ctx context.Context, parent Ino, name string) error {
	ino, err := c.child(ctx, parent, name)
	if err != nil {
		return err
	}
	if err := c.fresh(ctx, ino); err != nil {
		return err
	}
	return nil
}

// child finds a name, after the listing of its directory is there.
func (c *Cache) child(ctx context.Context, parent Ino, name string) (Ino, error) {
	if err := c.fresh(ctx, parent); err != nil {
		return 0, err
	}
	ino, ok, err := c.db.Child(parent, name)
	if err == nil && !ok {
		err = ErrNotFound
	}
	return ino, err
}

// removeName takes a name away when check allows it. before is what the name was when the call came.
func (c *Cache) removeName(ctx context.Context, parent Ino, name string, before sight, check func(*index.Tx, *index.Inode) error) error {
	if err := c.writable(); err != nil {
		return err
	}
	if hidden(parent, name) {
		return ErrNotFound
	}
	if err := c.fresh(ctx, parent); err != nil {
		return err
	}
	if err := c.settled(ctx, parent, before.by); err != nil {
		return err
	}
	c.names.RLock()
	defer c.names.RUnlock()
	err := c.db.Update(func(tx *index.Tx) error {
		dir, err := dirOf(tx, parent)
		if err != nil {
			return err
		}
		i, err := childInode(tx, parent, name)
		if err != nil {
			return err
		}
		if err := c.sticks(&dir, &i, before); err != nil {
			return err
		}
		if err := c.mayChange(tx, &i); err != nil {
			return err
		}
		if err := check(tx, &i); err != nil {
			return err
		}
		if err := c.detach(tx, &i); err != nil {
			return err
		}
		if err := c.keepAnswer(ctx, tx, 0); err != nil {
			return err
		}
		return touchDir(tx, dir)
	})
	if err != nil {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	return nil
}

// childInode reads the inode of a name.
func childInode(tx *index.Tx, parent Ino, name string) (index.Inode, error) {
	ino, ok, err := tx.Child(parent, name)
	if err != nil {
		return index.Inode{}, err
	}
	if !ok {
		return index.Inode{}, ErrNotFound
	}
	i, ok, err := tx.Inode(ino)
	if err == nil && !ok {
		err = fmt.Errorf("name %q leads to the missing inode %d", name, ino)
	}
	return i, err
}

// detach takes the name of an inode away. The inode stays until nobody can reach it; what the bucket holds of it becomes garbage
// with the number of this moment, which converge deletes.
func (c *Cache) detach(tx *index.Tx, i *index.Inode) error {
	i.Unlinked, i.Ctime = true, now()
	if err := c.orphan(tx, i.Ino, false); err != nil {
		return err
	}
	return tx.PutInode(*i)
}
