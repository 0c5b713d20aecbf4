package fs

import (
	"bytes"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
)

// trusted is the prefix of attributes for those with CAP_SYS_ADMIN.
const trusted = "trusted."

// xattrAllowed says which extended attributes exist here: user.* and trusted.* (the kernel asks for privilege).
func xattrAllowed(name string) bool {
	return strings.HasPrefix(name, "user.") && len(name) > len("user.") ||
		strings.HasPrefix(name, trusted) && len(name) > len(trusted)
}

// GetXAttr reads one. Reading security.* and system.* gives ENODATA, the answer after which nobody complains.
func (f *fileSystem) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	if !xattrAllowed(attr) {
		return 0, fuse.Status(unix.ENODATA)
	}
	r := f.begin(cancel, h)
	defer r.finish()
	value, err := f.cache.GetXattr(r, cache.Ino(h.NodeId), attr)
	if err != nil {
		return 0, f.status("getxattr", h.NodeId, err)
	}
	return fillBuffer(dest, value)
}

// ListXAttr lists the names, each ended by a NUL.
func (f *fileSystem) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	r := f.begin(cancel, h)
	defer r.finish()
	names, err := f.cache.ListXattr(r, cache.Ino(h.NodeId))
	if err != nil {
		return 0, f.status("listxattr", h.NodeId, err)
	}
	var list bytes.Buffer
	by := &caller{id: h.Caller}
	for _, name := range names {
		if strings.HasPrefix(name, trusted) && !by.capable(unix.CAP_SYS_ADMIN) {
			continue // the kernel lets it read none of them either
		}
		list.WriteString(name)
		list.WriteByte(0)
	}
	return fillBuffer(dest, list.Bytes())
}

// fillBuffer answers with the value, or with its size and ERANGE when the buffer is too small.
func fillBuffer(dest, value []byte) (uint32, fuse.Status) {
	if len(dest) < len(value) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

// SetXAttr writes one. security.* and system.* (ACLs, capabilities, labels) cannot be kept: EOPNOTSUPP.
func (f *fileSystem) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	if !xattrAllowed(attr) {
		return fuse.Status(unix.EOPNOTSUPP)
	}
	r := f.beginChange(cancel, &in.InHeader)
	defer r.finish()
	mode := cache.XattrAny
	switch in.Flags {
	case 0:
	case unix.XATTR_CREATE:
		mode = cache.XattrCreate
	case unix.XATTR_REPLACE:
		mode = cache.XattrReplace
	default:
		return fuse.EINVAL
	}
	return f.status("setxattr", in.NodeId, f.cache.SetXattr(r, cache.Ino(in.NodeId), attr, bytes.Clone(data), mode))
}

// RemoveXAttr removes one.
func (f *fileSystem) RemoveXAttr(cancel <-chan struct{}, h *fuse.InHeader, attr string) fuse.Status {
	if !xattrAllowed(attr) {
		return fuse.Status(unix.ENODATA)
	}
	r := f.beginChange(cancel, h)
	defer r.finish()
	return f.status("removexattr", h.NodeId, f.cache.RemoveXattr(r, cache.Ino(h.NodeId), attr))
}
