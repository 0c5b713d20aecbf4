package body

import (
	"bytes"
	"context"
	"errors"
	"hash/crc64"
	"io"
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
)

func crcOf(p []byte) uint64 { return crc64.Checksum(p, crcTable) }

// A file that is written front to back and closed has its bytes sealed once: what is read, before and after the seal, after a
// restart and from the uploaded object, is what was written.
func TestStream(t *testing.T) {
	for _, c := range []struct {
		name   string
		size   int
		writes int
	}{
		{"one byte", 1, 1}, {"one page", 4096, 4096}, {"small in parts", 60_000, 1000}, {"edge of segments", 64 << 10, 10_000},
		{"becomes large", 200_000, 30_000}, {"large", 3<<20 + 17, 1 << 20}, {"many appends", 30_000, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t, Options{})
			ino := e.file("f")
			want := random(1, c.size)
			for off := 0; off < c.size; off += c.writes {
				e.write(ino, int64(off), want[off:min(off+c.writes, c.size)])
			}
			e.want(ino, want)
			if b := e.s.bodies[ino]; b.log != nil || b.stream == nil {
				t.Error("a front-to-back write made a working copy")
			}
			e.seal(ino)
			e.seal(ino)
			e.want(ino, want)
			e.upload(ino, "f")
			e.close()
			e.open()
			e.want(ino, want)
			e.evictAll()
			if in := e.inode(ino); in.CachedGen != 0 {
				t.Errorf("not evicted: %+v", in)
			}
			e.want(ino, want)
			n := e.k.requests()
			if err := e.s.Fetch(context.Background(), ino); err != nil || e.k.requests() != n {
				t.Errorf("fetch after reading all: %v, %d more requests", err, e.k.requests()-n)
			}
			if in := e.inode(ino); in.CachedGen != in.Gen {
				t.Errorf("read whole and not kept: %+v", in)
			}
		})
	}
}

func TestEmptyFile(t *testing.T) {
	e := newEnv(t, Options{})
	ino := e.file("f")
	e.seal(ino)
	e.upload(ino, "f")
	r1, s1, err := e.s.OpenSealed(ino, e.inode(ino).Gen)
	if err != nil {
		t.Fatal(err)
	}
	defer r1.Close()
	e.close()
	e.open()
	r2, s2, err := e.s.OpenSealed(ino, e.inode(ino).Gen)
	if err != nil {
		t.Fatal(err)
	}
	defer r2.Close()
	if s1.GenerationID() != s2.GenerationID() || !s1.ContentKey().Equal(s2.ContentKey()) {
		t.Error("an empty generation was sealed twice")
	}
	gen := e.inode(ino).Gen
	e.write(ino, 0, []byte("now it has content"))
	if in := e.inode(ino); in.Gen == gen || in.Sealed || in.Size != 18 {
		t.Errorf("after a write to a sealed file: %+v", in)
	}
	if e.s.bodies[ino].log != nil {
		t.Error("a write to an empty file made a working copy")
	}
	e.seal(ino)
	e.want(ino, []byte("now it has content"))
}

