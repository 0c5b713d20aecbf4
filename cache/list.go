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

// errEndless says that a listing leads nowhere.
var errEndless = errors.New("the listing does not end")

// maxEntries is how many names of one directory are believed: about 150 MB of seen, and some GB of the index.
const maxEntries = 10_000_000

// importBatch bounds the changes of one transaction of an import.
const importBatch = 500

// lister imports the listing of one directory. Only what is clean changes; what we wrote, or are writing, stays.
type lister struct {
	c       *Cache
	dir     Ino
	key     string
	look    *watch
	seed    maphash.Seed
	seen    map[uint64]struct{} // hashes of the names shown, directories' with a slash; a collision delays the notice of a removal to the next listing
	own     bool                // the directory's own marker was shown
	changed bool                // the root's is another than the one that is known
	full    bool                // its key was shown with content
	left    leftOut             // what cannot be shown
	hull    []Ino               // directories that show nothing in the bucket and are full here
	hid     bool                // a file was left out for a directory
	went    bool                // a directory went
	note    news                // told after the transaction
	ask     []Ino               // files of ours that others changed: their objects tell what they were written over
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
	if err := l.pages(ctx); err != nil {
		return err
	}
	if err := l.absent(); err != nil {
		return err
	}
	if err := l.empty(); err != nil {
		return err
	}
	if l.hid && l.went { // perhaps the one in the file's place
		return c.list(ctx, dir)
	}
	if dir == Root {
		if err := l.lookAtRoot(); err != nil {
			return err
		}
	}
	c.leftOut.note(dir, "/"+key, &l.left, c.o.Logger)
	return l.finish(begun)
}

