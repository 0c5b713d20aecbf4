package fs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnmountFollowsNoLink: whose folder is above a mount point puts a symbolic link into its path, to a mount of somebody else, when root is about to
// unmount.
func TestUnmountFollowsNoLink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("fusermount3 looks at mount points of ordinary users")
	}
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, planted := filepath.Join(base, "elsewhere", "m"), filepath.Join(base, "link", "m")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Symlink("elsewhere", filepath.Join(base, "link"))); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("test", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("tmpfs cannot be mounted here: %v", err)
	}
	for _, lazily := range []bool{false, true} {
		if err := Unmount(planted, 0, lazily); !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("lazily %t: got %v, want %v", lazily, err, unix.ELOOP)
		}
	}
	if err := Unmount(dir, 0, false); err != nil {
		t.Error(err)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(table), " "+dir+" ") {
		t.Errorf("%v, or still mounted on %s", err, dir)
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	}
}
