package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Rename moves a name. It is one local transaction whatever it moves; the objects follow in the background. A directory
// whose content was never listed is listed first, so that nothing below it is left behind.
func (c *Cache) Rename(ctx context.Context, oldParent Ino, oldName string, newParent Ino, newName string, mode RenameMode) error {
	return c.renameNames(ctx, place{oldParent, oldName}, place{newParent, newName}, mode, nil)
}

// renameNames is both; whiteout is what is left behind, nil for nothing.
func (c *Cache) renameNames(ctx context.Context, from, to place, mode RenameMode, whiteout *New) error {
	if _, done := c.answered(ctx); done {
		return nil
	}
	if err := c.writable(); err != nil {
		return err
	}
	if hidden(from.parent, from.name) {
		return ErrNotFound
	}
	if err := c.checkName(to.parent, to.name); err != nil {
		return err
	}
	before := [2]sight{c.look(ctx, from.parent, from.name), c.look(ctx, to.parent, to.name)}
	if err := c.prepareMove(ctx, from.parent, from.name); err != nil {
		return err
	}
	if err := c.prepareTarget(ctx, to.parent, to.name, mode); err != nil {
		return err
	}
	for _, dir := range []Ino{from.parent, to.parent} {
		if err := c.settled(ctx, dir, before[0].by); err != nil {
			return err
		}
	}
	c.names.RLock()
	defer c.names.RUnlock()
	err := c.db.Update(func(tx *index.Tx) error {
		if err := c.rename(tx, from, to, before, mode, whiteout); err != nil {
			return err
		}
		return c.keepAnswer(ctx, tx, 0)
	})
	if err != nil {
		return fmt.Errorf("rename %q to %q: %w", from.name, to.name, err)
	}
	return nil
}

// place is a name in a directory.
type place struct {
	parent Ino
	name   string
}

// prepareMove learns what must be known of an inode before it is moved: the attributes, which travel with a COPY, and for a
// directory everything below.
func (c *Cache) prepareMove(ctx context.Context, parent Ino, name string) error {
	ino, err := c.child(ctx, parent, name)
	if err != nil {
		return err
	}
	if err := c.known(ctx, ino); err != nil {
		return err
	}
	i, err := c.inode(ino)
	if err != nil || !isDir(&i) {
		return err
	}
	return c.knowTree(ctx, ino)
}

// prepareTarget brings what a rename may replace up to date.
func (c *Cache) prepareTarget(ctx context.Context, parent Ino, name string, mode RenameMode) error {
	if mode == RenameExchange {
		return c.prepareMove(ctx, parent, name)
	}
	ino, err := c.child(ctx, parent, name)
	if err != nil {
		return ignore(err, ErrNotFound)
	}
	if err := c.known(ctx, ino); err != nil {
		return ignore(err, ErrGone)
	}
	i, err := c.inode(ino)
	if err != nil || !isDir(&i) {
		return ignore(err, ErrGone)
	}
	return c.fresh(ctx, ino)
}

// rename changes the names in a transaction. before is what they were when the call came.
func (c *Cache) rename(tx *index.Tx, from, to place, before [2]sight, mode RenameMode, whiteout *New) error {
	fromDir, err := dirOf(tx, from.parent)
	if err != nil {
		return err
	}
	toDir, err := dirOf(tx, to.parent)
	if err != nil {
		return err
	}
	moved, err := childInode(tx, from.parent, from.name)
	if err != nil {
		return err
	}
	if err := c.sticks(&fromDir, &moved, before[0]); err != nil {
		return err
	}
	if err := c.leavesDir(&moved, from, to, before[0]); err != nil {
		return err
	}
	if err := c.mayChange(tx, &moved); err != nil {
		return err
	}
	if err := c.checkMove(tx, &moved, to); err != nil {
		return err
	}
	if err := c.checkedAt(&toDir, before[1].arrival, changesNames); err != nil {
		return err
	}
	target, err := childInode(tx, to.parent, to.name)
	if err == nil && target.Ino != moved.Ino && mode != RenameNoReplace {
		if err := c.sticks(&toDir, &target, before[1]); err != nil {
			return err
		}
	}
	switch {
	case err == nil && target.Ino == moved.Ino:
		return nil
	case err == nil && mode == RenameNoReplace:
		return ErrExist
	case err == nil && mode == RenameExchange:
		if err := c.leavesDir(&target, to, from, before[1]); err != nil {
			return err
		}
		return c.exchange(tx, &moved, &target, fromDir, toDir)
	case err == nil:
		if err := c.replaceable(tx, &moved, &target); err != nil {
			return err
		}
		if err := c.detach(tx, &target); err != nil {
			return err
		}
	case ignore(err, ErrNotFound) != nil || mode == RenameExchange:
		return err
	}
	if err := c.move(tx, &moved, to); err != nil {
		return err
	}
	if whiteout != nil {
		if err := c.leaveWhiteout(tx, &fromDir, from, *whiteout); err != nil {
			return err
		}
	}
	return touchBoth(tx, fromDir, toDir)
}

// touchBoth moves the times of one or two directories.
func touchBoth(tx *index.Tx, a, b index.Inode) error {
	if a.Ino != b.Ino {
		if err := touchDir(tx, b); err != nil {
			return err
		}
	}
	return touchDir(tx, a)
}

