package cache

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
)

// RenameWhiteout is Rename that leaves a whiteout behind in the same transaction: the device 0, by which an overlay says that a name below is gone. left says
// whose it is. Names are not exchanged so.
func (c *Cache) RenameWhiteout(ctx context.Context, oldParent Ino, oldName string, newParent Ino, newName string, mode RenameMode, left New) error {
	if mode == RenameExchange {
		return ErrInvalid
	}
	if err := c.checkName(oldParent, oldName); err != nil {
		return err
	}
	left.Mode, left.Rdev = unix.S_IFCHR, 0
	return c.renameNames(ctx, place{oldParent, oldName}, place{newParent, newName}, mode, &left)
}

// leaveWhiteout makes it in the place of what was moved.
func (c *Cache) leaveWhiteout(tx *index.Tx, dir *index.Inode, at place, n New) error {
	if err := c.freeName(tx, at.parent, at.name, false); err != nil {
		return err
	}
	made := c.newInode(tx, dir, n)
	made.Parent, made.Name = at.parent, at.name
	var err error
	if made.PathSeq, err = tx.NextSeq(); err != nil {
		return err
	}
	return tx.PutInode(made)
}
