package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// smallest is a mount with the smallest cache, and files in the bucket that are not here.
func smallest(t *testing.T, sizes map[string]int) (*testenv.Env, map[string][]byte) {
	t.Helper()
	env := testenv.New(t, testenv.Options{Cache: cache.Options{Limit: 16 << 20}})
	want := map[string][]byte{}
	for name, size := range sizes {
		want[name] = bytes.Repeat([]byte(name), size/len(name)+1)[:size]
		must(t, os.WriteFile(env.Path(name), want[name], 0o644))
	}
	env.Sync()
	env.DropCache()
	return env, want
}

func sameFiles(t *testing.T, env *testenv.Env, want map[string][]byte) {
	t.Helper()
	for _, when := range []string{"here", "on a new machine"} {
		for name := range want {
			if got, err := os.ReadFile(env.Path(name)); err != nil || !bytes.Equal(got, want[name]) {
				t.Errorf("%s, %s: got %d bytes, %v, or others than were written", name, when, len(got), err)
			}
		}
		env.Sync()
		env.DropCache()
	}
}

// TestChangesUnderPressure: files that together exceed the cache are changed a little, again and again and at the same time. What a
// change needs of a file was given back for its next part while it was fetched, so that it never was whole: ESTALE.
func TestChangesUnderPressure(t *testing.T) {
	const size = 10 << 20
	env, want := smallest(t, map[string]int{"a": size, "b": size, "c": size})
	var g errgroup.Group
	for name := range want {
		g.Go(func() error {
			for round := range 4 {
				if err := change(env.Path(name), want[name], round<<21, byte(round)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
	sameFiles(t, env, want)
}

// change opens a file, writes 100 bytes to it and to what it should be, and closes it.
func change(path string, want []byte, off int, b byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	p := bytes.Repeat([]byte{b}, 100)
	_, err = f.WriteAt(p, int64(off))
	copy(want[off:], p)
	return errors.Join(err, f.Close())
}

// TestChangesBesideReader: a file is changed while others are read that are larger than the cache.
func TestChangesBesideReader(t *testing.T) {
	env, want := smallest(t, map[string]int{"large": 40 << 20, "changed": 14 << 20})
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	for _, step := range []int64{0, 5 << 20} {
		g.Go(func() error { return readAgain(ctx, env.Path("large"), step, int64(len(want["large"]))) })
	}
	for round := range 12 {
		if err := change(env.Path("changed"), want["changed"], round<<18, byte(round)); err != nil {
			t.Error(err)
		}
	}
	stop()
	must(t, g.Wait())
	sameFiles(t, env, want)
}

// readAgain reads a file until ctx ends, from front to back, or in steps that come around.
func readAgain(ctx context.Context, path string, step, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 128<<10)
	for off := int64(0); ctx.Err() == nil; off = (off + step) % size {
		n, err := f.ReadAt(buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if step == 0 {
			off += int64(n)
		}
	}
	return nil
}

// TestOpenFilesUnderPressure: programs have files open that together exceed the cache, and do all that changes content, at any place. A file
// that nobody closes was never uploaded, so that there was no room any more: ENOSPC.
func TestOpenFilesUnderPressure(t *testing.T) {
	const most = 8 << 20
	env, want := smallest(t, map[string]int{"a": most / 2, "b": most / 2, "c": most / 2, "d": most / 2})
	var g errgroup.Group
	got := make(chan struct {
		name string
		data []byte
	}, len(want))
	for name, data := range want {
		g.Go(func() error {
			x := &exerciser{random: rand.New(rand.NewPCG(uint64(name[0]), 1)), data: data, most: most} //nolint:gosec // repeatable on purpose
			err := x.run(env.Path(name), 60)
			got <- struct {
				name string
				data []byte
			}{name, x.data}
			return err
		})
	}
	must(t, g.Wait())
	for range want {
		f := <-got
		want[f.name] = f.data
	}
	sameFiles(t, env, want)
}

// exerciser does to an open file what it does to a slice of bytes, and compares them, as fsx does.
type exerciser struct {
	random *rand.Rand
	data   []byte
	most   int
}

func (x *exerciser) run(path string, calls int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for n := range calls {
		if err := x.call(f); err != nil {
			return errors.Join(fmt.Errorf("call %d of %s: %w", n, path, err), f.Close())
		}
	}
	return f.Close()
}

func (x *exerciser) call(f *os.File) error {
	off := x.random.IntN(x.most - 1)
	n := min(1+x.random.IntN(256<<10), x.most-off)
	switch x.random.IntN(6) {
	case 0, 1:
		p := bytes.Repeat([]byte{byte(1 + x.random.IntN(255))}, n)
		x.grow(off + n)
		copy(x.data[off:], p)
		_, err := f.WriteAt(p, int64(off))
		return err
	case 2:
		x.grow(off)
		x.data = x.data[:off]
		return f.Truncate(int64(off))
	case 3:
		x.grow(off + n)
		return unix.Fallocate(int(f.Fd()), 0, int64(off), int64(n))
	case 4:
		if off < len(x.data) {
			clear(x.data[off:min(off+n, len(x.data))])
		}
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(n))
	}
	return x.compare(f, off, n)
}

// grow makes the slice at least n bytes long.
func (x *exerciser) grow(n int) {
	if n > len(x.data) {
		x.data = append(x.data, make([]byte, n-len(x.data))...)
	}
}

func (x *exerciser) compare(f *os.File, off, n int) error {
	p := make([]byte, n)
	k, err := f.ReadAt(p, int64(off))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	want := x.data[min(off, len(x.data)):min(off+n, len(x.data))]
	if !bytes.Equal(p[:k], want) {
		return fmt.Errorf("read %d bytes at %d, want %d, or others", k, off, len(want))
	}
	return nil
}

// TestManySmallUnderPressure: programs change and read many files of middle size that together exceed the cache.
func TestManySmallUnderPressure(t *testing.T) {
	sizes := map[string]int{}
	for n := range 48 {
		sizes[fmt.Sprintf("f%02d", n)] = 700<<10 + n<<13
	}
	env, want := smallest(t, sizes)
	var g errgroup.Group
	for part := range 4 {
		g.Go(func() error {
			for n := part; n < 96; n += 4 {
				name := fmt.Sprintf("f%02d", n%48)
				if err := change(env.Path(name), want[name], n<<10, byte(n)); err != nil {
					return err
				}
				if got, err := os.ReadFile(env.Path(name)); err != nil || !bytes.Equal(got, want[name]) {
					return fmt.Errorf("%s: got %d bytes, %w, or others than were written", name, len(got), err)
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
	sameFiles(t, env, want)
}
