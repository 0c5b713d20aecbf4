package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestMountFollowsNoLink: also a mount of one process, as that of `ossencfs demo`, is made on the folder that was looked at, and not where
// somebody leads its path since.
func TestMountFollowsNoLink(t *testing.T) {
	testenv.RequireFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("fusermount3 looks at mount points of ordinary users")
	}
	e := testenv.New(t, testenv.Options{NoMount: true})
	for _, path := range []string{"link", "link/dir"} {
		at := filepath.Join(places(t), path)
		m, err := gofs.Mount(context.Background(), e.Cache, at, gofs.Options{Source: "test"})
		if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s: got %v, want %v", path, err, unix.ELOOP)
		}
		if err == nil {
			err = m.Unmount()
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// places is a folder with a symbolic link in it.
func places(t *testing.T) string {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err = errors.Join(err, os.MkdirAll(filepath.Join(base, "elsewhere", "dir"), 0o700), os.Symlink("elsewhere", filepath.Join(base, "link"))); err != nil {
		t.Fatal(err)
	}
	return base
}

// TestMountsExchanged: whose folder is above two mount points exchanges them. Root neither unmounts the other mount nor cuts that off.
func TestMountsExchanged(t *testing.T) {
	testenv.RequireFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("fusermount3 unmounts for ordinary users")
	}
	e := testenv.New(t, testenv.Options{})
	ours, theirs, aside := filepath.Dir(e.Dir), filepath.Join(places(t), "elsewhere"), filepath.Join(places(t), "aside")
	other := filepath.Join(theirs, filepath.Base(e.Dir))
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("test", other, "tmpfs", 0, ""); err != nil {
		t.Skipf("tmpfs cannot be mounted here: %v", err)
	}
	exchange := func() {
		t.Helper()
		if err := errors.Join(os.Rename(ours, aside), os.Rename(theirs, ours), os.Rename(aside, theirs)); err != nil {
			t.Fatal(err)
		}
	}
	exchange()
	if err := e.Mount.Unmount(); !errors.Is(err, gofs.ErrOtherMount) {
		t.Errorf("unmount: got %v, want %v", err, gofs.ErrOtherMount)
	}
	if err := e.Mount.Detach(); !errors.Is(err, gofs.ErrOtherMount) {
		t.Errorf("detach: got %v, want %v", err, gofs.ErrOtherMount)
	}
	if control, err := os.ReadDir("/sys/fs/fuse/connections"); err == nil && len(control) > 0 {
		if err := e.Mount.Abort(); err != nil {
			t.Errorf("abort: %v", err)
		}
		if err := unix.Statfs(other, new(unix.Statfs_t)); !errors.Is(err, unix.ENOTCONN) {
			t.Errorf("our mount, after it was aborted: %v, want %v", err, unix.ENOTCONN)
		}
	}
	exchange()
	if err := unix.Unmount(other, 0); err != nil {
		t.Errorf("the mount of somebody else: %v", err)
	}
	if err := e.Mount.Detach(); err != nil {
		t.Error(err)
	}
	e.Mount.Wait()
}
