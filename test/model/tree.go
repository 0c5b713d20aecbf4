package model

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// node is a file, a directory or a symbolic link.
type node struct {
	kind     uint32 // S_IFREG, S_IFDIR, S_IFLNK
	perm     uint32
	data     []byte
	target   string
	xattrs   map[string]string
	children map[string]*node
	mtime    stamp
	ino      uint64 // as it was first seen since the last fresh cache
	nameless bool   // never had a name, and may get one
	shared   bool   // a directory in which another mount made an entry: its mtime is that of the later of the two, once this one knows
}

// stamp is what is known of a time: a value that must not change, or when it was set to "now".
type stamp struct {
	value   int64
	known   bool  // value was seen or set
	from    int64 // when not 0: set to now at or after this moment, and not seen since
	orValue bool  // with from: the old value is right as well
}

// set fixes the time.
func (t *stamp) set(ns int64) { *t = stamp{value: ns, known: true} }

// touch sets the time to now.
func (t *stamp) touch(now int64) { *t = stamp{from: now} }

// mayTouch is a call that may or may not set the time to now.
func (t *stamp) mayTouch(now int64) {
	switch {
	case t.from != 0: // some moment since then is right already
	case t.known:
		t.from, t.orValue = now, true
	}
}

// forget takes any value the next time.
func (t *stamp) forget() { *t = stamp{} }

// tree is the file system of the model.
type tree struct {
	root *node
}

func newTree() *tree { return &tree{root: newDir()} }

func newDir() *node {
	return &node{kind: unix.S_IFDIR, children: map[string]*node{}, xattrs: map[string]string{}}
}

func (n *node) isDir() bool  { return n.kind == unix.S_IFDIR }
func (n *node) isFile() bool { return n.kind == unix.S_IFREG }

// changed notes that the entries of a directory changed.
func (n *node) changed(now int64) {
	n.mtime.touch(now)
}

// names lists a directory in order.
func (n *node) names() []string { return slices.Sorted(maps.Keys(n.children)) }

// dir walks to the directory that holds the last name of a path. Symbolic links of the model lead nowhere, so that walking
// through one is ENOENT.
func (t *tree) dir(path string) (*node, string, error) {
	at, rest := t.root, path
	for {
		name, more, found := strings.Cut(rest, "/")
		if !found {
			return at, name, nil
		}
		next, ok := at.children[name]
		switch {
		case !ok || next.kind == unix.S_IFLNK:
			return nil, "", unix.ENOENT
		case !next.isDir():
			return nil, "", unix.ENOTDIR
		}
		at, rest = next, more
	}
}

// find is lstat: the node of a path.
func (t *tree) find(path string) (*node, error) {
	if path == "" {
		return t.root, nil
	}
	dir, name, err := t.dir(path)
	if err != nil {
		return nil, err
	}
	n, ok := dir.children[name]
	if !ok {
		return nil, unix.ENOENT
	}
	return n, nil
}

// follow is find for calls that follow a last symbolic link.
func (t *tree) follow(path string) (*node, error) {
	n, err := t.find(path)
	if err == nil && n.kind == unix.S_IFLNK {
		return nil, unix.ENOENT
	}
	return n, err
}

// file is follow for calls on regular files only.
func (t *tree) file(path string) (*node, error) {
	n, err := t.follow(path)
	if err == nil && n.isDir() {
		return nil, unix.EISDIR
	}
	return n, err
}

// walk visits every node with its path, parents first, in order of names.
func (t *tree) walk(visit func(path string, n *node)) {
	var down func(prefix string, n *node)
	down = func(prefix string, n *node) {
		for _, name := range n.names() {
			visit(prefix+name, n.children[name])
			if n.children[name].isDir() {
				down(prefix+name+"/", n.children[name])
			}
		}
	}
	down("", t.root)
}

// has reports whether a node has a name.
func (t *tree) has(n *node) (found bool) {
	t.walk(func(_ string, at *node) { found = found || at == n })
	return found
}

// make adds a node to a directory.
func (t *tree) make(path string, n *node, now int64) error {
	dir, name, err := t.dir(path)
	if err != nil {
		return err
	}
	if _, taken := dir.children[name]; taken {
		return unix.EEXIST
	}
	n.mtime.touch(now)
	dir.children[name] = n
	dir.changed(now)
	return nil
}

// unlink removes the name of a file or link.
func (t *tree) unlink(path string, now int64) error {
	n, err := t.find(path)
	if err != nil {
		return err
	}
	if n.isDir() {
		return unix.EISDIR
	}
	t.drop(path, now)
	return nil
}

// rmdir removes an empty directory.
func (t *tree) rmdir(path string, now int64) error {
	n, err := t.find(path)
	switch {
	case err != nil:
		return err
	case !n.isDir():
		return unix.ENOTDIR
	case len(n.children) > 0:
		return unix.ENOTEMPTY
	}
	t.drop(path, now)
	return nil
}

// drop takes a name that exists away.
func (t *tree) drop(path string, now int64) {
	dir, name, _ := t.dir(path)
	delete(dir.children, name)
	dir.changed(now)
}

// rename is renameat2 in the order in which Linux checks.
func (t *tree) rename(from, to string, flags int, now int64) error {
	fromDir, fromName, err := t.dir(from)
	if err != nil {
		return err
	}
	toDir, toName, err := t.dir(to)
	if err != nil {
		return err
	}
	old, target := fromDir.children[fromName], toDir.children[toName]
	exchange := flags&unix.RENAME_EXCHANGE != 0
	switch {
	case old == nil:
		return unix.ENOENT
	case flags&unix.RENAME_NOREPLACE != 0 && target != nil:
		return unix.EEXIST
	case exchange && target == nil:
		return unix.ENOENT
	case strings.HasPrefix(to, from+"/"):
		return unix.EINVAL
	case strings.HasPrefix(from, to+"/") && exchange:
		return unix.EINVAL
	case strings.HasPrefix(from, to+"/"):
		return unix.ENOTEMPTY
	case old == target:
		return nil
	case exchange:
		fromDir.children[fromName], toDir.children[toName] = target, old
		fromDir.changed(now)
		toDir.changed(now)
		return nil
	}
	if target != nil {
		switch {
		case old.isDir() && !target.isDir():
			return unix.ENOTDIR
		case !old.isDir() && target.isDir():
			return unix.EISDIR
		case target.isDir() && len(target.children) > 0:
			return unix.ENOTEMPTY
		}
	}
	delete(fromDir.children, fromName)
	toDir.children[toName] = old
	fromDir.changed(now)
	toDir.changed(now)
	return nil
}
