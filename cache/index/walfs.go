package index

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walFS gives the database log files whose Sync returns when write(2) has: a SIGKILL of this process cannot undo that. Whoever
// needs the disk asks barrier for it, beside the log: a commit that does not need the disk never waits for one that does. A log
// file is synced before it is closed, so that only open ones have an unsynced tail.
type walFS struct {
	vfs.FS
	before func() error // comes before the disk is asked, once for all who wait; may be nil
	after  func()       // comes after it; with before
	tables func() error // comes before a table is durable; may be nil
	syncs  atomic.Int64 // how many times the disk was asked, for tests

	turn sync.Mutex // held by the round that syncs

	mu   sync.Mutex // guards the fields below; taken last
	logs []*walFile // open, and those whose last sync failed
	next *syncRound // takes who comes while another round syncs
}

// syncRound is one visit of the disk on behalf of everybody who came before it began.
type syncRound struct {
	done chan struct{}
	err  error // holds once done is closed
}

func isLog(name string) bool { return strings.HasSuffix(filepath.Base(name), ".log") }

func (w *walFS) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err == nil && w.tables != nil && isTable(name) {
		return &tableFile{File: f, before: w.tables}, nil
	}
	if err != nil || !isLog(name) {
		return f, err
	}
	log := &walFile{File: f, fs: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = append(w.logs, log)
	return log, nil
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

// barrier returns when everything that was written to logs before the call is on the disk. Callers that come together share
// one visit.
func (w *walFS) barrier() error {
	w.mu.Lock()
	r := w.next
	if r != nil {
		w.mu.Unlock()
		<-r.done
		return r.err
	}
	r = &syncRound{done: make(chan struct{})}
	w.next = r
	w.mu.Unlock()

	w.turn.Lock()
	w.mu.Lock()
	w.next = nil
	w.mu.Unlock()
	r.err = w.visit()
	w.turn.Unlock()
	close(r.done)
	return r.err
}

// visit is one round.
func (w *walFS) visit() error {
	if w.before != nil {
		if err := w.before(); err != nil {
			return err
		}
	}
	w.mu.Lock()
	logs := slices.Clone(w.logs)
	w.mu.Unlock()
	var errs []error
	for _, f := range logs {
		errs = append(errs, f.force())
	}
	err := errors.Join(errs...)
	if err == nil && w.after != nil {
		w.after()
	}
	return err
}

func isTable(name string) bool { return strings.HasSuffix(name, ".sst") }

// tableFile is a table whose rows may refer to bytes outside: they are durable before it is.
type tableFile struct {
	vfs.File
	before func() error
}

// Sync makes bytes and table durable.
func (f *tableFile) Sync() error {
	if err := f.before(); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData is Sync.
func (f *tableFile) SyncData() error {
	if err := f.before(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// forget drops a log that is closed and durable.
func (w *walFS) forget(f *walFile) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = slices.DeleteFunc(w.logs, func(x *walFile) bool { return x == f })
}

type walFile struct {
	vfs.File
	fs    *walFS
	dirty atomic.Bool

	mu     sync.Mutex // keeps the file open while it is synced; guards the field below
	closed bool
}

var errLogLost = errors.New("a log was closed before it reached the disk")

// Write appends. It counts as dirty afterwards: a sync during the write may have come too early for it.
func (f *walFile) Write(p []byte) (int, error) {
	defer f.dirty.Store(true)
	return f.File.Write(p)
}

// force makes what was written durable, if that is not so already.
func (f *walFile) force() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.forceLocked()
}

func (f *walFile) forceLocked() error {
	if !f.dirty.Load() {
		return nil
	}
	if f.closed {
		return errLogLost
	}
	f.fs.syncs.Add(1)
	f.dirty.Store(false)
	if err := f.File.SyncData(); err != nil {
		f.dirty.Store(true)
		return err
	}
	return nil
}

// Sync leaves the disk to barrier.
func (f *walFile) Sync() error { return nil }

// SyncData leaves the disk to barrier.
func (f *walFile) SyncData() error { return nil }

// Close makes the file durable first.
func (f *walFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.forceLocked()
	f.closed = true
	if err == nil {
		f.fs.forget(f)
	}
	return errors.Join(err, f.File.Close())
}
