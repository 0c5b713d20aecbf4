package body

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// maxIdleFiles bounds the descriptors kept open for files nobody uses at the moment.
const maxIdleFiles = 128

// diskFile is an open file of the cache. Writes count up, so that one sync serves all writers that wait for one.
type diskFile struct {
	f       *os.File
	written atomic.Int64 // writes so far

	syncMu sync.Mutex
	synced int64 // writes that are known to be on the disk; guarded by syncMu
	named  bool  // the directory entry is on the disk; guarded by syncMu

	fault func() error // see Options.fault
	noted atomic.Bool  // the folder knows that writes are not on the disk
	owner *files

	refs int           // guarded by files.mu
	idle *list.Element // guarded by files.mu
	id   uint64
}

// writeAt writes bytes that the index is about to refer to: the next barrier makes them durable.
func (d *diskFile) writeAt(p []byte, off int64) error {
	err := d.write(p, off)
	if !d.noted.Swap(true) {
		d.owner.note(d.id)
	}
	return err
}

// write writes bytes of which nothing depends on their being durable.
func (d *diskFile) write(p []byte, off int64) error {
	if d.fault != nil {
		if err := d.fault(); err != nil {
			_, _ = d.f.WriteAt(p[:len(p)/2], off)
			return diskError(err)
		}
	}
	_, err := d.f.WriteAt(p, off)
	d.written.Add(1)
	return diskError(err)
}

// readAt fills p; bytes that the file lacks are ErrDamaged, since the index says that they are there.
func (d *diskFile) readAt(p []byte, off int64) error {
	n, err := d.f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: cache file ends at %d of %d", ErrDamaged, off+int64(n), off+int64(len(p)))
	}
	return err
}

// sync makes all writes that returned before the call durable. Callers that come together share one fdatasync.
func (d *diskFile) sync() error {
	want := d.written.Load()
	d.syncMu.Lock()
	defer d.syncMu.Unlock()
	if !d.named {
		if err := syncDir(filepath.Dir(d.f.Name())); err != nil {
			return err
		}
		d.named = true
	}
	if d.synced >= want {
		return nil
	}
	now := d.written.Load()
	if err := unix.Fdatasync(int(d.f.Fd())); err != nil {
		return diskError(&os.PathError{Op: "fdatasync", Path: d.f.Name(), Err: err})
	}
	d.synced = now
	return nil
}

// punch gives the blocks of a range back to the disk. Where the file system cannot, it does nothing: the range is dead anyway.
func (d *diskFile) punch(off, n int64) {
	_ = unix.Fallocate(int(d.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// files is a folder of numbered files with a bounded set of open descriptors.
type files struct {
	path  func(id uint64) string
	fault func() error // see Options.fault

	mu   sync.Mutex // guards the fields below
	open map[uint64]*diskFile
	idle *list.List // of *diskFile, most recently used first

	dirtyMu sync.Mutex          // guards the field below
	dirty   map[uint64]struct{} // files with writes that are perhaps not on the disk
	failed  map[uint64]error    // files of which the disk refused to make writes durable
}

func newFiles(path func(uint64) string) *files {
	return &files{path: path, open: map[uint64]*diskFile{}, idle: list.New(), dirty: map[uint64]struct{}{}, failed: map[uint64]error{}}
}

// note says that a file was written to.
func (fs *files) note(id uint64) {
	fs.dirtyMu.Lock()
	defer fs.dirtyMu.Unlock()
	fs.dirty[id] = struct{}{}
}

// syncers is how many files are made durable at a time.
const syncers = 8

// syncDirty makes all writes durable that returned before the call. What was removed meanwhile needs no bytes any more.
func (fs *files) syncDirty() error {
	fs.dirtyMu.Lock()
	dirty := fs.dirty
	fs.dirty = make(map[uint64]struct{})
	fs.dirtyMu.Unlock()
	var g errgroup.Group
	g.SetLimit(syncers)
	for id := range dirty {
		g.Go(func() error {
			err := ignoreGone(fs.sync(id))
			if err != nil {
				fs.note(id)
			}
			return err
		})
	}
	return g.Wait()
}

// sync makes the writes of one file durable. Where that failed once it fails for as long as the file is there: the kernel tells a lost
// write once, takes the pages for clean then (fsync(2), "Linux notes"), and would call the next fdatasync a success.
func (fs *files) sync(id uint64) error {
	d, err := fs.get(id)
	if err != nil {
		return err
	}
	defer fs.put(d)
	d.noted.Store(false)
	fs.dirtyMu.Lock()
	err = fs.failed[id]
	fs.dirtyMu.Unlock()
	if err != nil {
		return fmt.Errorf("writes were lost before: %w", err)
	}
	if err = d.sync(); err != nil {
		fs.dirtyMu.Lock()
		defer fs.dirtyMu.Unlock()
		fs.failed[id] = err
	}
	return err
}

// create makes the file. It must not exist.
func (fs *files) create(id uint64) (*diskFile, error) {
	path := fs.path(id)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, iofs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		}
	}
	if err != nil {
		return nil, diskError(err)
	}
	d := &diskFile{f: f, id: id, refs: 1, fault: fs.fault, owner: fs}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.open[id] = d
	return d, nil
}

// get opens the file; put must follow.
func (fs *files) get(id uint64) (*diskFile, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if d := fs.open[id]; d != nil {
		if d.idle != nil {
			fs.idle.Remove(d.idle)
			d.idle = nil
		}
		d.refs++
		return d, nil
	}
	f, err := os.OpenFile(fs.path(id), os.O_RDWR, 0)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	d := &diskFile{f: f, id: id, refs: 1, fault: fs.fault, owner: fs}
	d.written.Store(1) // what an earlier process wrote may not be on the disk yet
	fs.open[id] = d
	return d, nil
}

// put gives a file back. Descriptors over the bound are closed once their writes are on the disk or nobody asks for that:
// an unsynced file that is reopened counts as unsynced.
func (fs *files) put(d *diskFile) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if d.refs--; d.refs > 0 || fs.open[d.id] != d {
		if d.refs == 0 {
			_ = d.f.Close()
		}
		return
	}
	d.idle = fs.idle.PushFront(d)
	for fs.idle.Len() > maxIdleFiles {
		last := fs.idle.Remove(fs.idle.Back()).(*diskFile)
		delete(fs.open, last.id)
		_ = last.f.Close()
	}
}

// remove deletes the file. Who has it open may go on reading.
func (fs *files) remove(id uint64) error {
	fs.mu.Lock()
	if d := fs.open[id]; d != nil {
		delete(fs.open, id)
		if d.idle != nil {
			fs.idle.Remove(d.idle)
			d.idle = nil
			_ = d.f.Close()
		}
	}
	fs.mu.Unlock()
	fs.dirtyMu.Lock()
	delete(fs.failed, id)
	fs.dirtyMu.Unlock()
	if err := os.Remove(fs.path(id)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDisk makes everything on the file system of dir durable.
func syncDisk(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return diskError(&os.PathError{Op: "syncfs", Path: dir, Err: err})
	}
	return nil
}

// close closes all descriptors.
func (fs *files) close() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for id, d := range fs.open {
		delete(fs.open, id)
		_ = d.f.Close()
	}
	fs.idle.Init()
}

// listNumbered calls fn for each file below dir whose name is a hexadecimal number of the given length, with its size.
func listNumbered(dir string, digits int, fn func(id uint64, path string, info iofs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		id, perr := strconv.ParseUint(e.Name(), 16, 64)
		if perr != nil || len(e.Name()) != digits {
			return nil // not ours
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return fn(id, path, info)
	})
}
