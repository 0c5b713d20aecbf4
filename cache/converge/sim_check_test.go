package converge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
)

// importKey is package cache's importer: a clean file follows, otherwise both versions are kept.
func (w *world) importKey(key string) {
	x := w.idx
	h, recorded := x.objects[key]
	o, there := w.store[key]
	ino, named, _ := x.Resolve(key)
	if !named {
		delete(x.objects, key)
		delete(w.foreign, o.content) // nobody wants the key: it stays as the outsider left it
		return
	}
	i := x.inodes[ino]
	clean := recorded && holds(&h, &i)
	if !there {
		delete(x.objects, key)
		if clean && !i.IsDir() {
			w.gone(ino)
			x.detach(ino, false)
			delete(w.open, ino)
		}
		return
	}
	delete(w.foreign, o.content)
	if clean {
		w.gone(ino)
		x.gen++
		i.Gen, i.CachedGen = x.gen, 0
	} else {
		x.ino++
		x.gen++
		i = index.Inode{Ino: x.ino, Parent: i.Parent, Name: fmt.Sprintf("%s.conflict%d", i.Name, x.ino), Mode: fileMode, Size: 1,
			Gen: x.gen, Sealed: true, PathSeq: x.nextSeq()}
	}
	w.owner[o.content] = i.Ino
	x.truth[i.Gen] = o.content
	x.inodes[i.Ino] = i
	x.objects[key] = index.Object{Key: key, Ino: i.Ino, Gen: i.Gen, AttrVer: i.AttrVer, XattrVer: i.XattrVer, ETag: o.etag, Size: 1,
		Upload: o.upload}
	w.commits[i.Ino] = []simCommit{{x.seq, o.content}}
}

// contentOf is what a program would read.
func (w *world) contentOf(i *index.Inode) (uint64, bool) {
	if c, ok := w.idx.bodies[i.Gen]; ok && (!i.Sealed || i.CachedGen == i.Gen) {
		return c, true
	}
	p := &planner{v: w.idx, f: w.facts()}
	p.f.without = noRule
	h, ok := p.home(i)
	if !ok {
		return 0, false
	}
	o, there := w.store[h.Key]
	return o.content, there && o.etag == h.ETag
}

// wanted is the content that an inode must have.
func (w *world) wanted(i *index.Inode) uint64 { return w.idx.truth[i.Gen] }

func (w *world) stored(content uint64) bool {
	for _, o := range w.store {
		if o.content == content {
			return true
		}
	}
	return false
}

// check looks for what must never happen.
func (w *world) check() {
	for _, ino := range slices.Sorted(maps.Keys(w.idx.inodes)) {
		i := w.idx.inodes[ino]
		path, linked := w.idx.Path(ino)
		if i.IsDir() {
			w.checkDirectory(&i, path)
			continue
		}
		if !linked && w.open[ino] == 0 {
			continue
		}
		got, ok := w.contentOf(&i)
		if !ok && !w.unreadableNow(&i) {
			w.fail("LOSS: inode %d (%s) generation %d cannot be read", ino, path, i.Gen)
		}
		if ok && got != w.wanted(&i) {
			w.fail("WRONG BYTES: inode %d (%s) reads content %d, want %d", ino, path, got, w.wanted(&i))
		}
		if ok && linked && i.Sealed && !w.outsiders && w.uploaded(ino) && !w.stored(got) {
			w.fail("UPLOADED: the bucket lost content %d of inode %d (%s)", got, ino, path)
		}
	}
	if w.without == noRule || w.without == ruleLook {
		for content := range w.foreign {
			if !w.stored(content) {
				w.fail("OUTSIDE: content %d of somebody else is gone", content)
			}
		}
	}
}

// unreadableNow: a home that is being written (its own attributes) or fenced is read after the fence; the bytes are there.
func (w *world) unreadableNow(i *index.Inode) bool {
	if w.outsiders {
		return true // they may have destroyed it themselves
	}
	for _, o := range w.idx.objects {
		if o.Ino != i.Ino || o.Gen != i.Gen {
			continue
		}
		if s, there := w.store[o.Key]; there && s.content == w.wanted(i) {
			return true
		}
	}
	return false
}

// checkDirectory: what the bucket showed does not vanish from it.
func (w *world) checkDirectory(i *index.Inode, path string) {
	if i.Marker || i.Ino == index.Root {
		return
	}
	for key := range w.store {
		if key == path && w.idx.objects[path].Ino != i.Ino {
			continue // left behind by another directory
		}
		if strings.HasPrefix(key, path) {
			w.inBucket[i.Ino] = true
			return
		}
	}
	if w.inBucket[i.Ino] && !w.outsiders {
		w.fail("VANISHED: directory %q is not in the bucket", path)
	}
}

// destroyed is called when a request of ours replaced or removed an object: content that is nowhere in the bucket now must have
// been given up by the tree before, and what was committed before that must be in the bucket.
func (w *world) destroyed(p *index.Pend, old simObject, there bool) {
	if !there || w.stored(old.content) || strings.HasSuffix(p.Key, "/") {
		return
	}
	if w.foreign[old.content] {
		w.fail("OUTSIDE: %s %q destroyed content %d of somebody else", p.Op, p.Key, old.content)
		return
	}
	if w.powerCuts || w.outsiders {
		return // lost calls: the tree went back, and what it gave up is not known
	}
	at, given := w.superseded[old.content]
	if !given {
		w.fail("ORDER: %s %q destroyed content %d, which is still the last one committed", p.Op, p.Key, old.content)
		return
	}
	for ino, list := range w.commits {
		if _, linked := w.idx.Path(ino); !linked {
			continue
		}
		before := -1
		for n, c := range list {
			if c.seq < at {
				before = n
			}
		}
		if before >= 0 && !slices.ContainsFunc(list[before:], func(c simCommit) bool { return w.stored(c.content) }) {
			w.fail("ORDER: %s %q destroyed content %d (given up at %d) before content %d of inode %d (committed at %d) was in the bucket",
				p.Op, p.Key, old.content, at, list[before].content, ino, list[before].seq)
		}
	}
}

