package fs

import (
	"errors"
	"os"
	"path/filepath"
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
		_, err := mountDirect(filepath.Join(base, path), mountOptions(Options{Source: "test"}))
		if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s: got %v, want %v", path, err, unix.ELOOP)
			_ = unix.Unmount(filepath.Join(base, path), unix.MNT_DETACH)
		}
	}
}
