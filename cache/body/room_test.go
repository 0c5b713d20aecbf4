package body

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
)

// Nobody is to wait for an open file to be sealed that cannot be: a writer would wait for ever on a full disk.
func TestSealAheadFails(t *testing.T) {
	var full atomic.Bool
	e := newEnv(t, Options{Pressure: func() {}, fault: func() error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}})
	ino := e.file("f")
	want := random(1, 300_000)
	e.write(ino, 100, want)
	full.Store(true)
	eventually(t, "that nothing is expected of it", func() bool { return !e.s.sealAhead(1, true) && e.s.unsealable.Load() })
	full.Store(false)
	eventually(t, "the seal", func() bool { e.s.sealAhead(1, true); return e.inode(ino).Sealed })
	e.want(ino, append(make([]byte, 100), want...))
}

// What a change has room for stays here until the change is made, whoever needs room, and goes afterwards.
func TestClaimedStays(t *testing.T) {
	for _, size := range []int{1000, 3 << 20} {
		e := newEnv(t, Options{})
		ino := e.foreign("f", random(2, size), false)
		b := e.s.acquire(ino)
		ctx := context.Background()
		c, err := e.s.claim(ctx, b, 10)
		if err == nil {
			err = e.s.fetch(ctx, b)
		}
		if err != nil {
			t.Fatal(err)
		}
		cached := func() bool { in := e.inode(ino); return in.Cached() }
		if e.evictAll(); !cached() {
			t.Errorf("%d bytes were evicted before the change", size)
		}
		c.end()
		if e.evictAll(); cached() {
			t.Errorf("%d bytes stay", size)
		}
		e.s.release(b)
		if used := e.s.Usage().Used; used < 0 || used > int64(2*size)+chunkSize {
			t.Errorf("%d bytes are counted as used", used)
		}
	}
}

// A claim that ends without its room gives back what it had.
func TestClaimEnds(t *testing.T) {
	e := newEnv(t, Options{Limit: MinLimit})
	full := e.file("full")
	e.write(full, 0, random(3, 14<<20)) // unsealed, and nobody uploads
	ino := e.foreign("f", random(4, 5<<20), false)
	before := e.s.Usage().Used
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- e.s.Write(ctx, ino, 0, []byte("x")) }()
	eventually(t, "that it waits for room", e.s.pressed)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if after := e.s.Usage().Used; after != before || e.s.granted.Load() != 0 || e.s.pressed() {
		t.Errorf("%d bytes are used, %d before", after, before)
	}
	if e.inode(full).Sealed {
		t.Error("the other file was sealed, although nobody uploads")
	}
}