// pages imports all pages. Their names must go on rising, and there must be an end: whoever keeps the bucket could keep us here.
func (l *lister) pages(ctx context.Context) error {
	r := object.ListRequest{Dir: l.key}
	for empty := 0; ; {
		page, err := l.c.bucket.List(ctx, r)
		if err != nil {
			return err
		}
		if err := l.page(&page); err != nil {
			return err
		}
		if page.Next == "" {
			return nil
		}
		if page.Last != "" {
			r.Behind, empty = page.Last, 0
		} else {
			empty++
		}
		if empty > object.MaxEmptyPages || len(l.seen) > maxEntries {
			return errEndless
		}
		r.Token = page.Next
	}
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
	for _, u := range page.Unusable {
		l.left.add(u.Key, u.Reason)
		l.full = l.full || u.Key == l.key
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
			} else if !ok || o.Modified <= 0 || differs(&o, &e) {
				files = append(files, e)
			}
		}
		for _, d := range page.Dirs {
			name := strings.TrimSuffix(strings.TrimPrefix(d, l.key), "/")
			l.seen[l.hash(name+"/")] = struct{}{}
			if ok, err := isDirAt(tx, l.dir, name); err != nil {
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
	err = l.update(func(tx *index.Tx) error {
		l.ask = l.ask[:0]
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
	for _, ino := range l.ask {
		l.c.heads.join(l.c.heads.running, ino, l.c.askAmongMany)
	}
	return err
}

// update runs a transaction of the import and tells the kernel afterwards.
func (l *lister) update(fn func(*index.Tx) error) error {
	l.note.clear()
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
	l.c.spread(&l.note)
	return nil
}

// differs compares what the bucket shows with what we know it to hold. Equal ETags mean equal bytes, but not equal
// attributes: all empty objects share one, so the time is looked at too.
func differs(o *index.Object, e *object.Entry) bool {
	return o.ETag != e.ETag || o.Size != e.Size || !o.SameTime(e.Modified)
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
	if free, err := l.giveWay(tx, key, name); err != nil || !free {
		return err
	}
	i := index.Inode{
		Ino: tx.NextIno(), Gen: tx.NextGen(), Parent: l.dir, Name: name, Mode: unix.S_IFDIR | 0o755&^l.c.o.Umask,
		UID: l.c.o.UID, GID: l.c.o.GID, Sealed: true, Unproven: l.c.unprovenDir(key),
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
		return l.c.importNew(tx, l.dir, name, e, &l.note)
	}
	i, ok, err := tx.Inode(ino)
	if err != nil || !ok {
		return err
	}
	if isDir(&i) && !recorded {
		l.left.add(e.Key, errClash)
		l.hid = true
	}
	if !recorded || isDir(&i) || !l.c.cleanAt(&i, &o) {
		return nil // a conflict: converge finds it when it writes the key, and keeps both
	}
	if sameContent(&o, e) {
		o.Modified = e.Modified.UnixNano()
		return l.c.recheck(tx, &i, &o, &l.note)
	}
	if o.Sent != (index.ID{}) {
		return l.askOver(tx, &i)
	}
	return l.c.takeOutside(tx, &i, e, nil, &l.note)
}

// askOver leaves what others wrote over a version of ours to the question for its attributes.
func (l *lister) askOver(tx *index.Tx, i *index.Inode) error {
	l.ask = append(l.ask, i.Ino)
	i.AttrKnown = false
	if err := l.c.forgetInode(tx, i.Ino, &l.note); err != nil {
		return err
	}
	return tx.PutInode(*i)
}

// sameContent reports whether no more than attributes changed. All empty objects are equal; whether one was written over an empty one of
// ours is asked for.
func sameContent(o *index.Object, e *object.Entry) bool {
	return o.ETag == e.ETag && o.Size == e.Size && (e.Size > 0 || o.Sent == (index.ID{}))
}

// marker records the directory's own marker object.
func (l *lister) marker(tx *index.Tx, e *object.Entry) error {
	i, ok, err := tx.Inode(l.dir)
	if err != nil || !ok {
		return err
	}
	if l.dir == Root {
		l.changed = true
		return nil
	}
	o, recorded, err := tx.Object(e.Key)
	if err != nil {
		return err
	}
	if recorded && !differs(&o, e) {
		return seenAt(tx, &o, e)
	}
	if recorded && !l.c.cleanAt(&i, &o) && !i.OnlyMoved(&o) {
		return nil
	}
	if !recorded && i.AttrKnown && i.Marker {
		return nil // ours is about to be written; converge looks before
	}
	i.Marker = true
	if recorded && o.ETag == e.ETag && o.Size == e.Size {
		o.Modified = e.Modified.UnixNano()
		return l.c.recheck(tx, &i, &o, &l.note)
	}
	i.AttrKnown = false
	if err := l.c.forgetInode(tx, l.dir, &l.note); err != nil {
		return err
	}
	if err := l.c.see(tx, rowOf(&i, e), &l.note); err != nil {
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
			var failed error
			err := tx.Children(l.dir, after, func(name string, ino Ino) bool {
				if len(gone) == importBatch {
					more = true
					return false
				}
				last = name
				var shown bool
				if shown, failed = l.shown(tx, name, ino); !shown {
					gone = append(gone, ino)
				}
				return failed == nil
			})
			return orErr(err, failed)
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

// shown reports whether the listing had an object for an entry. A name that was shown as the other of file and directory was not.
func (l *lister) shown(tx *index.Tx, name string, ino Ino) (bool, error) {
	_, file := l.seen[l.hash(name)]
	_, dir := l.seen[l.hash(name+"/")]
	if file == dir {
		return file, nil
	}
	i, ok, err := tx.Inode(ino)
	return err == nil && ok && isDir(&i) == dir, err
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
	if object.Reserved(key) { // the bucket may still have it: it is left out
		err = tx.SawGone(key)
	} else {
		err = l.c.vanished(tx, &o, &l.note)
	}
	if err != nil {
		return err
	}
	return l.c.dropImported(tx, i, &l.note)
}

// removedDir takes away a directory that shows nothing, when it is empty here and no marker of it waits to be written. One that is
// full is left to empty.
func (l *lister) removedDir(tx *index.Tx, i *index.Inode, key string, recorded bool) error {
	if l.look.touchedUnder(key) || i.Marker && !recorded {
		return nil
	}
	full, err := tx.HasChildren(i.Ino)
	if err != nil {
		return err
	}
	if full {
		l.hull = append(l.hull, i.Ino)
		i.ListedAt = 0
		return tx.PutInode(*i)
	}
	l.went = true
	if err := tx.SawGone(key); err != nil {
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
		if l.full {
			if err := l.c.occupied(tx, &i, l.key, &l.note); err != nil {
				return err
			}
		}
		i.Occupied = l.full
		if !l.own && i.Ino != Root {
			if mine, err := l.ours(tx, l.key); err != nil || mine {
				return err
			}
			if err := l.c.markerGone(tx, &i, l.key, &l.note); err != nil {
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
