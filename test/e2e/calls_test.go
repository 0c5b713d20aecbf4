// Package e2e proves what programs see, through a real mount on the emulator.
package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestErrno checks the answers of calls that must fail.
func TestErrno(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	dir, file := env.Path("dir"), env.Path("file")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Mkdir(env.Path("dir/sub"), 0o755))
	must(t, os.WriteFile(file, []byte("x"), 0o644))
	long := strings.Repeat("n", 256)
	deep := strings.Repeat("/"+strings.Repeat("d", 200), 5)[1:]
	for _, c := range []struct {
		name string
		call func() error
		want error
	}{
		{"hard link", func() error { return os.Link(file, env.Path("second")) }, unix.EPERM},
		{"component too long", func() error { return os.Mkdir(env.Path(long), 0o755) }, unix.ENAMETOOLONG},
		{"key too long", func() error { return os.MkdirAll(env.Path(deep+"/"+strings.Repeat("e", 100)), 0o755) }, unix.ENAMETOOLONG},
		{"not UTF-8", func() error { return os.WriteFile(env.Path("\xff\xfe"), nil, 0o644) }, unix.EINVAL},
		{"backslash at the root", func() error { return os.WriteFile(env.Path("\\x"), nil, 0o644) }, unix.EINVAL},
		{"hidden area, look", func() error { _, err := os.Stat(env.Path(".ossencfs")); return err }, unix.ENOENT},
		{"hidden area, make", func() error { return os.Mkdir(env.Path(".ossencfs"), 0o755) }, unix.EACCES},
		{"reserved name below, look", func() error { _, err := os.Stat(env.Path("dir/.ossencfs")); return err }, unix.ENOENT},
		{"reserved name below, create", func() error { return os.WriteFile(env.Path("dir/.ossencfs"), nil, 0o644) }, unix.EACCES},
		{"reserved name below, mkdir", func() error { return os.Mkdir(env.Path("dir/.ossencfs"), 0o755) }, unix.EACCES},
		{"reserved name below, mknod", func() error { return unix.Mkfifo(env.Path("dir/.ossencfs"), 0o644) }, unix.EACCES},
		{"reserved name below, symlink", func() error { return os.Symlink("x", env.Path("dir/.ossencfs")) }, unix.EACCES},
		{"reserved name below, rename", func() error { return os.Rename(file, env.Path("dir/.ossencfs")) }, unix.EACCES},
		{"reserved name below, exchange", func() error {
			return unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, env.Path("dir/.ossencfs"), unix.RENAME_EXCHANGE)
		}, unix.ENOENT},
		{"reserved name below, link", func() error { return os.Link(file, env.Path("dir/.ossencfs")) }, unix.EPERM},
		{"rmdir of a full directory", func() error { return syscall.Rmdir(dir) }, unix.ENOTEMPTY},
		{"rmdir of a file", func() error { return syscall.Rmdir(file) }, unix.ENOTDIR},
		{"unlink of a directory", func() error { return syscall.Unlink(dir) }, unix.EISDIR},
		{"into itself", func() error { return os.Rename(dir, env.Path("dir/sub/x")) }, unix.EINVAL},
		{"directory over file", func() error { return syscall.Rename(dir, file) }, unix.ENOTDIR},
		{"file over directory", func() error { return syscall.Rename(file, dir) }, unix.EISDIR},
		{"exclusive create", func() error { _, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o644); return err }, unix.EEXIST},
		{"path through a file", func() error { _, err := os.Stat(env.Path("file/x")); return err }, unix.ENOTDIR},
		{"label", func() error { return unix.Setxattr(file, "security.label", []byte("x"), 0) }, noLabels()},
		{"missing attribute", func() error { _, err := unix.Getxattr(file, "user.none", nil); return err }, unix.ENODATA},
		{"huge attribute", func() error { return unix.Setxattr(file, "user.huge", make([]byte, 20_000), 0) }, unix.ENOSPC},
		{"no replace", func() error {
			return unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, dir, unix.RENAME_NOREPLACE)
		}, unix.EEXIST},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.call(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestNames checks renames of every kind and that the bucket follows.
func TestNames(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	write := func(name, text string) { t.Helper(); must(t, os.WriteFile(env.Path(name), []byte(text), 0o644)) }
	write("a", "A")
	write("b", "B")
	must(t, os.MkdirAll(env.Path("d/e"), 0o755))
	write("d/e/f", "F")
	env.Sync()
	must(t, unix.Renameat2(unix.AT_FDCWD, env.Path("a"), unix.AT_FDCWD, env.Path("b"), unix.RENAME_EXCHANGE))
	must(t, os.Rename(env.Path("d"), env.Path("moved")))
	write("moved/e/g", "G")
	must(t, os.Rename(env.Path("moved/e/g"), env.Path("moved/e/f")))
	check := func() {
		t.Helper()
		for name, want := range map[string]string{"a": "B", "b": "A", "moved/e/f": "G"} {
			if got, err := os.ReadFile(env.Path(name)); err != nil || string(got) != want {
				t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
			}
		}
		if _, err := os.Stat(env.Path("d")); !os.IsNotExist(err) {
			t.Errorf("the old name of the directory: %v", err)
		}
	}
	check()
	env.Sync()
	want := []string{"a", "b", "moved/", "moved/e/", "moved/e/f"}
	if got := env.Keys(); !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	env.DropCache()
	check()
	must(t, os.RemoveAll(env.Path("moved")))
	env.Sync()
	if got := env.Keys(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got keys %q after rm -r, want a and b", got)
	}
}

// TestOpenUnlinked checks that a file without a name can be used until it is closed, and leaves nothing behind.
func TestOpenUnlinked(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	f, err := os.Create(env.Path("gone"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("first ")
	must(t, err)
	must(t, os.Remove(env.Path("gone")))
	_, err = f.WriteString("second")
	must(t, err)
	data := make([]byte, 12)
	if _, err := f.ReadAt(data, 0); err != nil || string(data) != "first second" {
		t.Errorf("got %q, %v", data, err)
	}
	var st unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &st))
	if st.Nlink != 0 {
		t.Errorf("got %d links, want 0", st.Nlink)
	}
	must(t, f.Close())
	env.Sync()
	if keys := env.Keys(); len(keys) != 0 {
		t.Errorf("left in the bucket: %q", keys)
	}
}

// TestRenameOverOpen checks that a replaced file is still read by who has it open.
func TestRenameOverOpen(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, os.WriteFile(env.Path("f"), []byte("old"), 0o644))
	f, err := os.Open(env.Path("f"))
	must(t, err)
	defer f.Close()
	must(t, os.WriteFile(env.Path("g"), []byte("new"), 0o644))
	must(t, os.Rename(env.Path("g"), env.Path("f")))
	if data, err := io.ReadAll(f); err != nil || string(data) != "old" {
		t.Errorf("through the open file: got %q, %v, want old", data, err)
	}
	if data, err := os.ReadFile(env.Path("f")); err != nil || string(data) != "new" {
		t.Errorf("by name: got %q, %v, want new", data, err)
	}
}

