package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// touches are calls that change content, or could. Each gets a file of 5,000 bytes.
var touches = map[string]func(f *os.File) error{
	"write":                       func(f *os.File) error { return second(f.WriteAt([]byte("x"), 10)) },
	"write of the same":           func(f *os.File) error { return second(f.WriteAt([]byte("z"), 10)) },
	"write of nothing":            func(f *os.File) error { return second(f.Write(nil)) },
	"read":                        func(f *os.File) error { return second(f.ReadAt(make([]byte, 10), 0)) },
	"ftruncate to the same size":  func(f *os.File) error { return f.Truncate(5000) },
	"ftruncate to a smaller size": func(f *os.File) error { return f.Truncate(4000) },
	"truncate to the same size":   func(f *os.File) error { return os.Truncate(f.Name(), 5000) },
	"O_TRUNC": func(f *os.File) error {
		g, err := os.OpenFile(f.Name(), os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		return g.Close()
	},
	"fallocate within":       allocates(0, 0, 100),
	"fallocate behind":       allocates(0, 5000, 100),
	"fallocate, KEEP_SIZE":   allocates(unix.FALLOC_FL_KEEP_SIZE, 6000, 100),
	"hole":                   allocates(unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, 0, 4096),
	"zeros":                  allocates(unix.FALLOC_FL_ZERO_RANGE, 0, 100),
	"zeros, KEEP_SIZE":       allocates(unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_ZERO_RANGE, 0, 100),
	"copy_file_range":        func(f *os.File) error { return copiesRange(f, 100) },
	"copy_file_range of nil": func(f *os.File) error { return copiesRange(f, 0) },
}

func allocates(mode uint32, off, n int64) func(*os.File) error {
	return func(f *os.File) error { return unix.Fallocate(int(f.Fd()), mode, off, n) }
}

func copiesRange(f *os.File, n int) error {
	from, to := int64(0), int64(200)
	_, err := unix.CopyFileRange(int(f.Fd()), &from, int(f.Fd()), &to, n, 0)
	return err
}

// TestCallsThatMoveTheMtime: a call moves the modification time where it does on a local disk, and nowhere else.
func TestCallsThatMoveTheMtime(t *testing.T) {
	dir, local := testenv.New(t, testenv.Options{}).Dir, t.TempDir()
	then := time.Unix(1_000_000_000, 0)
	for name, touch := range touches {
		moved := func(in string) bool {
			path := filepath.Join(in, "file")
			must(t, os.WriteFile(path, make([]byte, 5000), 0o644))
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			must(t, err)
			defer f.Close()
			must(t, os.Chtimes(path, then, then))
			if err := touch(f); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			info, err := f.Stat()
			must(t, err)
			return !info.ModTime().Equal(then)
		}
		if got, want := moved(dir), moved(local); got != want {
			t.Errorf("%s: moved %v, on the local disk %v", name, got, want)
		}
	}
}
