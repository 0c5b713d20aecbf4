package index

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// roomPoll is how often a write that waits for room is tried again.
const roomPoll = 100 * time.Millisecond

// roomFS lets the files of the database wait for room on a full disk instead of failing: without its log or its list of tables it is
// dead, and what failed of a table is repeated at once and for ever. It stands above the file system that gives the reserve up, so that
// somebody waits only when the reserve is gone, too.
type roomFS struct {
	vfs.FS
	closing atomic.Bool // nobody waits any more
}

// isFull reports whether an error says that the disk, or the share of it that is ours, is full.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// patiently repeats do for as long as the disk is full.
func (r *roomFS) patiently(do func() error) error {
	err := do()
	if !isFull(err) || r.closing.Load() {
		return err
	}
	tick := time.NewTicker(roomPoll)
	defer tick.Stop()
	for isFull(err) && !r.closing.Load() {
		<-tick.C
		err = do()
	}
	return err
}

func (r *roomFS) open(do func() (vfs.File, error)) (f vfs.File, err error) {
	if err = r.patiently(func() error { f, err = do(); return err }); err != nil {
		return nil, err
	}
	return &roomFile{File: f, fs: r}, nil
}

// Create makes a file.
func (r *roomFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return r.open(func() (vfs.File, error) { return r.FS.Create(name, category) })
}

// ReuseForWrite writes over an old file.
func (r *roomFS) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return r.open(func() (vfs.File, error) { return r.FS.ReuseForWrite(old, name, category) })
}

// Rename gives a file its name.
func (r *roomFS) Rename(old, name string) error {
	return r.patiently(func() error { return r.FS.Rename(old, name) })
}

// Unwrap is the file system below.
func (r *roomFS) Unwrap() vfs.FS { return r.FS }

// roomFile is a file whose writes wait for room.
type roomFile struct {
	vfs.File
	fs *roomFS
}

// Write appends. What a full disk took of it is not written twice.
func (f *roomFile) Write(p []byte) (int, error) {
	done := 0
	err := f.fs.patiently(func() error {
		n, err := f.File.Write(p[done:])
		done += n
		return err
	})
	return done, err
}

// Sync makes the file durable.
func (f *roomFile) Sync() error { return f.fs.patiently(f.File.Sync) }

// SyncData makes the content durable.
func (f *roomFile) SyncData() error { return f.fs.patiently(f.File.SyncData) }
