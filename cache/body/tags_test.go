package body

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// sealed returns what describes the sealed body of the inode's generation.
func (e *env) sealed(ino index.Ino) *object.Sealed {
	e.t.Helper()
	r, sealed, err := e.s.OpenSealed(ino, e.inode(ino).Gen)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		e.t.Error(err)
	}
	return sealed
}

// same compares what describes two sealed bodies that ought to be one.
func same(t *testing.T, got, want *object.Sealed) {
	t.Helper()
	if got == want {
		t.Fatal("nothing was read back")
	}
	if !got.Tags().Equal(want.Tags()) || !bytes.Equal(got.Tags().MarshalLeaves(), want.Tags().MarshalLeaves()) ||
		got.GenerationID() != want.GenerationID() || !got.ContentKey().Equal(want.ContentKey()) {
		t.Errorf("got %v, want %v with the same tags and key", got, want)
	}
}

// The tags of a sealed body are those of its bytes and are still there after a restart.
func TestTagsSurviveReopening(t *testing.T) {
	for _, c := range []struct {
		name     string
		size     int64
		separate bool
	}{{"empty", 0, false}, {"small", 1000, false}, {"large", 3<<20 + 1, false}, {"more than 128 leaves", 128<<20 + 1, true}} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t, Options{})
			ino := e.file("f")
			if err := e.s.Truncate(context.Background(), ino, c.size); err != nil {
				t.Fatal(err)
			}
			e.seal(ino)
			want := e.sealed(ino)
			if want.Tags().Size() != c.size || want.Tags().Separate() != c.separate || c.size > 0 && !want.Tags().HasLeaf(0) {
				t.Fatalf("tags of %d bytes, separate %v", want.Tags().Size(), want.Tags().Separate())
			}
			e.crash()
			same(t, e.sealed(ino), want)
			// A working copy over the sealed body leaves its description alone, until it is sealed itself, which begins with a restart.
			if c.size > 0 {
				gen := e.inode(ino).Gen
				e.write(ino, c.size/2, []byte("changed"))
				r, got, err := e.s.OpenSealed(ino, gen)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				same(t, got, want)
				e.verify(r, got)
			}
		})
	}
}

// verify reads a sealed body leaf by leaf against its tags.
func (e *env) verify(r *Reader, sealed *object.Sealed) {
	e.t.Helper()
	tags := sealed.Tags()
	buf := make([]byte, 1<<20)
	for i := range tags.Leaves() {
		n, err := r.ReadAt(buf, i<<20)
		if err != nil && !errors.Is(err, io.EOF) {
			e.t.Fatal(err)
		}
		if err := tags.VerifyLeaf(i, buf[:n]); err != nil {
			e.t.Fatal(err)
		}
	}
}

// What we sealed, evicted and fetched again is the same generation, with the tags it was sealed with.
func TestTagsSurviveEviction(t *testing.T) {
	for _, size := range []int{1000, 3 << 20} {
		e := newEnv(t, Options{})
		ino := e.file("f")
		e.write(ino, 0, random(15, size))
		e.seal(ino)
		want := e.sealed(ino)
		e.upload(ino, "f")
		e.evictAll()
		if err := e.s.Fetch(context.Background(), ino); err != nil {
			t.Fatal(err)
		}
		e.crash()
		same(t, e.sealed(ino), want)
	}
}

// An object of others that is sent again becomes a generation of its own, once and for all.
func TestIntakeSurvivesReopening(t *testing.T) {
	for _, size := range []int{1000, 3 << 20} {
		e := newEnv(t, Options{})
		ino := e.foreign("f", random(16, size), false)
		if err := e.s.Fetch(context.Background(), ino); err != nil {
			t.Fatal(err)
		}
		e.crash()
		r, want, err := e.s.OpenSealed(ino, e.inode(ino).Gen)
		if err != nil {
			t.Fatal(err)
		}
		e.verify(r, want)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		e.crash()
		same(t, e.sealed(ino), want)
	}
}

// The digest of a large body has a row of its own, which changes and goes with the body.
func TestLongDigestRow(t *testing.T) {
	const size = 65 << 20
	e := newEnv(t, Options{})
	ino := e.file("f")
	row := func() []byte {
		t.Helper()
		var digest []byte
		err := e.db.View(func(tx *index.Tx) (err error) {
			digest, _, err = tx.GetRaw(tableDigests, inoKey(ino))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	ctx := context.Background()
	if err := e.s.Truncate(ctx, ino, size); err != nil {
		t.Fatal(err)
	}
	if row() != nil {
		t.Error("a body that is not sealed has a digest")
	}
	e.seal(ino)
	first := row()
	if int64(len(first)) != object.SealedRecordSize(size) {
		t.Fatalf("row of %d bytes, want %d", len(first), object.SealedRecordSize(size))
	}
	e.write(ino, 5, []byte("changed"))
	if !bytes.Equal(row(), first) {
		t.Error("the working copy changed the digest of its base")
	}
	e.seal(ino)
	if second := row(); len(second) != len(first) || bytes.Equal(second, first) {
		t.Error("the digest is not that of the new body")
	}
	e.crash()
	e.verifySealed(ino)
	if err := e.s.Truncate(ctx, ino, 1000); err != nil {
		t.Fatal(err)
	}
	e.seal(ino)
	if row() != nil {
		t.Error("a short digest has a row of its own")
	}
	if err := e.s.Truncate(ctx, ino, size); err != nil {
		t.Fatal(err)
	}
	e.seal(ino)
	drop := func(tx *index.Tx) error {
		if err := e.s.Drop(tx, ino); err != nil {
			return err
		}
		return tx.DeleteInode(ino)
	}
	if err := e.db.Update(drop); err != nil || row() != nil {
		t.Errorf("after Drop: %v, digest of %d bytes", err, len(row()))
	}

	// A digest that does not fit its record is an error, and can be dropped.
	ino = e.file("g")
	if err := e.s.Truncate(ctx, ino, size); err != nil {
		t.Fatal(err)
	}
	e.seal(ino)
	short := row()[1:]
	if err := e.db.Update(func(tx *index.Tx) error { return tx.PutRaw(tableDigests, inoKey(ino), short) }); err != nil {
		t.Fatal(err)
	}
	e.crash()
	if _, err := e.tryReadAll(ino); !errors.Is(err, errRow) {
		t.Errorf("short digest: got %v, want errRow", err)
	}
	if err := e.db.Update(drop); err != nil || row() != nil {
		t.Errorf("after Drop: %v, digest of %d bytes", err, len(row()))
	}
}

// verifySealed reads the sealed body of the inode's generation against its tags.
func (e *env) verifySealed(ino index.Ino) {
	e.t.Helper()
	r, sealed, err := e.s.OpenSealed(ino, e.inode(ino).Gen)
	if err != nil {
		e.t.Fatal(err)
	}
	defer r.Close()
	e.verify(r, sealed)
}
