package e2e

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/model"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// The tests of this file belong to rows of the table in docs/SEMANTICS.md.

// create opens a new file with content, closed at the end of the test.
func create(t *testing.T, path string, content []byte) *os.File {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() }) // some tests close it
	_, err = f.Write(content)
	must(t, err)
	return f
}

func TestLargestFile(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	f := create(t, env.Path("f"), []byte("text"))
	if _, err := unix.Pwrite(int(f.Fd()), []byte("x"), 1<<52); err != unix.EFBIG {
		t.Errorf("got %v, want EFBIG", err)
	}
	if err := unix.Ftruncate(int(f.Fd()), 1<<52); err != unix.EFBIG {
		t.Errorf("truncate: got %v, want EFBIG", err)
	}
	if got, err := os.ReadFile(env.Path("f")); err != nil || string(got) != "text" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSpecialFiles: types and targets come back from the bucket.
func TestSpecialFiles(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	target := strings.Repeat("somewhere/", 40)
	must(t, unix.Mknod(env.Path("fifo"), unix.S_IFIFO|0o640, 0))
	must(t, unix.Mknod(env.Path("socket"), unix.S_IFSOCK|0o600, 0))
	must(t, os.Symlink(target, env.Path("link")))
	env.DropCache()
	for name, want := range map[string]uint32{"fifo": unix.S_IFIFO | 0o640, "socket": unix.S_IFSOCK | 0o600, "link": unix.S_IFLNK | 0o777} {
		var st unix.Stat_t
		if err := unix.Lstat(env.Path(name), &st); err != nil || st.Mode != want {
			t.Errorf("%s: got %#o, %v, want %#o", name, st.Mode, err, want)
		}
	}
	if got, err := os.Readlink(env.Path("link")); err != nil || got != target {
		t.Errorf("got %q, %v, want %q", got, err, target)
	}
}

// TestHoles: a hole is a hole until the file is sealed, data afterwards.
func TestHoles(t *testing.T) {
	env := testenv.New(t, testenv.Options{Cache: cache.Options{Settle: time.Hour}})
	const hole, size = 1 << 20, 2 << 20
	f := create(t, env.Path("f"), bytes.Repeat([]byte("x"), 4096))
	must(t, f.Truncate(hole))
	_, err := f.WriteAt(bytes.Repeat([]byte("y"), size-hole), hole)
	must(t, err)
	seek := func(off int64, whence int) int64 {
		t.Helper()
		at, err := unix.Seek(int(f.Fd()), off, whence)
		must(t, err)
		return at
	}
	if begin, end := seek(0, unix.SEEK_HOLE), seek(hole/2, unix.SEEK_DATA); begin != 4096 || end != hole {
		t.Errorf("got a hole from %d to %d, want from 4096 to %d", begin, end, hole)
	}
	must(t, f.Close())
	env.Sync()
	f, err = os.Open(env.Path("f"))
	must(t, err)
	defer f.Close()
	if begin, data := seek(0, unix.SEEK_HOLE), seek(hole/2, unix.SEEK_DATA); begin != size || data != hole/2 {
		t.Errorf("sealed: got a hole at %d, data at %d, want the end %d, and %d", begin, data, size, hole/2)
	}
}

func TestAllocate(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	f := create(t, env.Path("f"), bytes.Repeat([]byte("x"), 20_000))
	for _, tt := range []struct {
		name string
		mode uint32
		want error
	}{
		{"plain", 0, nil},
		{"keep size", unix.FALLOC_FL_KEEP_SIZE, nil},
		{"punch hole", unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, nil},
		{"zero range", unix.FALLOC_FL_ZERO_RANGE, nil},
		{"collapse", unix.FALLOC_FL_COLLAPSE_RANGE, unix.EOPNOTSUPP},
		{"insert", unix.FALLOC_FL_INSERT_RANGE, unix.EOPNOTSUPP},
	} {
		if err := unix.Fallocate(int(f.Fd()), tt.mode, 4096, 4096); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestMapping: what is written through a shared mapping is read by others and reaches the bucket.
func TestMapping(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	want := bytes.Repeat([]byte("x"), 10_000)
	f := create(t, env.Path("f"), want)
	p, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	must(t, model.WriteMapped(p[4090:], []byte("across a page")))
	copy(want[4090:], "across a page")
	if got, err := os.ReadFile(env.Path("f")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read while it is mapped: %d bytes, %v, want the new ones", len(got), err)
	}
	must(t, unix.Msync(p, unix.MS_SYNC))
	must(t, unix.Munmap(p))
	must(t, f.Close())
	env.DropCache()
	if got, err := os.ReadFile(env.Path("f")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("from the bucket: %d bytes, %v, want the new ones", len(got), err)
	}
}

// TestLocks: programs of this machine shut each other out, by both kinds of locks.
func TestLocks(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	first := create(t, env.Path("f"), []byte("x"))
	second, err := os.OpenFile(env.Path("f"), os.O_RDWR, 0)
	must(t, err)
	defer second.Close()
	flock := func(f *os.File, how int) error { return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) }
	posix := func(f *os.File, how int16) error {
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: how, Len: 1})
	}
	must(t, flock(first, unix.LOCK_EX))
	if err := flock(second, unix.LOCK_EX); err != unix.EWOULDBLOCK {
		t.Errorf("flock: got %v, want EWOULDBLOCK", err)
	}
	must(t, flock(first, unix.LOCK_UN))
	must(t, flock(second, unix.LOCK_EX))
	must(t, posix(first, unix.F_WRLCK))
	if err := posix(second, unix.F_RDLCK); err != unix.EAGAIN {
		t.Errorf("fcntl: got %v, want EAGAIN", err)
	}
	must(t, posix(first, unix.F_UNLCK))
	must(t, posix(second, unix.F_RDLCK))
}

