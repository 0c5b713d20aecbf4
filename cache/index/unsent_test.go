package index

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Scans of unsent content begin where it begins, also when numbers come and go out of order or a transaction fails.
func TestUnsentFrom(t *testing.T) {
	d := openTest(t, t.TempDir())
	first := func() (seq uint64) {
		t.Helper()
		err := d.View(func(tx *Tx) (err error) {
			seq, _, _, err = tx.FirstUnsent(0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return seq
	}
	change := func(fn func(tx *Tx) error) {
		t.Helper()
		if err := d.Update(fn); err != nil {
			t.Fatal(err)
		}
	}
	var inos []Ino
	change(func(tx *Tx) error {
		for n := range 4 {
			ino := tx.NextIno()
			inos = append(inos, ino)
			i := Inode{Ino: ino, Parent: Root, Name: string(rune('a' + n)), Mode: unix.S_IFREG | 0o644, Gen: tx.NextGen(), Sealed: true}
			if err := tx.PutInode(i); err != nil {
				return err
			}
			if err := tx.SetUnsent(ino, uint64(10*(n+1))); err != nil {
				return err
			}
		}
		return nil
	})
	if got := first(); got != 10 {
		t.Fatalf("got %d, want 10", got)
	}
	change(func(tx *Tx) error { return tx.ClearUnsent(inos[0]) })
	change(func(tx *Tx) error { return tx.ClearUnsent(inos[1]) })
	if got := first(); got != 30 {
		t.Errorf("after two were sent: got %d, want 30", got)
	}
	if from := d.unsentFrom.Load(); from != 30 {
		t.Errorf("scans begin at %d, want 30", from)
	}
	failed := d.Update(func(tx *Tx) error {
		if err := tx.ClearUnsent(inos[2]); err != nil {
			return err
		}
		return errReadOnly
	})
	if failed == nil || first() != 30 {
		t.Errorf("after a transaction that failed (%v): got %d, want 30", failed, first())
	}
	change(func(tx *Tx) error { return tx.SetUnsent(inos[0], 5) })
	if got := first(); got != 5 {
		t.Errorf("after a smaller number came: got %d, want 5", got)
	}
	change(func(tx *Tx) error {
		for _, ino := range inos {
			if err := tx.ClearUnsent(ino); err != nil {
				return err
			}
		}
		return nil
	})
	if got := first(); got != 0 {
		t.Errorf("after all were sent: got %d, want none", got)
	}
}
