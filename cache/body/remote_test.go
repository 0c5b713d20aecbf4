package body

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Objects of others, encrypted or not, small and large, read as they are; what was fetched whole can be sent again.
func TestForeign(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, size := range []int{1, 5000, 100_000, 1 << 20, 5<<20 + 123} {
			t.Run(fmt.Sprintf("plain=%v size=%d", plain, size), func(t *testing.T) {
				e := newEnv(t, Options{})
				want := random(7, size)
				ino := e.foreign("f", want, plain)
				e.want(ino, want)
				if err := e.s.Fetch(context.Background(), ino); err != nil {
					t.Fatal(err)
				}
				if in := e.inode(ino); in.CachedGen != in.Gen {
					t.Errorf("not whole: %+v", in)
				}
				e.upload(ino, "copy of f")
				e.close()
				e.open()
				n := e.k.requests()
				e.want(ino, want)
				e.upload(ino, "copy of f")
				if e.k.requests() != n {
					t.Error("a restart lost the fetched content")
				}
			})
		}
	}
}

// Parts of a file that came on the word of a volume key which does not count any more are fetched again, and a whole that has some of them rests on that word.
func TestPartsOfARetiredKey(t *testing.T) {
	old, young := object.ID{1}, object.ID{2}
	var retired atomic.Bool
	e := newEnv(t, Options{Limit: 1 << 30, Counts: func(v index.ID) bool {
		return !retired.Load() || object.ID(v) == young
	}})
	text := random(9, 48<<20)
	vouch := func(name string, by object.ID, flip bool) {
		o := e.k.objects[name]
		if o.volume = by; flip { // who knows the keys can give two bodies one generation
			o.sealed = bytes.Clone(o.sealed)
			o.sealed[0] ^= 1
		}
		e.k.set(name, o)
	}
	read := func(ino index.Ino, off int64) byte {
		p := make([]byte, 1)
		if _, err := e.s.Read(context.Background(), ino, off, p); err != nil {
			t.Fatal(err)
		}
		return p[0]
	}
	part, mixed := e.foreign("part", text, false), e.foreign("mixed", text, false)
	vouch("part", old, false)
	if read(part, 0) != text[0] {
		t.Fatal("the first byte is another one")
	}
	vouch("part", young, true)
	vouch("mixed", young, false)
	read(mixed, 0)
	vouch("mixed", old, false)
	read(mixed, int64(len(text))-1)
	if err := e.s.Fetch(context.Background(), mixed); err != nil {
		t.Fatal(err)
	}
	retired.Store(true)
	if read(part, 0) == text[0] {
		t.Error("a part that came under the old key is read")
	}
	if in := e.inode(mixed); e.s.counts(in.Origin) {
		t.Errorf("what came under two keys rests on %x", in.Origin)
	}
}

// A sequential reader is run ahead of by parallel requests, and no byte is fetched twice.
func TestReadAhead(t *testing.T) {
	e := newEnv(t, Options{Limit: 1 << 30})
	want := random(8, 40<<20)
	ino := e.foreign("f", want, false)
	var asked atomic.Int32
	second := make(chan struct{})
	e.k.hook = func(object.GetRequest) error { // the second request after the first answer is held until there is a third
		switch asked.Add(1) {
		case 2:
			select {
			case <-second:
			case <-time.After(4 * time.Minute):
				return errors.New("no request beside this one")
			}
		case 3:
			close(second)
		}
		return nil
	}
	e.want(ino, want)
	seen := map[int64]bool{}
	total := int64(0)
	for _, r := range e.k.gets {
		for c := r.Off / chunkSize; c*chunkSize < r.Off+r.Len; c++ {
			if seen[c] {
				t.Errorf("chunk %d was fetched twice", c)
			}
			seen[c] = true
		}
		total += r.Len
	}
	if total != int64(len(want)) {
		t.Errorf("fetched %d bytes of %d", total, len(want))
	}
	if e.k.requests() > 30 {
		t.Errorf("%d requests", e.k.requests())
	}
}

