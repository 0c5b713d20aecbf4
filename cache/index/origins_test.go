package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// TestFormatBefore: an index of format 1 is opened and becomes one of this format, in which content and attributes from the bucket rest on some volume
// key, and what was never there on none. A program of before does not open it any more.
func TestFormatBefore(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir, Options{Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	const many = 2*originsBatch + 10 // more than one transaction takes
	var cached []Ino
	mustUpdate(t, d, func(tx *Tx) error {
		for n := range many {
			i := Inode{Ino: tx.NextIno(), Parent: Root, Name: fmt.Sprint(n), Mode: 0o100644, Gen: tx.NextGen(), Sealed: true}
			i.CachedGen = i.Gen
			cached = append(cached, i.Ino)
			if err := tx.PutInode(i); err != nil {
				return err
			}
			o := Object{Key: i.Name, Ino: i.Ino, Gen: i.Gen, State: object.StateAuthentic}
			switch n {
			case 0: // never uploaded
				continue
			case 1:
				o.Sent = ID{1}
			case 2:
				o.State = object.StatePlain
			}
			if err := tx.PutObject(o); err != nil {
				return err
			}
		}
		return tx.remove(nameKey(tableMeta, originsMeta))
	})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, versionFile)
	if err := os.WriteFile(path, []byte("ossencfs index 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = openTest(t, dir)
	if text, err := os.ReadFile(path); err != nil || string(text) != versionText {
		t.Errorf("the format is %q, %v", text, err)
	}
	mustView(t, d, func(tx *Tx) error {
		for n, ino := range cached {
			i, _, err := tx.Inode(ino)
			if err != nil {
				return err
			}
			o, _, err := tx.Object(i.Name)
			if err != nil {
				return err
			}
			if some := i.Origin == ID(object.SomeVolume); some != (n > 0) {
				t.Errorf("file %d: its content rests on %x", n, i.Origin)
			}
			if some := o.Volume == ID(object.SomeVolume); some != (n > 2) {
				t.Errorf("file %d: its attributes rest on %x", n, o.Volume)
			}
		}
		return nil
	})
}

// TestFormatOfAnotherVersion: an index of a newer format is refused as what it is, and not as a damaged one; it stays as it is.
func TestFormatOfAnotherVersion(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir, Options{Secret: testSecret})
	if err == nil {
		err = d.Close()
	}
	path := filepath.Join(dir, versionFile)
	if err == nil {
		err = os.WriteFile(path, []byte("ossencfs index 4\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d, err = Open(dir, Options{Secret: testSecret}); !errors.Is(err, ErrFormat) || errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrFormat", err)
	}
	if err == nil {
		_ = d.Close()
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "ossencfs index 4\n" {
		t.Errorf("it became %q, %v", text, err)
	}
}
