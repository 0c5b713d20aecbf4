package model

import (
	"golang.org/x/sys/unix"
)

// write puts p at off, or at the end.
func (n *node) write(p []byte, off int64, atEnd bool, now int64) {
	if len(p) == 0 {
		return
	}
	if atEnd {
		off = int64(len(n.data))
	}
	n.grow(off + int64(len(p)))
	copy(n.data[off:], p)
	n.mtime.touch(now)
}

// grow makes the file at least so long.
func (n *node) grow(size int64) {
	if missing := size - int64(len(n.data)); missing > 0 {
		n.data = append(n.data, make([]byte, missing)...)
	}
}

// resize is ftruncate. Whether an unchanged size moves the time is left open by POSIX.
func (n *node) resize(size int64, now int64) {
	if size == int64(len(n.data)) {
		n.mtime.mayTouch(now)
		return
	}
	n.grow(size)
	n.data = n.data[:size:size]
	n.mtime.touch(now)
}

// allocate is fallocate. Whether it moves the time depends on the file system.
func (n *node) allocate(mode int, off, size int64, now int64) error {
	keep := mode&unix.FALLOC_FL_KEEP_SIZE != 0
	end := off + size
	switch mode &^ unix.FALLOC_FL_KEEP_SIZE {
	case 0:
	case unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE:
		if have := int64(len(n.data)); off < have {
			clear(n.data[off:min(end, have)])
		}
	default:
		return unix.EOPNOTSUPP
	}
	if !keep {
		n.grow(end)
	}
	n.mtime.mayTouch(now)
	return nil
}

// setXattr is setxattr on a file or directory.
func (n *node) setXattr(name, value string, flags int) error {
	if n.kind == unix.S_IFLNK {
		return unix.EPERM
	}
	_, exists := n.xattrs[name]
	switch {
	case exists && flags == unix.XATTR_CREATE:
		return unix.EEXIST
	case !exists && flags == unix.XATTR_REPLACE:
		return unix.ENODATA
	}
	n.xattrs[name] = value
	return nil
}

// delXattr is removexattr.
func (n *node) delXattr(name string) error {
	if n.kind == unix.S_IFLNK {
		return unix.EPERM
	}
	if _, exists := n.xattrs[name]; !exists {
		return unix.ENODATA
	}
	delete(n.xattrs, name)
	return nil
}
