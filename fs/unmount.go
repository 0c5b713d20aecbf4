package fs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Unmount takes the mount on dir, in whose path no symbolic link may be, out of the tree: with umount(2) as root, with fusermount3 otherwise. A
// busy one is only taken out lazily.
func Unmount(dir string, lazily bool) error {
	if os.Geteuid() == 0 {
		return unmountDirect(dir, lazily)
	}
	path, err := fusermount()
	if err != nil {
		return err
	}
	args := []string{"-u", "--", dir}
	if lazily {
		args = []string{"-u", "-z", "--", dir}
	}
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Env = helperEnv()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("fusermount3: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// unmountDirect looks the mount point up in a folder that it reached through no symbolic link: one that has come into the path since it was
// resolved would have root unmount what somebody else likes.
func unmountDirect(dir string, lazily bool) error {
	in, err := openDir(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer unix.Close(in) //nolint:errcheck // it was not written to
	flags := unix.UMOUNT_NOFOLLOW
	if lazily {
		flags |= unix.MNT_DETACH
	}
	return unix.Unmount(fmt.Sprintf("/proc/self/fd/%d/%s", in, filepath.Base(dir)), flags)
}
