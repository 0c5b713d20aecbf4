package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// afterCut opens what the disk of an open index would hold if the power went now and everything that was written had reached it. Of
// what was not synced, that is the worst: all of the log, while nobody knows of the bytes.
func afterCut(t *testing.T, dir string) *DB {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(image, bootFile), []byte("another boot\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := openTest(t, image)
	if !d.PowerCut() {
		t.Error("the power cut was not seen")
	}
	return d
}

// counted reads how far countTo came.
func counted(t *testing.T, d *DB) (n int) {
	t.Helper()
	mustView(t, d, func(tx *Tx) error {
		for {
			_, ok, err := tx.GetRaw('x', fmt.Append(nil, n+1))
			if err != nil || !ok {
				return err
			}
			n++
		}
	})
	return n
}

func count(t *testing.T, update func(func(*Tx) error) error, n int) {
	t.Helper()
	if err := update(func(tx *Tx) error { return tx.PutRaw('x', fmt.Append(nil, n), make([]byte, 100)) }); err != nil {
		t.Fatal(err)
	}
}

// TestCutBehindBarrier: after a power cut the index is as it was at the last barrier, whatever the kernel wrote back since.
func TestCutBehindBarrier(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	defer func() { _ = d.Close() }()
	step := func(what string, want int, do func()) {
		t.Helper()
		do()
		cut := afterCut(t, dir)
		if got := counted(t, cut); got != want {
			t.Errorf("%s: %d changes are left, want %d", what, got, want)
		}
		count(t, cut.UpdateSync, 1)
		if err := cut.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	step("nothing", 0, func() {})
	step("not synced", 0, func() { count(t, d.Update, 1) })
	step("synced", 2, func() { count(t, d.UpdateSync, 2) })
	step("more", 2, func() { count(t, d.Update, 3); count(t, d.Update, 4) })
	step("a table", 4, func() {
		if err := d.pebble.Flush(); err != nil {
			t.Fatal(err)
		}
	})
	step("after the table", 4, func() { count(t, d.Update, 5) })
	step("synced after it", 5, func() {
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
	})
	if d.Behind() {
		t.Error("behind right after a barrier")
	}
	count(t, d.Update, 6)
	if !d.Behind() {
		t.Error("not behind after a change")
	}
}

// TestKilledIsNotCut: what a killed process has written is all there.
func TestKilledIsNotCut(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	defer func() { _ = d.Close() }()
	count(t, d.UpdateSync, 1)
	count(t, d.Update, 2)
	image := filepath.Join(t.TempDir(), "image")
	if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	killed := openTest(t, image)
	if got := counted(t, killed); got != 2 || killed.PowerCut() {
		t.Errorf("%d changes are left, power cut %v", got, killed.PowerCut())
	}
	if err := killed.Close(); err != nil {
		t.Error(err)
	}
}

// TestBytesBeforeLog: a barrier makes the bytes durable before the log that refers to them, a table likewise, and when it cannot, the
// caller hears of it and the index lives on.
func TestBytesBeforeLog(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	defer func() { _ = d.Close() }()
	synced, full := 0, errors.New("no room for bytes")
	var fail error
	d.OnBarrier(func() error { synced++; return fail })
	count(t, d.Update, 1)
	if synced != 0 {
		t.Error("a change without a barrier waited for bytes")
	}
	count(t, d.UpdateSync, 2)
	if synced != 1 {
		t.Errorf("%d visits for one barrier", synced)
	}
	count(t, d.Update, 3)
	if err := d.pebble.Flush(); err != nil {
		t.Fatal(err)
	}
	if synced < 2 {
		t.Error("a table was made before the bytes of its rows were durable")
	}
	fail = full
	if err := d.Sync(); !errors.Is(err, full) {
		t.Errorf("sync: %v", err)
	}
	count(t, d.Update, 4)
	cut := afterCut(t, dir)
	if got := counted(t, cut); got != 3 {
		t.Errorf("%d changes are left after a barrier that failed, want 3", got)
	}
	if err := cut.Close(); err != nil {
		t.Error(err)
	}
	fail = nil
	if err := d.Sync(); err != nil {
		t.Errorf("sync after the failure: %v", err)
	}
	if begun, ended := d.Rounds(); begun != ended {
		t.Errorf("rounds %d and %d", begun, ended)
	}
}
