package fs

import (
	"errors"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
)

// Lookup answers names; an absent one is remembered by the kernel (node id 0 with a time of validity).
func (f *fileSystem) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	r := f.begin(cancel, h)
	defer r.finish()
	begun := f.outdated.begin()
	st, valid, err := f.lookup(r, cache.Ino(h.NodeId), name)
	if errors.Is(err, cache.ErrNotFound) && valid > 0 {
		out.NodeId = 0
		out.SetEntryTimeout(valid)
		return fuse.OK
	}
	if err != nil {
		return f.status("lookup", h.NodeId, err)
	}
	f.outdated.shown(st.Ino, begun)
	f.fillEntry(&st, valid, out)
	return fuse.OK
}

// lookup also answers for the two names with which the kernel finds what it has forgotten by a file handle, and the directory that this is in.
func (f *fileSystem) lookup(r *request, ino cache.Ino, name string) (st cache.Stat, valid time.Duration, err error) {
	switch name {
	case ".":
		st, err = f.cache.Again(r, ino)
		return st, 0, err
	case "..":
		st, err = f.cache.Above(r, ino)
		return st, 0, err
	}
	return f.cache.Lookup(r, ino, name)
}

// Forget tells that the kernel dropped an inode; it only matters for those without a name.
func (f *fileSystem) Forget(nodeid, _ uint64) {
	f.cache.Forget(cache.Ino(nodeid))
}

// GetAttr answers stat.
func (f *fileSystem) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	begun := f.outdated.begin()
	st, err := f.cache.GetAttr(r, cache.Ino(in.NodeId))
	if err != nil {
		return f.status("getattr", in.NodeId, err)
	}
	f.outdated.shown(st.Ino, begun)
	out.SetTimeout(attrTimeout)
	fillAttr(&st, &out.Attr)
	return fuse.OK
}

// SetAttr answers chmod, chown, truncate and utimens.
func (f *fileSystem) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	if in.Valid&fuse.FATTR_FH != 0 {
		if err := f.cache.Resume(cache.Ino(in.NodeId), in.Fh, in.Valid&fuse.FATTR_SIZE != 0); err != nil {
			return f.status("setattr", in.NodeId, err)
		}
	}
	st, err := f.cache.SetAttr(r, cache.Ino(in.NodeId), change(in))
	if err != nil {
		return f.status("setattr", in.NodeId, err)
	}
	out.SetTimeout(attrTimeout)
	fillAttr(&st, &out.Attr)
	return fuse.OK
}

// newFile collects what a creating request says; the kernel has applied the umask.
func newFile(h *fuse.InHeader, mode, rdev uint32) cache.New {
	return cache.New{Mode: mode, UID: h.Uid, GID: h.Gid, Rdev: rdev, By: callerOf(h)}
}

// Mknod makes regular files, fifos, sockets and device nodes.
func (f *fileSystem) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	r := f.beginChange(cancel, &in.InHeader)
	defer r.finish()
	st, err := f.cache.Mknod(r, cache.Ino(in.NodeId), name, newFile(&in.InHeader, in.Mode, in.Rdev))
	if err != nil {
		return f.status("mknod", in.NodeId, err)
	}
	f.fillEntry(&st, f.cache.NameValid(), out)
	return fuse.OK
}

// Mkdir makes a directory.
func (f *fileSystem) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	r := f.beginChange(cancel, &in.InHeader)
	defer r.finish()
	st, err := f.cache.Mkdir(r, cache.Ino(in.NodeId), name, newFile(&in.InHeader, in.Mode, 0))
	if err != nil {
		return f.status("mkdir", in.NodeId, err)
	}
	f.fillEntry(&st, f.cache.NameValid(), out)
	return fuse.OK
}

// Symlink makes a symbolic link.
func (f *fileSystem) Symlink(cancel <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	r := f.beginChange(cancel, h)
	defer r.finish()
	st, err := f.cache.Symlink(r, cache.Ino(h.NodeId), name, target, newFile(h, 0o777, 0))
	if err != nil {
		return f.status("symlink", h.NodeId, err)
	}
	f.fillEntry(&st, f.cache.NameValid(), out)
	return fuse.OK
}

// Readlink reads a symbolic link.
func (f *fileSystem) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	r := f.begin(cancel, h)
	defer r.finish()
	target, err := f.cache.Readlink(r, cache.Ino(h.NodeId))
	if err != nil {
		return nil, f.status("readlink", h.NodeId, err)
	}
	return []byte(target), fuse.OK
}

// Link gives a file that was opened with O_TMPFILE its name.
func (f *fileSystem) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	r := f.beginChange(cancel, &in.InHeader)
	defer r.finish()
	st, err := f.cache.Link(r, cache.Ino(in.Oldnodeid), cache.Ino(in.NodeId), name)
	if err != nil {
		return f.status("link", in.NodeId, err)
	}
	f.fillEntry(&st, f.cache.NameValid(), out)
	return fuse.OK
}

// Unlink removes a file's name.
func (f *fileSystem) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	r := f.beginChange(cancel, h)
	defer r.finish()
	return f.status("unlink", h.NodeId, f.cache.Unlink(r, cache.Ino(h.NodeId), name))
}

// Rmdir removes an empty directory.
func (f *fileSystem) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	r := f.beginChange(cancel, h)
	defer r.finish()
	return f.status("rmdir", h.NodeId, f.cache.Rmdir(r, cache.Ino(h.NodeId), name))
}

// Rename moves a name, with RENAME_NOREPLACE, RENAME_EXCHANGE and RENAME_WHITEOUT.
func (f *fileSystem) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	r := f.beginChange(cancel, &in.InHeader)
	defer r.finish()
	mode := cache.RenameReplace
	switch in.Flags &^ unix.RENAME_WHITEOUT {
	case 0:
	case unix.RENAME_NOREPLACE:
		mode = cache.RenameNoReplace
	case unix.RENAME_EXCHANGE:
		mode = cache.RenameExchange
	default:
		return fuse.EINVAL
	}
	if in.Flags&unix.RENAME_WHITEOUT != 0 {
		return f.status("rename", in.NodeId, f.cache.RenameWhiteout(r, cache.Ino(in.NodeId), oldName, cache.Ino(in.Newdir), newName, mode,
			newFile(&in.InHeader, 0, 0)))
	}
	return f.status("rename", in.NodeId,
		f.cache.Rename(r, cache.Ino(in.NodeId), oldName, cache.Ino(in.Newdir), newName, mode))
}

// Access is left to the kernel, which checks by itself and does not ask.
func (f *fileSystem) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status {
	return fuse.ENOSYS
}
