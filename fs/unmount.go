package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrOtherMount says that at the path of a mount there is another one, or none.
var ErrOtherMount = errors.New("another mount is there, or none")

// Unmount takes the mount on dir, in whose path no symbolic link may be, out of the tree: with umount(2) as root, with fusermount3 otherwise. A
// busy one is only taken out lazily. As root it is ErrOtherMount when the mount there has not the device number dev; 0 is any.
func Unmount(dir string, dev uint64, lazily bool) error {
	if os.Geteuid() == 0 {
		return unmountDirect(dir, dev, lazily)
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
// resolved would have root unmount what somebody else likes. So would another folder with a mount in it that took the place of the first, which
// the device number tells. A folder that is mounted on keeps its name, so that what was looked at is what is unmounted.
func unmountDirect(dir string, dev uint64, lazily bool) error {
	in, err := openDir(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer unix.Close(in) //nolint:errcheck // it was not written to
	base := filepath.Base(dir)
	if dev != 0 {
		if is, err := deviceIn(in, base); err != nil {
			return err
		} else if is != dev {
			return ErrOtherMount
		}
	}
	flags := unix.UMOUNT_NOFOLLOW
	if lazily {
		flags |= unix.MNT_DETACH
	}
	return unix.Unmount(fmt.Sprintf("/proc/self/fd/%d/%s", in, base), flags)
}

// deviceIn is the device number of what is mounted on a folder within an open one. It asks the mount nothing, since that may be dead.
func deviceIn(in int, name string) (uint64, error) {
	on, err := openIn(in, name)
	if err != nil {
		return 0, err
	}
	defer unix.Close(on) //nolint:errcheck // it was not written to
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", on))
	if err != nil {
		return 0, err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, err
	}
	return deviceOf(info, table)
}

// deviceOf finds the mount of an open file in the table of mounts:
//
//	mnt_id: 36
//	36 35 98:0 /root /mountpoint ...
func deviceOf(info, table []byte) (uint64, error) {
	var id []byte
	for line := range bytes.Lines(info) {
		if rest, is := bytes.CutPrefix(line, []byte("mnt_id:")); is {
			id = bytes.TrimSpace(rest)
		}
	}
	for line := range bytes.Lines(table) {
		fields := bytes.Fields(line)
		if len(fields) < 3 || !bytes.Equal(fields[0], id) {
			continue
		}
		return ParseDevice(string(fields[2]))
	}
	return 0, fmt.Errorf("mount %q is not in the table of mounts", id)
}

// ParseDevice reads a device number as tables of the kernel write it, major and minor with a colon in between.
func ParseDevice(s string) (uint64, error) {
	left, right, _ := strings.Cut(s, ":")
	major, err := strconv.ParseUint(left, 10, 32)
	minor, errMinor := strconv.ParseUint(right, 10, 32)
	if err = errors.Join(err, errMinor); err != nil {
		return 0, fmt.Errorf("device number %q: %w", s, err)
	}
	return unix.Mkdev(uint32(major), uint32(minor)), nil //nolint:gosec // parsed with 32 bits
}
