package e2e

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// openHandle opens what a file handle leads to, as an NFS server does, and reads it: the content of a file, the names in a directory.
func openHandle(t *testing.T, env *testenv.Env, handle unix.FileHandle) (string, error) {
	t.Helper()
	mount, err := unix.Open(env.Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(mount) //nolint:errcheck // it was not written to
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), "handle")
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.IsDir() {
		text, err := io.ReadAll(f)
		return string(text), err
	}
	names, err := f.Readdirnames(-1)
	if err != nil || len(names) != 1 {
		return "", errors.Join(err, unix.ENOTEMPTY)
	}
	return names[0], nil
}

// TestFileHandles: a file handle, which is what an NFS client has of a file, leads to it also when the kernel has forgotten it, when it was moved, and in the
// next mount; to nothing when it is gone, and never to another file.
func TestFileHandles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root opens files by handles")
	}
	env := testenv.New(t, testenv.Options{})
	must(t, os.MkdirAll(env.Path("a/b/c"), 0o755))
	must(t, os.WriteFile(env.Path("a/b/c/file"), []byte("text"), 0o644))
	must(t, os.WriteFile(env.Path("removed"), []byte("old"), 0o644))
	handles := map[string]unix.FileHandle{}
	for _, name := range []string{"a/b/c/file", "a/b/c", "a", "removed", "."} {
		handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, env.Path(name), 0)
		must(t, err)
		handles[name] = handle
	}
	must(t, os.Remove(env.Path("removed")))
	check := func(when string, want map[string]string) {
		t.Helper()
		for name, want := range want {
			if got, err := openHandle(t, env, handles[name]); err != nil || got != want {
				t.Errorf("%s, %q: got %q, %v, want %q", when, name, got, err, want)
			}
		}
		if got, err := openHandle(t, env, handles["removed"]); !errors.Is(err, unix.ESTALE) {
			t.Errorf("%s, the removed file: got %q, %v, want %v", when, got, err, unix.ESTALE)
		}
	}
	all := map[string]string{"a/b/c/file": "text", "a/b/c": "file", "a": "b", ".": "a"}
	check("known", all)
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0); err != nil {
		t.Logf("the kernel cannot be made to forget here, except with the mount: %v", err)
	}
	check("forgotten", all)
	must(t, os.Rename(env.Path("a/b"), env.Path("moved")))
	must(t, os.RemoveAll(env.Path("a")))
	delete(handles, "a")
	moved := map[string]string{"a/b/c/file": "text", "a/b/c": "file", ".": "moved"}
	check("moved", moved)
	env.Remount()
	check("the next mount", moved)
	env.DropCache()
	must(t, os.WriteFile(env.Path("other"), []byte("another file"), 0o644))
	for range 3 { // so that the numbers of the old folder are given again
		_, err := os.ReadFile(env.Path("moved/c/file"))
		must(t, err)
	}
	for name, handle := range handles {
		if got, err := openHandle(t, env, handle); name != "." && !errors.Is(err, unix.ESTALE) {
			t.Errorf("a new cache, %q: got %q, %v, want %v", name, got, err, unix.ESTALE)
		}
	}
}
