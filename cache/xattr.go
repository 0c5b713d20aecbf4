package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
)

// GetXattr reads an extended attribute.
func (c *Cache) GetXattr(ctx context.Context, ino Ino, name string) ([]byte, error) {
	if isVirtual(name) {
		return c.virtual(ctx, ino, name)
	}
	if err := c.known(ctx, ino); err != nil {
		return nil, err
	}
	c.names.RLock()
	defer c.names.RUnlock()
	if err := c.checkedXattr(ctx, ino, name, unix.R_OK); err != nil {
		return nil, err
	}
	i, err := c.inode(ino)
	if err != nil {
		return nil, err
	}
	value, ok := i.Xattrs[name]
	if !ok {
		return nil, orErr(orErr(c.changeable(ino), c.xattrsKnown(ino)), ErrNoAttr)
	}
	return value, nil
}

// ListXattr lists the names of the extended attributes, sorted. Those that this host cannot open are left out, because programs take
// an error here for one of the file.
func (c *Cache) ListXattr(ctx context.Context, ino Ino) ([]string, error) {
	i, err := c.knownInode(ctx, ino)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(i.Xattrs)), isVirtual), nil
}

// knownInode reads an inode whose attributes are known.
func (c *Cache) knownInode(ctx context.Context, ino Ino) (index.Inode, error) {
	i, err := c.inode(ino)
	if err != nil || i.AttrKnown {
		return i, err
	}
	if err := c.known(ctx, ino); err != nil {
		return i, err
	}
	return c.inode(ino)
}

// SetXattr writes an extended attribute. All of an object's must fit in one header: above that ErrNoSpace.
func (c *Cache) SetXattr(ctx context.Context, ino Ino, name string, value []byte, mode XattrMode) error {
	if isVirtual(name) {
		return ErrNotPermitted
	}
	return c.changeXattrs(ctx, ino, name, func(all map[string][]byte) error {
		_, exists := all[name]
		switch {
		case exists && mode == XattrCreate:
			return ErrAttrExists
		case !exists && mode == XattrReplace:
			return ErrNoAttr
		}
		all[name] = value
		if err := c.bucket.CheckXattrs(all); err != nil {
			return errors.Join(ErrNoSpace, err)
		}
		return nil
	})
}

// RemoveXattr removes an extended attribute.
func (c *Cache) RemoveXattr(ctx context.Context, ino Ino, name string) error {
	if isVirtual(name) {
		return ErrNotPermitted
	}
	return c.changeXattrs(ctx, ino, name, func(all map[string][]byte) error {
		if _, ok := all[name]; !ok {
			return ErrNoAttr
		}
		delete(all, name)
		return nil
	})
}

// changeXattrs changes a copy of the attributes, for the sake of name: maps that were read are never written.
func (c *Cache) changeXattrs(ctx context.Context, ino Ino, name string, change func(map[string][]byte) error) error {
	if _, done := c.answered(ctx); done {
		return nil
	}
	if err := c.writable(); err != nil {
		return err
	}
	if err := c.known(ctx, ino); err != nil {
		return err
	}
	if err := c.trusted(ino); err != nil {
		return err // they go up with the content
	}
	if err := orErr(c.changeAllowed(ino), c.xattrsKnown(ino)); err != nil {
		return err
	}
	c.names.RLock()
	defer c.names.RUnlock()
	if err := c.checkedXattr(ctx, ino, name, unix.W_OK); err != nil {
		return err
	}
	err := c.db.Update(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return orErr(err, ErrGone)
		}
		all := maps.Clone(i.Xattrs)
		if all == nil {
			all = make(map[string][]byte)
		}
		if err := change(all); err != nil {
			return err
		}
		i.Xattrs = all
		i.Ctime = now()
		i.XattrVer++
		i.ChangedAt = i.Ctime
		i.Prove(c.o.UID, c.o.GID, i.Ctime) // they go up with all attributes
		if isDir(&i) {
			i.Marker, i.Origin = true, index.ID{}
		}
		if err := c.keepAnswer(ctx, tx, 0); err != nil {
			return err
		}
		return tx.PutInode(i)
	})
	if err != nil {
		return fmt.Errorf("change extended attributes: %w", err)
	}
	return nil
}