// TestContent writes in every way and compares after the cache is gone.
func TestContent(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	want := map[string][]byte{}
	f, err := os.Create(env.Path("random"))
	must(t, err)
	model := make([]byte, 0, 3<<20)
	write := func(off int64, p []byte) {
		t.Helper()
		_, err := f.WriteAt(p, off)
		must(t, err)
		if end := int(off) + len(p); end > len(model) {
			model = append(model, make([]byte, end-len(model))...)
		}
		copy(model[off:], p)
	}
	write(0, bytes.Repeat([]byte("abc"), 100_000))
	write(2<<20, []byte("after a hole"))
	write(5, []byte("over"))
	must(t, f.Truncate(2<<20+4))
	model = model[:2<<20+4]
	must(t, f.Truncate(3<<20))
	model = append(model, make([]byte, 3<<20-len(model))...)
	must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 4096, 8192))
	clear(model[4096 : 4096+8192])
	must(t, f.Sync())
	must(t, f.Close())
	want["random"] = model
	app, err := os.OpenFile(env.Path("append"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(t, err)
	for n := range 100 {
		fmt.Fprintf(app, "line %d\n", n)
		want["append"] = fmt.Appendf(want["append"], "line %d\n", n)
	}
	must(t, app.Close())
	check := func() {
		t.Helper()
		for name, data := range want {
			got, err := os.ReadFile(env.Path(name))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: got %d bytes, %v, want %d equal ones", name, len(got), err, len(data))
			}
		}
	}
	check()
	env.RemountNow()
	check()
	env.DropCache()
	check()
}

