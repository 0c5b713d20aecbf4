package cache

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// maxTarget is the longest target of a symbolic link (PATH_MAX without its NUL).
const maxTarget = 4095

// Create makes a regular file and opens it. One that came into being since the kernel looked is ErrAppeared, or ErrExist when m.Exclusive
// is set, and never opened: whose name is free the kernel lets somebody have without a look at mode and owner.
func (c *Cache) Create(ctx context.Context, parent Ino, name string, n New, m OpenMode) (Stat, error) {
	if st, done := c.answeredWith(ctx); done {
		return st, c.addOpening(st.Ino, m, c.arrived(ctx))
	}
	st, err := c.createNew(ctx, parent, name, n, m)
	if !m.Exclusive && errors.Is(err, ErrExist) {
		return Stat{}, fmt.Errorf("create %q: %w", name, ErrAppeared)
	}
	return st, err
}

// createNew makes a regular file that must not exist, and opens it.
func (c *Cache) createNew(ctx context.Context, parent Ino, name string, n New, m OpenMode) (Stat, error) {
	n.Mode = n.Mode&modePerm | unix.S_IFREG
	var opened Ino
	put := c.make
	if m.Exclusive {
		put = c.makeFirst
	}
	made, err := put(ctx, parent, name, n, func(_ *index.Tx, i *index.Inode) error {
		opened, i.Refers = i.Ino, m.Append
		c.opens.add(opened, m.Write)
		return nil
	})
	if err == nil {
		err = c.bodies.Pin(opened)
	}
	if err != nil {
		if opened != 0 {
			c.opens.remove(opened, m.Write)
		}
		return Stat{}, err
	}
	return c.statOf(&made), nil
}

// Mknod makes a file that is not opened: regular, fifo, socket or device. All but the first are attributes of an empty
// object.
func (c *Cache) Mknod(ctx context.Context, parent Ino, name string, n New) (Stat, error) {
	if st, done := c.answeredWith(ctx); done {
		return st, nil
	}
	switch n.Mode & modeType {
	case 0:
		n.Mode |= unix.S_IFREG
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
	default:
		return Stat{}, ErrInvalid
	}
	made, err := c.make(ctx, parent, name, n, nil)
	if err != nil {
		return Stat{}, err
	}
	return c.statOf(&made), nil
}

// Mkdir makes a directory; it gets a marker object.
func (c *Cache) Mkdir(ctx context.Context, parent Ino, name string, n New) (Stat, error) {
	if st, done := c.answeredWith(ctx); done {
		return st, nil
	}
	n.Mode = n.Mode&modePerm | unix.S_IFDIR
	made, err := c.makeFirst(ctx, parent, name, n, func(_ *index.Tx, i *index.Inode) error {
		i.Marker = true
		i.Complete = true // its parent's listing showed no such name
		i.ListedAt = now()
		return nil
	})
	if err != nil {
		return Stat{}, err
	}
	return c.statOf(&made), nil
}

// Symlink makes a symbolic link; its target is the content of its object.
func (c *Cache) Symlink(ctx context.Context, parent Ino, name, target string, n New) (Stat, error) {
	if st, done := c.answeredWith(ctx); done {
		return st, nil
	}
	if target == "" || len(target) > maxTarget {
		return Stat{}, ErrNameTooLong
	}
	n.Mode = 0o777 | unix.S_IFLNK
	made, err := c.make(ctx, parent, name, n, func(tx *index.Tx, i *index.Inode) error {
		i.Target = target
		i.Size = int64(len(target))
		return c.bodies.WriteSmall(tx, i, []byte(target))
	})
	if err != nil {
		return Stat{}, err
	}
	return c.statOf(&made), nil
}

// Tmpfile makes and opens a regular file without a name; it goes with its last opening, unless Link gives it one, which m.Exclusive rules out.
func (c *Cache) Tmpfile(ctx context.Context, parent Ino, n New, m OpenMode) (Stat, error) {
	call := c.arrived(ctx)
	if err := c.writable(); err != nil {
		return Stat{}, err
	}
	if err := c.entered(ctx, parent, call, changesNames); err != nil {
		return Stat{}, err
	}
	n.Mode = n.Mode&modePerm | unix.S_IFREG
	var made index.Inode
	err := c.db.Update(func(tx *index.Tx) error {
		dir, err := dirOf(tx, parent)
		if err != nil {
			return err
		}
		made = c.newInode(tx, &dir, n)
		made.Unlinked = true
		if err := c.orphan(tx, made.Ino, false); err != nil {
			return err
		}
		if !m.Exclusive {
			if err := tx.PutRaw(orphanTable, orphanKey(made.Ino), nameless); err != nil {
				return err
			}
		}
		return tx.PutInode(made)
	})
	if err != nil {
		return Stat{}, err
	}
	if err := c.bodies.Pin(made.Ino); err != nil {
		return Stat{}, err
	}
	c.opens.add(made.Ino, m.Write) // nobody else knows this inode yet
	return c.statOf(&made), nil
}

