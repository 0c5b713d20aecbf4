package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/localfile"
)

// fuseType is the type of our mounts in /proc/self/mountinfo.
const fuseType = "fuse.ossencfs"

// mounted is a line of the mount table.
type mounted struct {
	dev    uint64
	dir    string
	fstype string
	source string
}

// readMounts reads this process's mount table.
func readMounts() ([]mounted, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	return parseMounts(raw), nil
}

// parseMounts reads the text of a mountinfo file; lines it does not understand are left out.
//
//	36 35 98:0 /root /mountpoint rw,noatime master:1 - fstype source superoptions
func parseMounts(raw []byte) []mounted {
	var list []mounted
	for sc := bufio.NewScanner(bytes.NewReader(raw)); sc.Scan(); {
		front, back, ok := strings.Cut(sc.Text(), " - ")
		left, right := strings.Fields(front), strings.Fields(back)
		if !ok || len(left) < 5 || len(right) < 2 {
			continue
		}
		dev, err := fs.ParseDevice(left[2])
		if err != nil {
			continue
		}
		list = append(list, mounted{dev: dev, dir: unescapeMount(left[4]), fstype: right[0], source: unescapeMount(right[1])})
	}
	return list
}

// unescapeMount undoes the kernel's escapes: space, tab, newline and backslash are written as octal.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#").Replace(s)
}

// mountAt is the topmost mount whose mount point is dir.
func mountAt(dir string) (mounted, bool, error) {
	list, err := readMounts()
	if err != nil {
		return mounted{}, false, err
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].dir == dir {
			return list[i], true, nil
		}
	}
	return mounted{}, false, nil
}

// mountAbove is our mount that holds the absolute path, and the path within it.
func mountAbove(path string) (m mounted, rel string, ok bool, err error) {
	list, err := readMounts()
	if err != nil {
		return mounted{}, "", false, err
	}
	for _, c := range list {
		inside, under := strings.CutPrefix(path, strings.TrimSuffix(c.dir, "/"))
		if !under || inside != "" && inside[0] != '/' || len(c.dir) < len(m.dir) {
			continue
		}
		m, rel = c, strings.Trim(inside, "/")
	}
	return m, rel, m.fstype == fuseType, nil
}

// resolveDir is the absolute path of a mount point without symbolic links. The last component is not looked at, because
// a dead mount there answers nothing.
func resolveDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if whole, err := filepath.EvalSymlinks(abs); err == nil {
		return whole, nil
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}

// isDead reports whether err is what a mount answers whose daemon is gone.
func isDead(err error) bool {
	return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
}

// probeTimeout is how long a mount may take to answer statfs, which a living daemon does without the network.
const probeTimeout = 5 * time.Second

// probe asks the file system at dir for a sign of life. It is statfs, because the kernel may answer stat from memory long
// after the daemon has died. An answer that does not come is an error too.
func probe(dir string) error {
	answer := make(chan error, 1)
	go func() { // it ends with the answer, at the latest when the stuck mount does
		var st unix.Statfs_t
		answer <- unix.Statfs(dir, &st)
	}()
	select {
	case err := <-answer:
		return err
	case <-time.After(probeTimeout):
		return fmt.Errorf("%s: %w", dir, os.ErrDeadlineExceeded)
	}
}

// checkMountPoint makes sure that dir can be mounted on and returns its absolute path. A dead mount of ours, left by a
// crash, is removed; told then says so.
func checkMountPoint(dir string, nonempty bool) (abs, told string, err error) {
	abs, err = resolveDir(dir)
	if err != nil {
		return "", "", missingMountPoint(dir, err)
	}
	if isDead(probe(abs)) {
		if err := removeDead(abs); err != nil {
			return "", "", err
		}
		told = fmt.Sprintf("removed the dead mount that a crash left at %s", abs)
	}
	info, err := os.Stat(abs)
	switch {
	case err != nil:
		return "", "", missingMountPoint(dir, err)
	case !info.IsDir():
		return "", "", fail(exitMountPoint, fmt.Errorf("mount point %s is not a directory", abs))
	}
	m, busy, err := mountAt(abs)
	if err != nil {
		return "", "", err
	}
	if busy && m.fstype == fuseType {
		return "", "", fail(exitMountPoint, fmt.Errorf("mount point %s is busy: %s is mounted there", abs, m.source), "unmount it with `ossencfs umount "+localfile.Word(abs)+"`")
	}
	if !nonempty {
		if err := checkEmpty(abs); err != nil {
			return "", "", err
		}
	}
	return abs, told, nil
}

func missingMountPoint(dir string, err error) error {
	if errors.Is(err, iofs.ErrNotExist) {
		return fail(exitMountPoint, fmt.Errorf("mount point %s does not exist", dir), "make it with `mkdir -p "+localfile.Word(dir)+"`")
	}
	return fail(exitMountPoint, fmt.Errorf("mount point %s cannot be used: %w", dir, err))
}

// checkEmpty refuses a folder whose files the mount would hide.
func checkEmpty(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fail(exitMountPoint, fmt.Errorf("mount point %s cannot be used: %w", dir, err))
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fail(exitMountPoint, fmt.Errorf("mount point %s cannot be used: %w", dir, err))
	}
	return fail(exitMountPoint, fmt.Errorf("mount point %s is not empty", dir), "the mount would hide what is in it; --nonempty mounts all the same")
}

// removeDead takes a mount without a daemon out of the tree. Mounts of other programs are left alone.
func removeDead(dir string) error {
	m, ok, err := mountAt(dir)
	if err != nil {
		return err
	}
	if !ok || m.fstype != fuseType {
		return fail(exitMountPoint, fmt.Errorf("mount point %s is a dead mount of another program", dir), "unmount it first")
	}
	if err := fs.Unmount(dir, m.dev, true); err != nil {
		return fail(exitMountPoint, fmt.Errorf("remove the dead mount at %s: %w", dir, err), "a mount is removed by the user who made it, or by root")
	}
	return nil
}

// checkFUSE makes sure that this user can mount at all.
func checkFUSE() error {
	install := "install FUSE: apt-get install fuse3, dnf install fuse3, apk add fuse3"
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return fail(exitMountPoint, errors.New("this machine has no /dev/fuse"), install, "in a container run it with --device /dev/fuse --cap-add SYS_ADMIN")
	case errors.Is(err, iofs.ErrPermission):
		return fail(exitMountPoint, fmt.Errorf("this user may not mount: %w", err), "as root: chmod 666 /dev/fuse", "in a container run it with --device /dev/fuse --cap-add SYS_ADMIN")
	case err != nil:
		return fail(exitMountPoint, fmt.Errorf("FUSE cannot be used: %w", err), "as root: modprobe fuse", install)
	}
	f.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return fail(exitMountPoint, errors.New("fusermount3 is not installed"), install)
	}
	return nil
}

// isBelow reports whether path is dir or below it; both are absolute and clean.
func isBelow(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
