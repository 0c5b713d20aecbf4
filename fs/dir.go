package fs

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossencfs/ossencfs/cache"
)

// dirTable holds the open directory streams by handle.
type dirTable struct {
	mu   sync.Mutex // guards the fields below
	next uint64
	open map[uint64]*cache.Dir
}

func (t *dirTable) add(d *cache.Dir) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = make(map[uint64]*cache.Dir)
	}
	t.next++
	t.open[t.next] = d
	return t.next
}

func (t *dirTable) get(fh uint64) *cache.Dir {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[fh]
}

func (t *dirTable) remove(fh uint64) *cache.Dir {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.open[fh]
	delete(t.open, fh)
	return d
}

// OpenDir lists the directory in the bucket when what is known of it is too old.
func (f *fileSystem) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	r := f.begin(cancel)
	defer r.finish()
	d, err := f.cache.OpenDir(r, cache.Ino(in.NodeId))
	if err != nil {
		return f.status("opendir", in.NodeId, err)
	}
	out.Fh = f.dirs.add(d)
	return fuse.OK
}

// ReadDir gives names, numbers and, where known, types.
func (f *fileSystem) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	d := f.dirs.get(in.Fh)
	if d == nil {
		return fuse.EBADF
	}
	err := d.Read(in.Offset, false, func(e cache.DirEntry) bool {
		return out.AddDirEntry(fuse.DirEntry{Mode: e.Mode, Name: e.Name, Ino: uint64(e.Ino), Off: e.Off})
	})
	return f.status("readdir", in.NodeId, err)
}

// ReadDirPlus adds attributes where they are known without a request; the kernel asks for the others when it needs them.
func (f *fileSystem) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	d := f.dirs.get(in.Fh)
	if d == nil {
		return fuse.EBADF
	}
	valid := f.cache.NameValid()
	err := d.Read(in.Offset, true, func(e cache.DirEntry) bool {
		entry := out.AddDirLookupEntry(fuse.DirEntry{Mode: e.Mode, Name: e.Name, Ino: uint64(e.Ino), Off: e.Off})
		if entry == nil {
			return false
		}
		if e.Known {
			fillEntry(&e.Stat, valid, entry)
		}
		return true
	})
	return f.status("readdirplus", in.NodeId, err)
}

// ReleaseDir ends a directory stream.
func (f *fileSystem) ReleaseDir(in *fuse.ReleaseIn) {
	if d := f.dirs.remove(in.Fh); d != nil {
		d.Close()
	}
}

// FsyncDir makes the names of a directory outlive a power cut.
func (f *fileSystem) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	r := f.begin(cancel)
	defer r.finish()
	return f.status("fsyncdir", in.NodeId, f.cache.FsyncDir(r, cache.Ino(in.NodeId)))
}

// StatFs is answered without a request.
func (f *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s := f.cache.StatFS()
	*out = fuse.StatfsOut{
		Blocks: uint64(s.Total) / blockSize, Bfree: uint64(s.Free) / blockSize, Bavail: uint64(s.Free) / blockSize,
		Files: s.Files, Ffree: s.FreeFiles,
		Bsize: blockSize, Frsize: blockSize, NameLen: cache.MaxName,
	}
	return fuse.OK
}
