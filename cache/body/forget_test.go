package body

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("waited for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// gone reports whether nothing of an inode's content is here: no row, no bytes, no key in memory, nothing sealed in its row.
func (e *env) gone(ino index.Ino) bool {
	e.t.Helper()
	var row bool
	err := e.db.View(func(tx *index.Tx) (err error) {
		_, row, err = tx.Body(ino)
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
	b := e.s.acquire(ino)
	defer e.s.release(b)
	b.mu.RLock()
	defer b.mu.RUnlock()
	in := e.inode(ino)
	return !row && b.base == nil && b.stream == nil && in.CachedGen == 0 && in.Target == "" && len(in.Xattrs) == 0
}

// filesOf counts the files of the store that hold bytes.
func (e *env) filesOf() (n int) {
	e.t.Helper()
	err := filepath.WalkDir(filepath.Join(e.dir, "body"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		e.t.Fatal(err)
	}
	return n
}

// TestForget: what the bucket has is not here any more, keys included; what it lacks stays.
func TestForget(t *testing.T) {
	told := make(chan index.Ino, 100)
	e := newEnv(t, Options{Forget: true, Forgotten: func(ino index.Ino) { told <- ino }})
	var inos []index.Ino
	for name, size := range map[string]int{"empty": 0, "small": 100, "large": 3 << 20} {
		ino := e.file(name)
		if size > 0 {
			e.write(ino, 0, bytes.Repeat([]byte("x"), size))
		}
		e.seal(ino)
		if err := e.db.Update(func(tx *index.Tx) error {
			in, err := mustInode(tx, ino)
			in.Xattrs = map[string][]byte{"user.a": []byte("b")}
			if err != nil {
				return err
			}
			return tx.PutInode(in)
		}); err != nil {
			t.Fatal(err)
		}
		inos = append(inos, ino)
	}
	kept := e.file("kept")
	e.write(kept, 0, []byte("not in the bucket"))
	e.seal(kept)
	e.s.Sent(kept) // a request of an older generation, say
	for n, ino := range inos {
		e.upload(ino, string(rune('a'+n)))
	}
	for _, ino := range inos {
		eventually(t, "the content to be forgotten", func() bool { return e.gone(ino) })
	}
	e.want(kept, []byte("not in the bucket"))
	got := map[index.Ino]bool{}
	for range inos {
		got[<-told] = true
	}
	if len(got) != len(inos) || got[kept] {
		t.Errorf("told of %v, want %v", got, inos)
	}
	e.upload(kept, "kept")
	eventually(t, "the files to go", func() bool { return e.gone(kept) && e.filesOf() == 0 })
}

// TestForgetWaits: what is open, being changed or not settled stays until it is not.
func TestForgetWaits(t *testing.T) {
	e := newEnv(t, Options{Forget: true})
	ctx := context.Background()
	open, changed, unsure := e.file("open"), e.file("changed"), e.file("unsure")
	for _, ino := range []index.Ino{open, changed, unsure} {
		e.write(ino, 0, []byte("content"))
		e.seal(ino)
	}
	if err := e.s.Pin(open); err != nil {
		t.Fatal(err)
	}
	pend := func(answered bool) {
		t.Helper()
		if err := e.db.Update(func(tx *index.Tx) error {
			return tx.PutPend(index.Pend{Key: "unsure", Op: index.Put, Ino: unsure, Answered: answered})
		}); err != nil {
			t.Fatal(err)
		}
	}
	pend(false)
	e.upload(open, "open")
	e.upload(unsure, "unsure")
	e.upload(changed, "changed")
	e.write(changed, 2, []byte("anew"))
	other := e.file("other")
	e.write(other, 0, []byte("x"))
	e.seal(other)
	e.upload(other, "other")
	eventually(t, "a round of forgetting", func() bool { return e.gone(other) })
	e.want(open, []byte("content"))
	e.want(unsure, []byte("content"))
	if e.gone(open) || e.gone(unsure) {
		t.Error("content that is open, or whose request is not settled, was forgotten")
	}
	e.s.Unpin(open)
	eventually(t, "the closed file to be forgotten", func() bool { return e.gone(open) })
	pend(true)
	e.s.Sent(unsure)
	eventually(t, "the settled file to be forgotten", func() bool { return e.gone(unsure) })
	if e.inode(changed).Sealed {
		t.Fatal("the changed file is sealed")
	}
	if err := e.s.Seal(ctx, changed); err != nil {
		t.Fatal(err)
	}
	e.upload(changed, "changed")
	eventually(t, "the changed file to be forgotten", func() bool { return e.gone(changed) })
}

// TestForgetAfterCrash: what was uploaded before a crash is forgotten by the next process.
func TestForgetAfterCrash(t *testing.T) {
	e := newEnv(t, Options{})
	ino := e.file("f")
	e.write(ino, 0, bytes.Repeat([]byte("y"), 200<<10))
	e.seal(ino)
	e.upload(ino, "f")
	if e.gone(ino) {
		t.Fatal("content was forgotten by a host that reads")
	}
	e.o.Forget = true
	e.crash()
	eventually(t, "the content to be forgotten", func() bool { return e.gone(ino) && e.filesOf() == 0 })
}
