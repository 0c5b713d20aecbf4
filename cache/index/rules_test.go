package index

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// sent records that the bucket holds an inode under a key.
func sent(t *testing.T, d *DB, i Inode, key string) {
	t.Helper()
	mustUpdate(t, d, func(tx *Tx) error {
		return tx.PutObject(Object{Key: key, Ino: i.Ino, Gen: i.Gen, AttrVer: i.AttrVer, XattrVer: i.XattrVer})
	})
}

func TestQueue(t *testing.T) {
	d := openTest(t, t.TempDir())
	var heard []string
	d.OnDirty(func(keys []string) { heard = append(heard, keys...) })
	f := file(t, d, Root, "f")
	check := func(what string, want ...string) {
		t.Helper()
		if got := queue(t, d); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: queue %q, want %q", what, got, want)
		}
		if len(want) > 0 && len(heard) == 0 {
			t.Errorf("%s: not heard", what)
		}
		heard = nil
		emptyQueue(t, d)
	}
	check("new file", "f")
	sent(t, d, f, "f")
	check("sent")
	f.Mtime, f.Atime = 5, 6
	mustUpdate(t, d, func(tx *Tx) error { return tx.PutInode(f) })
	check("times that are not uploaded")
	f.AttrVer++
	mustUpdate(t, d, func(tx *Tx) error { return tx.PutInode(f) })
	check("attributes", "f")
	sent(t, d, f, "f")
	f.Name = "g"
	mustUpdate(t, d, func(tx *Tx) error { return tx.PutInode(f) })
	check("renamed", "f", "g")
	mustUpdate(t, d, func(tx *Tx) error { return tx.DeleteInode(f.Ino) })
	check("deleted", "f")
	mustUpdate(t, d, func(tx *Tx) error { return tx.PutPend(Pend{Key: "p", Op: Delete}) })
	check("intent", "p")
	mustUpdate(t, d, func(tx *Tx) error { return tx.DeletePend("p") })
	check("intent removed")
	mustUpdate(t, d, func(tx *Tx) error {
		i := Inode{Ino: tx.NextIno(), Parent: Root, Name: "seen", Mode: unix.S_IFREG, Gen: tx.NextGen(), Sealed: true}
		if err := tx.PutObject(Object{Key: "seen", Ino: i.Ino, Gen: i.Gen}); err != nil {
			return err
		}
		return tx.PutInode(i)
	})
	check("imported as the bucket has it")
}

// TestQueueForgetsNothing: after random changes every key that is not settled is in the queue.
func TestQueueForgetsNothing(t *testing.T) {
	d := openTest(t, t.TempDir())
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "c"}
	keys := []string{"a", "b", "c", "a/", "b/", "d/", "d/a", "d/b", "d/c"}
	dir := node(t, d, Root, "d", unix.S_IFDIR|0o755)
	inos := []Ino{}
	for range 1500 {
		err := d.Update(func(tx *Tx) error {
			parent := []Ino{Root, dir.Ino}[r.IntN(2)]
			name, key := names[r.IntN(3)], keys[r.IntN(len(keys))]
			switch r.IntN(6) {
			case 0:
				i := Inode{Ino: tx.NextIno(), Parent: parent, Name: name, Mode: unix.S_IFREG, Gen: tx.NextGen(), Sealed: r.IntN(2) == 0}
				inos = append(inos, i.Ino)
				return tx.PutInode(i)
			case 1, 2:
				if len(inos) == 0 {
					return nil
				}
				i, ok, err := tx.Inode(inos[r.IntN(len(inos))])
				if err != nil || !ok {
					return err
				}
				switch r.IntN(5) {
				case 0:
					i.AttrVer++
				case 1:
					i.Parent, i.Name = parent, name
				case 2:
					i.Gen, i.Sealed = tx.NextGen(), true
				case 3:
					return tx.DeleteInode(i.Ino)
				case 4:
					return tx.PutObject(Object{Key: key, Ino: i.Ino, Gen: i.Gen, AttrVer: i.AttrVer})
				}
				return tx.PutInode(i)
			case 3:
				return tx.DeleteObject(key)
			case 4:
				return tx.PutPend(Pend{Key: key, Op: Delete})
			default:
				if settled, err := tx.Settled(key); err != nil || !settled {
					return errors.Join(err, tx.DeletePend(key))
				}
				return tx.Dequeue(key)
			}
		})
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
		mustView(t, d, func(tx *Tx) error {
			for _, key := range keys {
				settled, err := tx.Settled(key)
				if err != nil {
					return err
				}
				if queued, err := tx.Queued(key); err != nil || !settled && !queued {
					t.Fatalf("key %q is neither settled nor queued (%v)", key, err)
				}
			}
			return nil
		})
	}
}