// A working copy reads as base under changes, and its seal is a new generation under a new key.
func TestOverwrite(t *testing.T) {
	for _, size := range []int{100, 70_000, 300_000} {
		e := newEnv(t, Options{})
		ino := e.file("f")
		want := random(2, size)
		e.write(ino, 0, want)
		e.seal(ino)
		gen := e.inode(ino).Gen
		r, before, err := e.s.OpenSealed(ino, gen)
		if err != nil {
			t.Fatal(err)
		}
		e.write(ino, 50, []byte("changed"))
		copy(want[50:], "changed")
		e.want(ino, want)
		if _, _, err := e.s.OpenSealed(ino, e.inode(ino).Gen); !errors.Is(err, ErrNotFound) {
			t.Errorf("open of an unsealed generation: %v", err)
		}
		e.seal(ino)
		e.want(ino, want)
		_, after, err := e.s.OpenSealed(ino, e.inode(ino).Gen)
		if err != nil {
			t.Fatal(err)
		}
		if after.ContentKey().Equal(before.ContentKey()) || after.GenerationID() == before.GenerationID() {
			t.Error("two generations under one key")
		}
		// The upload that had begun reads what it opened, to its end.
		old := make([]byte, size)
		if _, err := r.ReadAt(old, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if crcOf(old) != before.CRC64() {
			t.Error("the sealed body changed under an upload")
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The kernel's write-back cache sends the last page again when it has grown; equal bytes do not end the stream.
func TestResentTail(t *testing.T) {
	e := newEnv(t, Options{})
	ino := e.file("f")
	want := random(3, 10_000)
	e.write(ino, 0, want[:5000])
	e.write(ino, 4096, want[4096:10_000])
	if e.s.bodies[ino].stream == nil {
		t.Error("a page that was sent again ended the stream")
	}
	e.want(ino, want)
	e.write(ino, 8192, []byte("not the same bytes"))
	copy(want[8192:], "not the same bytes")
	if e.s.bodies[ino].stream != nil {
		t.Error("an overwrite did not end the stream")
	}
	e.want(ino, want)
	e.seal(ino)
	e.want(ino, want)
}

// Writes that overtake each other join the stream again.
func TestOvertaking(t *testing.T) {
	e := newEnv(t, Options{})
	ino := e.file("f")
	want := random(4, 1<<20)
	const step = 128 << 10
	for _, i := range []int{0, 2, 1, 4, 3, 7, 6, 5} {
		e.write(ino, int64(i*step), want[i*step:(i+1)*step])
		if i == 2 {
			b := e.s.bodies[ino]
			if b.stream == nil || b.log == nil {
				t.Error("a write ahead of the stream ended it")
			}
		}
	}
	b := e.s.bodies[ino]
	if b.stream == nil || b.log != nil || len(b.over) != 0 {
		t.Error("the stream did not take the writes that came early")
	}
	e.want(ino, want)
	e.seal(ino)
	e.want(ino, want)
}

func TestTruncateAndHoles(t *testing.T) {
	e := newEnv(t, Options{})
	ctx := context.Background()
	ino := e.file("f")
	want := random(5, 400_000)
	e.write(ino, 0, want)
	check := func(step string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if in := e.inode(ino); in.Size != int64(len(want)) {
			t.Fatalf("%s: size %d, want %d", step, in.Size, len(want))
		}
		e.want(ino, want)
	}
	want = want[:300_000]
	check("shrink", e.s.Truncate(ctx, ino, 300_000))
	want = append(want, make([]byte, 200_000)...)
	check("grow", e.s.Truncate(ctx, ino, 500_000))
	clear(want[1000:200_000])
	check("punch", e.s.PunchHole(ctx, ino, 1000, 199_000))
	clear(want[250_000:350_000])
	check("zero", e.s.ZeroRange(ctx, ino, 250_000, 100_000, false))
	want = append(want, make([]byte, 1000)...)
	check("zero beyond", e.s.ZeroRange(ctx, ino, 500_000, 1000, false))
	check("keep size", e.s.ZeroRange(ctx, ino, 501_000, 1000, true))
	want = append(want, make([]byte, 99_000)...)
	check("allocate", e.s.Allocate(ctx, ino, 0, 600_000, false))
	check("allocate keep", e.s.Allocate(ctx, ino, 0, 700_000, true))
	for _, c := range []struct {
		off, data, hole int64
	}{{0, 0, 1000}, {1000, 200_000, 1000}, {199_999, 200_000, 199_999}, {220_000, 220_000, 250_000}, {250_000, -1, 250_000}, {599_999, -1, 599_999}} {
		d, err := e.s.SeekData(ctx, ino, c.off)
		if errors.Is(err, ErrNoOffset) {
			d, err = -1, nil
		}
		if err != nil || d != c.data {
			t.Errorf("data from %d: %d, %v; want %d", c.off, d, err, c.data)
		}
		if h, err := e.s.SeekHole(ctx, ino, c.off); err != nil || h != c.hole {
			t.Errorf("hole from %d: %d, %v; want %d", c.off, h, err, c.hole)
		}
	}
	if _, err := e.s.SeekHole(ctx, ino, 600_000); !errors.Is(err, ErrNoOffset) {
		t.Errorf("hole at the end: %v", err)
	}
	e.seal(ino)
	check("seal", nil)
	want = nil
	check("empty", e.s.Truncate(ctx, ino, 0))
	if used := e.s.Usage().Used; used > 1<<20 {
		t.Errorf("%d bytes used by an empty file", used)
	}
}

// A sparse file takes no room before it is sealed.
func TestSparse(t *testing.T) {
	e := newEnv(t, Options{})
	ino := e.file("f")
	e.write(ino, 0, []byte("head"))
	if err := e.s.Truncate(context.Background(), ino, 64<<20); err != nil {
		t.Fatal(err)
	}
	if used := e.s.Usage().Used; used > 1<<20 {
		t.Errorf("%d bytes used before the seal", used)
	}
	e.write(ino, 40<<20, []byte("middle"))
	e.seal(ino)
	want := make([]byte, 64<<20)
	copy(want, "head")
	copy(want[40<<20:], "middle")
	if got := e.readAll(ino); !bytes.Equal(got, want) {
		t.Errorf("content differs at %d", differ(got, want))
	}
	_, sealed, err := e.s.OpenSealed(ino, e.inode(ino).Gen)
	if err != nil {
		t.Fatal(err)
	}
	if sealed.Size() != 64<<20 {
		t.Errorf("sealed %d bytes", sealed.Size())
	}
}

// Many small overwrites of one place and many tiny extents keep the log and the map small.
func TestManyOverwrites(t *testing.T) {
	e := newEnv(t, Options{})
	ino := e.file("f")
	want := random(6, 200_000)
	e.write(ino, 0, want)
	e.seal(ino)
	for i := range 3000 {
		p := random(uint64(i), 100)
		off := (i * 7919) % (len(want) - 100)
		e.write(ino, int64(off), p)
		copy(want[off:], p)
	}
	b := e.s.bodies[ino]
	for w, ext := range b.over {
		if len(ext) > maxExtents {
			t.Errorf("window %d has %d extents", w, len(ext))
		}
	}
	if b.log.end > minHeld+2<<20 {
		t.Errorf("log of %d bytes for a file of %d", b.log.end, len(want))
	}
	e.want(ino, want)
	e.seal(ino)
	e.want(ino, want)
}

func TestDrop(t *testing.T) {
	e := newEnv(t, Options{})
	var inos []index.Ino
	for i := range 20 {
		ino := e.file(string(rune('a' + i)))
		e.write(ino, 0, random(uint64(i), 50_000*(1+i%3)))
		if i%2 == 0 {
			e.seal(ino)
			e.write(ino, 10, []byte("working copy"))
		}
		inos = append(inos, ino)
	}
	failed := errors.New("rolled back")
	err := e.db.Update(func(tx *index.Tx) error {
		if err := e.s.Drop(tx, inos[0]); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	e.s.finishDrops()
	if got := e.readAll(inos[0]); len(got) != 50_000 {
		t.Fatalf("after a rolled back drop: %d bytes", len(got))
	}
	for _, ino := range inos {
		err := e.db.Update(func(tx *index.Tx) error {
			if err := e.s.Drop(tx, ino); err != nil {
				return err
			}
			return tx.DeleteInode(ino)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	e.evictAll()
	e.evictAll()
	if used := e.s.Usage().Used; used != 0 {
		t.Errorf("%d bytes used after all files are gone", used)
	}
	e.close()
	e.open()
	if used := e.s.Usage().Used; used != 0 {
		t.Errorf("%d bytes used after a restart", used)
	}
}

func TestWriteSmall(t *testing.T) {
	e := newEnv(t, Options{})
	ino := e.file("link")
	err := e.db.Update(func(tx *index.Tx) error {
		in, _, err := tx.Inode(ino)
		if err != nil {
			return err
		}
		if err := e.s.WriteSmall(tx, &in, []byte("../target")); err != nil {
			return err
		}
		return tx.PutInode(in)
	})
	if err != nil {
		t.Fatal(err)
	}
	e.want(ino, []byte("../target"))
	e.upload(ino, "link")
	e.evictAll()
	e.want(ino, []byte("../target"))
}

func TestBadArguments(t *testing.T) {
	e := newEnv(t, Options{Limit: 32 << 20})
	ctx := context.Background()
	ino := e.file("f")
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"negative offset", e.s.Write(ctx, ino, -1, []byte("x")), ErrTooLarge},
		{"overflow", e.s.Write(ctx, ino, 1<<63-1, []byte("x")), ErrTooLarge},
		{"larger than the cache", e.s.Write(ctx, ino, 32<<20, []byte("x")), ErrNoSpace},
		{"truncate negative", e.s.Truncate(ctx, ino, -1), ErrTooLarge},
		{"truncate beyond the cache", e.s.Truncate(ctx, ino, 1<<40), ErrNoSpace},
		{"no such inode", e.s.Write(ctx, 9999, 0, []byte("x")), ErrNotFound},
		{"no such inode sealed", e.s.Seal(ctx, 9999), ErrNotFound},
		{"punch nothing", e.s.PunchHole(ctx, ino, 0, 0), ErrTooLarge},
		{"pin nothing", e.s.Pin(9999), ErrNotFound},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	if in := e.inode(ino); in.Size != 0 {
		t.Errorf("size %d after refused writes", in.Size)
	}
}
