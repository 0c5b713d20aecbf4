package model

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockSlack is how far the kernel's clock of file times may be behind.
const clockSlack = int64(time.Second)

// compareTouched compares what a step could have changed: its paths, their directories, and its descriptor.
func (r *Run) compareTouched(s Step) error {
	if h := r.open[s.Slot]; h != nil && usesSlot(s.Op) {
		if err := r.compareHandle(h); err != nil {
			return err
		}
	}
	for _, p := range []string{s.Path, s.Path2} {
		if p == "" {
			continue
		}
		for _, q := range []string{p, parent(p)} {
			if err := r.compareDeep(q, q == p); err != nil {
				return err
			}
		}
	}
	return nil
}

func usesSlot(op Op) bool {
	return slices.Contains([]Op{OpOpen, OpTmpfile, OpLink, OpWrite, OpRead, OpTruncate, OpFsync, OpAllocate}, op)
}

// Compare compares the whole tree and every descriptor.
func (r *Run) Compare() error {
	r.inos = map[uint64]string{}
	defer func() { r.inos = nil }()
	for _, h := range r.open {
		if h != nil {
			if err := r.compareHandle(h); err != nil {
				return err
			}
		}
	}
	return r.compareDeep("", true)
}

// compareDeep compares a path and, when it is a directory, what is below.
func (r *Run) compareDeep(path string, deep bool) error {
	n, want := r.tree.find(path)
	if err := r.compareOne(path, n, want); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	if n == nil || !n.isDir() || !deep {
		return nil
	}
	for _, name := range n.names() {
		if err := r.compareDeep(strings.TrimPrefix(path+"/"+name, "/"), true); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) compareOne(path string, n *node, want error) error {
	full := r.path(path)
	var st unix.Stat_t
	err := again(func() error { return unix.Lstat(full, &st) })
	if err != want {
		return fmt.Errorf("lstat: got %w, want %w", orNil(err), orNil(want))
	}
	if n == nil {
		return nil
	}
	if err := r.compareStat(path, n, &st); err != nil {
		return err
	}
	switch n.kind {
	case unix.S_IFLNK:
		target, err := os.Readlink(full)
		if err != nil || target != n.target {
			return fmt.Errorf("target: got %q, %w, want %q", target, orNil(err), n.target)
		}
		return nil
	case unix.S_IFDIR:
		if err := compareNames(full, n); err != nil {
			return err
		}
	default:
		if err := compareContent(full, n); err != nil {
			return err
		}
	}
	return compareXattrs(full, n)
}

// compareStat compares attributes; times and inode numbers that were not known are known from then on.
func (r *Run) compareStat(path string, n *node, st *unix.Stat_t) error {
	if st.Mode&unix.S_IFMT != n.kind {
		return fmt.Errorf("type: got %#o, want %#o", st.Mode&unix.S_IFMT, n.kind)
	}
	if st.Mode&^unix.S_IFMT != n.perm {
		return fmt.Errorf("mode: got %#o, want %#o", st.Mode&^unix.S_IFMT, n.perm)
	}
	want := int64(len(n.data))
	if n.kind == unix.S_IFLNK {
		want = int64(len(n.target))
	}
	if !n.isDir() && st.Size != want {
		return fmt.Errorf("size: got %d, want %d", st.Size, want)
	}
	if st.Nlink != 1 && !(st.Nlink == 0 && path == unlinkedPath) {
		return fmt.Errorf("links: got %d, want 1", st.Nlink)
	}
	if n.ino != 0 && n.ino != st.Ino {
		return fmt.Errorf("inode number: got %d, was %d", st.Ino, n.ino)
	}
	n.ino = st.Ino
	if r.inos != nil && path != unlinkedPath {
		if other, taken := r.inos[st.Ino]; taken {
			return fmt.Errorf("inode number %d is that of %q, too", st.Ino, other)
		}
		r.inos[st.Ino] = path
	}
	if n.shared {
		n.mtime.forget()
	}
	return n.mtime.compare(unix.TimespecToNsec(st.Mtim))
}

// unlinkedPath is the path of descriptors in compareStat.
const unlinkedPath = "\x00"

// compare checks a time and remembers it.
func (t *stamp) compare(got int64) error {
	fresh := t.from != 0 && got >= t.from-clockSlack && got <= time.Now().UnixNano()+clockSlack
	old := t.known && got == t.value && (t.from == 0 || t.orValue)
	if !fresh && !old && (t.known || t.from != 0) {
		return fmt.Errorf("mtime: got %d, want %s", got, t)
	}
	t.set(got)
	return nil
}

// String says which times are right.
func (t *stamp) String() string {
	switch {
	case t.from == 0:
		return fmt.Sprint(t.value)
	case t.orValue:
		return fmt.Sprintf("%d or one after %d", t.value, t.from)
	}
	return fmt.Sprintf("one after %d", t.from)
}

func compareNames(full string, n *node) error {
	entries, err := os.ReadDir(full)
	if err != nil {
		return err
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
		if child := n.children[e.Name()]; child != nil && typeOf(e) != child.kind {
			return fmt.Errorf("type of %q in the listing: got %v, want %#o", e.Name(), e.Type(), child.kind)
		}
	}
	slices.Sort(got)
	if want := n.names(); !slices.Equal(got, want) {
		return fmt.Errorf("names: got %q, want %q", got, want)
	}
	return nil
}

func typeOf(e os.DirEntry) uint32 {
	switch e.Type() {
	case os.ModeDir:
		return unix.S_IFDIR
	case os.ModeSymlink:
		return unix.S_IFLNK
	}
	return unix.S_IFREG
}

func compareContent(full string, n *node) (err error) {
	var fd int
	err = again(func() error {
		fd, err = unix.Open(full, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("open to compare: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	got, err := readRange(fd, 0, int64(len(n.data))+1)
	if err != nil {
		return fmt.Errorf("read to compare: %w", err)
	}
	return sameBytes(got, n.data)
}

func (r *Run) compareHandle(h *handle) error {
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(h.fd, &st) }); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	if err := r.compareStat(unlinkedPath, h.file, &st); err != nil {
		return fmt.Errorf("descriptor: %w", err)
	}
	got, err := readRange(h.fd, 0, int64(len(h.file.data))+1)
	if err != nil {
		return fmt.Errorf("descriptor: read: %w", err)
	}
	return sameBytes(got, h.file.data)
}

func compareXattrs(full string, n *node) error {
	buf := make([]byte, 16<<10)
	size, err := unix.Llistxattr(full, buf)
	if err != nil {
		return fmt.Errorf("listxattr: %w", err)
	}
	var names []string
	for name := range strings.SplitSeq(string(buf[:size]), "\x00") {
		if strings.HasPrefix(name, "user.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(n.xattrs)); !slices.Equal(names, want) {
		return fmt.Errorf("attributes: got %q, want %q", names, want)
	}
	for _, name := range names {
		size, err := unix.Lgetxattr(full, name, buf)
		if err != nil || string(buf[:size]) != n.xattrs[name] {
			return fmt.Errorf("attribute %s: got %d bytes, %w, want %d bytes", name, size, orNil(err), len(n.xattrs[name]))
		}
	}
	return nil
}
