package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// tmpfile opens a file without a name in a directory, with content.
func tmpfile(t *testing.T, dir string, flags int, content string) *os.File {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC|flags, 0o640)
	must(t, err)
	f := os.NewFile(uintptr(fd), dir+"/nameless")
	t.Cleanup(func() { _ = f.Close() }) // most are closed before
	_, err = f.WriteString(content)
	must(t, err)
	return f
}

// linkByProc and linkByDescriptor give the file of a descriptor a name, in the two ways that open(2) names.
func linkByProc(f *os.File, path string) error {
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
}

func linkByDescriptor(f *os.File, path string) error {
	return unix.Linkat(int(f.Fd()), "", unix.AT_FDCWD, path, unix.AT_EMPTY_PATH)
}

// TestTmpfileGetsAName: a document that is saved without a name first, as Qt does, is there under the name that it gets, and in the bucket.
func TestTmpfileGetsAName(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, os.Mkdir(env.Path("other"), 0o755))
	for name, link := range map[string]func(*os.File, string) error{"proc": linkByProc, "other/descriptor": linkByDescriptor} {
		f := tmpfile(t, env.Dir, 0, "document, ")
		must(t, unix.Fsetxattr(int(f.Fd()), "user.a", []byte("v"), 0))
		must(t, f.Sync())
		if err := link(f, env.Path(name)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err := f.WriteString("and more")
		must(t, err)
		must(t, f.Close())
	}
	reader := tmpfile(t, env.Dir, 0, "document, and more")
	only, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", reader.Fd()))
	must(t, err)
	must(t, unix.Fsetxattr(int(reader.Fd()), "user.a", []byte("v"), 0))
	must(t, reader.Close())
	must(t, linkByProc(only, env.Path("written before")))
	must(t, only.Close())
	names := []string{"proc", "other/descriptor", "written before"}
	check := func(when string) {
		t.Helper()
		for _, name := range names {
			got, err := os.ReadFile(env.Path(name))
			if err != nil || string(got) != "document, and more" {
				t.Errorf("%s, %s: got %q, %v", when, name, got, err)
			}
			var st unix.Stat_t
			if err := unix.Stat(env.Path(name), &st); err != nil || st.Mode&0o777 != 0o640 || st.Nlink != 1 {
				t.Errorf("%s, %s: mode %o, %d names, %v", when, name, st.Mode, st.Nlink, err)
			}
			if v := getxattr(t, env.Path(name), "user.a"); v != "v" {
				t.Errorf("%s, %s: attribute %q", when, name, v)
			}
		}
		if entries, err := os.ReadDir(env.Dir); err != nil || len(entries) != 3 {
			t.Errorf("%s: %d entries, %v, want 3", when, len(entries), err)
		}
	}
	check("at once")
	env.RemountNow()
	check("after a crash")
	env.DropCache()
	check("from the bucket")
}