func TestStatfs(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	var before, after unix.Statfs_t
	must(t, unix.Statfs(env.Dir, &before))
	must(t, os.WriteFile(env.Path("f"), make([]byte, 1<<20), 0o644))
	must(t, unix.Statfs(env.Dir, &after))
	if before.Bavail != after.Bavail || before.Ffree != after.Ffree {
		t.Errorf("got %d blocks and %d files before, %d and %d after, want a constant", before.Bavail, before.Ffree, after.Bavail, after.Ffree)
	}
	const words = 1 << 32 // a 32-bit program's
	if after.Blocks >= words || after.Bavail >= words || after.Files >= words || after.Ffree >= words {
		t.Errorf("got %d blocks and %d files: statfs of 32-bit programs fails with EOVERFLOW", after.Blocks, after.Files)
	}
	if room := after.Bavail * uint64(after.Bsize); room < 1<<40 || after.Namelen != 255 { //nolint:gosec // block sizes are positive
		t.Errorf("got room for %d bytes and names of %d, want more than 1 TiB and 255", room, after.Namelen)
	}
}

// TestInotify: what others do is seen by listing, not by a watch; what is done here is seen by both.
func TestInotify(t *testing.T) {
	o := testenv.Options{Cache: cache.Options{MetaTTL: time.Millisecond}}
	env := testenv.New(t, o)
	o.Share = env
	other := testenv.New(t, o)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	must(t, err)
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, env.Dir, unix.IN_CREATE)
	must(t, err)
	must(t, os.WriteFile(other.Path("theirs"), nil, 0o644))
	other.Sync()
	testenv.Eventually(t, "the file of the other mount", func() bool { _, err := os.Stat(env.Path("theirs")); return err == nil })
	must(t, os.WriteFile(env.Path("ours"), nil, 0o644))
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	must(t, err)
	var names []string
	for p := buf[:n]; len(p) > 0; {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&p[0])) //nolint:gosec // as inotify(7) has it
		end := unix.SizeofInotifyEvent + int(e.Len)
		names = append(names, string(bytes.TrimRight(p[unix.SizeofInotifyEvent:end], "\x00")))
		p = p[end:]
	}
	if len(names) != 1 || names[0] != "ours" {
		t.Errorf("got %q, want ours", names)
	}
}
