package model

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// slots is how many descriptors can be open at once.
const slots = 4

// Host carries out the events and says where the mount is.
type Host interface {
	// Root is the mounted folder.
	Root() string
	// Event carries out one event. Descriptors are closed before, except for OpKill, where they are closed after it.
	Event(s Step) error
}

// Run drives a model and a mounted folder through the same steps.
type Run struct {
	host Host
	tree *tree
	open [slots]*handle
	inos map[uint64]string
	// marked: somebody has set attributes of the mount point, so that the bucket has them.
	marked bool
}

// handle is an open descriptor of the mount and its file in the model.
type handle struct {
	fd     int
	file   *node
	append bool
}

// NewRun begins with an empty folder.
func NewRun(host Host) *Run {
	r := &Run{host: host, tree: newTree()}
	r.tree.root.perm = 0o755
	r.tree.root.mtime.forget()
	return r
}

// Play makes the steps one by one, compares after each, and tells which one failed.
func (r *Run) Play(steps []Step) (failed int, err error) {
	for i, s := range steps {
		if err := r.Step(s); err != nil {
			return i, fmt.Errorf("step %d, %#v: %w", i, s, err)
		}
	}
	return len(steps), nil
}

// Step makes one step and compares what it touched.
func (r *Run) Step(s Step) error {
	if isEvent(s.Op) {
		return r.event(s)
	}
	if slices.Contains([]Op{OpPurge, OpFill}, s.Op) {
		return r.directory(s)
	}
	now := time.Now().UnixNano()
	want, skip := r.model(s, now)
	if skip {
		return nil
	}
	got := r.call(s)
	if !errors.Is(got, want) && got != want {
		return fmt.Errorf("got %w, want %w", orNil(got), orNil(want))
	}
	return r.compareTouched(s)
}

// errNone stands for success in messages.
var errNone = errors.New("no error")

