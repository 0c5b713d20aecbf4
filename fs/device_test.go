package fs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAttachFollowsNoLink: a mount point was resolved before. A symbolic link in its path, at whatever place, was put there since.
func TestAttachFollowsNoLink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("fusermount3 looks at mount points of ordinary users")
	}
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(base, "elsewhere", "dir"), 0o700), os.Symlink("elsewhere", filepath.Join(base, "link"))); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"link", "link/dir"} {
		_, _, err := mountDirect(filepath.Join(base, path), mountOptions(Options{Source: "test"}))
		if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s: got %v, want %v", path, err, unix.ELOOP)
			_ = unix.Unmount(filepath.Join(base, path), unix.MNT_DETACH)
		}
		if fd, err := openEach(filepath.Join(base, path)); !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s, in steps: got %d, %v, want %v", path, fd, err, unix.ELOOP)
		}
	}
	fd, err := openEach(filepath.Join(base, "elsewhere", "dir"))
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		t.Errorf("in steps: %v", err)
	}
}

func TestDeviceOf(t *testing.T) {
	table := []byte("36 35 98:0 / /mnt rw - ext4 x rw\n37 35 0:51 / /m rw - fuse.ossencfs y rw\nbroken\n38\n39 35 x:y / / rw - z z\n")
	for info, want := range map[string]uint64{
		"pos:\t0\nflags:\t010\nmnt_id:\t37\n": unix.Mkdev(0, 51), "mnt_id:\t36\n": unix.Mkdev(98, 0), "mnt_id:\t3\n": 0, "mnt_id:\t38\n": 0, "mnt_id:\t39\n": 0, "": 0,
	} {
		if got, err := deviceOf([]byte(info), table); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d, %v, want %d", info, got, err, want)
		}
	}
}

// TestMountFlags: a mount has its flags from its first moment, before anybody can run a program in it.
func TestMountFlags(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts with flags of his own")
	}
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{}, "rw,nosuid,nodev,relatime"},
		{Options{Noexec: true, ReadOnly: true}, "ro,nosuid,nodev,noexec,relatime"},
		{Options{Suid: true, Dev: true, Noexec: true}, "rw,noexec,relatime"},
	} {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		tt.o.Source = "test"
		fd, _, err := mountDirect(dir, mountOptions(tt.o))
		if err != nil {
			t.Fatal(err)
		}
		table, err := os.ReadFile("/proc/self/mountinfo")
		if err := errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH), unix.Close(fd)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(table), " "+dir+" "+tt.want+" ") {
			t.Errorf("%+v: not mounted on %s with %s:\n%s", tt.o, dir, tt.want, table)
		}
	}
}
