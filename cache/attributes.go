package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

const (
	// headWait bounds the wait for the attributes of one object, its retries included.
	headWait = 30 * time.Second
	// headsAtOnce is how many attributes of a directory are asked for in parallel.
	headsAtOnce = 32
	// missesToPrefetch is how many single questions in one directory start the question for all of it.
	missesToPrefetch = 2
	// prefetchPage is how many unknown entries of a directory are collected at a time.
	prefetchPage = 1024
)

// heads runs at most one HEAD per inode and one prefetch per directory at a time.
type heads struct {
	ctx  context.Context // ends with the cache
	work *workers

	mu       sync.Mutex // guards the fields below
	running  map[Ino]*listing
	misses   map[Ino]int // by directory, since its last prefetch
	prefetch map[Ino]*listing
}

func newHeads(ctx context.Context, work *workers) *heads {
	return &heads{ctx: ctx, work: work, running: make(map[Ino]*listing), misses: make(map[Ino]int), prefetch: make(map[Ino]*listing)}
}

// join starts work for an inode, or finds the one under way.
func (h *heads) join(table map[Ino]*listing, ino Ino, work func(context.Context, Ino) error) *listing {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l, ok := table[ino]; ok {
		return l
	}
	l := &listing{done: make(chan struct{})}
	table[ino] = l
	started := h.work.run(func() {
		l.err = work(h.ctx, ino)
		h.mu.Lock()
		delete(table, ino)
		h.mu.Unlock()
		close(l.done)
	})
	if !started {
		delete(table, ino)
		l.err = context.Canceled
		close(l.done)
	}
	return l
}

// missed counts a question in a directory and reports whether the whole of it should be asked for.
func (h *heads) missed(dir Ino) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.misses[dir]++
	if h.misses[dir] < missesToPrefetch {
		return false
	}
	delete(h.misses, dir)
	return true
}

