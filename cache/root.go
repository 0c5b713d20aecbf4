package cache

import (
	"context"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// rootKey is the key of the root's marker. Where the whole bucket is mounted it stands for an object in the hidden area, which no listing shows; else
// for the prefix.
const rootKey = ""

// meetRoot learns the attributes of the root: in a new cache before anybody sees it, later beside what programs do.
func (c *Cache) meetRoot(ctx context.Context) {
	if c.madeNow {
		c.askRoot(ctx)
		return
	}
	c.askRootSoon()
}

// askRootSoon is askRoot beside what the caller does.
func (c *Cache) askRootSoon() {
	if !c.asksRoot.CompareAndSwap(false, true) {
		return
	}
	started := c.work.run(func() {
		defer c.asksRoot.Store(false)
		c.askRoot(c.background)
	})
	if !started {
		c.asksRoot.Store(false)
	}
}

// askRoot takes over what the root's marker tells. Until the answer is here, and when there is none, the root stays as it is: programs ask for the attributes
// of a mount point all the time, and must not wait for the bucket.
func (c *Cache) askRoot(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.o.AttrWait)
	defer cancel()
	look := c.activity.watch()
	defer look.stop()
	info, err := c.bucket.Head(ctx, rootKey)
	missing := isMissing(err)
	if err == nil || missing {
		var note news
		c.names.Lock()
		err = c.db.Update(func(tx *index.Tx) error {
			note.clear()
			if missing {
				return c.rootGone(tx, look, &note)
			}
			return c.rootFound(tx, &info, look, &note)
		})
		c.names.Unlock()
		if err == nil {
			c.spread(&note)
		}
	}
	if err != nil && !object.Outage(err) && ctx.Err() == nil { // the next listing asks again
		c.o.Logger.Warn("the attributes of the root cannot be read; those that this cache knows are shown", "error", err)
	}
}

// rootFound imports the root's marker, unless something was changed here that is still to be sent: whoever sends it looks first.
func (c *Cache) rootFound(tx *index.Tx, info *object.Info, look *watch, note *news) error {
	i, o, recorded, err := c.rootRow(tx, look)
	switch {
	case err != nil || i == nil:
		return err
	case object.IsFullMarker(rootKey, info.Size):
		return c.occupied(tx, i, rootKey, note)
	case recorded && !c.cleanAt(i, &o) && !i.OnlyMoved(&o), !recorded && i.Marker:
		return nil
	}
	return c.headFound(tx, i, rootKey, info, look, note)
}

// rootGone forgets a marker that others deleted.
func (c *Cache) rootGone(tx *index.Tx, look *watch, note *news) error {
	i, _, recorded, err := c.rootRow(tx, look)
	if err != nil || i == nil || !recorded {
		return err
	}
	if err := c.markerGone(tx, i, rootKey, note); err != nil {
		return err
	}
	return tx.PutInode(*i)
}

// rootRow reads what is known of the root; i is nil when a request of ours explains what the bucket shows.
func (c *Cache) rootRow(tx *index.Tx, look *watch) (i *index.Inode, o index.Object, recorded bool, err error) {
	if _, pending, err := tx.Pend(rootKey); err != nil || pending || look.touched(rootKey) {
		return nil, o, false, err
	}
	root, ok, err := tx.Inode(Root)
	if err != nil || !ok {
		return nil, o, false, err
	}
	o, recorded, err = tx.Object(rootKey)
	return &root, o, recorded, err
}

// lookAtRoot asks for the root's marker after a listing, if it is there as far as is known, or was shown and is another (changed).
func (l *lister) lookAtRoot() error {
	if !l.changed {
		recorded := false
		err := l.c.db.View(func(tx *index.Tx) (err error) {
			_, recorded, err = tx.Object(rootKey)
			return err
		})
		if err != nil || !recorded || l.own {
			return err
		}
	}
	l.c.askRootSoon()
	return nil
}