// besides lets everything succeed but what is forbidden, and looks whether the rest is in the bucket.
func (w *world) besides() {
	if len(w.forbidden) == 0 {
		return
	}
	w.closeFiles()
	for range 60 {
		w.round()
		if w.failure != "" {
			return
		}
		w.now += 5
	}
	for ino, i := range w.idx.inodes {
		path, linked := w.idx.Path(ino)
		if !linked || ino == index.Root || i.IsDir() {
			continue
		}
		c, ok := w.contentOf(&i)
		if o, there := w.store[path]; !w.concerned(path) && (!ok || !there || o.content != c) {
			w.fail("LATE: %q has %v, %d, want %d: %s", path, there, o.content, c, w.describe())
		}
	}
	for key, o := range w.store {
		if _, wanted, _ := w.idx.Resolve(key); !wanted && !o.outside && !w.concerned(key) {
			if h := w.idx.objects[key]; !w.concernedInode(h.Ino) {
				w.fail("LATE: %q is still there: %s", key, w.describe())
			}
		}
	}
}

// concerned reports whether what is wanted at a key may have to wait for a forbidden one.
func (w *world) concerned(key string) bool { return w.forbidden[key] || isParkKey(key) }

// concernedInode reports whether the name of an inode is forbidden.
func (w *world) concernedInode(ino index.Ino) bool {
	path, linked := w.idx.Path(ino)
	return linked && w.concerned(path)
}

// round is one turn of everybody.
func (w *world) round() (busy bool) {
	busy = len(w.requests) > 0
	for _, key := range w.keys() {
		if w.work(key) {
			busy = true
		}
	}
	for _, r := range slices.Clone(w.requests) {
		if r.lost {
			if w.now > r.expires {
				w.requests = slices.DeleteFunc(w.requests, func(q *simRequest) bool { return q == r })
			}
			continue
		}
		w.execute(r)
		w.answer(r)
	}
	w.check()
	return busy
}

// drain lets everything succeed until nothing is to be done, and compares the bucket with the tree.
func (w *world) drain() {
	if w.besides(); w.failure != "" {
		return
	}
	w.permit()
	w.closeFiles()
	for round := 0; ; round++ {
		if round > 400 {
			w.fail("STUCK: %s", w.describe())
			return
		}
		busy := w.round()
		if w.failure != "" {
			return
		}
		if !busy && len(w.idx.pends) == 0 && !w.relist() {
			if waits := w.describe(); waits != "" {
				w.fail("STUCK: %s", waits)
			}
			break
		}
		w.now += 5
	}
	w.compare()
}

// relist is a listing: it shows what others did to keys that rest.
func (w *world) relist() (found bool) {
	if !w.outsiders {
		return false
	}
	for _, key := range w.keys() {
		h, recorded := w.idx.objects[key]
		ino, named, _ := w.idx.Resolve(key)
		i := w.idx.inodes[ino]
		if recorded && named && holds(&h, &i) && !w.expected(key) {
			w.importKey(key)
			found = true
		}
	}
	return found
}

// compare checks that the bucket is the tree, exactly.
func (w *world) compare() {
	want := map[string]bool{}
	for ino, i := range w.idx.inodes {
		path, linked := w.idx.Path(ino)
		if !linked || ino == index.Root {
			continue
		}
		o, there := w.store[path]
		if i.IsDir() {
			if !i.Marker {
				continue // check looks after it
			}
			want[path] = true
			if !there || o.attr != i.AttrVer || o.xattr != i.XattrVer {
				w.fail("MISSING: marker %q: %v %+v, want attributes %d, %d", path, there, o, i.AttrVer, i.XattrVer)
			}
			if !o.outside && o.moves < w.idx.moves[ino] {
				w.fail("TIMES: marker %q tells of %d of %d changes of its entries", path, o.moves, w.idx.moves[ino])
			}
			continue
		}
		want[path] = true
		switch c, ok := w.contentOf(&i); {
		case !there:
			w.fail("MISSING: %q", path)
		case !ok || o.content != c:
			w.fail("WRONG: %q has content %d, want %d", path, o.content, c)
		case !o.outside && (o.attr != i.AttrVer || o.xattr != i.XattrVer):
			w.fail("ATTR: %q has %d, %d, want %d, %d", path, o.attr, o.xattr, i.AttrVer, i.XattrVer)
		}
	}
	for key, o := range w.store {
		if !want[key] && !o.outside {
			w.fail("ORPHAN: %q", key)
		}
	}
}

func (w *world) describe() string {
	var b strings.Builder
	for _, key := range w.keys() {
		a, _ := Plan(w.idx, key, w.facts())
		if a.Kind != Nothing {
			fmt.Fprintf(&b, "\n  %q: %s %v (%s %q)", key, a.Kind, a.Keys, a.Pend.Op, a.Pend.Key)
		}
	}
	return b.String()
}
