package converge

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
)

// simIndex is the index of the simulation: maps that can be copied, so that a power cut can bring an old state back. It keeps
// what package index does by itself (GoneSeq of dead inodes, CommitSeq, unsent content).
type simIndex struct {
	inodes  map[index.Ino]index.Inode
	objects map[string]index.Object
	pends   map[string]index.Pend
	unsents map[index.Ino][]simUnsent
	bodies  map[uint64]uint64    // generation to content, for what is in the local cache
	truth   map[uint64]uint64    // generation to content, for all
	moves   map[index.Ino]uint64 // how often the entries of a directory changed
	ino     index.Ino
	gen     uint64
	seq     uint64
}

type simUnsent struct{ gen, first uint64 }

func newSimIndex() *simIndex {
	return &simIndex{
		inodes: map[index.Ino]index.Inode{index.Root: {Ino: index.Root, Mode: dirMode, Sealed: true}}, objects: map[string]index.Object{},
		pends: map[string]index.Pend{}, unsents: map[index.Ino][]simUnsent{}, bodies: map[uint64]uint64{}, truth: map[uint64]uint64{}, moves: map[index.Ino]uint64{}, ino: index.Root,
	}
}

func (x *simIndex) clone() *simIndex {
	c := *x
	c.inodes, c.objects, c.pends = maps.Clone(x.inodes), maps.Clone(x.objects), maps.Clone(x.pends)
	c.bodies, c.truth, c.moves = maps.Clone(x.bodies), maps.Clone(x.truth), maps.Clone(x.moves)
	c.unsents = make(map[index.Ino][]simUnsent, len(x.unsents))
	for ino, list := range x.unsents {
		c.unsents[ino] = slices.Clone(list)
	}
	return &c
}

func (x *simIndex) Inode(ino index.Ino) (index.Inode, bool, error) {
	i, ok := x.inodes[ino]
	return i, ok, nil
}

func (x *simIndex) Path(ino index.Ino) (string, bool) {
	key := ""
	for at := ino; at != index.Root; {
		i, ok := x.inodes[at]
		if !ok || i.Unlinked {
			return "", false
		}
		if at != ino || i.IsDir() {
			key = "/" + key
		}
		key = i.Name + key
		at = i.Parent
	}
	return key, true
}

func (x *simIndex) child(parent index.Ino, name string) (index.Ino, bool) {
	for ino, i := range x.inodes {
		if i.Parent == parent && i.Name == name && !i.Unlinked && ino != index.Root {
			return ino, true
		}
	}
	return 0, false
}

func (x *simIndex) Resolve(key string) (index.Ino, bool, error) {
	for ino := range x.inodes {
		if path, ok := x.Path(ino); ok && path == key {
			return ino, true, nil
		}
	}
	return 0, false, nil
}

func (x *simIndex) Object(key string) (index.Object, bool, error) {
	o, ok := x.objects[key]
	return o, ok, nil
}

func (x *simIndex) ObjectsOf(ino index.Ino) ([]index.Object, error) {
	var rows []index.Object
	for _, key := range slices.Sorted(maps.Keys(x.objects)) {
		if x.objects[key].Ino == ino {
			rows = append(rows, x.objects[key])
		}
	}
	return rows, nil
}

func (x *simIndex) ObjectsUnder(prefix string, fn func(index.Object) bool) error {
	for _, key := range slices.Sorted(maps.Keys(x.objects)) {
		if strings.HasPrefix(key, prefix) && !fn(x.objects[key]) {
			return nil
		}
	}
	return nil
}

func (x *simIndex) Pend(key string) (index.Pend, bool, error) {
	p, ok := x.pends[key]
	return p, ok, nil
}

func (x *simIndex) PendsFrom(src string) ([]index.Pend, error) {
	var pends []index.Pend
	for _, key := range slices.Sorted(maps.Keys(x.pends)) {
		if x.pends[key].Src == src {
			pends = append(pends, x.pends[key])
		}
	}
	return pends, nil
}

func (x *simIndex) Unsent(fn func(seq uint64, ino index.Ino) bool) error {
	type row struct {
		seq uint64
		ino index.Ino
	}
	var rows []row
	for ino, list := range x.unsents {
		rows = append(rows, row{list[0].first, ino})
	}
	slices.SortFunc(rows, func(a, b row) int { return int(a.seq) - int(b.seq) })
	for _, r := range rows {
		if !fn(r.seq, r.ino) {
			return nil
		}
	}
	return nil
}

func (x *simIndex) Lost(uint64, func(from, to uint64, dir index.Ino) bool) error { return nil }

func (x *simIndex) Gone(fn func(seq uint64, key string) bool) error {
	type row struct {
		seq uint64
		key string
	}
	rows := map[row]bool{}
	for key, o := range x.objects {
		rows[row{o.GoneSeq, key}] = true
	}
	for key, p := range x.pends {
		rows[row{p.GoneSeq, key}] = true
	}
	list := slices.SortedFunc(maps.Keys(rows), func(a, b row) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.key, b.key))
	})
	for _, r := range list {
		if r.seq != 0 && !fn(r.seq, r.key) {
			return nil
		}
	}
	return nil
}

