package cache

import (
	"context"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Link gives a file of Tmpfile its first name. An object has one key, so there is no second one: ErrNotPermitted. What lost its name gets no other,
// as on a local disk: ErrNotFound.
func (c *Cache) Link(ctx context.Context, ino, parent Ino, name string) (Stat, error) {
	if _, done := c.answered(ctx); done {
		i, err := c.inode(ino)
		return c.statOf(&i), err
	}
	if err := c.writable(); err != nil {
		return Stat{}, err
	}
	call := c.arrived(ctx)
	if i, err := c.inode(ino); err != nil || !i.Unlinked {
		return Stat{}, orErr(err, ErrNotPermitted)
	}
	if err := c.checkName(parent, name); err != nil {
		return Stat{}, err
	}
	if err := c.fresh(ctx, parent); err != nil {
		return Stat{}, err
	}
	if err := c.settled(ctx, parent, call.by); err != nil {
		return Stat{}, err
	}
	linked, err := c.link(ctx, ino, place{parent, name}, call)
	if err != nil {
		return Stat{}, fmt.Errorf("link as %q: %w", name, err)
	}
	// What was closed before had no name to be uploaded under. It has it now, whatever becomes of the seal, which is tried again.
	if err := c.sealLast(ctx, ino, c.opens.count(ino).writers); err != nil {
		c.o.Logger.Warn("a file that got its name is not sealed yet", "path", c.PathOf(ino), "error", err)
	}
	return c.statOf(&linked), nil
}

// link is the transaction of Link.
func (c *Cache) link(ctx context.Context, ino Ino, to place, call arrival) (linked index.Inode, err error) {
	c.names.RLock()
	defer c.names.RUnlock()
	err = c.db.Update(func(tx *index.Tx) error {
		dir, err := dirOf(tx, to.parent)
		if err != nil {
			return err
		}
		if err := c.checkedAt(&dir, call, changesNames); err != nil {
			return err
		}
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return orErr(err, ErrGone)
		}
		if !i.Unlinked { // somebody else was first
			return ErrNotPermitted
		}
		if err := c.freeName(tx, to.parent, to.name, false); err != nil {
			return err
		}
		i.Unlinked = false
		if err := c.arrive(tx, &i, to); err != nil {
			return err
		}
		linked = i
		if err := c.keepAnswer(ctx, tx, ino); err != nil {
			return err
		}
		if err := touchDir(tx, dir); err != nil {
			return err
		}
		return c.adopted(tx, ino)
	})
	return linked, err
}
