package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// With Options.CreateRemote a file that must not exist, and a directory, is made in the bucket first, on condition that nobody else
// has made it: of two hosts one gets it, and the other one ErrExist.

// claim is a name that was taken in the bucket.
type claim struct {
	c     *Cache
	key   string
	mtime int64
	info  object.Info
	end   func() // of the activity: no listing takes it for somebody else's before it is in the index
}

// undoWait bounds what has to be done after a failure, also when the caller has given up.
const undoWait = 15 * time.Second

// makeFirst adds an inode to a directory as make does, and is the only one to do so.
func (c *Cache) makeFirst(ctx context.Context, parent Ino, name string, n New, fill func(*index.Tx, *index.Inode) error) (index.Inode, error) {
	if !c.o.CreateRemote {
		return c.make(ctx, parent, name, n, fill)
	}
	n.call = c.arrived(ctx)
	cl, err := c.claimName(ctx, parent, name, n)
	if err != nil {
		return index.Inode{}, fmt.Errorf("create %q: %w", name, err)
	}
	defer cl.end()
	made, err := c.make(ctx, parent, name, n, func(tx *index.Tx, i *index.Inode) error {
		if err := fill(tx, i); err != nil {
			return err
		}
		return cl.record(tx, i)
	})
	if err != nil {
		cl.undo(ctx)
	}
	return made, err
}

// claimName takes a name in the bucket.
func (c *Cache) claimName(ctx context.Context, parent Ino, name string, n New) (*claim, error) {
	attr, key, err := c.claimable(ctx, parent, name, n)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.AttrWait)
	defer cancel()
	cl := &claim{c: c, key: key, mtime: attr.Mtime, end: c.activity.begin(key)}
	if cl.info, err = c.createAlone(ctx, key, attr); err != nil {
		cl.end()
		if errors.Is(err, ErrExist) {
			err = errors.Join(err, c.db.Update(func(tx *index.Tx) error { return listAgain(tx, key) }))
		}
		return nil, err
	}
	return cl, nil
}

// claimable checks that a name is free here. What the bucket still has of an earlier file of that name goes first.
func (c *Cache) claimable(ctx context.Context, parent Ino, name string, n New) (attr object.Attr, key string, err error) {
	if err := c.writable(); err != nil {
		return attr, "", err
	}
	if err := c.checkName(parent, name); err != nil {
		return attr, "", err
	}
	if err := c.fresh(ctx, parent); err != nil {
		return attr, "", err
	}
	if err := c.entered(ctx, parent, n.call, changesNames); err != nil {
		return attr, "", err
	}
	dir, left := n.Mode&modeType == unix.S_IFDIR, false
	err = c.db.View(func(tx *index.Tx) error {
		above, err := dirOf(tx, parent)
		if err == nil {
			err = c.freeName(tx, parent, name, dir)
		}
		if err != nil {
			return err
		}
		key, _ = childKey(tx, parent, name, dir)
		i := index.Inode{Mode: n.Mode, UID: n.UID, GID: n.GID}
		inheritGroup(&above, &i, n.By)
		attr = object.Attr{Mode: i.Mode, UID: i.UID, GID: i.GID, Mtime: now()}
		if _, left, err = tx.Object(key); err == nil && !left {
			_, left, err = tx.Pend(key)
		}
		return err
	})
	if err == nil && left {
		err = c.Sync(ctx, key, nil)
	}
	return attr, key, err
}

// createAlone makes an empty object that nobody else has made. A lost answer is decided by the upload id.
func (c *Cache) createAlone(ctx context.Context, key string, attr object.Attr) (object.Info, error) {
	if !c.conditional.Load() { // where there may be versions a PUT would cover what is there
		_, err := c.bucket.Head(ctx, key)
		if err == nil {
			return object.Info{}, ErrExist
		}
		if !isMissing(err) {
			return object.Info{}, err
		}
	}
	sealing, err := c.bucket.NewSealing()
	if err != nil {
		return object.Info{}, fmt.Errorf("seal: %w", err)
	}
	upload := object.NewID()
	info, err := c.bucket.Put(ctx, object.PutRequest{Key: key, Body: bytes.NewReader(nil), Sealed: sealing.Finish(), Attr: attr, Upload: upload, IfAbsent: true})
	if err != nil && !errors.Is(err, object.ErrExists) {
		info, err = c.decide(ctx, key, upload, err)
	}
	switch {
	case errors.Is(err, object.ErrExists):
		return info, ErrExist
	case err != nil:
		return info, err
	case info.Version == "":
		c.conditional.Store(true)
		return info, nil
	}
	return info, c.firstVersion(ctx, key, info.Version)
}

// decide finds out what became of a creation without an answer.
func (c *Cache) decide(ctx context.Context, key string, upload object.ID, cause error) (object.Info, error) {
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWait)
	defer cancel()
	info, err := c.bucket.Head(look, key)
	switch {
	case err == nil && info.Upload != upload:
		return info, object.ErrExists
	case err != nil:
		return info, cause
	case ctx.Err() != nil: // nobody waits for it any more
		_, err = c.bucket.Remove(look, key)
		return info, errors.Join(cause, err)
	}
	return info, nil
}

// firstVersion stands in for the condition in a bucket with versioning: who finds a version below his own, and no note that it was
// deleted, has not been the first, and takes his away again.
func (c *Cache) firstVersion(ctx context.Context, key, version string) error {
	list, err := c.bucket.Versions(ctx, key, version, 1)
	if err == nil && (len(list) == 0 || list[0].Marker) {
		return nil
	}
	if err == nil {
		err = ErrExist
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWait)
	defer cancel()
	return errors.Join(err, c.bucket.RemoveVersion(undo, key, version))
}

// record notes that the bucket has what a new inode is.
func (cl *claim) record(tx *index.Tx, i *index.Inode) error {
	i.Atime, i.Mtime, i.Ctime = cl.mtime, cl.mtime, cl.mtime
	o := index.Object{Key: cl.key, Ino: i.Ino, Gen: i.Gen, AttrVer: i.AttrVer, XattrVer: i.XattrVer, ETag: cl.info.ETag, Sent: index.ID(cl.info.Upload)}
	setInfo(&o, &cl.info)
	return tx.PutObject(o)
}

// undo takes away what could not be shown here.
func (cl *claim) undo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWait)
	defer cancel()
	if _, err := cl.c.bucket.Remove(ctx, cl.key); err != nil {
		cl.c.o.Logger.Warn("a new object could not be shown, and not be removed", "path", cl.c.keyPath(cl.key), "error", err)
	}
}