func (x *simIndex) leaveKey(key string, ino index.Ino) {
	if p, ok := x.pends[key]; ok && p.Ino == ino && p.Op != index.Delete {
		p.GoneSeq = x.nextSeq()
		x.pends[key] = p
	}
}

func (x *simIndex) PutInode(i index.Inode) error {
	old := x.inodes[i.Ino]
	i.CommitSeq = max(i.CommitSeq, old.CommitSeq)
	x.inodes[i.Ino] = i
	return nil
}

func (x *simIndex) PutObject(o index.Object) error { x.objects[o.Key] = o; return nil }
func (x *simIndex) DeleteObject(key string) error  { delete(x.objects, key); return nil }
func (x *simIndex) DeletePend(key string) error    { delete(x.pends, key); return nil }

func (x *simIndex) PutPend(p index.Pend) error {
	if old, had := x.pends[p.Key]; had && old.Upload == p.Upload && p.GoneSeq == 0 {
		p.GoneSeq = old.GoneSeq
	}
	x.pends[p.Key] = p
	return nil
}

func (x *simIndex) SentGen(ino index.Ino, gen uint64) error {
	list := x.unsents[ino]
	for len(list) > 0 && list[0].gen <= gen {
		list = list[1:]
	}
	if len(list) == 0 {
		delete(x.unsents, ino)
	} else {
		x.unsents[ino] = list
	}
	return nil
}

func (x *simIndex) NextSeq() (uint64, error) { return x.nextSeq(), nil }

// The rest is what package cache does with the index.

func (x *simIndex) nextSeq() uint64 { x.seq++; return x.seq }

func (x *simIndex) setUnsent(ino index.Ino, seq uint64) {
	i := x.inodes[ino]
	i.CommitSeq = max(i.CommitSeq, seq)
	x.inodes[ino] = i
	list := x.unsents[ino]
	if n := len(list); n > 0 && list[n-1].gen == i.Gen {
		return
	}
	x.unsents[ino] = append(list, simUnsent{i.Gen, seq})
}

// noteUnsent gives content that the bucket lacks its number.
func (x *simIndex) noteUnsent(ino index.Ino, seq uint64) {
	i := x.inodes[ino]
	if i.IsDir() || i.Unlinked {
		return
	}
	for _, o := range x.objects {
		if o.Ino == ino && o.Gen == i.Gen {
			return
		}
	}
	x.setUnsent(ino, seq)
}

// leaveKeys numbers the end of an inode in the rows that hold it.
func (x *simIndex) leaveKeys(ino index.Ino) {
	delete(x.unsents, ino)
	for _, key := range slices.Sorted(maps.Keys(x.pends)) {
		x.leaveKey(key, ino)
	}
	for key, o := range x.objects {
		if o.Ino == ino {
			o.GoneSeq = x.nextSeq()
			x.objects[key] = o
		}
	}
}

// leave numbers the moment when a key loses its inode.
func (x *simIndex) leave(ino index.Ino) {
	if key, ok := x.Path(ino); ok {
		x.leaveKey(key, ino)
		if o, ok := x.objects[key]; ok {
			o.GoneSeq = x.nextSeq()
			x.objects[key] = o
		}
	}
}

func (x *simIndex) arrive(ino, parent index.Ino, name string) {
	i := x.inodes[ino]
	x.entered(i.Parent)
	x.entered(parent)
	i.Parent, i.Name, i.Unlinked, i.PathSeq = parent, name, false, x.nextSeq()
	i.Refers = !i.IsDir()
	i.Marker = i.IsDir() // a directory that moves is ours: what was below its old name says nothing about it
	x.inodes[ino] = i
	if key, ok := x.Path(ino); ok && x.pends[key].Ino == ino {
		p := x.pends[key]
		p.GoneSeq = 0
		x.pends[key] = p
	}
	x.noteUnsent(ino, i.PathSeq)
}

// entered notes that the entries of a directory changed.
func (x *simIndex) entered(dir index.Ino) {
	if i := x.inodes[dir]; dir != index.Root && i.Marker {
		i.Move()
		x.inodes[dir] = i
		x.moves[dir]++
	}
}

// detach takes the name away.
func (x *simIndex) detach(ino index.Ino, open bool) {
	x.entered(x.inodes[ino].Parent)
	x.leave(ino)
	x.leaveKeys(ino)
	if !open {
		delete(x.inodes, ino)
		return
	}
	i := x.inodes[ino]
	i.Unlinked, i.PathSeq = true, x.nextSeq()
	x.inodes[ino] = i
}

const (
	dirMode  = 0o040755
	fileMode = 0o100644
)