func TestMovedDirectoryIsNoted(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	sub := node(t, d, Root, "sub", unix.S_IFDIR|0o755)
	subtrees := func() (list []string) {
		mustView(t, d, func(tx *Tx) error {
			return tx.Subtrees(func(ino Ino, position []byte) bool {
				list = append(list, fmt.Sprintf("%d %s", ino, position))
				return true
			})
		})
		return list
	}
	if got := subtrees(); got != nil {
		t.Errorf("new directory: %v", got)
	}
	sub.Name = "other"
	mustUpdate(t, d, func(tx *Tx) error { return tx.PutInode(sub) })
	mustUpdate(t, d, func(tx *Tx) error { return tx.PutSubtree(sub.Ino, []byte("here")) })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openTest(t, dir)
	if got, want := subtrees(), []string{fmt.Sprintf("%d here", sub.Ino)}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	mustUpdate(t, d, func(tx *Tx) error { return tx.ClearSubtree(sub.Ino) })
	if got := subtrees(); got != nil {
		t.Errorf("after the walk: %v", got)
	}
}

func TestUnsent(t *testing.T) {
	d := openTest(t, t.TempDir())
	a, b := file(t, d, Root, "a"), file(t, d, Root, "b")
	first := func(except Ino) string {
		var s string
		mustView(t, d, func(tx *Tx) error {
			seq, ino, ok, err := tx.FirstUnsent(except)
			s = fmt.Sprint(seq, ino, ok)
			return err
		})
		return s
	}
	mustUpdate(t, d, func(tx *Tx) error {
		return errors.Join(tx.SetUnsent(a.Ino, 5), tx.SetUnsent(b.Ino, 7), tx.SetUnsent(a.Ino, 9))
	})
	if got, want := first(0), fmt.Sprint(5, a.Ino, true); got != want {
		t.Errorf("first: %s, want %s", got, want)
	}
	if got, want := first(a.Ino), fmt.Sprint(7, b.Ino, true); got != want {
		t.Errorf("first but one: %s, want %s", got, want)
	}
	old := a.Gen
	mustUpdate(t, d, func(tx *Tx) error {
		a.Gen = tx.NextGen()
		return errors.Join(tx.PutInode(a), tx.SetUnsent(a.Ino, 11), tx.SentGen(a.Ino, old))
	})
	mustView(t, d, func(tx *Tx) error {
		from, to, ok, err := tx.UnsentOf(a.Ino)
		if from != 11 || to != 11 || !ok || err != nil {
			t.Errorf("after the first generation was sent: %d to %d, %v, %v", from, to, ok, err)
		}
		i, _, err := tx.Inode(a.Ino)
		if i.CommitSeq != 11 {
			t.Errorf("commit %d, want 11", i.CommitSeq)
		}
		return err
	})
	mustUpdate(t, d, func(tx *Tx) error { return errors.Join(tx.SentGen(a.Ino, a.Gen), tx.DeleteInode(b.Ino)) })
	if got := first(0); got != fmt.Sprint(0, 0, false) {
		t.Errorf("everything sent or deleted: %s", got)
	}
	for n := range 30 { // more generations than are kept apart
		mustUpdate(t, d, func(tx *Tx) error {
			a.Gen = tx.NextGen()
			return errors.Join(tx.PutInode(a), tx.SetUnsent(a.Ino, uint64(20+n)))
		})
	}
	if got, want := first(0), fmt.Sprint(20, a.Ino, true); got != want {
		t.Errorf("many generations: %s, want %s", got, want)
	}
}

