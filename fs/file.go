package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossencfs/ossencfs/cache"
)

// openFlags keeps the page cache over openings (changes from elsewhere are notified) and spares the FLUSH of each close,
// unless close has to wait for the bucket.
func (f *fileSystem) openFlags() uint32 {
	if f.cache.CloseWaits() {
		return fuse.FOPEN_KEEP_CACHE
	}
	return fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH
}

// Create makes and opens a regular file.
func (f *fileSystem) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	r := f.beginChange(cancel, &in.InHeader)
	defer r.finish()
	st, err := f.cache.Create(r, cache.Ino(in.NodeId), name, newFile(&in.InHeader, in.Mode, 0),
		cache.OpenMode{Write: writes(in.Flags), Exclusive: in.Flags&syscall.O_EXCL != 0, Append: in.Flags&syscall.O_APPEND != 0})
	if err != nil {
		return f.status("create", in.NodeId, err)
	}
	f.fillEntry(&st, f.cache.NameValid(), &out.EntryOut)
	out.Fh, out.OpenOut.OpenFlags = f.cache.Handle(st.Ino), f.openFlags()
	return fuse.OK
}

// Tmpfile makes and opens a regular file without a name.
func (f *fileSystem) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	st, err := f.cache.Tmpfile(r, cache.Ino(in.NodeId), newFile(&in.InHeader, in.Mode, 0),
		cache.OpenMode{Write: writes(in.Flags), Exclusive: in.Flags&syscall.O_EXCL != 0})
	if err != nil {
		return f.status("tmpfile", in.NodeId, err)
	}
	f.fillEntry(&st, 0, &out.EntryOut)
	out.Fh, out.OpenOut.OpenFlags = f.cache.Handle(st.Ino), f.openFlags()
	return fuse.OK
}

// Open counts an opening.
func (f *fileSystem) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	err := f.cache.Open(r, cache.Ino(in.NodeId), cache.OpenMode{
		Write:    writes(in.Flags),
		Truncate: in.Flags&syscall.O_TRUNC != 0,
		Append:   in.Flags&syscall.O_APPEND != 0,
		Rights:   rightsTo(in.Flags),
		By:       killerOf(&in.InHeader, in.Mode&fuse.OPEN_KILL_SUIDGID != 0),
	})
	if err != nil {
		return f.status("open", in.NodeId, err)
	}
	out.Fh, out.OpenFlags = f.cache.Handle(cache.Ino(in.NodeId)), f.openFlags()
	return fuse.OK
}

// Read answers from the cache or the bucket.
func (f *fileSystem) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	if int(in.Size) < len(buf) {
		buf = buf[:in.Size]
	}
	if err := f.cache.Resume(cache.Ino(in.NodeId), in.Fh, false); err != nil {
		return nil, f.status("read", in.NodeId, err)
	}
	n, err := f.cache.Read(r, cache.Ino(in.NodeId), int64(in.Offset), buf)
	if err != nil {
		return nil, f.status("read", in.NodeId, err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write returns when the bytes outlive a crash of this process.
func (f *fileSystem) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	if err := f.cache.Resume(cache.Ino(in.NodeId), in.Fh, true); err != nil {
		return 0, f.status("write", in.NodeId, err)
	}
	by := killerOf(&in.InHeader, in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0)
	if err := f.cache.Write(r, cache.Ino(in.NodeId), int64(in.Offset), data, by); err != nil {
		return 0, f.status("write", in.NodeId, err)
	}
	return uint32(len(data)), fuse.OK
}

// Writev is not needed: requests arrive in one piece.
func (f *fileSystem) Writev(<-chan struct{}, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

// Flush is sent at each close when close waits for the bucket.
func (f *fileSystem) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	return f.status("flush", in.NodeId, f.cache.FlushHandle(r, cache.Ino(in.NodeId), in.Fh))
}

// Fsync makes content and attributes outlive a power cut; with fsync=remote it waits for the bucket.
func (f *fileSystem) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	return f.status("fsync", in.NodeId, f.cache.Fsync(r, cache.Ino(in.NodeId)))
}

// Release ends an opening.
func (f *fileSystem) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	f.status("release", in.NodeId, f.cache.ReleaseHandle(r, cache.Ino(in.NodeId), in.Fh, writes(in.Flags)))
}

// Fallocate reserves, punches and zeroes ranges; other modes are EOPNOTSUPP.
func (f *fileSystem) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	if err := f.cache.Resume(cache.Ino(in.NodeId), in.Fh, true); err != nil {
		return f.status("fallocate", in.NodeId, err)
	}
	return f.status("fallocate", in.NodeId,
		f.cache.Fallocate(r, cache.Ino(in.NodeId), int64(in.Offset), int64(in.Length), in.Mode, callerOf(&in.InHeader)))
}

// Lseek answers SEEK_DATA and SEEK_HOLE; the kernel does the others itself. With --writeback it alone knows what has been written, and does not say
// so before it asks: it does these itself, too, and finds data only.
func (f *fileSystem) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	if f.writeback {
		return fuse.ENOSYS
	}
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	off, err := f.cache.Lseek(r, cache.Ino(in.NodeId), int64(in.Offset), in.Whence)
	if err != nil {
		return f.status("lseek", in.NodeId, err)
	}
	out.Offset = uint64(off)
	return fuse.OK
}

// CopyFileRange copies inside the mount without a way through the program.
func (f *fileSystem) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	if in.Flags != 0 {
		return 0, fuse.EINVAL
	}
	err := f.cache.Resume(cache.Ino(in.NodeId), in.FhIn, false)
	if err == nil {
		err = f.cache.Resume(cache.Ino(in.NodeIdOut), in.FhOut, true)
	}
	if err != nil {
		return 0, f.status("copy_file_range", in.NodeId, err)
	}
	n, err := f.cache.CopyRange(r, cache.Ino(in.NodeId), int64(in.OffIn), cache.Ino(in.NodeIdOut), int64(in.OffOut), int64(in.Len),
		callerOf(&in.InHeader))
	if err != nil {
		return 0, f.status("copy_file_range", in.NodeId, err)
	}
	return uint32(n), fuse.OK
}
