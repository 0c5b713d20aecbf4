package index

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The log of the database must be writable: without it nothing can be changed any more, not even to free space. A file is kept
// beside it, of an eighth of the disk, and removed when the disk is full. What is refused from then on is new inodes, and when little
// of it is left all that programs change; uploads go on, and the file is made again as soon as there is room for it.
const (
	reserveFile  = "reserve"
	reserveMost  = 16 << 20
	reserveLeast = 4 << 20
	noRoom       = 256 << 10
	reserveWait  = 2 * time.Second // between attempts to make the file again
)

// reserve is that file.
type reserve struct {
	path   string
	size   int64
	logger *slog.Logger
	full   atomic.Bool

	mu  sync.Mutex // guards the field below
	try time.Time  // not before then
}

// newReserve makes the file. Without room for it the disk counts as full from the beginning, and without any room the database cannot
// be opened.
func newReserve(dir string, logger *slog.Logger) (*reserve, error) {
	r := &reserve{path: filepath.Join(dir, reserveFile), logger: logger, size: reserveMost}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil {
		r.size = min(max(int64(st.Blocks)*st.Bsize/8, reserveLeast), reserveMost) //nolint:gosec // no disk has so many blocks
	}
	err := r.make()
	if !isFull(err) {
		return r, err
	}
	if r.left() < reserveLeast {
		return nil, r.short()
	}
	r.full.Store(true)
	logger.Error("index: the disk of the cache is full: no new files", "path", dir)
	return r, nil
}

// short says how much room is missing.
func (r *reserve) short() error {
	return fmt.Errorf("the disk has room for %d KiB, the index needs %d: %w", r.left()>>10, reserveLeast>>10, unix.ENOSPC)
}

// make allocates the file, unless it is there.
func (r *reserve) make() error {
	if st, err := os.Stat(r.path); err == nil && st.Size() == r.size {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("reserve space for the index: %w", err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, r.size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		_, err = f.Write(make([]byte, r.size))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reserve space for the index: %w", errors.Join(err, os.Remove(r.path)))
	}
	return nil
}

// use gives the space to the database. It is called when a write found the disk full, which is repeated then.
func (r *reserve) use() {
	r.full.Store(true)
	r.logger.Error("index: the disk of the cache is full: no new files until there is room", "path", r.path)
	if err := os.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.logger.Error("index: free the reserved space", "error", err)
	}
}

// check makes the file again when the disk has room for it and as much for others, and reports whether the disk is full.
func (r *reserve) check() bool {
	if !r.full.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Before(r.try) {
		return true
	} else {
		r.try = now.Add(reserveWait)
	}
	if r.left() < 2*r.size {
		return true
	}
	if err := r.make(); err != nil {
		return true
	}
	r.full.Store(false)
	r.logger.Info("index: the disk of the cache has room again", "path", r.path)
	return false
}

// left is how many bytes the disk has; 0 when that cannot be told.
func (r *reserve) left() int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(r.path), &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * st.Bsize
}

// tight reports whether the disk is so full that what programs change has to wait, so that what is uploaded can be noted.
func (r *reserve) tight() bool { return r.check() && r.left() < r.size/4 }

// Full reports whether the disk is full and the reserved space given up: who stores bytes beside the index should not take it.
func (d *DB) Full() bool { return d.spare.check() }

// NoRoom reports whether the disk has nothing left, whether or not the index needed something yet.
func (d *DB) NoRoom() bool { return d.Full() || d.spare.left() < noRoom }

// Failure is why nothing can be changed any more, nil while that is not so.
func (d *DB) Failure() error {
	if f := d.failure.Load(); f != nil {
		return *f
	}
	return nil
}
