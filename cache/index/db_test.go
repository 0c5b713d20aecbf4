package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var testSecret = [32]byte{1, 2, 3}

func openTest(t testing.TB, dir string) *DB {
	t.Helper()
	d, err := Open(dir, Options{Secret: testSecret})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil && !errors.Is(err, ErrFailed) {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func mustUpdate(t testing.TB, d *DB, fn func(tx *Tx) error) {
	t.Helper()
	if err := d.Update(fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func mustView(t testing.TB, d *DB, fn func(tx *Tx) error) {
	t.Helper()
	if err := d.View(fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// file adds a sealed file and returns it.
func file(t testing.TB, d *DB, parent Ino, name string) Inode {
	t.Helper()
	return node(t, d, parent, name, unix.S_IFREG|0o644)
}

func node(t testing.TB, d *DB, parent Ino, name string, mode uint32) Inode {
	t.Helper()
	var i Inode
	mustUpdate(t, d, func(tx *Tx) error {
		i = Inode{Ino: tx.NextIno(), Parent: parent, Name: name, Mode: mode, Gen: tx.NextGen(), Sealed: true, AttrKnown: true,
			Marker: mode&unix.S_IFMT == unix.S_IFDIR}
		return tx.PutInode(i)
	})
	return i
}

func queue(t testing.TB, d *DB) []string {
	t.Helper()
	var keys []string
	mustView(t, d, func(tx *Tx) error {
		return tx.Queue("", "", func(key string) bool { keys = append(keys, key); return true })
	})
	return keys
}

func emptyQueue(t testing.TB, d *DB) {
	t.Helper()
	keys := queue(t, d)
	mustUpdate(t, d, func(tx *Tx) error {
		for _, k := range keys {
			if err := tx.Dequeue(k); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestInodeSurvivesReopen(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	want := Inode{
		Parent: Root, Name: "datei ü", Mode: unix.S_IFLNK | 0o777, UID: 1, GID: 2, Rdev: 3, Size: 1 << 40,
		Atime: -5, Mtime: 1e18, Ctime: 7, Gen: 9, AttrVer: 2, XattrVer: 3, CachedGen: 8, Sealed: true, AttrKnown: true,
		PathSeq: 11, ChangedAt: 12, ClosedAt: 13, Target: "über/target", Xattrs: map[string][]byte{"user.a": []byte("v"), "user.empty": {}},
		ListedAt: 77, Complete: true, Marker: true,
	}
	mustUpdate(t, d, func(tx *Tx) error {
		want.Ino = tx.NextIno()
		return tx.PutInode(want)
	})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openTest(t, dir)
	mustView(t, d, func(tx *Tx) error {
		got, ok, err := tx.Inode(want.Ino)
		if err != nil || !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v %v %v, want %+v", got, ok, err, want)
		}
		return nil
	})
	var next Ino
	mustUpdate(t, d, func(tx *Tx) error { next = tx.NextIno(); return nil })
	if next <= want.Ino {
		t.Errorf("inode number %d again after %d", next, want.Ino)
	}
}

func TestTreeFollowsInodes(t *testing.T) {
	d := openTest(t, t.TempDir())
	dir := node(t, d, Root, "d", unix.S_IFDIR|0o755)
	f := file(t, d, dir.Ino, "f")
	path := func(ino Ino) string {
		p := ""
		mustView(t, d, func(tx *Tx) error {
			key, ok := tx.Path(ino)
			p = fmt.Sprint(key, " ", ok)
			return nil
		})
		return p
	}
	resolve := func(key string) Ino {
		var ino Ino
		mustView(t, d, func(tx *Tx) error {
			got, ok, err := tx.Resolve(key)
			if ok {
				ino = got
			}
			return err
		})
		return ino
	}
	if got := path(dir.Ino); got != "d/ true" {
		t.Errorf("path of directory: %s", got)
	}
	if got := path(f.Ino); got != "d/f true" {
		t.Errorf("path of file: %s", got)
	}
	for key, want := range map[string]Ino{"d/f": f.Ino, "d/": dir.Ino, "d": 0, "d/f/": 0, "": Root, "/": 0, "d//f": 0, "x": 0} {
		if got := resolve(key); got != want {
			t.Errorf("resolve %q: %d, want %d", key, got, want)
		}
	}
	mustUpdate(t, d, func(tx *Tx) error {
		dir.Name = "e"
		return tx.PutInode(dir)
	})
	if resolve("d/f") != 0 || resolve("e/f") != f.Ino {
		t.Errorf("after rename: d/f %d, e/f %d", resolve("d/f"), resolve("e/f"))
	}
	mustUpdate(t, d, func(tx *Tx) error {
		dir.Unlinked = true
		return tx.PutInode(dir)
	})
	if got := path(f.Ino); got != " false" {
		t.Errorf("path below an unlinked directory: %s", got)
	}
}

func TestNameHasOneHolder(t *testing.T) {
	d := openTest(t, t.TempDir())
	file(t, d, Root, "a")
	err := d.Update(func(tx *Tx) error {
		return tx.PutInode(Inode{Ino: tx.NextIno(), Parent: Root, Name: "a"})
	})
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("second holder of a name: %v", err)
	}
	for _, bad := range []Inode{{}, {Ino: 7}, {Ino: 7, Parent: 1, Name: "a/b"}, {Ino: 7, Parent: 7, Name: "x"}, {Ino: Root, Name: "x"}} {
		if err := d.Update(func(tx *Tx) error { return tx.PutInode(bad) }); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestExchangeInOneUpdate(t *testing.T) {
	d := openTest(t, t.TempDir())
	a, b := file(t, d, Root, "a"), file(t, d, Root, "b")
	mustUpdate(t, d, func(tx *Tx) error { return tx.SetUnsent(a.Ino, 3) })
	mustUpdate(t, d, func(tx *Tx) error {
		a.Unlinked = true
		if err := tx.PutInode(a); err != nil {
			return err
		}
		b.Name = "a"
		if err := tx.PutInode(b); err != nil {
			return err
		}
		a.Unlinked, a.Name = false, "b"
		return tx.PutInode(a)
	})
	mustView(t, d, func(tx *Tx) error {
		x, _, _ := tx.Resolve("a")
		y, _, _ := tx.Resolve("b")
		if x != b.Ino || y != a.Ino {
			t.Errorf("a is %d, b is %d; want %d and %d", x, y, b.Ino, a.Ino)
		}
		if _, _, ok, err := tx.UnsentOf(a.Ino); !ok || err != nil {
			t.Errorf("unsent content forgotten by an exchange: %v", err)
		}
		return nil
	})
}

func TestFailedUpdateChangesNothing(t *testing.T) {
	d := openTest(t, t.TempDir())
	boom := errors.New("boom")
	err := d.Update(func(tx *Tx) error {
		if err := tx.PutInode(Inode{Ino: tx.NextIno(), Parent: Root, Name: "a"}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	mustView(t, d, func(tx *Tx) error {
		if _, ok, _ := tx.Resolve("a"); ok {
			t.Error("name is there")
		}
		if _, ok, _ := tx.Inode(2); ok {
			t.Error("inode is there")
		}
		return nil
	})
}

func TestViewIsConsistent(t *testing.T) {
	d := openTest(t, t.TempDir())
	f := file(t, d, Root, "a")
	mustView(t, d, func(tx *Tx) error {
		mustUpdate(t, d, func(w *Tx) error {
			f.Size = 7
			return w.PutInode(f)
		})
		got, _, err := tx.Inode(f.Ino)
		if got.Size != 0 || err != nil {
			t.Errorf("an older view sees size %d (%v)", got.Size, err)
		}
		return nil
	})
	mustView(t, d, func(tx *Tx) error {
		if got, _, _ := tx.Inode(f.Ino); got.Size != 7 {
			t.Errorf("a new view sees size %d", got.Size)
		}
		return nil
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	if _, err := Open(dir, Options{Secret: testSecret}); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	opened := make(chan error, 1)
	go func() {
		again, err := Open(dir, Options{Secret: testSecret, LockWait: time.Minute})
		if err == nil {
			err = again.Close()
		}
		opened <- err
	}()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("open that waits for the folder: %v", err)
	}
	if err := d.Update(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("update after close: %v", err)
	}
	if _, err := Open(dir, Options{Secret: [32]byte{9}}); !errors.Is(err, ErrWrongSecret) {
		t.Errorf("other secret: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "db")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Secret: testSecret}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("database removed: %v", err)
	}
}

func BenchmarkUpdateOneInode(b *testing.B) {
	d := openTest(b, b.TempDir())
	f := file(b, d, Root, "a")
	for n := 0; b.Loop(); n++ {
		f.Size = int64(n)
		if err := d.Update(func(tx *Tx) error { return tx.PutInode(f) }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	d := openTest(b, b.TempDir())
	for n := 0; b.Loop(); n++ {
		err := d.Update(func(tx *Tx) error {
			return tx.PutInode(Inode{Ino: tx.NextIno(), Parent: Root, Name: fmt.Sprint("file", n), Mode: unix.S_IFREG, Gen: tx.NextGen()})
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkView(b *testing.B) {
	d := openTest(b, b.TempDir())
	f := file(b, d, Root, "a")
	for b.Loop() {
		_ = d.View(func(tx *Tx) error { _, _, err := tx.Inode(f.Ino); return err })
	}
}

func BenchmarkChild(b *testing.B) {
	d := openTest(b, b.TempDir())
	file(b, d, Root, "a")
	for b.Loop() {
		_ = d.View(func(tx *Tx) error { _, _, err := tx.Child(Root, "a"); return err })
	}
}
