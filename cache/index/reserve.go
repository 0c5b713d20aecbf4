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

// The log of the database must be writable: without it nothing can be changed any more, not even to free space. A file of
// reserveSize is kept beside it and removed when the disk is full. What is refused from then on is new inodes; everything else goes
// on, and the file is made again as soon as there is room for it.
const (
	reserveFile = "reserve"
	reserveSize = 16 << 20
	reserveWait = 2 * time.Second // between attempts to make the file again
)

// reserve is that file.
type reserve struct {
	path   string
	logger *slog.Logger
	full   atomic.Bool

	mu  sync.Mutex // guards the field below
	try time.Time  // not before then
}

// newReserve makes the file. Without room for it the disk counts as full from the beginning.
func newReserve(dir string, logger *slog.Logger) (*reserve, error) {
	r := &reserve{path: filepath.Join(dir, reserveFile), logger: logger}
	err := r.make()
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		r.full.Store(true)
		logger.Error("index: the disk of the cache is full: no new files", "path", dir)
		return r, nil
	}
	return r, err
}

// make allocates the file, unless it is there.
func (r *reserve) make() error {
	if st, err := os.Stat(r.path); err == nil && st.Size() == reserveSize {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("reserve space for the index: %w", err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, reserveSize)
	if errors.Is(err, unix.EOPNOTSUPP) {
		_, err = f.Write(make([]byte, reserveSize))
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

// check makes the file again when the disk has room for twice its size, and reports whether the disk is full.
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
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(r.path), &st); err != nil || int64(st.Bavail)*st.Bsize < 2*reserveSize {
		return true
	}
	if err := r.make(); err != nil {
		return true
	}
	r.full.Store(false)
	r.logger.Info("index: the disk of the cache has room again", "path", r.path)
	return false
}
