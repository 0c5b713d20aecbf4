package body

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Clean content goes when room is needed, and comes back when it is read. The cache stays within its limit.
func TestEvictionUnderWrites(t *testing.T) {
	e := newEnv(t, Options{Limit: 32 << 20})
	sizes := []int{3000, 40_000, 900_000, 3 << 20}
	var inos []index.Ino
	for i := range 60 {
		ino := e.file(fmt.Sprint("f", i))
		e.write(ino, 0, random(uint64(i), sizes[i%4]))
		e.seal(ino)
		e.upload(ino, fmt.Sprint("f", i))
		if used := e.s.Usage().Used; used > 33<<20 {
			t.Fatalf("%d bytes used of %d", used, 32<<20)
		}
		inos = append(inos, ino)
	}
	for i, ino := range inos {
		e.want(ino, random(uint64(i), sizes[i%4]))
	}
	if used := e.s.Usage().Used; used > 34<<20 {
		t.Errorf("%d bytes used of %d", used, 32<<20)
	}
}

// When the cache is full of what is not uploaded yet, writers wait, and say so.
func TestPressure(t *testing.T) {
	var e *env
	var dirty []index.Ino
	var calls atomic.Int32
	pressed := make(chan struct{}, 1)
	e = newEnv(t, Options{Limit: 16 << 20, Pressure: func() {
		calls.Add(1)
		select {
		case pressed <- struct{}{}:
		default:
		}
	}})
	for i := range 15 {
		ino := e.file(fmt.Sprint("f", i))
		e.write(ino, 0, random(uint64(i), 1<<20))
		e.seal(ino)
		dirty = append(dirty, ino)
	}
	last := e.file("last")
	done := make(chan error, 1)
	go func() { done <- e.s.Write(context.Background(), last, 0, random(99, 4<<20)) }()
	<-pressed
	select {
	case err := <-done:
		t.Fatalf("a write into a full cache returned: %v", err)
	default:
	}
	for i, ino := range dirty {
		e.upload(ino, fmt.Sprint("f", i))
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if calls.Load() == 0 {
		t.Error("nobody was told")
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.write(last, 4<<20, random(98, 10<<20))
	e.seal(last)
	go func() { <-pressed; cancel() }()
	for len(pressed) > 0 {
		<-pressed
	}
	if err := e.s.Write(ctx, e.file("killed"), 0, random(97, 8<<20)); !errors.Is(err, context.Canceled) {
		t.Errorf("a killed writer: %v", err)
	}
	for i, ino := range dirty {
		e.want(ino, random(uint64(i), 1<<20))
	}
}

// A file that is larger than the cache is read with its own chunks making room.
func TestReadLargerThanCache(t *testing.T) {
	e := newEnv(t, Options{Limit: 16 << 20})
	want := random(20, 48<<20)
	ino := e.foreign("f", want, false)
	for round := range 2 {
		buf := make([]byte, 1<<20)
		for off := int64(0); off < int64(len(want)); off += int64(len(buf)) {
			if _, err := e.s.Read(context.Background(), ino, off, buf); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(buf, want[off:off+int64(len(buf))]) {
				t.Fatalf("round %d: wrong bytes at %d", round, off)
			}
			if used := e.s.Usage().Used; used > 20<<20 {
				t.Fatalf("%d bytes used of %d", used, 16<<20)
			}
		}
	}
	if err := e.s.Fetch(context.Background(), ino); !errors.Is(err, ErrNoSpace) {
		t.Errorf("fetch of a file larger than the cache: %v", err)
	}
}

// Segments whose pieces have mostly gone are emptied and removed.
func TestSegmentCollection(t *testing.T) {
	e := newEnv(t, Options{Limit: 64 << 20})
	const n = 300
	var inos []index.Ino
	for i := range n {
		ino := e.file(fmt.Sprint("f", i))
		e.write(ino, 0, random(uint64(i), 60_000))
		e.seal(ino)
		inos = append(inos, ino)
	}
	before := e.s.Usage().Used
	for i, ino := range inos {
		if i%4 == 0 {
			continue
		}
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
	e.s.finishDrops()
	if err := e.s.reap(); err != nil {
		t.Fatal(err)
	}
	if err := e.s.collect(context.Background()); err != nil {
		t.Fatal(err)
	}
	if after := e.s.Usage().Used; after > before*6/10 {
		t.Errorf("%d of %d bytes still used when three quarters are gone", after, before)
	}
	for i, ino := range inos {
		if i%4 == 0 {
			e.want(ino, random(uint64(i), 60_000))
		}
	}
	e.close()
	e.open()
	for i, ino := range inos {
		if i%4 == 0 {
			e.want(ino, random(uint64(i), 60_000))
		}
	}
}

// What is open goes last, what an upload reads and what has no settled home not at all.
func TestEvictionOrder(t *testing.T) {
	e := newEnv(t, Options{})
	make1 := func(name string) index.Ino {
		ino := e.file(name)
		e.write(ino, 0, random(30, 200_000))
		e.seal(ino)
		e.upload(ino, name)
		return ino
	}
	open, shut, reading, fenced, dirty := make1("open"), make1("shut"), make1("reading"), make1("fenced"), e.file("dirty")
	e.write(dirty, 0, random(31, 200_000))
	e.seal(dirty)
	if err := e.s.Pin(open); err != nil {
		t.Fatal(err)
	}
	defer e.s.Unpin(open)
	r, _, err := e.s.OpenSealed(reading, e.inode(reading).Gen)
	if err != nil {
		t.Fatal(err)
	}
	err = e.db.Update(func(tx *index.Tx) error {
		return tx.PutPend(index.Pend{Key: "fenced", Op: index.Delete, Ino: fenced})
	})
	if err != nil {
		t.Fatal(err)
	}
	cached := func(ino index.Ino) bool { in := e.inode(ino); return in.CachedGen == in.Gen }
	if _, err := e.s.Evict(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	if cached(shut) || !cached(open) {
		t.Errorf("after a small eviction: shut %v, open %v", cached(shut), cached(open))
	}
	e.evictAll()
	if cached(open) || !cached(reading) || !cached(fenced) || !cached(dirty) {
		t.Errorf("after eviction of all: open %v reading %v fenced %v dirty %v", cached(open), cached(reading), cached(fenced), cached(dirty))
	}
	e.want(open, random(30, 200_000))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	e.evictAll()
	if cached(reading) {
		t.Error("not evicted after the upload")
	}
}