// TestTmpfileLinkErrno: the answers are those of ext4.
func TestTmpfileLinkErrno(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	local := ext4(t)
	for _, link := range []func(*os.File, string) error{linkByProc, linkByDescriptor} {
		for _, tt := range []struct {
			name string
			do   func(dir string) error
			want error
		}{
			{"name is taken", func(dir string) error {
				must(t, os.WriteFile(dir+"/taken", nil, 0o600))
				return link(tmpfile(t, dir, 0, "x"), dir+"/taken")
			}, unix.EEXIST},
			{"exclusive", func(dir string) error { return link(tmpfile(t, dir, unix.O_EXCL, "x"), dir+"/new") }, unix.ENOENT},
			{"removed", func(dir string) error {
				f := create(t, dir+"/removed", nil)
				must(t, os.Remove(dir+"/removed"))
				return link(f, dir+"/new")
			}, unix.ENOENT},
			{"named and removed", func(dir string) error {
				f := tmpfile(t, dir, 0, "x")
				must(t, link(f, dir+"/once"))
				must(t, os.Remove(dir+"/once"))
				return link(f, dir+"/new")
			}, unix.ENOENT},
			{"no such directory", func(dir string) error { return link(tmpfile(t, dir, 0, "x"), dir+"/none/new") }, unix.ENOENT},
			{"directory is a file", func(dir string) error { return link(tmpfile(t, dir, 0, "x"), dir+"/taken/new") }, unix.ENOTDIR},
			{"name too long", func(dir string) error { return link(tmpfile(t, dir, 0, "x"), dir+"/"+strings.Repeat("n", 256)) }, unix.ENAMETOOLONG},
		} {
			if got := tt.do(local); !errors.Is(got, tt.want) {
				t.Errorf("%s on ext4: got %v, want %v", tt.name, got, tt.want)
			}
			if got := tt.do(env.Dir); !errors.Is(got, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
			}
		}
		f := tmpfile(t, env.Dir, 0, "x")
		must(t, link(f, env.Path("first")))
		if err := link(f, env.Path("second")); !errors.Is(err, unix.EPERM) {
			t.Errorf("second name: got %v, want %v", err, unix.EPERM)
		}
		if err := link(tmpfile(t, env.Dir, 0, "x"), env.Path(".ossencfs")); !errors.Is(err, unix.EACCES) {
			t.Errorf("reserved name: got %v, want %v", err, unix.EACCES)
		}
		must(t, os.Remove(env.Path("first")))
	}
}

// TestTmpfileOfAPrefix: a name whose key would be too long is refused, and the file can have another.
func TestTmpfileOfAPrefix(t *testing.T) {
	env := testenv.New(t, testenv.Options{Prefix: strings.Repeat(strings.Repeat("p", 199)+"/", 4)})
	f := tmpfile(t, env.Dir, 0, "x")
	if err := linkByProc(f, env.Path(strings.Repeat("n", 250))); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("got %v, want %v", err, unix.ENAMETOOLONG)
	}
	must(t, linkByProc(f, env.Path("short")))
}

// TestLargeTmpfile: a file larger than the cache, whose begin is in the bucket before it has a name, is whole under the name that it gets.
func TestLargeTmpfile(t *testing.T) {
	const limit = 16 << 20
	env := testenv.New(t, testenv.Options{Cache: cache.Options{Limit: limit}})
	want := make([]byte, 3*limit)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(want) // never fails
	f := tmpfile(t, env.Dir, 0, string(want))
	must(t, linkByProc(f, env.Path("large")))
	must(t, f.Close())
	env.DropCache()
	if got, err := os.ReadFile(env.Path("large")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v, want the %d written", len(got), err, len(want))
	}
}

// TestTmpfileIsOneObject: what had no name costs no more requests than what had one from the beginning.
func TestTmpfileIsOneObject(t *testing.T) {
	env := testenv.New(t, testenv.Options{Cache: cache.Options{Settle: time.Hour}})
	before := env.Requests()
	f := tmpfile(t, env.Dir, 0, "x")
	must(t, linkByProc(f, env.Path("saved")))
	must(t, f.Close())
	env.Sync()
	after := env.Requests()
	if n := after["PutObject"] - before["PutObject"]; n != 1 {
		t.Errorf("%d times PutObject, want 1", n)
	}
}

// ext4 is a folder on a local disk that can hold files without a name.
func ext4(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Skipf("the local disk has no files without a name: %v", err)
	}
	must(t, unix.Close(fd))
	return dir
}

// TestQtSave: the way in which programs of Python and Qt save, from a process of their own.
func TestQtSave(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	env := testenv.New(t, testenv.Options{})
	script := `import os
fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o644)
os.write(fd, b'document'); os.fsync(fd)
os.link('/proc/self/fd/%d' % fd, 'saved', src_dir_fd=0, follow_symlinks=True)`
	cmd := exec.Command("/bin/sh", "-c", `cd "$1" && exec "$2" -c "$3"`, "sh", env.Dir, python, script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(env.Dir, "saved")); err != nil || string(got) != "document" {
		t.Errorf("got %q, %v", got, err)
	}
}