func orNil(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

func isEvent(op Op) bool {
	return slices.Contains([]Op{OpSync, OpRemount, OpCrash, OpDrop, OpKill, OpFault, OpTried, OpOutside, OpCompare}, op)
}

// event lets the host act and tells the model what that means.
func (r *Run) event(s Step) error {
	switch s.Op {
	case OpCompare:
		return r.Compare()
	case OpRemount, OpCrash, OpDrop:
		r.CloseAll()
	case OpOutside:
		return r.outside(s)
	}
	if err := r.host.Event(s); err != nil {
		return err
	}
	switch s.Op {
	case OpKill:
		r.CloseAll()
		return r.Compare()
	case OpDrop:
		r.forgetLocal()
		return r.Compare()
	case OpRemount, OpCrash:
		return r.Compare()
	}
	return nil
}

// forgetLocal drops what a bucket does not know: inode numbers, and the time of a root for which nobody has set anything.
func (r *Run) forgetLocal() {
	r.tree.root.ino = 0
	if !r.marked {
		r.tree.root.mtime.forget()
	}
	r.tree.walk(func(_ string, n *node) {
		n.ino = 0
	})
}

// outside replaces a file that nobody has open by another mount, or makes it.
func (r *Run) outside(s Step) error {
	dir, name, err := r.tree.dir(s.Path)
	if err != nil {
		return nil
	}
	old := dir.children[name]
	if old != nil && (!old.isFile() || r.isOpen(old)) {
		return nil
	}
	if err := r.host.Event(s); err != nil {
		return err
	}
	n := &node{kind: unix.S_IFREG, perm: 0o644, xattrs: map[string]string{}}
	if old != nil {
		n.perm, n.xattrs, n.ino = old.perm, old.xattrs, old.ino
	}
	n.data = content(s.Seed, s.Size)
	dir.children[name] = n
	dir.shared = true
	return r.compareTouched(s)
}

func (r *Run) isOpen(n *node) bool {
	return slices.ContainsFunc(r.open[:], func(h *handle) bool { return h != nil && h.file == n })
}

// Content is what OpOutside writes.
func Content(s Step) []byte { return content(s.Seed, s.Size) }

// CloseAll closes every descriptor.
func (r *Run) CloseAll() {
	for i, h := range r.open {
		if h != nil {
			_ = unix.Close(h.fd) // after a kill that is ENOTCONN
			r.open[i] = nil
		}
	}
}

// Keys are the objects that a bucket with this tree holds and no others, sorted.
func (r *Run) Keys() []string {
	var keys []string
	r.tree.walk(func(path string, n *node) {
		if n.isDir() {
			path += "/"
		}
		keys = append(keys, path)
	})
	slices.Sort(keys)
	return keys
}

// path is where a path of the model is in the mount.
func (r *Run) path(p string) string { return filepath.Join(r.host.Root(), p) }

// parent is the directory of a path, "" for the root.
func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// model makes a call on the model. It is skipped when its slot is not in the right state.
func (r *Run) model(s Step, now int64) (want error, skip bool) {
	switch s.Op {
	case OpOpen, OpTmpfile:
		return r.modelOpen(s, now)
	case OpLink:
		return r.modelLink(s, now)
	case OpClose, OpWrite, OpRead, OpTruncate, OpFsync, OpAllocate:
		return r.modelHandle(s, now)
	case OpPut, OpPatch, OpMap, OpResize, OpCopy:
		return r.modelContent(s, now), false
	case OpRename:
		return r.tree.rename(s.Path, s.Path2, s.Flags, now), false
	case OpUnlink:
		return r.tree.unlink(s.Path, now), false
	case OpMkdir:
		n := newDir()
		n.perm = s.Mode
		return r.tree.make(s.Path, n, now), false
	case OpRmdir:
		return r.tree.rmdir(s.Path, now), false
	case OpSymlink:
		n := &node{kind: unix.S_IFLNK, perm: 0o777, target: s.Name}
		return r.tree.make(s.Path, n, now), false
	}
	return r.modelAttribute(s), false
}

// modelOpen opens or creates a file for reading and writing.
func (r *Run) modelOpen(s Step, now int64) (want error, skip bool) {
	if r.open[s.Slot] != nil {
		return nil, true
	}
	var n *node
	var err error
	if s.Op == OpTmpfile {
		n, err = r.modelTmpfile(s)
	} else {
		n, err = r.modelFile(s.Path, s.Flags, now)
	}
	if err != nil {
		return err, false
	}
	r.open[s.Slot] = &handle{fd: -1, file: n, append: s.Flags&unix.O_APPEND != 0}
	return nil, false
}

// modelTmpfile opens a file without a name in a directory.
func (r *Run) modelTmpfile(s Step) (*node, error) {
	dir, err := r.tree.follow(s.Path)
	switch {
	case err != nil:
		return nil, err
	case !dir.isDir():
		return nil, unix.ENOTDIR
	}
	return &node{kind: unix.S_IFREG, perm: 0o644, xattrs: map[string]string{}, nameless: s.Flags&unix.O_EXCL == 0}, nil
}

// modelLink gives the file of a descriptor a name, if it has never had one: there are no second ones.
func (r *Run) modelLink(s Step, now int64) (want error, skip bool) {
	h := r.open[s.Slot]
	if h == nil {
		return nil, true
	}
	dir, name, err := r.tree.dir(s.Path)
	switch {
	case err != nil:
		return err, false
	case dir.children[name] != nil:
		return unix.EEXIST, false
	case r.tree.has(h.file):
		return unix.EPERM, false
	case !h.file.nameless:
		return unix.ENOENT, false
	}
	h.file.nameless = false
	mtime := h.file.mtime
	err = r.tree.make(s.Path, h.file, now)
	h.file.mtime = mtime
	return err, false
}

// modelFile is open with O_NOFOLLOW for reading and writing.
func (r *Run) modelFile(path string, flags int, now int64) (*node, error) {
	n, err := r.tree.find(path)
	switch {
	case err == unix.ENOENT && flags&unix.O_CREAT != 0:
		n = &node{kind: unix.S_IFREG, perm: 0o644, xattrs: map[string]string{}}
		return n, r.tree.make(path, n, now)
	case err != nil:
		return nil, err
	case flags&(unix.O_CREAT|unix.O_EXCL) == unix.O_CREAT|unix.O_EXCL:
		return nil, unix.EEXIST
	case n.kind == unix.S_IFLNK:
		return nil, unix.ELOOP
	case n.isDir():
		return nil, unix.EISDIR
	}
	if flags&unix.O_TRUNC != 0 {
		n.resize(0, now)
		n.mtime.touch(now) // an empty file's, too
	}
	return n, nil
}

func (r *Run) modelHandle(s Step, now int64) (want error, skip bool) {
	h := r.open[s.Slot]
	if h == nil {
		return nil, true
	}
	switch s.Op {
	case OpWrite:
		h.file.write(content(s.Seed, s.Size), s.Off, h.append, now)
	case OpTruncate:
		h.file.resize(s.Size, now)
	case OpAllocate:
		return h.file.allocate(s.Flags, s.Off, s.Size, now), false
	}
	return nil, false
}

func (r *Run) modelContent(s Step, now int64) error {
	switch s.Op {
	case OpPut:
		n, err := r.modelFile(s.Path, unix.O_CREAT|unix.O_TRUNC, now)
		if err == nil {
			n.write(content(s.Seed, s.Size), 0, false, now)
		}
		return err
	case OpPatch:
		n, err := r.modelFile(s.Path, 0, now)
		if err == nil {
			n.write(content(s.Seed, s.Size), s.Off, false, now)
		}
		return err
	case OpMap:
		n, err := r.modelFile(s.Path, 0, now)
		if err == nil && s.Off < int64(len(n.data)) {
			copy(n.data[s.Off:], content(s.Seed, s.Size))
			n.mtime.mayTouch(now)
		}
		return err
	case OpResize:
		n, err := r.tree.file(s.Path)
		if err == nil {
			n.resize(s.Size, now)
		}
		return err
	}
	from, err := r.modelFile(s.Path, 0, now)
	if err != nil {
		return err
	}
	to, err := r.modelFile(s.Path2, 0, now)
	if err != nil {
		return err
	}
	if have := int64(len(from.data)); from != to && s.Off < have {
		to.write(slices.Clone(from.data[s.Off:min(s.Off+s.Size, have)]), s.Off2, false, now)
	} else {
		to.mtime.mayTouch(now)
	}
	return nil
}

func (r *Run) modelAttribute(s Step) error {
	find := r.tree.find
	if s.Op == OpChmod || s.Op == OpFsyncPath {
		find = r.tree.follow
	}
	n, err := find(s.Path)
	if err != nil {
		return err
	}
	same := s.Op == OpFsyncPath || s.Op == OpChmod && n.perm == s.Mode
	switch s.Op {
	case OpChmod:
		n.perm = s.Mode
	case OpUtimes:
		n.mtime.set(s.Off)
	case OpSetXattr:
		err = n.setXattr(s.Name, string(content(s.Seed, s.Size)), s.Flags)
	case OpDelXattr:
		err = n.delXattr(s.Name)
	}
	r.marked = r.marked || n == r.tree.root && err == nil && !same
	return err
}
