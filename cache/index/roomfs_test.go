package index

import (
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// stuffedFS is full while full is set, reserve or not.
type stuffedFS struct {
	vfs.FS
	full    atomic.Bool
	refused atomic.Int64
}

type stuffedFile struct {
	vfs.File
	fs *stuffedFS
}

// Create passes on.
func (s *stuffedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	return &stuffedFile{f, s}, nil
}

// Write writes half of what it is given when the disk is full.
func (f *stuffedFile) Write(p []byte) (int, error) {
	if !f.fs.full.Load() {
		return f.File.Write(p)
	}
	f.fs.refused.Add(1)
	n, _ := f.File.Write(p[:len(p)/2])
	return n, unix.ENOSPC
}

// TestLogWaitsForRoom: with the reserve gone, too, a change waits for room; the database does not fail, and nothing is written twice.
func TestLogWaitsForRoom(t *testing.T) {
	dir := t.TempDir()
	disk := &stuffedFS{FS: vfs.NewMem()}
	d, err := Open(dir, Options{Secret: testSecret, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	disk.full.Store(true)
	done := make(chan error, 1)
	go func() { done <- d.Update(func(tx *Tx) error { return tx.PutMeta("name", []byte("value")) }) }()
	for disk.refused.Load() < 3 {
		select {
		case err := <-done:
			t.Fatalf("a change on a full disk returned %v", err)
		default:
		}
	}
	disk.full.Store(false)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := d.Failure(); err != nil {
		t.Errorf("failure: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = Open(dir, Options{Secret: testSecret, FS: disk}); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_ = d.View(func(tx *Tx) error {
		if v, ok, err := tx.Meta("name"); err != nil || !ok || string(v) != "value" {
			t.Errorf("got %q, %v, %v, want the value", v, ok, err)
		}
		return nil
	})
}
