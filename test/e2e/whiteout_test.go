package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// isWhiteout fails unless the device 0 is at a path.
func isWhiteout(t *testing.T, when, path string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("%s, %s: got mode %o, device %d, %v, want a whiteout", when, path, st.Mode, st.Rdev, err)
	}
}

// TestRenameWhiteout: what is renamed so leaves the device 0 behind, in one step, also for a crash and in the bucket.
func TestRenameWhiteout(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	white := func(from, to string, flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, env.Path(from), unix.AT_FDCWD, env.Path(to), unix.RENAME_WHITEOUT|flags)
	}
	must(t, os.MkdirAll(env.Path("dir/below"), 0o755))
	must(t, os.Mkdir(env.Path("other"), 0o755))
	for _, name := range []string{"file", "over", "target", "late", "dir/below/file"} {
		must(t, os.WriteFile(env.Path(name), []byte(name), 0o644))
	}
	env.Sync()
	must(t, white("file", "other/file", 0))
	must(t, white("over", "target", 0))
	must(t, white("dir", "other/dir", unix.RENAME_NOREPLACE))
	for _, tt := range []struct {
		name, from, to string
		flags          uint
		want           error
	}{
		{"exchange", "late", "target", unix.RENAME_EXCHANGE, unix.EINVAL},
		{"no replace", "late", "target", unix.RENAME_NOREPLACE, unix.EEXIST},
		{"missing", "none", "new", 0, unix.ENOENT},
		{"to itself", "late", "late", 0, nil},
	} {
		if err := white(tt.from, tt.to, tt.flags); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	check := func(when string) {
		t.Helper()
		for _, name := range []string{"file", "over", "dir"} {
			isWhiteout(t, when, env.Path(name))
		}
		for name, want := range map[string]string{"other/file": "file", "target": "over", "other/dir/below/file": "dir/below/file", "late": "late"} {
			if got, err := os.ReadFile(env.Path(name)); err != nil || string(got) != want {
				t.Errorf("%s, %s: got %q, %v, want %q", when, name, got, err, want)
			}
		}
	}
	check("at once")
	env.RemountNow()
	check("after a crash")
	env.DropCache()
	check("from the bucket")
	must(t, os.Remove(env.Path("file")))
	must(t, os.WriteFile(env.Path("file"), []byte("again"), 0o644))
}

// overlay mounts an overlay whose upper folder is on the mount.
func overlay(t *testing.T, env *testenv.Env, lower string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"upper", "work"} {
		if err := os.Mkdir(env.Path(name), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	options := "lowerdir=" + lower + ",upperdir=" + env.Path("upper") + ",workdir=" + env.Path("work")
	if err := unix.Mount("overlay", dir, "overlay", 0, options); err != nil {
		if errors.Is(err, unix.ENODEV) {
			t.Skip("this kernel has no overlay")
		}
		t.Fatalf("mount the overlay: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // ended before, unless the test failed
	return dir
}

// TestOverlayUpper: a mount can be the upper folder of an overlay, as of a container, and what was changed in it is in the bucket.
func TestOverlayUpper(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts an overlay")
	}
	env := testenv.New(t, testenv.Options{})
	lower := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(lower, "dir/sub"), 0o755))
	for _, name := range []string{"kept", "changed", "removed", "renamed", "dir/sub/file"} {
		must(t, os.WriteFile(filepath.Join(lower, name), []byte("lower"), 0o644))
	}
	dir := overlay(t, env, lower)
	in := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(in("changed"), []byte("upper"), 0o644))
	must(t, os.WriteFile(in("new"), []byte("upper"), 0o644))
	must(t, os.Remove(in("removed")))
	must(t, os.Rename(in("renamed"), in("there")))
	must(t, os.RemoveAll(in("dir")))
	must(t, os.MkdirAll(in("dir/other"), 0o755))
	check := func(when string) {
		t.Helper()
		want := map[string]string{"kept": "lower", "changed": "upper", "new": "upper", "there": "lower"}
		for name, want := range want {
			if got, err := os.ReadFile(in(name)); err != nil || string(got) != want {
				t.Errorf("%s, %s: got %q, %v, want %q", when, name, got, err, want)
			}
		}
		for _, name := range []string{"removed", "renamed", "dir/sub"} {
			if _, err := os.Lstat(in(name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s, %s: got %v, want it gone", when, name, err)
			}
		}
	}
	check("at once")
	must(t, unix.Unmount(dir, 0))
	env.DropCache()
	isWhiteout(t, "in the bucket", env.Path("upper/removed"))
	isWhiteout(t, "in the bucket", env.Path("upper/renamed"))
	dir = overlay(t, env, lower)
	check("from the bucket")
	must(t, unix.Unmount(dir, 0))
}
