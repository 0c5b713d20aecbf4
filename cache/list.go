package cache

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// errMoved ends an import whose directory got another name meanwhile; the next use lists it again.
var errMoved = errors.New("the directory was moved while it was listed")

// importBatch bounds the changes of one transaction of an import.
const importBatch = 500

// lister imports the listing of one directory. Only what is clean changes; what we wrote, or are writing, stays.
type lister struct {
	c    *Cache
	dir  Ino
	key  string
	look *watch
	seed maphash.Seed
	seen map[uint64]struct{} // hashes of the names shown; a collision delays the notice of a removal to the next listing
	own  bool                // the directory's own marker was shown
	note []func(Kernel)      // told after the transaction
}

// list asks the bucket for the entries of a directory and imports them page by page.
func (c *Cache) list(ctx context.Context, dir Ino) error {
	key, err := c.dirKey(dir)
	if err != nil {
		return ignore(err, ErrNotFound)
	}
	l := &lister{c: c, dir: dir, key: key, look: c.activity.watch(), seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
	defer l.look.stop()
	begun := now()
	for token := ""; ; {
		page, err := c.bucket.List(ctx, object.ListRequest{Dir: key, Token: token})
		if err != nil {
			return err
		}
		if err := l.page(&page); err != nil {
			return err
		}
		if page.Next == "" {
			break
		}
		token = page.Next
	}
	if err := l.absent(); err != nil {
		return err
	}
	return l.finish(begun)
}

// dirKey is the key of a directory in the tree.
func (c *Cache) dirKey(dir Ino) (string, error) {
	var key string
	err := c.db.View(func(tx *index.Tx) error {
		var ok bool
		if key, ok = tx.Path(dir); !ok {
			return ErrNotFound
		}
		return nil
	})
	return key, err
}

func (l *lister) hash(name string) uint64 { return maphash.String(l.seed, name) }

// page imports one page: a read decides what differs, a write changes it.
func (l *lister) page(page *object.Page) error {
	if len(page.Unusable) > 0 {
		l.c.o.Logger.Warn("objects left out: their keys cannot be file names", "directory", "/"+l.key, "count", len(page.Unusable))
	}
	var files []object.Entry
	var dirs []string
	err := l.c.db.View(func(tx *index.Tx) error {
		for _, e := range page.Objects {
			name := strings.TrimPrefix(e.Key, l.key)
			if name == "" {
				l.own = true
			} else {
				l.seen[l.hash(name)] = struct{}{}
			}
			if o, ok, err := tx.Object(e.Key); err != nil {
				return err
			} else if !ok || o.Modified == 0 || differs(&o, &e) {
				files = append(files, e)
			}
		}
		for _, d := range page.Dirs {
			name := strings.TrimSuffix(strings.TrimPrefix(d, l.key), "/")
			l.seen[l.hash(name)] = struct{}{}
			if _, ok, err := tx.Child(l.dir, name); err != nil {
				return err
			} else if !ok {
				dirs = append(dirs, d)
			}
		}
		return nil
	})
	if err != nil || len(files)+len(dirs) == 0 {
		return err
	}
	return l.update(func(tx *index.Tx) error {
		for _, d := range dirs {
			if err := l.newDir(tx, d); err != nil {
				return err
			}
		}
		for n := range files {
			if err := l.file(tx, &files[n]); err != nil {
				return err
			}
		}
		return nil
	})
}

// update runs a transaction of the import and tells the kernel afterwards.
func (l *lister) update(fn func(*index.Tx) error) error {
	l.note = l.note[:0]
	l.c.names.Lock()
	defer l.c.names.Unlock()
	err := l.c.db.Update(func(tx *index.Tx) error {
		if key, ok := tx.Path(l.dir); !ok || key != l.key {
			return errMoved
		}
		return fn(tx)
	})
	if err != nil {
		return err
	}
	for _, tell := range l.note {
		tell(l.c.kernel.get())
	}
	return nil
}

// differs compares what the bucket shows with what we know it to hold. Equal ETags mean equal bytes, but not equal
// attributes: all empty objects share one, so the time is looked at too where it is known.
func differs(o *index.Object, e *object.Entry) bool {
	if o.ETag != e.ETag || o.Size != e.Size {
		return true
	}
	return o.Modified != 0 && o.Modified != e.Modified.UnixNano()
}

// seenAt notes the time of an object of ours, which the answer to a PUT does not tell: a later one is a change by others.
func seenAt(tx *index.Tx, o *index.Object, e *object.Entry) error {
	o.Modified = e.Modified.UnixNano()
	return tx.PutObject(*o)
}

// ours reports whether the state of a key is explained by requests of ours that are not recorded yet.
func (l *lister) ours(tx *index.Tx, key string) (bool, error) {
	if l.look.touched(key) {
		return true, nil
	}
	_, pending, err := tx.Pend(key)
	return pending, err
}

// newDir imports a directory that only shows as a prefix. Objects of ours that still wait to be moved or deleted show too;
// they make no directory.
func (l *lister) newDir(tx *index.Tx, key string) error {
	name := strings.TrimSuffix(strings.TrimPrefix(key, l.key), "/")
	if hidden(l.dir, name) || len(name) > MaxName {
		return nil
	}
	if _, ok, err := tx.Child(l.dir, name); err != nil || ok {
		return err
	}
	if l.look.touchedUnder(key) {
		return nil
	}
	known := false
	if err := tx.ObjectsUnder(key, func(index.Object) bool { known = true; return false }); err != nil || known {
		return err
	}
	if err := tx.PendsUnder(key, func(index.Pend) bool { known = true; return false }); err != nil || known {
		return err
	}
	i := index.Inode{
		Ino: tx.NextIno(), Gen: tx.NextGen(), Parent: l.dir, Name: name, Mode: unix.S_IFDIR | 0o755&^l.c.o.Umask,
		UID: l.c.o.UID, GID: l.c.o.GID, Sealed: true,
	}
	i.Atime, i.Mtime, i.Ctime = now(), now(), now()
	return tx.PutInode(i)
}

// file imports one object that is new or differs from what is known.
func (l *lister) file(tx *index.Tx, e *object.Entry) error {
	if mine, err := l.ours(tx, e.Key); err != nil || mine {
		return err
	}
	if e.Key == l.key {
		return l.marker(tx, e)
	}
	name := strings.TrimPrefix(e.Key, l.key)
	if hidden(l.dir, name) || len(name) > MaxName {
		return nil
	}
	o, recorded, err := tx.Object(e.Key)
	if err != nil {
		return err
	}
	if recorded && !differs(&o, e) {
		return seenAt(tx, &o, e)
	}
	ino, taken, err := tx.Child(l.dir, name)
	if err != nil {
		return err
	}
	switch {
	case !taken && recorded:
		return nil // garbage of ours that changed under us: converge looks before it deletes
	case !taken:
		return l.c.importNew(tx, l.dir, name, e)
	}
	i, ok, err := tx.Inode(ino)
	if err != nil || !ok {
		return err
	}
	if !recorded || isDir(&i) || !l.c.cleanAt(&i, &o) {
		return nil // a conflict: converge finds it when it writes the key, and keeps both
	}
	if sameContent(&o, e) {
		o.Modified = e.Modified.UnixNano()
		return l.c.recheck(tx, &i, &o, &l.note)
	}
	return l.c.takeOutside(tx, &i, e, &l.note)
}

func sameContent(o *index.Object, e *object.Entry) bool {
	return o.ETag == e.ETag && o.Size == e.Size && e.Size > 0
}

// marker records the directory's own marker object.
func (l *lister) marker(tx *index.Tx, e *object.Entry) error {
	i, ok, err := tx.Inode(l.dir)
	if err != nil || !ok || l.dir == Root {
		return err
	}
	o, recorded, err := tx.Object(e.Key)
	if err != nil {
		return err
	}
	if recorded && !differs(&o, e) {
		return seenAt(tx, &o, e)
	}
	if recorded && !l.c.cleanAt(&i, &o) {
		return nil
	}
	if !recorded && i.AttrKnown && i.Marker {
		return nil // ours is about to be written; converge looks before
	}
	i.Marker, i.AttrKnown = true, false
	l.note = append(l.note, func(k Kernel) { k.ForgetInode(l.dir) })
	if err := tx.PutObject(rowOf(&i, e)); err != nil {
		return err
	}
	return tx.PutInode(i)
}

// absent removes what others deleted: names whose object is recorded under their key and was not shown.
func (l *lister) absent() error {
	after := ""
	for {
		var gone []Ino
		last, more := "", false
		err := l.c.db.View(func(tx *index.Tx) error {
			return tx.Children(l.dir, after, func(name string, ino Ino) bool {
				if len(gone) == importBatch {
					more = true
					return false
				}
				last = name
				if _, ok := l.seen[l.hash(name)]; !ok {
					gone = append(gone, ino)
				}
				return true
			})
		})
		if err != nil {
			return err
		}
		if len(gone) > 0 {
			if err := l.removeGone(gone); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		after = last
	}
}

func (l *lister) removeGone(gone []Ino) error {
	return l.update(func(tx *index.Tx) error {
		for _, ino := range gone {
			i, ok, err := tx.Inode(ino)
			if err != nil {
				return err
			}
			if !ok || i.Parent != l.dir || i.Unlinked {
				continue
			}
			if err := l.removed(tx, &i); err != nil {
				return err
			}
		}
		return nil
	})
}

// removed takes away a clean inode whose object somebody deleted. A directory goes when nothing of it is left here.
func (l *lister) removed(tx *index.Tx, i *index.Inode) error {
	key, ok := tx.Path(i.Ino)
	if !ok {
		return nil
	}
	if mine, err := l.ours(tx, key); err != nil || mine {
		return err
	}
	o, recorded, err := tx.Object(key)
	if err != nil {
		return err
	}
	if isDir(i) {
		return l.removedDir(tx, i, key, recorded)
	}
	if !recorded || !l.c.cleanAt(i, &o) {
		return nil
	}
	if err := tx.DeleteObject(key); err != nil {
		return err
	}
	return l.c.dropImported(tx, i, &l.note)
}

// removedDir takes away a directory that shows nothing: at once when it is empty here and no marker of it waits to be
// written; otherwise it is listed at its next use, which removes what others deleted in it.
func (l *lister) removedDir(tx *index.Tx, i *index.Inode, key string, recorded bool) error {
	if l.look.touchedUnder(key) || i.Marker && !recorded {
		return nil
	}
	full, err := tx.HasChildren(i.Ino)
	if err != nil {
		return err
	}
	if full {
		i.ListedAt = 0
		return tx.PutInode(*i)
	}
	if err := tx.DeleteObject(key); err != nil {
		return err
	}
	return l.c.dropImported(tx, i, &l.note)
}

// finish notes that the listing is whole.
func (l *lister) finish(begun int64) error {
	return l.update(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(l.dir)
		if err != nil || !ok {
			return err
		}
		if !l.own && i.Ino != Root {
			if err := l.markerGone(tx, &i); err != nil {
				return err
			}
		}
		if !l.own {
			i.AttrKnown = true // without a marker there is nothing to ask for
		}
		i.Complete, i.ListedAt = true, begun
		return tx.PutInode(i)
	})
}

// markerGone forgets a marker somebody deleted; the directory lives on by what is in it, and gets a new one when its
// attributes change.
func (l *lister) markerGone(tx *index.Tx, i *index.Inode) error {
	o, recorded, err := tx.Object(l.key)
	if err != nil || !recorded || !l.c.cleanAt(i, &o) {
		return err
	}
	if mine, err := l.ours(tx, l.key); err != nil || mine {
		return err
	}
	i.Marker = false
	return tx.DeleteObject(l.key)
}
