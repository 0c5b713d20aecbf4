package index

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// always is an idle that finds nobody at work.
func always(swap func()) bool { swap(); return true }

// sealing makes an inode whose row seals a target.
func sealing(t *testing.T, d *DB, name, target string) (ino Ino) {
	t.Helper()
	err := d.Update(func(tx *Tx) error {
		ino = tx.NextIno()
		return tx.PutInode(Inode{Ino: ino, Parent: Root, Name: name, Mode: unix.S_IFLNK | 0o777, Gen: tx.NextGen(), Target: target})
	})
	if err != nil {
		t.Fatal(err)
	}
	return ino
}

// opened opens an index of a test.
func opened(t *testing.T, dir string, secret byte) *DB {
	t.Helper()
	d, err := Open(dir, Options{Secret: [32]byte{secret}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRekey(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, 1)
	if d.Stale() {
		t.Error("a new index is stale")
	}
	kept := sealing(t, d, "link", "some/where")
	before := d.SealSecret("label", []byte("plain"))
	if !d.Stale() {
		t.Error("an index that sealed something is not stale")
	}
	two := [32]byte{2}
	for _, step := range []struct {
		name string
		do   func(*Tx) error
	}{
		{"a target", func(*Tx) error { return nil }},
		{"a body", func(tx *Tx) error {
			i, _, err := tx.Inode(kept)
			i.Target = ""
			return errors.Join(err, tx.PutInode(i), tx.PutBody(kept, []byte("row")))
		}},
		{"an attribute", func(tx *Tx) error {
			i, _, err := tx.Inode(kept)
			i.Xattrs = map[string][]byte{"user.a": nil}
			return errors.Join(err, tx.PutInode(i), tx.DeleteBody(kept))
		}},
	} {
		if err := d.Update(step.do); err != nil {
			t.Fatal(err)
		}
		if err := d.Rekey(two, always); !errors.Is(err, ErrInUse) {
			t.Errorf("%s is there: got %v, want ErrInUse", step.name, err)
		}
	}
	if err := d.Update(func(tx *Tx) error {
		i, _, err := tx.Inode(kept)
		i.Xattrs, i.Target = nil, ""
		return errors.Join(err, tx.PutInode(i), tx.DeleteBody(kept))
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.Rekey(two, func(func()) bool { return false }); !errors.Is(err, ErrInUse) {
		t.Errorf("somebody is at work: got %v, want ErrInUse", err)
	}
	if got, err := d.OpenSecret("label", before); err != nil || string(got) != "plain" {
		t.Errorf("after refusals: got %q, %v", got, err)
	}
	if err := d.Rekey(two, always); err != nil {
		t.Fatal(err)
	}
	if d.Stale() {
		t.Error("stale after a new secret")
	}
	if got, err := d.OpenSecret("label", before); err == nil {
		t.Errorf("under the old secret: got %q, want an error", got)
	}
	link := sealing(t, d, "link2", "else/where")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Secret: [32]byte{1}}); !errors.Is(err, ErrWrongSecret) {
		t.Errorf("opened with the old secret: got %v, want ErrWrongSecret", err)
	}
	d = opened(t, dir, 2)
	defer d.Close()
	if i, ok, err := d.Inode(link); err != nil || !ok || i.Target != "else/where" {
		t.Errorf("got %+v, %v, %v", i, ok, err)
	}
	if err := d.Rekey([32]byte{3}, always); !errors.Is(err, ErrInUse) {
		t.Errorf("counted anew after opening: got %v, want ErrInUse", err)
	}
	err := d.Update(func(tx *Tx) error { return tx.DeleteInode(link) })
	if err == nil {
		err = d.Rekey([32]byte{3}, always)
	}
	if err != nil {
		t.Errorf("after the inode went: got %v", err)
	}
}

// TestRekeyLeavesNothing: what the files of the index still hold cannot be opened with the secret that is there afterwards.
func TestRekeyLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	d := opened(t, dir, 1)
	old := d.sealers.Load().current
	sealed := d.SealSecret("content", []byte("a content key"))
	ino := sealing(t, d, "f", "x")
	update := func(fn func(*Tx) error) {
		t.Helper()
		if err := d.UpdateSync(fn); err != nil {
			t.Fatal(err)
		}
	}
	update(func(tx *Tx) error { return tx.PutBody(ino, sealed) })
	update(func(tx *Tx) error { return errors.Join(tx.DeleteBody(ino), tx.DeleteInode(ino)) })
	if err := d.Rekey([32]byte{2}, always); err != nil {
		t.Fatal(err)
	}
	found := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		found += bytes.Count(text, sealed)
		return err
	})
	if err != nil || found == 0 {
		t.Fatalf("the sealed value is in the files %d times, %v: the test shows nothing", found, err)
	}
	if _, err := d.OpenSecret("content", sealed); err == nil {
		t.Error("the index opens what was sealed before")
	}
	if _, err := old.open("content", sealed); err != nil {
		t.Errorf("the old secret: %v", err) // so that the test above means something
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
