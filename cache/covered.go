package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Covered brings back a version of others that a request of ours covered without having seen it. Under a delete marker it becomes the
// object again; under content of ours it becomes a file beside it, by a copy on the server. Doing it twice does no harm. One that cannot be copied
// stays where it is: whoever lays it there would keep us from this key for ever.
func (m importer) Covered(ctx context.Context, key string, v object.Version, marks []string) error {
	bring := m.c.copyBeside
	if len(marks) > 0 {
		bring = func(ctx context.Context, key string, v object.Version) error { return m.c.undelete(ctx, key, v, marks) }
	}
	err := bring(ctx, key, v)
	if object.OutlookOf(err) == object.RefusedHere && !errors.Is(err, object.ErrDenied) {
		m.c.o.Logger.Warn("a version that somebody else wrote at the same moment cannot be brought back, and stays below", "path", m.c.keyPath(key),
			"version", v.ID, "error", err)
		return nil
	}
	return err
}

// undelete removes delete markers of ours, the lowest first, so that it can be done again at every moment. Without the permission for
// that the version is copied above them, and so is one that is to lose rights by it.
func (c *Cache) undelete(ctx context.Context, key string, v object.Version, marks []string) error {
	defer c.activity.begin(key)()
	info, err := c.versionToCopy(ctx, key, v)
	if errors.Is(err, object.ErrNotFound) {
		return nil // removed for good meanwhile
	}
	unread := err
	copied := err == nil && info.Unproven&object.FieldsOfRights != 0 && !c.bucket.WriteOnly()
	err = ignore(err, object.ErrDenied)
	for n := len(marks) - 1; n >= 0 && err == nil && !copied; n-- {
		err = c.bucket.RemoveVersion(ctx, key, marks[n])
		copied = errors.Is(err, object.ErrDenied) && unread == nil
	}
	if copied {
		_, err = c.bucket.Copy(ctx, copyOf(key, v.ID, key, &info))
	}
	if err != nil {
		return err
	}
	c.o.Logger.Warn("deleted here and written elsewhere: theirs is brought back", "path", c.keyPath(key))
	c.conflicts.Add(1)
	return c.db.Update(func(tx *index.Tx) error { return listAgain(tx, key) })
}

// versionToCopy describes a version as a copy of it will be signed. Whoever keeps the bucket can lay an older one below ours.
func (c *Cache) versionToCopy(ctx context.Context, key string, v object.Version) (object.Info, error) {
	info, err := c.bucket.HeadVersion(ctx, key, v.ID)
	if err == nil {
		err = c.doubtRights(&info)
	}
	return info, err
}

// copyOf asks for a copy of a version with the attributes that it has.
func copyOf(src, version, dst string, info *object.Info) object.CopyRequest {
	return object.CopyRequest{
		Src: src, SrcVersion: version, SrcETag: info.ETag, Dst: dst, Attr: info.Attr, Generation: info.Generation, Upload: object.NewID(), Unproven: info.Unproven,
	}
}

// copyBeside copies a version to a name beside its key and shows it there.
func (c *Cache) copyBeside(ctx context.Context, key string, v object.Version) error {
	info, err := c.versionToCopy(ctx, key, v)
	if errors.Is(err, object.ErrNotFound) {
		return nil // removed for good meanwhile
	}
	if err != nil {
		return err
	}
	dst, found, err := c.freeBeside(ctx, key, v, &info)
	if err != nil {
		return err
	}
	defer c.activity.begin(dst)()
	if found == nil {
		copied, err := c.bucket.Copy(ctx, copyOf(key, v.ID, dst, &info))
		if err != nil {
			return err
		}
		copied.Size, copied.Attr.Xattrs, copied.State, copied.Refusal, copied.Volume = info.Size, info.Attr.Xattrs, info.State, info.Refusal, info.Volume
		found = &copied
	}
	c.o.Logger.Warn("written here and elsewhere at the same moment: both versions are kept", "path", c.keyPath(key), "theirs", c.keyPath(dst))
	c.conflicts.Add(1)
	return c.showBeside(dst, found)
}

// freeBeside is the key that a version is copied to, and what is there already when this was done before: its name tells when the
// version was written, not when it was found.
func (c *Cache) freeBeside(ctx context.Context, key string, v object.Version, info *object.Info) (string, *object.Info, error) {
	at := strings.LastIndexByte(key, '/') + 1
	for n := range maxConflicts {
		dst := key[:at] + c.conflictOf(key[:at], key[at:], v.Modified, n)
		there, err := c.bucket.Head(ctx, dst)
		switch {
		case errors.Is(err, object.ErrNotFound):
			return dst, nil, nil
		case err != nil:
			return "", nil, err
		case there.ETag == info.ETag && there.Size == info.Size && there.Generation == info.Generation:
			return dst, &there, nil
		}
	}
	return "", nil, fmt.Errorf("no free name beside %q", key)
}

// showBeside gives what was copied a name in the tree, where its directory is known and the name is free.
func (c *Cache) showBeside(key string, info *object.Info) error {
	var note news
	c.names.Lock()
	defer c.names.Unlock()
	err := c.db.Update(func(tx *index.Tx) error {
		note.clear()
		at := strings.LastIndexByte(key, '/') + 1
		dir, ok := Root, true
		var err error
		if at > 0 {
			dir, ok, err = tx.Resolve(key[:at])
		}
		if err != nil || !ok {
			return orErr(err, listAgain(tx, key))
		}
		if _, taken, err := tx.Child(dir, key[at:]); err != nil || taken {
			return err
		}
		entry := object.Entry{Key: key, Size: info.Size, ETag: info.ETag, Modified: info.Modified}
		if err := c.importNew(tx, dir, key[at:], &entry, &note); err != nil {
			return err
		}
		theirs, err := childInode(tx, dir, key[at:])
		if err != nil {
			return err
		}
		return c.adopt(tx, &theirs, &entry, info, c.modeOf(&theirs, info), &note)
	})
	if err != nil {
		return err
	}
	c.spread(&note)
	return nil
}