// replaceable checks rename(2)'s rules for an existing target.
func (c *Cache) replaceable(tx *index.Tx, moved, target *index.Inode) error {
	switch {
	case isDir(moved) && !isDir(target):
		return ErrNotDir
	case !isDir(moved) && isDir(target):
		return ErrIsDir
	case isDir(target):
		return c.emptyDir(tx, target.Ino)
	}
	return nil
}

// checkMove refuses a move into itself and keys that would be too long, those of descendants included.
func (c *Cache) checkMove(tx *index.Tx, moved *index.Inode, to place) error {
	if isDir(moved) {
		for at := to.parent; at != Root; {
			if at == moved.Ino {
				return ErrInvalid
			}
			i, ok, err := tx.Inode(at)
			if err != nil || !ok {
				return orErr(err, ErrNotFound)
			}
			at = i.Parent
		}
	}
	key, ok := childKey(tx, to.parent, to.name, isDir(moved))
	if !ok {
		return ErrNotFound
	}
	if err := orErr(c.newKey(to.parent, key), c.canTakeAlong(tx, moved)); err != nil {
		return err
	}
	if !isDir(moved) {
		return nil
	}
	old, ok := tx.Path(moved.Ino)
	if !ok || len(key) <= len(old) {
		return nil
	}
	return c.checkDepth(tx, moved.Ino, len(key))
}

// checkDepth walks a directory and refuses when a key below would be too long, with length bytes above it.
func (c *Cache) checkDepth(tx *index.Tx, dir Ino, length int) error {
	var tooLong error
	err := tx.Children(dir, "", func(name string, ino Ino) bool {
		i, ok, err := tx.Inode(ino)
		switch {
		case err != nil || !ok:
			tooLong = err
		case isDir(&i):
			if length+len(name)+1 > c.bucket.KeyRoom() {
				tooLong = ErrNameTooLong
			} else {
				tooLong = c.checkDepth(tx, ino, length+len(name)+1)
			}
		case length+len(name) > c.bucket.KeyRoom():
			tooLong = ErrNameTooLong
		}
		return tooLong == nil
	})
	return orErr(err, tooLong)
}

// move gives an inode another name.
func (c *Cache) move(tx *index.Tx, i *index.Inode, to place) error {
	if err := leave(tx, i); err != nil {
		return err
	}
	return c.arrive(tx, i, to)
}

// leave notes that what the bucket holds under the inode's name becomes garbage once it has a home under the new one.
func leave(tx *index.Tx, i *index.Inode) error {
	key, ok := tx.Path(i.Ino)
	if !ok {
		return nil
	}
	if err := tx.LeaveKey(key, i.Ino); err != nil {
		return err
	}
	o, recorded, err := tx.Object(key)
	if err != nil || !recorded {
		return err
	}
	if o.GoneSeq, err = tx.NextSeq(); err != nil {
		return err
	}
	return tx.PutObject(o)
}

// comeBack takes the note of leave back from what the bucket holds under the inode's name.
func comeBack(tx *index.Tx, i *index.Inode) error {
	key, ok := tx.Path(i.Ino)
	if !ok {
		return nil
	}
	if err := tx.ReturnKey(key, i.Ino); err != nil {
		return err
	}
	o, recorded, err := tx.Object(key)
	if err != nil || !recorded || o.Ino != i.Ino || o.GoneSeq == 0 {
		return err
	}
	o.GoneSeq = 0
	return tx.PutObject(o)
}

// arrive writes the new name.
func (c *Cache) arrive(tx *index.Tx, i *index.Inode, to place) error {
	seq, err := tx.NextSeq()
	if err != nil {
		return err
	}
	i.Parent, i.Name, i.PathSeq = to.parent, to.name, seq
	i.Ctime = now()
	i.ChangedAt = i.Ctime
	if isDir(i) {
		i.Marker, i.Occupied = true, false // emptied on the way it would vanish from the bucket
		i.Prove(c.o.UID, c.o.GID, i.Ctime) // its marker is a new one
	} else {
		i.Refers = true
	}
	if err := tx.PutInode(*i); err != nil {
		return err
	}
	if err := comeBack(tx, i); err != nil {
		return err
	}
	return c.noteUnsent(tx, i, seq)
}

// exchangeName stands in for a name while two are swapped; it is longer than any that can be made.
var exchangeName = strings.Repeat("~", MaxName+1)

// exchange swaps two names.
func (c *Cache) exchange(tx *index.Tx, a, b *index.Inode, aDir, bDir index.Inode) error {
	if err := c.checkMove(tx, b, place{aDir.Ino, a.Name}); err != nil {
		return err
	}
	toA, toB := place{b.Parent, b.Name}, place{a.Parent, a.Name}
	if err := leave(tx, a); err != nil {
		return err
	}
	a.Name = exchangeName // no name ever has two holders
	if err := tx.PutInode(*a); err != nil {
		return err
	}
	if err := c.move(tx, b, toB); err != nil {
		return err
	}
	if err := c.arrive(tx, a, toA); err != nil {
		return err
	}
	return touchBoth(tx, aDir, bDir)
}

// ignore drops one expected error.
func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
