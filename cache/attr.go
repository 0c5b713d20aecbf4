package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// inode reads one inode. One that was removed is ErrGone.
func (c *Cache) inode(ino Ino) (index.Inode, error) {
	i, ok, err := c.db.Inode(ino)
	if err == nil && !ok {
		err = ErrGone
	}
	return i, err
}

// NameValid is how long a name may be remembered without asking: the time after which a change by others shows.
func (c *Cache) NameValid() time.Duration { return c.o.MetaTTL }

// staleValid is how long a name may be remembered of whose directory no newer listing could be had.
const staleValid = time.Second

// validIn is how long a name in a directory may be remembered: until the listing that showed it is as old as MetaTTL.
func (c *Cache) validIn(dir Ino) time.Duration {
	i, err := c.inode(dir)
	if err != nil {
		return 0
	}
	return max(c.o.MetaTTL-c.age(&i), min(staleValid, c.o.MetaTTL))
}

// Lookup finds a name in a directory. valid is how long the answer may be remembered, ErrNotFound included.
func (c *Cache) Lookup(ctx context.Context, parent Ino, name string) (st Stat, valid time.Duration, err error) {
	if len(name) > MaxName {
		return Stat{}, 0, ErrNameTooLong
	}
	if hidden(parent, name) {
		return Stat{}, c.o.MetaTTL, ErrNotFound
	}
	call := c.arrived(ctx)
	for range 3 { // an import may replace the inode while its attributes are asked for
		ino, err := c.child(ctx, parent, name)
		if errors.Is(err, ErrNotFound) { // which is not for everybody to know either
			err = orErr(c.entered(ctx, parent, call, unix.X_OK), err)
		}
		if err != nil {
			return Stat{}, c.validIn(parent), err
		}
		st, err := c.GetAttr(ctx, ino)
		if err == nil {
			return st, c.validIn(parent), c.entered(ctx, parent, call, unix.X_OK)
		}
		if ignore(ignore(err, ErrGone), ErrNotFound) != nil {
			return Stat{}, 0, err
		}
	}
	return Stat{}, 0, ErrNotFound
}

// GetAttr shows an inode; its attributes are asked for when they are not known.
func (c *Cache) GetAttr(ctx context.Context, ino Ino) (Stat, error) {
	i, err := c.inode(ino)
	if err != nil {
		return Stat{}, err
	}
	if i.AttrKnown {
		return c.statOf(&i), nil
	}
	if err := c.known(ctx, ino); err != nil {
		return Stat{}, err
	}
	if i, err = c.inode(ino); err != nil {
		return Stat{}, err
	}
	return c.statOf(&i), nil
}

// SetAttr changes attributes. A change of size comes first, so that times given with it stay.
func (c *Cache) SetAttr(ctx context.Context, ino Ino, ch Change) (Stat, error) {
	call := arrival{begun: c.changes.begin(), by: ch.Asked}
	if err := c.writable(); err != nil {
		return Stat{}, err
	}
	if err := c.known(ctx, ino); err != nil {
		return Stat{}, err
	}
	if ch.Set&^SetAtime != 0 || ch.By != nil {
		if err := c.changeAllowed(ino); err != nil {
			return Stat{}, err
		}
	}
	if ch.Set&SetSize == 0 || ch.Size != 0 {
		if err := c.changeable(ino); err != nil {
			return Stat{}, err
		}
	}
	if ch.Set&SetSize != 0 {
		if err := c.checkedSize(ino, call); err != nil {
			return Stat{}, err
		}
		ch.Asked = nil // the times that go with it are the kernel's
		if i, err := c.inode(ino); err == nil && ch.Size == i.Size && ch.Set&SetMtime == 0 {
			ch.Set, ch.Mtime = ch.Set|SetMtime, now() // it moves even when there is nothing to cut
		}
		if err := c.dropSetID(ctx, ino, ch.By); err != nil {
			return Stat{}, err
		}
		if err := c.truncate(ctx, ino, ch.Size); err != nil {
			return Stat{}, err
		}
	}
	c.names.RLock()
	defer c.names.RUnlock()
	if err := c.checkedChange(ino, &ch); err != nil {
		return Stat{}, err
	}
	changed, err := c.updateInode(ino, func(i *index.Inode) bool { return applyChange(i, ch) })
	if err != nil {
		return Stat{}, err
	}
	return c.statOf(&changed), nil
}

// updateInode changes an inode in a transaction of its own; change reports whether there is anything to write.
func (c *Cache) updateInode(ino Ino, change func(*index.Inode) bool) (index.Inode, error) {
	var changed index.Inode
	err := c.db.Update(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return orErr(err, ErrGone)
		}
		write := change(&i)
		changed = i
		if !write {
			return nil
		}
		return tx.PutInode(i)
	})
	if err != nil {
		return index.Inode{}, fmt.Errorf("change attributes: %w", err)
	}
	return changed, nil
}

// applyChange writes the new attributes and reports whether there is anything to write. Access times are local: they are not
// uploaded.
func applyChange(i *index.Inode, ch Change) bool {
	before := *i
	if ch.Set&SetMode != 0 {
		i.Mode = i.Mode&modeType | ch.Mode&modePerm
		i.Unproven &^= object.FieldMode
	}
	if ch.Set&SetGID == 0 {
		ch.GID = i.GID
	}
	if gives(i, ch) {
		i.Mode = modeGiven(i, ch.GID, ch.By)
	}
	if ch.Set&SetUID != 0 {
		i.UID = ch.UID
		i.Unproven &^= object.FieldUID
	}
	i.GID = ch.GID
	if ch.Set&SetGID != 0 {
		i.Unproven &^= object.FieldGID
	}
	if ch.Set&SetMtime != 0 {
		i.Mtime = ch.Mtime
		i.Unproven &^= object.FieldMtime
	}
	uploaded := i.Mode != before.Mode || i.UID != before.UID || i.GID != before.GID || i.Mtime != before.Mtime || i.Unproven != before.Unproven ||
		ch.Set&SetMtime != 0 && isDir(i)
	if ch.Set&SetAtime != 0 {
		i.Atime = ch.Atime
	}
	if !uploaded && i.Atime == before.Atime && ch.Set&^SetSize == 0 {
		return false
	}
	i.Ctime = now()
	if uploaded {
		i.Change()
		i.ChangedAt = i.Ctime
		if before.Mode&^i.Mode != 0 || i.UID != before.UID || i.GID != before.GID {
			i.Tight = i.AttrVer
		}
		if isDir(i) {
			i.Marker, i.Origin = true, index.ID{}
		}
	}
	return true
}

// StatFS shows the room of the mount, without a request: a bucket has no limit, so it is a large constant.
func (c *Cache) StatFS() Space {
	const (
		total = 1 << 50
		files = 1 << 31
	)
	return Space{Total: total, Free: total, Files: files, FreeFiles: files}
}