func TestGoneRowsAreNumbered(t *testing.T) {
	d := openTest(t, t.TempDir())
	f := file(t, d, Root, "f")
	sent(t, d, f, "f")
	mustUpdate(t, d, func(tx *Tx) error { return tx.DeleteInode(f.Ino) })
	mustView(t, d, func(tx *Tx) error {
		o, ok, err := tx.Object("f")
		if !ok || o.GoneSeq == 0 {
			t.Errorf("row of a deleted file: %+v, %v", o, ok)
		}
		return err
	})
}

func TestPendsFrom(t *testing.T) {
	d := openTest(t, t.TempDir())
	mustUpdate(t, d, func(tx *Tx) error {
		return errors.Join(tx.PutPend(Pend{Key: "b", Op: Copy, Src: "a"}), tx.PutPend(Pend{Key: "c", Op: Copy, Src: "ab"}),
			tx.PutPend(Pend{Key: "b", Op: Copy, Src: "ab"}))
	})
	for src, want := range map[string]int{"a": 0, "ab": 2} {
		mustView(t, d, func(tx *Tx) error {
			got, err := tx.PendsFrom(src)
			if len(got) != want {
				t.Errorf("copies from %q: %+v, want %d", src, got, want)
			}
			return err
		})
	}
}

// TestNothingReadableAtRest looks for a link's target and an attribute's value in all files.
func TestNothingReadableAtRest(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	canary := "canary-of-the-index"
	mustUpdate(t, d, func(tx *Tx) error {
		return tx.PutInode(Inode{Ino: tx.NextIno(), Parent: Root, Name: "l", Mode: unix.S_IFLNK, Target: canary,
			Xattrs: map[string][]byte{"user.x": []byte(canary)}})
	})
	sealed := d.SealSecret("label", []byte(canary))
	mustUpdate(t, d, func(tx *Tx) error { return tx.PutMeta("x", sealed) })
	if err := errors.Join(d.pebble.Flush(), d.Close()); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(canary)) {
			t.Errorf("%s holds plaintext", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := d.OpenSecret("label", sealed); err != nil || string(plain) != canary {
		t.Errorf("open: %q, %v", plain, err)
	}
	if _, err := d.OpenSecret("other", sealed); err == nil {
		t.Error("opened under another label")
	}
}

// TestManyAtOnce runs readers, writers and barriers together; every read sees whole transactions.
func TestManyAtOnce(t *testing.T) {
	d := openTest(t, t.TempDir())
	a, b := file(t, d, Root, "a"), file(t, d, Root, "b")
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			for n := range 300 {
				update := d.Update
				if n%50 == 0 {
					update = d.UpdateSync
				}
				err := update(func(tx *Tx) error {
					x, _, err := tx.Inode(a.Ino)
					if err != nil {
						return err
					}
					x.Size++
					y, _, err := tx.Inode(b.Ino)
					y.Size++
					return errors.Join(err, tx.PutInode(x), tx.PutInode(y))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		wait.Go(func() {
			for range 1000 {
				err := d.View(func(tx *Tx) error {
					x, _, err := tx.Inode(a.Ino)
					y, _, err2 := tx.Inode(b.Ino)
					if x.Size != y.Size {
						t.Errorf("a view saw %d and %d", x.Size, y.Size)
					}
					return errors.Join(err, err2)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	mustView(t, d, func(tx *Tx) error {
		if x, _, _ := tx.Inode(a.Ino); x.Size != 900 {
			t.Errorf("size %d, want 900", x.Size)
		}
		return nil
	})
}

func TestManyInodesStayOutOfMemory(t *testing.T) {
	c := newRowCache[Ino, *Inode]()
	for n := range Ino(200_000) {
		c.change(n+1, &Inode{Ino: n + 1}, uint64(n))
	}
	kept := 0
	for n := range c.shards {
		kept += len(c.shards[n].entries)
	}
	if kept > 64*shardSize {
		t.Errorf("%d inodes in the cache", kept)
	}
}

func TestKeysAreChecked(t *testing.T) {
	d := openTest(t, t.TempDir())
	for _, key := range []string{"a\x00b", strings.Repeat("x", MaxKey+1)} {
		err := d.Update(func(tx *Tx) error { return tx.PutObject(Object{Key: key}) })
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("key of %d bytes: %v", len(key), err)
		}
	}
	if err := d.View(func(tx *Tx) error { return tx.PutMeta("x", nil) }); !errors.Is(err, ErrInvalid) {
		t.Errorf("change within a view: %v", err)
	}
}
