package converge

import (
	"maps"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
)

// The calls of programs.

func (w *world) file(name string) (index.Inode, bool) {
	ino, ok, _ := w.idx.Resolve(name)
	if !ok {
		return index.Inode{}, false
	}
	return w.idx.inodes[ino], true
}

// place splits a name into its directory, which must exist, and the last component.
func (w *world) place(name string) (index.Ino, string, bool) {
	dir, base, deep := strings.Cut(name, "/")
	if !deep {
		return index.Root, name, true
	}
	parent, ok, _ := w.idx.Resolve(dir + "/")
	return parent, base, ok
}

func (w *world) newContent(ino index.Ino, gen uint64) uint64 {
	w.contents++
	w.owner[w.contents] = ino
	w.idx.truth[gen] = w.contents
	return w.contents
}

// commit notes the truth: the content of ino was committed, and the one before it is superseded.
func (w *world) commit(ino index.Ino, seq, content uint64) {
	list := w.commits[ino]
	if n := len(list); n > 0 {
		if list[n-1].content == content {
			return
		}
		w.supersede(list[n-1].content, seq)
	}
	w.commits[ino] = append(list, simCommit{seq, content})
}

func (w *world) supersede(content, seq uint64) {
	if _, ok := w.superseded[content]; !ok {
		w.superseded[content] = seq
	}
}

func (w *world) create(name string) {
	parent, base, ok := w.place(name)
	if _, taken := w.idx.child(parent, base); !ok || taken {
		return
	}
	x := w.idx
	x.ino++
	x.gen++
	i := index.Inode{Ino: x.ino, Parent: parent, Name: base, Mode: fileMode, Size: 1, Gen: x.gen, CachedGen: x.gen, Sealed: true,
		AttrKnown: true, AttrVer: 1, PathSeq: x.nextSeq()}
	x.inodes[i.Ino] = i
	x.entered(parent)
	x.bodies[i.Gen] = w.newContent(i.Ino, i.Gen)
	w.close(i.Ino)
}

// close seals content and commits it.
func (w *world) close(ino index.Ino) {
	i := w.idx.inodes[ino]
	i.Sealed, i.CachedGen = true, i.Gen
	w.idx.inodes[ino] = i
	w.fsync(ino)
}

// fsync commits content, sealed or not.
func (w *world) fsync(ino index.Ino) {
	i := w.idx.inodes[ino]
	if i.Unlinked {
		return
	}
	if _, linked := w.idx.Path(ino); !linked {
		return
	}
	seq := w.idx.nextSeq()
	w.idx.noteUnsent(ino, seq)
	if !w.uploaded(ino) {
		w.commit(ino, seq, w.idx.bodies[i.Gen])
	}
}

func (w *world) uploaded(ino index.Ino) bool {
	for _, o := range w.idx.objects {
		if o.Ino == ino && o.Gen == w.idx.inodes[ino].Gen {
			return true
		}
	}
	return false
}

// beginWrite changes content in place; the file stays open.
func (w *world) beginWrite(name string) {
	i, ok := w.file(name)
	if !ok || i.IsDir() || i.CachedGen != i.Gen {
		return
	}
	w.idx.gen++
	i.Gen, i.Sealed = w.idx.gen, false
	w.idx.inodes[i.Ino] = i
	w.idx.bodies[i.Gen] = w.newContent(i.Ino, i.Gen)
	w.open[i.Ino] = max(w.open[i.Ino], 1)
}

func (w *world) endWrite(name string) {
	i, ok := w.file(name)
	if !ok || i.Sealed {
		return
	}
	delete(w.open, i.Ino)
	w.close(i.Ino)
}

func (w *world) openFile(name string) {
	if i, ok := w.file(name); ok && !i.IsDir() {
		w.open[i.Ino]++
	}
}

// closeFiles ends all openings, and the inodes that have no name.
func (w *world) closeFiles() {
	for _, ino := range slices.Sorted(maps.Keys(w.open)) {
		delete(w.open, ino)
		i, ok := w.idx.inodes[ino]
		switch {
		case !ok:
		case i.Unlinked:
			w.idx.leaveKeys(ino)
			delete(w.idx.inodes, ino)
		case !i.Sealed:
			w.close(ino)
		}
	}
}

// gone notes the truth about an inode that lost its name.
func (w *world) gone(ino index.Ino) {
	if list := w.commits[ino]; len(list) > 0 {
		w.supersede(list[len(list)-1].content, w.idx.seq+1)
	}
	for content, owner := range w.owner {
		if owner == ino {
			w.supersede(content, w.idx.seq+1)
		}
	}
	delete(w.inBucket, ino)
}

