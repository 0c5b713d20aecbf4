package crash

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// node is what one file, directory or link should be. Nodes are never changed: a change makes another one.
type node struct {
	kind   uint32 // S_IFREG, S_IFDIR or S_IFLNK
	perm   uint32
	data   []byte // content, or the target of a link
	xattrs map[string]string
}

func (n *node) String() string {
	if n == nil {
		return "nothing"
	}
	attrs := ""
	for _, name := range slices.Sorted(maps.Keys(n.xattrs)) {
		attrs += fmt.Sprintf(" %s=%s", name, n.xattrs[name])
	}
	switch n.kind {
	case unix.S_IFDIR:
		return fmt.Sprintf("directory %o%s", n.perm, attrs)
	case unix.S_IFLNK:
		return fmt.Sprintf("link to %s", n.data)
	}
	return fmt.Sprintf("file %o of %d bytes, sum %08x%s", n.perm, len(n.data), sum(n.data), attrs)
}

// sameNode compares what a program can see of two nodes.
func sameNode(a, b *node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.kind == b.kind && (a.kind == unix.S_IFLNK || a.perm == b.perm) && bytes.Equal(a.data, b.data) && maps.Equal(a.xattrs, b.xattrs)
}

// state is what a worker's directory should hold: names of numbered nodes. A name below another has its path as a prefix. Nodes
// without a name are open files that were removed.
type state struct {
	names map[string]int
	nodes map[int]*node
	next  int
}

func newState() *state {
	return &state{names: map[string]int{}, nodes: map[int]*node{}, next: 1}
}

func (s *state) clone() *state {
	return &state{names: maps.Clone(s.names), nodes: maps.Clone(s.nodes), next: s.next}
}

// at is the node of a name; nil: there is none.
func (s *state) at(name string) *node {
	id, ok := s.names[name]
	if !ok {
		return nil
	}
	return s.nodes[id]
}

// add gives a new node a name and returns its number.
func (s *state) add(name string, n *node) int {
	id := s.next
	s.next++
	s.names[name], s.nodes[id] = id, n
	return id
}

// change replaces a node by a changed copy.
func (s *state) change(id int, with func(*node)) {
	n := *s.nodes[id]
	with(&n)
	s.nodes[id] = &n
}

// write lays bytes over the content of a node; a gap before them is zeros.
func (s *state) write(id int, off int, p []byte) {
	s.change(id, func(n *node) {
		data := make([]byte, max(len(n.data), off+len(p)))
		copy(data, n.data)
		copy(data[off:], p)
		n.data = data
	})
}

// rename moves a name and all below it; what was at the target is gone.
func (s *state) rename(from, to string) {
	delete(s.names, to)
	for name, id := range maps.Clone(s.names) {
		if name == from || strings.HasPrefix(name, from+"/") {
			delete(s.names, name)
			s.names[to+name[len(from):]] = id
		}
	}
}

// forget drops nodes without a name, but for those that are open.
func (s *state) forget(open int) {
	named := map[int]bool{open: true}
	for _, id := range s.names {
		named[id] = true
	}
	maps.DeleteFunc(s.nodes, func(id int, _ *node) bool { return !named[id] })
}

// pick lists the names of one kind, sorted so that a seed decides alone.
func (s *state) pick(kind uint32) []string {
	var list []string
	for name, id := range s.names {
		if s.nodes[id].kind == kind {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// empty reports whether a directory has no entries.
func (s *state) empty(dir string) bool {
	for name := range s.names {
		if strings.HasPrefix(name, dir+"/") {
			return false
		}
	}
	return true
}

// read is the state that a directory on the disk shows. Nodes are numbered in the order of names.
func read(dir string) (*state, error) {
	s := newState()
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		n, err := readNode(p)
		if err == nil {
			s.add(rel, n)
		}
		return err
	})
	return s, err
}

func readNode(p string) (*node, error) {
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return nil, fmt.Errorf("lstat %s: %w", p, err)
	}
	n := &node{kind: st.Mode & unix.S_IFMT, perm: st.Mode &^ unix.S_IFMT}
	switch n.kind {
	case unix.S_IFLNK:
		target, err := os.Readlink(p)
		n.data = []byte(target)
		return n, err
	case unix.S_IFREG:
		var err error
		if n.data, err = os.ReadFile(p); err != nil {
			return nil, err
		}
		if int64(len(n.data)) != st.Size {
			return nil, fmt.Errorf("%s: %d bytes were read, its size is %d", p, len(n.data), st.Size)
		}
	}
	var err error
	n.xattrs, err = readXattrs(p)
	return n, err
}

func readXattrs(p string) (map[string]string, error) {
	buf := make([]byte, 4096)
	size, err := unix.Llistxattr(p, buf)
	if err != nil || size == 0 {
		return nil, err
	}
	attrs := map[string]string{}
	value := make([]byte, 4096)
	for name := range strings.SplitSeq(strings.TrimRight(string(buf[:size]), "\x00"), "\x00") {
		n, err := unix.Lgetxattr(p, name, value)
		if err != nil {
			return nil, fmt.Errorf("read attribute %s of %s: %w", name, p, err)
		}
		attrs[name] = string(value[:n])
	}
	return attrs, nil
}

// differences lists the names where two states are not alike.
func differences(got, want *state) []string {
	var list []string
	names := map[string]bool{}
	for name := range got.names {
		names[name] = true
	}
	for name := range want.names {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if g, w := got.at(name), want.at(name); !sameNode(g, w) {
			list = append(list, fmt.Sprintf("%s: got %v, want %v", name, g, w))
		}
	}
	return list
}

// parent is the directory of a name; "" is the worker's own.
func parent(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}