// A random reader fetches what it reads and little more.
func TestRandomReads(t *testing.T) {
	e := newEnv(t, Options{Limit: 1 << 30})
	want := random(9, 32<<20)
	ino := e.foreign("f", want, false)
	buf := make([]byte, 4096)
	for _, mib := range []int64{20, 3, 28, 11, 17} {
		off := mib<<20 + 500_000
		if _, err := e.s.Read(context.Background(), ino, off, buf); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(buf, want[off:off+4096]) {
			t.Errorf("wrong bytes at %d", off)
		}
	}
	total := int64(0)
	for _, r := range e.k.gets {
		total += r.Len
	}
	if total > 10<<20 {
		t.Errorf("five reads of 4 KiB fetched %d bytes", total)
	}
}

// Readers of one chunk, and callers that want one small file, share one request.
func TestSingleFlight(t *testing.T) {
	for _, size := range []int{1000, 4 << 20} {
		e := newEnv(t, Options{})
		want := random(10, size)
		ino := e.foreign("f", want, false)
		gate := make(chan struct{})
		e.k.hook = func(object.GetRequest) error { <-gate; return nil }
		var g errgroup.Group
		var started sync.WaitGroup
		for range 8 {
			started.Add(1)
			g.Go(func() error {
				started.Done()
				buf := make([]byte, 500)
				n, err := e.s.Read(context.Background(), ino, 200, buf)
				if err == nil && !bytes.Equal(buf[:n], want[200:700]) {
					err = errors.New("wrong bytes")
				}
				return err
			})
		}
		started.Wait()
		close(gate)
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if n := e.k.requests(); n != 1 {
			t.Errorf("size %d: %d requests for one chunk", size, n)
		}
	}
}

func TestChangedInTheBucket(t *testing.T) {
	for _, size := range []int{1000, 4 << 20} {
		e := newEnv(t, Options{})
		want := random(11, size)
		ino := e.foreign("f", want, false)
		if err := e.s.Pin(ino); err != nil {
			t.Fatal(err)
		}
		o := e.k.objects["f"]
		o.etag = "another"
		e.k.set("f", o)
		if _, err := e.tryReadAll(ino); !errors.Is(err, ErrStale) {
			t.Errorf("size %d: read of a changed object: %v", size, err)
		}
		e.k.remove("f")
		if _, err := e.tryReadAll(ino); !errors.Is(err, ErrStale) {
			t.Errorf("size %d: read of a removed object: %v", size, err)
		}
		// The cache notices the change and imports it: the handle stays stale, a new one sees the new content.
		e.k.set("f", o)
		in := e.inode(ino)
		err := e.db.Update(func(tx *index.Tx) error {
			in.Gen = tx.NextGen()
			return tx.PutInode(in)
		})
		if err != nil {
			t.Fatal(err)
		}
		e.record(ino, "f", index.ID{})
		if _, err := e.tryReadAll(ino); !errors.Is(err, ErrStale) {
			t.Errorf("size %d: an open handle got other content: %v", size, err)
		}
		e.s.Unpin(ino)
		e.want(ino, want)
	}
}

// When the content has moved to another key, reads follow.
func TestHomeMoves(t *testing.T) {
	for _, size := range []int{1000, 4 << 20} {
		e := newEnv(t, Options{})
		want := random(12, size)
		ino := e.foreign("f", want, false)
		var once sync.Once
		e.k.hook = func(r object.GetRequest) error {
			var err error
			once.Do(func() {
				e.k.mu.Lock()
				e.k.objects["g"] = e.k.objects["f"]
				delete(e.k.objects, "f")
				e.k.mu.Unlock()
				e.record(ino, "g", index.ID{})
				if dbErr := e.db.Update(func(tx *index.Tx) error { return tx.DeleteObject("f") }); dbErr != nil {
					t.Error(dbErr)
				}
				err = fmt.Errorf("get: %w", object.ErrNotFound)
			})
			return err
		}
		e.want(ino, want)
	}
}