func (w *world) unlink(name string) {
	i, ok := w.file(name)
	if !ok || i.IsDir() {
		return
	}
	w.gone(i.Ino)
	w.idx.detach(i.Ino, w.open[i.Ino] > 0)
}

func (w *world) mkdir(name string) {
	if _, taken := w.idx.child(index.Root, name); taken {
		return
	}
	x := w.idx
	x.ino++
	x.gen++
	x.inodes[x.ino] = index.Inode{Ino: x.ino, Parent: index.Root, Name: name, Mode: dirMode, Gen: x.gen, Sealed: true, AttrKnown: true,
		AttrVer: 1, Marker: true, PathSeq: x.nextSeq()}
}

func (w *world) rmdir(name string) {
	i, ok := w.file(name + "/")
	if !ok {
		return
	}
	for _, c := range w.idx.inodes {
		if c.Parent == i.Ino && !c.Unlinked {
			return
		}
	}
	w.gone(i.Ino)
	w.idx.detach(i.Ino, false)
}

func (w *world) find(name string) (index.Inode, bool) {
	if i, ok := w.file(name); ok {
		return i, true
	}
	return w.file(name + "/")
}

func (w *world) rename(from, to string) {
	i, ok := w.find(from)
	parent, base, there := w.place(to)
	if !ok || !there || from == to || i.IsDir() && parent != index.Root {
		return
	}
	if j, taken := w.find(to); taken {
		if i.IsDir() || j.IsDir() {
			return
		}
		w.gone(j.Ino)
		w.idx.detach(j.Ino, w.open[j.Ino] > 0)
	}
	w.idx.leave(i.Ino)
	w.idx.arrive(i.Ino, parent, base)
	w.committedByRename(i.Ino)
}

// committedByRename notes the truth: a rename commits content like a close does.
func (w *world) committedByRename(ino index.Ino) {
	delete(w.inBucket, ino)
	i := w.idx.inodes[ino]
	if !i.IsDir() && !w.uploaded(ino) {
		w.commit(ino, i.PathSeq, w.idx.bodies[i.Gen])
	}
}

func (w *world) exchange(a, b string) {
	i, ok := w.find(a)
	j, there := w.find(b)
	if !ok || !there || i.Ino == j.Ino || (i.IsDir() && j.Parent == i.Ino) || (j.IsDir() && i.Parent == j.Ino) ||
		(i.IsDir() && j.Parent != index.Root) || (j.IsDir() && i.Parent != index.Root) {
		return
	}
	w.idx.leave(i.Ino)
	w.idx.leave(j.Ino)
	tmp := w.idx.inodes[i.Ino]
	tmp.Name = "\x00moving"
	w.idx.inodes[i.Ino] = tmp
	w.idx.arrive(j.Ino, i.Parent, i.Name)
	w.idx.arrive(i.Ino, j.Parent, j.Name)
	w.committedByRename(j.Ino)
	w.committedByRename(i.Ino)
}

func (w *world) chmod(name string) {
	if i, ok := w.find(name); ok {
		i.AttrVer++
		if i.AttrVer%2 == 1 { // every second one takes rights away
			i.Tight = i.AttrVer
		}
		i.Marker = i.IsDir()
		w.idx.inodes[i.Ino] = i
	}
}

func (w *world) setXattr(name string) {
	if i, ok := w.find(name); ok {
		i.XattrVer++
		i.Marker = i.IsDir()
		w.idx.inodes[i.Ino] = i
	}
}

// evict is R9: a home that is recorded and readable, and a sync, before the bytes go.
func (w *world) evict(name string) {
	i, ok := w.file(name)
	if !ok || i.IsDir() || !i.Sealed || i.CachedGen != i.Gen {
		return
	}
	p := &planner{v: w.idx, f: w.facts()}
	p.f.without = noRule
	h, ok := p.home(&i)
	if !ok || w.outsiders && !w.expected(h.Key) {
		return // what others destroyed is gone: nothing can be promised
	}
	i.CachedGen = 0
	w.idx.inodes[i.Ino] = i
	w.sync()
	delete(w.idx.bodies, i.Gen)
	delete(w.durable.bodies, i.Gen)
}

// fetch is R9: GET of the home with a compare of its ETag.
func (w *world) fetch(ino index.Ino) {
	i, ok := w.idx.inodes[ino]
	if !ok || !i.Sealed || i.CachedGen == i.Gen {
		return
	}
	p := &planner{v: w.idx, f: w.facts()}
	h, ok := p.home(&i)
	if !ok {
		return
	}
	if o, there := w.store[h.Key]; there && o.etag == h.ETag {
		w.idx.bodies[i.Gen] = o.content
		i.CachedGen = i.Gen
		w.idx.inodes[ino] = i
	}
}
