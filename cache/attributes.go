package cache

import (
	"context"
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
		l := c.heads.join(c.heads.running, ino, c.askAlone)
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
				l := c.heads.join(c.heads.running, ino, c.askAmongMany)
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

// headMissing handles an object that is not there: a directory without a marker gets the defaults, a file is gone.
func (c *Cache) headMissing(tx *index.Tx, i *index.Inode, key string, look *watch, note *news) error {
	if isDir(i) {
		i.AttrKnown = true
		if err := c.outlive(tx, i, key, note); err != nil {
			return err
		}
		return tx.PutInode(*i)
	}
	if look.touched(key) {
		return nil
	}
	o, recorded, err := tx.Object(key)
	if err != nil || !recorded || !c.cleanAt(i, &o) {
		return err
	}
	if err := c.vanished(tx, &o, note); err != nil {
		return err
	}
	return c.dropImported(tx, i, note)
}

// headFound takes attributes over. When the object is not the one that was listed, its content is taken over first.
func (c *Cache) headFound(tx *index.Tx, i *index.Inode, key string, info *object.Info, look *watch, note *news) error {
	entry := object.Entry{Key: key, Size: info.Size, ETag: info.ETag, Modified: info.Modified}
	o, recorded, err := tx.Object(key)
	if err != nil {
		return err
	}
	if recorded && (o.ETag != entry.ETag || o.Size != entry.Size) {
		if look.touched(key) || !c.cleanAt(i, &o) {
			return nil
		}
		if o.Size != entry.Size || !info.Anew(object.ID(o.Generation)) {
			if aside, err := c.follow(tx, i, &o, &entry, info, note); err != nil || aside {
				return err
			}
		}
	}
	if recorded && o.Ino == i.Ino && o.ETag == entry.ETag && o.Size == entry.Size && !c.cleanAt(i, &o) && !i.OnlyMoved(&o) {
		return c.meet(tx, i, &o, info, note)
	}
	mode := c.modeOf(i, info)
	if old := i.Mode & modeType; old != 0 && old != mode&modeType {
		if isDir(i) {
			mode = mode&modePerm | unix.S_IFDIR
		} else {
			return c.replaceType(tx, i, &entry, note)
		}
	}
	return c.adopt(tx, i, &entry, info, mode, note)
}

// superseded reports whether an object carries an upload that was replaced. Whoever may write to the bucket can put it back, or take away the tag
// that replaced it: it is reported, and gives nobody the rights of before, its owner of then included.
func superseded(tx *index.Tx, info *object.Info) (bool, error) {
	if info.State != object.StateAuthentic || info.Upload.IsZero() {
		return false, nil
	}
	return tx.Superseded(index.ID(info.Upload))
}

// doubtRights is for what is signed as the bucket tells it, without an inode that knows better: an object that is refused, and a version that was
// replaced, take no rights along.
func (c *Cache) doubtRights(info *object.Info) error {
	return c.db.View(func(tx *index.Tx) error {
		back, err := superseded(tx, info)
		if back || info.State == object.StateRefused {
			info.Unproven |= object.FieldsOfRights
		}
		return err
	})
}

// adopt gives an inode the attributes of an object and records the object as its state. A refused one shows the defaults, and what
// is here of it from before is not content of that object any more.
func (c *Cache) adopt(tx *index.Tx, i *index.Inode, entry *object.Entry, info *object.Info, mode uint32, note *news) error {
	a, here := info.Attr, *i
	if info.State == object.StateRefused {
		a = c.defaultAttr(isDir(i), entry.Modified)
		mode = a.Mode
		if i.CachedGen != 0 && !isDir(i) {
			dropContent(tx, i)
		}
	}
	old, recorded, err := tx.Object(entry.Key)
	if err == nil {
		err = c.settleOrigin(tx, i, &old, info, note)
	}
	if err != nil {
		return err
	}
	row := rowOf(i, entry)
	setInfo(&row, info)
	row.Modified = index.TimeSeen(info)
	back, err := superseded(tx, info)
	if err != nil {
		return err
	}
	if back && i.Mode != 0 || info.Unproven&object.AllFields != 0 && recorded && old.Upload == row.Upload && row.Upload != (index.ID{}) {
		a, mode = object.Attr{UID: i.UID, GID: i.GID, Rdev: i.Rdev, Mtime: i.Mtime, Xattrs: a.Xattrs}, i.Mode // nothing new was signed: what is known here stays
	} else {
		i.Unproven = info.Unproven
		if isDir(i) {
			i.Origin = index.ID(info.Volume)
		}
	}
	switch {
	case info.State == object.StateRefused:
		i.Unproven |= object.FieldMode
	case back && (i.Mode == 0 || isDir(i) && !recorded): // what was known of it is forgotten
		i.Unproven |= object.FieldsOfRights
	}
	if recorded && old.State != object.StateUnknown && (i.Mode != mode || i.UID != a.UID || i.GID != a.GID) { // whatever led here, the kernel may have been shown the old ones
		if err := c.forgetInode(tx, i.Ino, note); err != nil {
			return err
		}
	}
	i.Mode, i.UID, i.GID, i.Rdev = mode, a.UID, a.GID, a.Rdev
	if !isDir(i) || !recorded || old.Upload != row.Upload || row.Upload == (index.ID{}) {
		i.Mtime = a.Mtime // where the answer brings nothing new, that of a directory whose entries changed here stays
	}
	i.AttrKnown = true
	i.Xattrs = a.Xattrs
	if i.Ctime < i.Mtime {
		i.Ctime = i.Mtime
	}
	if isDir(i) {
		i.Marker, i.Size = true, 0
	}
	if recorded && old.ETag == row.ETag && old.Size == row.Size {
		row.Sent, row.Base = old.Sent, old.Base // it is ours as before: whoever writes over it unseen must still be noticed
	}
	if recorded && here.OnlyMoved(&old) && info.State != object.StateRefused && i.Unproven&object.AllFields == 0 && here.Mtime >= i.Mtime {
		i.Mtime = here.Mtime
		if info.State == object.StateAuthentic || info.State == object.StateSealed {
			row.AttrVer = old.AttrVer // it is still to be sent, with what others set
		}
	}
	if err := c.see(tx, row, note); err != nil {
		return err
	}
	return tx.PutInode(*i)
}

// modeOf is the mode an object tells, with a type that fits its key.
func (c *Cache) modeOf(i *index.Inode, info *object.Info) uint32 {
	mode := info.Attr.Mode
	if info.State == object.StateRefused {
		mode = unix.S_IFREG
	}
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
func (c *Cache) replaceType(tx *index.Tx, i *index.Inode, e *object.Entry, note *news) error {
	parent, name := i.Parent, i.Name
	if err := tx.SawGone(e.Key); err != nil {
		return err
	}
	if err := c.dropImported(tx, i, note); err != nil {
		return err
	}
	return c.importNew(tx, parent, name, e, note)
}