// TestAttributes checks what stat shows after changes, a remount and without the cache.
func TestAttributes(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	file, dir := env.Path("f"), env.Path("d")
	must(t, os.WriteFile(file, []byte("x"), 0o644))
	must(t, os.Mkdir(dir, 0o755))
	env.Sync()
	must(t, os.Chmod(file, 0o604))
	must(t, os.Chmod(dir, os.ModeSetgid|0o711))
	must(t, unix.Setxattr(file, "user.k", []byte("v"), 0))
	must(t, os.WriteFile(env.Path("d/inner"), nil, 0o600))
	must(t, unix.Mkfifo(env.Path("fifo"), 0o640))
	before := testenv.Tree(t, env.Dir)
	if !strings.HasPrefix(before["f"], "100604") || !strings.Contains(before["f"], `user.k="v"`) {
		t.Errorf("got %s", before["f"])
	}
	if !strings.HasPrefix(before["d"], "42711") || !strings.HasPrefix(before["fifo"], "10640") {
		t.Errorf("got %s and %s", before["d"], before["fifo"])
	}
	ino := inode(t, file)
	env.Remount()
	testenv.SameTree(t, testenv.Tree(t, env.Dir), before)
	if got := inode(t, file); got != ino {
		t.Errorf("got inode %d after a remount, want %d", got, ino)
	}
	before = testenv.Tree(t, env.Dir)
	env.DropCache()
	testenv.SameTree(t, testenv.Tree(t, env.Dir), before)
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Ino
}

// TestTimes checks which calls move which times.
func TestTimes(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	file := env.Path("f")
	must(t, os.WriteFile(file, []byte("x"), 0o644))
	must(t, os.Chtimes(file, testTime, testTime))
	stat := func(path string) unix.Stat_t {
		t.Helper()
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		return st
	}
	if st := stat(file); st.Mtim.Sec != testTime.Unix() || st.Atim.Sec != testTime.Unix() {
		t.Errorf("got mtime %d, atime %d, want %d", st.Mtim.Sec, st.Atim.Sec, testTime.Unix())
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("y")
	must(t, err)
	if st := stat(file); st.Mtim.Sec == testTime.Unix() {
		t.Error("a write did not move the mtime")
	}
	must(t, os.Chtimes(file, testTime, testTime))
	must(t, f.Close())
	if st := stat(file); st.Mtim.Sec != testTime.Unix() {
		t.Error("close moved the mtime that was set while the file was open")
	}
	must(t, os.Chtimes(env.Dir, testTime, testTime))
	must(t, os.Rename(file, env.Path("g")))
	if st := stat(env.Dir); st.Mtim.Sec == testTime.Unix() {
		t.Error("a rename did not move the directory's mtime")
	}
	if st := stat(env.Path("g")); st.Mtim.Sec != testTime.Unix() || st.Ctim.Sec == testTime.Unix() {
		t.Error("a rename moves the ctime, not the mtime")
	}
}

// TestTimesFarAway: a time outside of what is kept becomes the end of it, and stays that, as where a local disk has a range of times.
func TestTimesFarAway(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	const first, last = -9223372036, 9223372036
	times := map[string][2]int64{"2261": {9214646400, 9214646400}, "2300": {10413792000, last}, "9999": {253402300799, last}, "1969": {-1, -1}, "1700": {-8520336000, -8520336000}, "1600": {-11676096000, first}}
	for name, sec := range times {
		must(t, os.WriteFile(env.Path(name), nil, 0o600))
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, env.Path(name), []unix.Timespec{{Sec: sec[0], Nsec: 7}, {Sec: sec[0], Nsec: 7}}, 0))
	}
	check := func(when string) {
		t.Helper()
		for name, sec := range times {
			want := unix.Timespec{Sec: sec[1], Nsec: 7}
			if sec[0] != sec[1] {
				want.Nsec = 0
			}
			var st unix.Stat_t
			if err := unix.Stat(env.Path(name), &st); err != nil || st.Mtim != want {
				t.Errorf("%s, %s: got %v, %v, want %v", when, name, st.Mtim, err, want)
			}
		}
	}
	check("at once")
	env.Remount()
	check("after a mount")
	env.DropCache()
	check("from the bucket")
}

