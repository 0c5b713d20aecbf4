package index

import (
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walFS gives the database log files whose Sync reaches the disk only while somebody asked for a barrier. Without one a
// commit waits for write(2) only, which a SIGKILL of this process cannot undo. A log file that is closed with unsynced bytes is
// always synced, so that at most the last log has an unsynced tail and a barrier there covers everything.
type walFS struct {
	vfs.FS
	barriers atomic.Int64 // how many callers wait for the disk
	syncs    atomic.Int64 // how many times the disk was asked, for tests
}

func isLog(name string) bool { return strings.HasSuffix(filepath.Base(name), ".log") }

func (w *walFS) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !isLog(name) {
		return f, err
	}
	return &walFile{File: f, fs: w}, nil
}

// Create makes a file.
func (w *walFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(name, category)
	return w.wrap(name, f, err)
}

// ReuseForWrite writes over an old log.
func (w *walFS) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.ReuseForWrite(old, name, category)
	return w.wrap(name, f, err)
}

// Unwrap is the file system below.
func (w *walFS) Unwrap() vfs.FS { return w.FS }

type walFile struct {
	vfs.File
	fs    *walFS
	dirty atomic.Bool
}

// Write appends.
func (f *walFile) Write(p []byte) (int, error) {
	f.dirty.Store(true)
	return f.File.Write(p)
}

func (f *walFile) sync() error {
	if f.fs.barriers.Load() == 0 {
		return nil
	}
	return f.force()
}

func (f *walFile) force() error {
	f.fs.syncs.Add(1)
	f.dirty.Store(false)
	if err := f.File.SyncData(); err != nil {
		f.dirty.Store(true)
		return err
	}
	return nil
}

// Sync makes the file durable when a barrier waits.
func (f *walFile) Sync() error { return f.sync() }

// SyncData makes the file durable when a barrier waits.
func (f *walFile) SyncData() error { return f.sync() }

// Close makes the file durable first.
func (f *walFile) Close() error {
	if f.dirty.Load() {
		if err := f.force(); err != nil {
			_ = f.File.Close()
			return err
		}
	}
	return f.File.Close()
}
