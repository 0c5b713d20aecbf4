package body

import (
	"path/filepath"
	"testing"
)

// eachFile visits the open files of a store.
func (s *Store) eachFile(fn func(d *diskFile)) {
	for _, fs := range []*files{s.files, s.segs.files} {
		fs.mu.Lock()
		for _, d := range fs.open {
			fn(d)
		}
		fs.mu.Unlock()
	}
}

// TestSyncReachesTheDisk: fsync asks the disk for every file that has bytes of the content, and an error of the disk is an error of
// fsync. The disk is asked once for what was written once.
func TestSyncReachesTheDisk(t *testing.T) {
	for _, size := range []int{5000, 3_000_000} {
		e := newEnv(t, Options{})
		ino := e.file("f")
		e.write(ino, 0, random(70, size))
		if err := e.s.Fsync(t.Context(), ino); err != nil {
			t.Fatal(err)
		}
		files := 0
		e.s.eachFile(func(d *diskFile) {
			files++
			if got, want := d.synced, d.written.Load(); got != want || !d.named {
				t.Errorf("size %d: %d of %d writes synced, name synced %v", size, got, want, d.named)
			}
		})
		if files == 0 {
			t.Errorf("size %d: no file is open", size)
		}
	}
}

// oneFile is a new file, number 1.
func oneFile(t *testing.T) (*files, *diskFile) {
	t.Helper()
	dir := t.TempDir()
	fs := newFiles(func(uint64) string { return filepath.Join(dir, "f") })
	t.Cleanup(fs.close)
	d, err := fs.create(1)
	if err != nil {
		t.Fatal(err)
	}
	return fs, d
}

// TestSyncOfADeadDisk: what the disk refuses is not taken for durable, now or by the next call.
func TestSyncOfADeadDisk(t *testing.T) {
	fs, d := oneFile(t)
	defer fs.put(d)
	if err := d.write([]byte("text"), 0); err != nil {
		t.Fatal(err)
	}
	if err := d.sync(); err != nil {
		t.Fatal(err)
	}
	if err := d.write([]byte("more"), 4); err != nil {
		t.Fatal(err)
	}
	if err := d.f.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.sync(); err == nil {
			t.Error("a sync that the disk refused counts")
		}
	}
}

// TestLostWritesAreNotForgotten: a file whose writes the disk lost once is never called durable again, not by another descriptor
// either, until it is removed.
func TestLostWritesAreNotForgotten(t *testing.T) {
	fs, d := oneFile(t)
	if err := d.writeAt([]byte("text"), 0); err != nil {
		t.Fatal(err)
	}
	if err := d.f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fs.syncDirty(); err == nil {
		t.Fatal("a sync that the disk refused counts")
	}
	fs.mu.Lock()
	delete(fs.open, 1) // as when its descriptor is needed for another file
	fs.mu.Unlock()
	for range 2 {
		if err := fs.syncDirty(); err == nil {
			t.Error("lost writes count as durable")
		}
	}
	if err := fs.remove(1); err != nil {
		t.Fatal(err)
	}
	if err := fs.syncDirty(); err != nil {
		t.Errorf("after the file is gone: %v", err)
	}
}