// A request that fails is an error for who waits, not for later readers.
func TestFailedRequest(t *testing.T) {
	for _, size := range []int{1000, 4 << 20} {
		e := newEnv(t, Options{})
		want := random(13, size)
		ino := e.foreign("f", want, false)
		e.k.hook = func(object.GetRequest) error { return object.ErrUnavailable }
		if _, err := e.tryReadAll(ino); !errors.Is(err, object.ErrUnavailable) {
			t.Errorf("size %d: %v", size, err)
		}
		e.k.hook = nil
		e.want(ino, want)
	}
}

// An answer that breaks off is asked for again, from where it was.
func TestBrokenAnswer(t *testing.T) {
	for _, size := range []int{1000, 12 << 20} {
		e := newEnv(t, Options{})
		want := random(17, size)
		ino := e.foreign("f", want, false)
		var asked sync.Map // ends of what was asked for
		e.k.cut = func(r object.GetRequest) bool {
			_, again := asked.LoadOrStore(r.Off+r.Len, true)
			return !again
		}
		e.want(ino, want)
		e.evictAll()
		e.k.cut = func(object.GetRequest) bool { return true }
		if _, err := e.tryReadAll(ino); !errors.Is(err, object.ErrUnreachable) {
			t.Errorf("size %d: answers that never end: %v", size, err)
		}
		e.k.cut = nil
		e.want(ino, want)
	}
}

// A reader waits for the bucket no longer than the deadline, and less when it is interrupted.
func TestReadDeadline(t *testing.T) {
	for _, size := range []int{1000, 4 << 20} {
		e := newEnv(t, Options{ReadTimeout: 50 * time.Millisecond})
		ino := e.foreign("f", random(14, size), false)
		gate := make(chan struct{})
		e.k.hook = func(object.GetRequest) error { <-gate; return object.ErrUnreachable }
		if _, err := e.tryReadAll(ino); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("size %d: %v", size, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := e.s.Read(ctx, ino, 0, make([]byte, 10)); !errors.Is(err, context.Canceled) {
			t.Errorf("size %d: interrupted: %v", size, err)
		}
		close(gate)
	}
}

// What we sealed and fetch again is compared with the digest of the seal.
func TestCorruptInTheBucket(t *testing.T) {
	for _, size := range []int{1000, 3 << 20} {
		e := newEnv(t, Options{})
		ino := e.file("f")
		want := random(15, size)
		e.write(ino, 0, want)
		e.seal(ino)
		e.upload(ino, "f")
		e.evictAll()
		e.k.corrupt = func(_ string, data []byte) { data[len(data)/2] ^= 1 }
		if err := e.s.Fetch(context.Background(), ino); !errors.Is(err, ErrDamaged) {
			t.Errorf("size %d: fetch of a damaged object: %v", size, err)
		}
		if in := e.inode(ino); in.CachedGen == in.Gen {
			t.Error("damaged content was kept")
		}
	}
}

// A write to a remote file fetches it first.
func TestWriteToRemote(t *testing.T) {
	for _, size := range []int{1000, 3 << 20} {
		e := newEnv(t, Options{})
		want := random(16, size)
		ino := e.foreign("f", want, true)
		e.write(ino, 10, []byte("changed"))
		copy(want[10:], "changed")
		e.want(ino, want)
		e.seal(ino)
		e.upload(ino, "f")
		e.evictAll()
		e.want(ino, want)
		n := e.k.requests()
		e.evictAll()
		if err := e.s.Truncate(context.Background(), ino, 0); err != nil {
			t.Fatal(err)
		}
		e.write(ino, 0, []byte("new"))
		e.want(ino, []byte("new"))
		if e.k.requests() != n {
			t.Error("truncation to nothing fetched the content")
		}
	}
}
