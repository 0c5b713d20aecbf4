package cache

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
)

const (
	// snapshotMax is the number of entries up to which a directory stream is a snapshot in the order of inode numbers, whose
	// positions are these numbers: they mean the same to any stream, also in another process. Above it the stream follows the
	// index by name and remembers only where its answers ended.
	snapshotMax = 4096
	// firstOff is the position after "." and "..".
	firstOff = 2
)

// Dir is an open directory stream.
type Dir struct {
	c      *Cache
	ino    Ino
	parent Ino
	handle uint64 // names the stream in the index, where a later life finds its marks; 0: there will be none

	mu    sync.Mutex // guards the fields below
	names []nameIno  // the snapshot, by inode number; nil before the first Read, and for large directories
	large bool
	marks []mark // for large directories, sorted by off
	fresh *mark  // not in the index yet
	taken bool   // resumed: a snapshot has as many entries as there are
}

type nameIno struct {
	name string
	ino  Ino
}

// mark remembers the name at which a position is.
type mark struct {
	off  uint64 // entries before it
	name string // the last of them
}

// OpenDir begins to read a directory, after its listing is there. Close ends it.
func (c *Cache) OpenDir(ctx context.Context, ino Ino) (*Dir, error) {
	call := c.arrived(ctx)
	if err := c.fresh(ctx, ino); err != nil {
		return nil, err
	}
	if err := c.entered(ctx, ino, call, unix.R_OK); err != nil {
		return nil, err
	}
	i, err := c.openDirInode(ino)
	if err != nil {
		return nil, err
	}
	return c.dirFor(&i), nil
}

func (c *Cache) dirFor(i *index.Inode) *Dir {
	d := &Dir{c: c, ino: i.Ino, parent: i.Parent}
	if i.Ino == Root || d.parent == 0 {
		d.parent = Root
	}
	return d
}

// openDirInode counts an opening of a directory that exists; a removal comes before it or after it.
func (c *Cache) openDirInode(ino Ino) (index.Inode, error) {
	c.names.RLock()
	defer c.names.RUnlock()
	i, err := c.inode(ino)
	if err != nil {
		return i, err
	}
	if !isDir(&i) {
		return i, ErrNotDir
	}
	c.opens.add(ino, false)
	return i, nil
}

// Close ends a directory stream.
func (d *Dir) Close() {
	d.dropMarks()
	if left := d.c.opens.remove(d.ino, false); left.all == 0 {
		d.c.reap(d.ino)
	}
}

// Read gives the entries from a position on until fn returns false. Position 0 begins anew and sees what was added since.
// With attributes, entries tell what is known of them without a request.
func (d *Dir) Read(off uint64, attributes bool, fn func(DirEntry) bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off == 0 {
		d.names, d.large, d.marks, d.taken = nil, false, nil, false
	}
	for ; off < firstOff; off++ {
		e := DirEntry{Name: ".", Ino: d.ino, Mode: unix.S_IFDIR, Off: off + 1}
		if off == 1 {
			e.Name, e.Ino = "..", d.parent
		}
		if !fn(e) {
			return nil
		}
	}
	err := d.c.db.View(func(tx *index.Tx) error {
		if d.names == nil && !d.large {
			if err := d.snapshot(tx); err != nil {
				return err
			}
		}
		if d.large {
			return d.stream(tx, off-firstOff, fn)
		}
		return d.replay(tx, off-firstOff, attributes, fn)
	})
	if err != nil {
		return err
	}
	return d.keepMark()
}

// snapshot reads the names once, or finds that there are too many.
func (d *Dir) snapshot(tx *index.Tx) error {
	d.names = []nameIno{}
	err := tx.Children(d.ino, "", func(name string, ino Ino) bool {
		if hidden(d.ino, name) {
			return true
		}
		d.names = append(d.names, nameIno{name, ino})
		return d.taken || len(d.names) <= snapshotMax
	})
	if !d.taken && len(d.names) > snapshotMax {
		d.names, d.large = nil, true
	}
	slices.SortFunc(d.names, func(a, b nameIno) int { return cmp.Compare(a.ino, b.ino) })
	return err
}

// replay gives entries of the snapshot whose inodes come behind from; those that went meanwhile are left out.
func (d *Dir) replay(tx *index.Tx, from uint64, attributes bool, fn func(DirEntry) bool) error {
	at := sort.Search(len(d.names), func(n int) bool { return uint64(d.names[n].ino) > from })
	for _, n := range d.names[at:] {
		i, ok, err := tx.Inode(n.ino)
		if err != nil {
			return err
		}
		if !ok || i.Unlinked || i.Parent != d.ino || i.Name != n.name {
			continue
		}
		if !fn(d.entryOf(&i, n.name, firstOff+uint64(n.ino), attributes)) {
			return nil
		}
	}
	return nil
}

// entryOf shows an inode as an entry.
func (d *Dir) entryOf(i *index.Inode, name string, off uint64, attributes bool) DirEntry {
	e := DirEntry{Name: name, Ino: i.Ino, Off: off}
	if i.AttrKnown || isDir(i) {
		e.Mode = i.Mode & modeType
	}
	if attributes && i.AttrKnown {
		e.Known, e.Stat = true, d.c.statOf(i)
	}
	return e
}

// stream gives entries of a large directory in the order of their names, types only, and marks where it stopped.
func (d *Dir) stream(tx *index.Tx, from uint64, fn func(DirEntry) bool) error {
	at, last := d.seek(from)
	err := tx.Children(d.ino, last, func(name string, ino Ino) bool {
		if hidden(d.ino, name) {
			return true
		}
		if at >= from {
			i, ok, err := tx.Inode(ino)
			if err != nil || !ok {
				return true
			}
			if !fn(d.entryOf(&i, name, firstOff+at+1, false)) {
				return false
			}
		}
		at, last = at+1, name
		return true
	})
	if m := (mark{at, last}); d.remember(m) {
		d.fresh = &m
	}
	return err
}

// seek finds the mark at or before a position.
func (d *Dir) seek(from uint64) (at uint64, last string) {
	n := sort.Search(len(d.marks), func(i int) bool { return d.marks[i].off > from })
	if n == 0 {
		return 0, ""
	}
	return d.marks[n-1].off, d.marks[n-1].name
}

// remember keeps a mark in order, and reports whether it is new.
func (d *Dir) remember(m mark) bool {
	n := sort.Search(len(d.marks), func(i int) bool { return d.marks[i].off >= m.off })
	if n < len(d.marks) && d.marks[n].off == m.off {
		return false
	}
	d.marks = append(d.marks, mark{})
	copy(d.marks[n+1:], d.marks[n:])
	d.marks[n] = m
	return true
}
