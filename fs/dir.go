package fs

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossencfs/ossencfs/cache"
)

// dirTable holds the open directory streams by handle. A handle carries the life that gave it, see [cache.Options].
type dirTable struct {
	tag  uint64     // upper bits of the handles given here
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
	fh := t.tag | t.next
	t.open[fh] = d
	d.SetHandle(fh)
	return fh
}

// get finds a stream; resume continues one that is not here but in the kernel's memory.
func (t *dirTable) get(fh uint64, resume func() (*cache.Dir, error)) (*cache.Dir, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.open[fh]; d != nil {
		return d, nil
	}
	d, err := resume()
	if err != nil {
		return nil, err
	}
	if t.open == nil {
		t.open = make(map[uint64]*cache.Dir)
	}
	t.open[fh] = d
	return d, nil
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
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	d, err := f.cache.OpenDir(r, cache.Ino(in.NodeId))
	if err != nil {
		return f.status("opendir", in.NodeId, err)
	}
	out.Fh = f.dirs.add(d)
	return fuse.OK
}

// stream is the directory stream that a request reads.
func (f *fileSystem) stream(in *fuse.ReadIn) (*cache.Dir, error) {
	return f.dirs.get(in.Fh, func() (*cache.Dir, error) { return f.cache.ResumeDir(cache.Ino(in.NodeId), in.Fh) })
}

// ReadDir gives names, numbers and, where known, types.
func (f *fileSystem) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	f.gate.RLock()
	defer f.gate.RUnlock()
	d, err := f.stream(in)
	if err != nil {
		return f.status("readdir", in.NodeId, err)
	}
	err = d.Read(in.Offset, false, func(e cache.DirEntry) bool {
		return out.AddDirEntry(fuse.DirEntry{Mode: e.Mode, Name: e.Name, Ino: uint64(e.Ino), Off: e.Off})
	})
	return f.status("readdir", in.NodeId, err)
}

// ReadDirPlus adds attributes where they are known without a request; the kernel asks for the others when it needs them.
func (f *fileSystem) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	f.gate.RLock()
	defer f.gate.RUnlock()
	d, err := f.stream(in)
	if err != nil {
		return f.status("readdirplus", in.NodeId, err)
	}
	valid := f.cache.NameValid()
	err = d.Read(in.Offset, true, func(e cache.DirEntry) bool {
		entry := out.AddDirLookupEntry(fuse.DirEntry{Mode: e.Mode, Name: e.Name, Ino: uint64(e.Ino), Off: e.Off})
		if entry == nil {
			return false
		}
		if e.Known {
			f.fillEntry(&e.Stat, valid, entry)
		}
		return true
	})
	return f.status("readdirplus", in.NodeId, err)
}

// ReleaseDir ends a directory stream.
func (f *fileSystem) ReleaseDir(in *fuse.ReleaseIn) {
	f.gate.RLock()
	defer f.gate.RUnlock()
	if d := f.dirs.remove(in.Fh); d != nil {
		d.Close()
	}
}

// FsyncDir makes the names of a directory outlive a power cut.
func (f *fileSystem) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	r := f.begin(cancel, &in.InHeader)
	defer r.finish()
	return f.status("fsyncdir", in.NodeId, f.cache.FsyncDir(r, cache.Ino(in.NodeId)))
}

// StatFs is answered without a request.
func (f *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s := f.cache.StatFS()
	*out = fuse.StatfsOut{
		Blocks: uint64(s.Total) / spaceUnit, Bfree: uint64(s.Free) / spaceUnit, Bavail: uint64(s.Free) / spaceUnit,
		Files: s.Files, Ffree: s.FreeFiles,
		Bsize: spaceUnit, Frsize: spaceUnit, NameLen: cache.MaxName,
	}
	return fuse.OK
}