// make adds one inode to a directory. fill completes it in the same transaction.
func (c *Cache) make(ctx context.Context, parent Ino, name string, n New, fill func(*index.Tx, *index.Inode) error) (index.Inode, error) {
	if n.call.begun == 0 {
		n.call = c.arrived(ctx)
	}
	if err := c.writable(); err != nil {
		return index.Inode{}, err
	}
	if err := c.checkName(parent, name); err != nil {
		return index.Inode{}, err
	}
	if err := c.fresh(ctx, parent); err != nil {
		return index.Inode{}, err
	}
	if err := c.entered(ctx, parent, n.call, changesNames); err != nil {
		return index.Inode{}, err
	}
	var made index.Inode
	err := c.db.Update(func(tx *index.Tx) error {
		dir, err := dirOf(tx, parent)
		if err != nil {
			return err
		}
		if err := c.freeName(tx, parent, name, n.Mode&modeType == unix.S_IFDIR); err != nil {
			return err
		}
		made = c.newInode(tx, &dir, n)
		made.Parent, made.Name = parent, name
		if made.PathSeq, err = tx.NextSeq(); err != nil {
			return err
		}
		if fill != nil {
			if err := fill(tx, &made); err != nil {
				return err
			}
		}
		if err := tx.PutInode(made); err != nil {
			return err
		}
		if err := c.keepAnswer(ctx, tx, made.Ino); err != nil {
			return err
		}
		return touchDir(tx, dir)
	})
	if err != nil {
		return index.Inode{}, fmt.Errorf("create %q: %w", name, err)
	}
	return made, nil
}

// freeName checks that a name can be added to a directory.
func (c *Cache) freeName(tx *index.Tx, parent Ino, name string, dir bool) error {
	if _, taken, err := tx.Child(parent, name); err != nil || taken {
		return orErr(err, ErrExist)
	}
	key, ok := childKey(tx, parent, name, dir)
	if !ok {
		return ErrNotFound
	}
	return c.newKey(parent, key)
}

// newKey checks that the bucket can have an object of ours under a key in a directory.
func (c *Cache) newKey(dir Ino, key string) error {
	if c.leftOut.taken(dir, key) {
		return fmt.Errorf("%w: %w", ErrTaken, object.ErrSymlink)
	}
	return c.checkKey(key)
}

// newInode fills what every new inode has. A set-group-id directory hands on its group, and the bit to directories.
func (c *Cache) newInode(tx *index.Tx, dir *index.Inode, n New) index.Inode {
	t := now()
	i := index.Inode{
		Ino: tx.NextIno(), Gen: tx.NextGen(), Mode: n.Mode, UID: n.UID, GID: n.GID, Rdev: n.Rdev,
		Atime: t, Mtime: t, Ctime: t, ChangedAt: t, ClosedAt: t, Sealed: true, AttrKnown: true, AttrVer: 1,
	}
	inheritGroup(dir, &i, n.By)
	return i
}

// inheritGroup gives a new inode what its directory hands on.
func inheritGroup(dir, i *index.Inode, by Caller) {
	if dir.Mode&unix.S_ISGID == 0 {
		return
	}
	i.GID = dir.GID
	i.Mode = modeMade(dir, i, by)
}

// dirOf reads a directory that still has its place in the tree.
func dirOf(tx *index.Tx, ino Ino) (index.Inode, error) {
	i, ok, err := tx.Inode(ino)
	switch {
	case err != nil:
		return i, err
	case !ok || i.Unlinked:
		return i, ErrNotFound
	case !isDir(&i):
		return i, ErrNotDir
	}
	return i, nil
}

// touchDir moves the times of a directory whose entries changed. Its marker follows, if it has one that may be written over.
func touchDir(tx *index.Tx, dir index.Inode) error {
	t := now()
	dir.Mtime, dir.Ctime, dir.ChangedAt = t, t, t
	if dir.Moving || !dir.WantsMarker() || dir.Unproven&object.AllFields != 0 {
		return tx.PutInode(dir)
	}
	follows, err := markerFollows(tx, &dir)
	if err != nil {
		return err
	}
	if follows {
		dir.Move()
	}
	return tx.PutInode(dir)
}

// markerFollows reports whether a directory's marker is to tell of changes of its entries: it is of this volume, and what it says is known. Nobody
// has asked for a new one that would vouch for what others wrote.
func markerFollows(tx *index.Tx, dir *index.Inode) (bool, error) {
	key, ok := tx.Path(dir.Ino)
	if !ok {
		return false, nil
	}
	o, recorded, err := tx.Object(key)
	if err != nil || !recorded {
		return err == nil && dir.AttrKnown, err
	}
	switch o.State {
	case object.StateAuthentic, object.StateSealed:
		return true, nil
	case object.StateUnknown:
		return dir.AttrKnown || o.Upload != (index.ID{}), nil
	}
	return false, nil
}

// writable refuses changes on a read-only mount.
func (c *Cache) writable() error {
	if c.o.ReadOnly {
		return ErrReadOnly
	}
	return nil
}

// orErr is err, or otherwise when there is none.
func orErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
