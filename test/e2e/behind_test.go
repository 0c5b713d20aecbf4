package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestBelowUnsentData: with --writeback the kernel knows of bytes that this process has not seen. What lies below them is a hole for
// read, write and a mapping; it was EIO and SIGBUS, since the process was asked behind the end that it knew.
func TestBelowUnsentData(t *testing.T) {
	for name, touch := range map[string]func(t *testing.T, f *os.File) byte{
		"read": func(t *testing.T, f *os.File) byte {
			one := []byte{7}
			_, err := f.ReadAt(one, 0)
			must(t, err)
			return one[0]
		},
		"write": func(t *testing.T, f *os.File) byte {
			_, err := f.WriteAt([]byte("w"), 0)
			must(t, err)
			return 'w'
		},
		"mapping": func(t *testing.T, f *os.File) byte {
			// A page fault must not stop the process that serves it.
			cmd := exec.Command(os.Args[0], "-test.run=^TestMappedByAnother$")
			cmd.Env, cmd.ExtraFiles = append(os.Environ(), mappedByAnother+"=1"), []*os.File{f}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %.300s", err, out)
			}
			return 'm'
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := testenv.New(t, testenv.Options{Mount: gofs.Options{Writeback: true}})
			f, err := os.Create(env.Path("f"))
			must(t, err)
			defer f.Close()
			_, err = f.WriteAt([]byte{'x'}, 8192)
			must(t, err)
			want := make([]byte, 8193)
			want[8192] = 'x'
			want[0] = touch(t, f)
			must(t, f.Close())
			env.DropCache()
			if got, err := os.ReadFile(env.Path("f")); err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes, %v, want %d others", len(got), err, len(want))
			}
		})
	}
}

// mappedByAnother is set in the process that maps the file of TestBelowUnsentData, its descriptor 3.
const mappedByAnother = "OSSENCFS_TEST_MAPPED"

func TestMappedByAnother(t *testing.T) {
	if os.Getenv(mappedByAnother) == "" {
		t.Skip("is run by TestBelowUnsentData")
	}
	m, err := unix.Mmap(3, 0, 8193, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	if m[1] != 0 {
		t.Errorf("got %d, want 0", m[1])
	}
	m[0] = 'm'
	must(t, unix.Munmap(m))
}

// TestReadBehindTheEnd: a read that the kernel sent before another program truncated the file finds no bytes, which is no error.
func TestReadBehindTheEnd(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	create(t, env.Path("f"), []byte("text"))
	ino := cache.Ino(inode(t, env.Path("f")))
	for off, want := range map[int64]int{0: 4, 3: 1, 4: 0, 5: 0, 1 << 40: 0} {
		if n, err := env.Cache.Read(context.Background(), ino, off, make([]byte, 9)); err != nil || n != want {
			t.Errorf("at %d: got %d, %v, want %d", off, n, err, want)
		}
	}
}

// TestSeekDataBeforeAHole: where only a hole follows there is no data, which is ENXIO, also at the end and behind it.
func TestSeekDataBeforeAHole(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	f := create(t, env.Path("f"), []byte("text"))
	must(t, f.Truncate(1<<20))
	for _, off := range []int64{4096, 1<<20 - 1, 1 << 20, 1 << 21} {
		if at, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA); err != unix.ENXIO {
			t.Errorf("data from %d: got %d, %v, want ENXIO", off, at, err)
		}
	}
	if at, err := unix.Seek(int(f.Fd()), 4096, unix.SEEK_HOLE); err != nil || at != 4096 {
		t.Errorf("hole from 4096: got %d, %v", at, err)
	}
}
