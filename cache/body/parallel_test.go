package body

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Writers, readers, seals, uploads, evictions and collections at the same time. Each file holds one repeated byte at a time
// per page, so that a reader can tell torn or foreign content.
func TestParallel(t *testing.T) {
	e := newEnv(t, Options{Limit: 16 << 20, SmallMax: 8 << 10})
	ctx := context.Background()
	const pages, files = 40, 6
	var inos []index.Ino
	for i := range files {
		ino := e.file(fmt.Sprint("f", i))
		e.write(ino, 0, bytes.Repeat([]byte{byte(i * 40)}, pages*4096))
		inos = append(inos, ino)
	}
	var g errgroup.Group
	for w := range files {
		g.Go(func() error { // one writer for each file
			r := rand.New(rand.NewPCG(uint64(w), 5))
			for k := range 150 {
				page := bytes.Repeat([]byte{byte(w*40 + k%40)}, 4096)
				if err := e.s.Write(ctx, inos[w], int64(r.IntN(pages))*4096, page); err != nil {
					return fmt.Errorf("write: %w", err)
				}
				if k%17 == 0 {
					if err := e.s.Seal(ctx, inos[w]); err != nil {
						return fmt.Errorf("seal: %w", err)
					}
					e.upload(inos[w], fmt.Sprint("f", w))
				}
				if k%29 == 0 {
					if err := e.s.Fsync(ctx, inos[w]); err != nil {
						return fmt.Errorf("fsync: %w", err)
					}
				}
			}
			return nil
		})
		g.Go(func() error { // a reader of all
			r := rand.New(rand.NewPCG(uint64(w), 6))
			buf := make([]byte, 4096)
			for range 300 {
				i := r.IntN(files)
				if _, err := e.s.Read(ctx, inos[i], int64(r.IntN(pages))*4096, buf); err != nil {
					return fmt.Errorf("read: %w", err)
				}
				if int(buf[0])/40 != i || bytes.Count(buf, buf[:1]) != len(buf) {
					return fmt.Errorf("file %d: torn or foreign page of %d", i, buf[0])
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		for range 20 {
			if _, err := e.s.Evict(ctx, 4<<20); err != nil {
				return err
			}
			if err := e.s.collect(ctx); err != nil {
				return err
			}
			runtime.Gosched()
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// Close ends what is under way; later calls say so.
func TestClose(t *testing.T) {
	e := newEnv(t, Options{})
	ino := e.foreign("f", random(70, 8<<20), false)
	buf := make([]byte, 1000)
	if _, err := e.s.Read(context.Background(), ino, 0, buf); err != nil {
		t.Fatal(err)
	}
	if err := e.s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"write": e.s.Write(context.Background(), ino, 0, buf), "seal": e.s.Seal(context.Background(), ino),
		"fetch": e.s.Fetch(context.Background(), ino),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after close: %v", name, err)
		}
	}
	if _, err := e.s.Read(context.Background(), ino, 0, buf); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

// Sealing and reading a large file takes a few steps of memory, not the file. (The race detector makes pools forget.)
func TestMemory(t *testing.T) {
	e := newEnv(t, Options{Limit: 1 << 30})
	ino := e.file("f")
	ctx := context.Background()
	e.write(ino, 1<<20, []byte("not at the beginning"))
	if err := e.s.Truncate(ctx, ino, 128<<20); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e.seal(ino)
	buf := make([]byte, 128<<10)
	for off := int64(0); ; off += int64(len(buf)) {
		n, err := e.s.Read(ctx, ino, off, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 90<<20 {
		t.Errorf("%d bytes allocated for a file of 128 MiB", grown)
	}
}

func BenchmarkCreate(b *testing.B) {
	for _, size := range []int{4096, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e := benchEnv(b)
			p := random(1, size)
			b.SetBytes(int64(size))
			i := 0
			for b.Loop() {
				i++
				ino := e.file(fmt.Sprint(i))
				e.write(ino, 0, p)
				e.seal(ino)
			}
		})
	}
}

func BenchmarkStream(b *testing.B) {
	e := benchEnv(b)
	ino := e.file("f")
	p := random(1, 1<<20)
	b.SetBytes(1 << 20)
	off := int64(0)
	for b.Loop() {
		e.write(ino, off%(1<<30), p)
		if off += 1 << 20; off%(1<<30) == 0 {
			_ = e.s.Truncate(context.Background(), ino, 0)
		}
	}
}

func BenchmarkOverwrite4K(b *testing.B) {
	e := benchEnv(b)
	ino := e.file("f")
	e.write(ino, 0, make([]byte, 64<<20))
	e.seal(ino)
	p := random(1, 4096)
	r := rand.New(rand.NewPCG(1, 1))
	b.SetBytes(4096)
	for b.Loop() {
		e.write(ino, r.Int64N(64<<20/4096)*4096, p)
	}
}

func BenchmarkRead128K(b *testing.B) {
	e := benchEnv(b)
	ino := e.file("f")
	e.write(ino, 0, make([]byte, 64<<20))
	e.seal(ino)
	buf := make([]byte, 128<<10)
	b.SetBytes(128 << 10)
	off := int64(0)
	for b.Loop() {
		if _, err := e.s.Read(context.Background(), ino, off%(64<<20), buf); err != nil {
			b.Fatal(err)
		}
		off += 128 << 10
	}
}

func benchEnv(b *testing.B) *env {
	b.Helper()
	e := &env{t: b, dir: b.TempDir(), k: &bucket{objects: map[string]stored{}}, o: Options{Limit: 8 << 30}}
	e.open()
	b.Cleanup(e.close)
	return e
}