// known makes sure that the attributes of an inode are known.
func (c *Cache) known(ctx context.Context, ino Ino) error {
	for range 3 {
		i, err := c.inode(ino)
		if err != nil || i.AttrKnown {
			return err
		}
		if c.heads.missed(i.Parent) && i.Parent != 0 {
			c.heads.join(c.heads.prefetch, i.Parent, c.prefetchDir)
		}
		l := c.heads.join(c.heads.running, ino, c.head)
		select {
		case <-l.done:
			if l.err != nil {
				return fmt.Errorf("read attributes: %w", l.err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("read attributes: the object keeps changing: %w", ErrBusy)
}

// prefetch learns the attributes of all entries of a directory and waits for it.
func (c *Cache) prefetch(ctx context.Context, dir Ino) error {
	l := c.heads.join(c.heads.prefetch, dir, c.prefetchDir)
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Cache) prefetchDir(ctx context.Context, dir Ino) error {
	after := ""
	for {
		var unknown []Ino
		more := false
		err := c.db.View(func(tx *index.Tx) error {
			return tx.Children(dir, after, func(name string, ino Ino) bool {
				if len(unknown) == prefetchPage {
					more = true
					return false
				}
				if i, ok, err := tx.Inode(ino); err == nil && ok && !i.AttrKnown {
					unknown = append(unknown, ino)
				}
				after = name
				return true
			})
		})
		if err != nil {
			return err
		}
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(headsAtOnce)
		for _, ino := range unknown {
			group.Go(func() error {
				l := c.heads.join(c.heads.running, ino, c.head)
				select {
				case <-l.done:
					return ignore(l.err, ErrNotFound)
				case <-groupCtx.Done():
					return groupCtx.Err()
				}
			})
		}
		if err := group.Wait(); err != nil {
			return fmt.Errorf("read attributes: %w", err)
		}
		if !more {
			return nil
		}
	}
}

// head asks for the attributes of one inode and imports the answer.
func (c *Cache) head(ctx context.Context, ino Ino) error {
	ctx, cancel := context.WithTimeout(ctx, headWait)
	defer cancel()
	if i, err := c.inode(ino); err != nil || i.AttrKnown {
		return err
	}
	key, err := c.homeKey(ino)
	if err != nil {
		return err
	}
	look := c.activity.watch()
	defer look.stop()
	info, err := c.bucket.Head(ctx, key)
	missing := errors.Is(err, object.ErrNotFound)
	if err != nil && !missing {
		return err
	}
	var note []func(Kernel)
	c.names.Lock()
	defer c.names.Unlock()
	err = c.db.Update(func(tx *index.Tx) error {
		note = note[:0]
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok || i.AttrKnown {
			return orErr(err, nil)
		}
		if missing {
			return c.headMissing(tx, &i, key, look, &note)
		}
		return c.headFound(tx, &i, key, &info, look, &note)
	})
	if err != nil {
		return err
	}
	for _, tell := range note {
		tell(c.kernel.get())
	}
	return nil
}

// homeKey is where the bucket holds an inode: the key recorded for its content, or else its own name.
func (c *Cache) homeKey(ino Ino) (string, error) {
	var key string
	err := c.db.View(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return orErr(err, ErrNotFound)
		}
		path, linked := tx.Path(ino)
		rows, err := tx.ObjectsOf(ino)
		if err != nil {
			return err
		}
		for _, o := range rows {
			if o.Gen == i.Gen && (key == "" || o.Key == path) {
				key = o.Key
			}
		}
		if key == "" && linked {
			key = path
		}
		if key == "" {
			return ErrNotFound
		}
		return nil
	})
	return key, err
}

// headMissing handles an object that is not there: a directory without a marker gets the defaults, a file is gone.
func (c *Cache) headMissing(tx *index.Tx, i *index.Inode, key string, look *watch, note *[]func(Kernel)) error {
	if isDir(i) {
		i.AttrKnown = true
		return tx.PutInode(*i)
	}
	if look.touched(key) {
		return nil
	}
	o, recorded, err := tx.Object(key)
	if err != nil || !recorded || !c.cleanAt(i, &o) {
		return err
	}
	if err := tx.DeleteObject(key); err != nil {
		return err
	}
	return c.dropImported(tx, i, note)
}

// headFound takes attributes over. When the object is not the one that was listed, its content is taken over first.
func (c *Cache) headFound(tx *index.Tx, i *index.Inode, key string, info *object.Info, look *watch, note *[]func(Kernel)) error {
	entry := object.Entry{Key: key, Size: info.Size, ETag: info.ETag, Modified: info.Modified}
	o, recorded, err := tx.Object(key)
	if err != nil {
		return err
	}
	if recorded && (o.ETag != entry.ETag || o.Size != entry.Size) {
		if look.touched(key) || !c.cleanAt(i, &o) {
			return nil
		}
		if err := c.takeOutside(tx, i, &entry, note); err != nil {
			return err
		}
	}
	mode := c.modeOf(i, info)
	if old := i.Mode & modeType; old != 0 && old != mode&modeType && i.Ino != Root {
		if isDir(i) {
			mode = mode&modePerm | unix.S_IFDIR
		} else {
			return c.replaceType(tx, i, &entry, note)
		}
	}
	return c.adopt(tx, i, &entry, info, mode)
}

// adopt gives an inode the attributes of an object and records the object as its state.
func (c *Cache) adopt(tx *index.Tx, i *index.Inode, entry *object.Entry, info *object.Info, mode uint32) error {
	a := &info.Attr
	i.Mode, i.UID, i.GID, i.Rdev = mode, a.UID, a.GID, a.Rdev
	i.Mtime, i.AttrKnown = a.Mtime, true
	i.Xattrs = a.Xattrs
	if i.Ctime < i.Mtime {
		i.Ctime = i.Mtime
	}
	if isDir(i) && i.Ino != Root {
		i.Marker, i.Size = true, 0
	}
	row := rowOf(i, entry)
	row.Upload, row.Generation = info.Upload, info.Generation
	if err := tx.PutObject(row); err != nil {
		return err
	}
	return tx.PutInode(*i)
}

// modeOf is the mode an object tells, with a type that fits its key.
func (c *Cache) modeOf(i *index.Inode, info *object.Info) uint32 {
	mode := info.Attr.Mode
	switch mode & modeType {
	case unix.S_IFREG, unix.S_IFLNK, unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK, unix.S_IFDIR:
	default:
		mode = mode&modePerm | unix.S_IFREG
	}
	if isDir(i) {
		return mode&modePerm | unix.S_IFDIR
	}
	if mode&modeType == unix.S_IFDIR {
		mode = mode&modePerm | unix.S_IFREG // an object whose key has no slash is no directory here
	}
	return mode
}

// replaceType gives an object whose type changed a new inode: no inode ever changes its type.
func (c *Cache) replaceType(tx *index.Tx, i *index.Inode, e *object.Entry, note *[]func(Kernel)) error {
	parent, name := i.Parent, i.Name
	if err := tx.DeleteObject(e.Key); err != nil {
		return err
	}
	if err := c.dropImported(tx, i, note); err != nil {
		return err
	}
	return c.importNew(tx, parent, name, e)
}