// TestReadDirLarge checks that a large directory shows each name once, also while entries go.
func TestReadDirLarge(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	dir := env.Path("many")
	must(t, os.Mkdir(dir, 0o755))
	const files = 5000
	for n := range files {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("f%05d", n)))
		must(t, err)
		must(t, f.Close())
	}
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	seen := map[string]int{}
	for {
		names, err := d.Readdirnames(500)
		for _, name := range names {
			seen[name]++
			if strings.HasSuffix(name, "7") {
				must(t, os.Remove(filepath.Join(dir, name)))
			}
		}
		if err != nil {
			break
		}
	}
	for n := range files {
		if name := fmt.Sprintf("f%05d", n); seen[name] != 1 {
			t.Errorf("%s was shown %d times", name, seen[name])
		}
	}
}

// TestReadOnly checks that nothing changes on a read-only mount.
func TestReadOnly(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, os.WriteFile(env.Path("f"), []byte("x"), 0o644))
	env.Sync()
	ro := testenv.New(t, testenv.Options{Share: env, Cache: cache.Options{ReadOnly: true}})
	if data, err := os.ReadFile(ro.Path("f")); err != nil || string(data) != "x" {
		t.Errorf("got %q, %v", data, err)
	}
	if err := os.WriteFile(ro.Path("g"), nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("got %v, want EROFS", err)
	}
}

// TestRemoteDurability checks that fsync and close wait for the bucket when they are asked to.
func TestRemoteDurability(t *testing.T) {
	env := testenv.New(t, testenv.Options{Cache: cache.Options{FsyncRemote: true, CloseRemote: true}})
	f, err := os.Create(env.Path("f"))
	must(t, err)
	_, err = f.WriteString("x")
	must(t, err)
	must(t, f.Sync())
	if got := env.Keys(); !slices.Equal(got, []string{"f"}) {
		t.Errorf("after fsync: got keys %q, want f", got)
	}
	must(t, f.Close())
	must(t, os.WriteFile(env.Path("g"), []byte("y"), 0o644))
	if got := env.Keys(); !slices.Equal(got, []string{"f", "g"}) {
		t.Errorf("after close: got keys %q, want f and g", got)
	}
	must(t, os.Rename(env.Path("g"), env.Path("h")))
	d, err := os.Open(env.Dir)
	must(t, err)
	defer d.Close()
	must(t, d.Sync())
	if got := env.Keys(); !slices.Equal(got, []string{"f", "h"}) {
		t.Errorf("after fsync of the directory: got keys %q, want f and h", got)
	}
}

// noLabels is what setting a security label answers: the kernel itself refuses everybody but root.
func noLabels() error {
	if os.Geteuid() != 0 {
		return unix.EPERM
	}
	return unix.EOPNOTSUPP
}
