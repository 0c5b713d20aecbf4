// Package loopdisk makes disks for caches that tests may fill, break and cut the power of: an ext4 in a file.
package loopdisk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// Disk is an ext4 in a file. It is gone when its test ends.
type Disk struct {
	t    *testing.T
	file string
	dev  string // "" while it is not attached
	dir  string // mount point
}

// New makes a disk of so many MiB and mounts it. The test is skipped where that cannot be done.
func New(t *testing.T, base string, mib int64) *Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system in a file")
	}
	for _, tool := range []string{"mkfs.ext4", "losetup", "e2fsck"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	d := &Disk{t: t, file: filepath.Join(base, "disk.img"), dir: filepath.Join(base, "disk")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.file, mib<<20); err != nil {
		t.Fatal(err)
	}
	d.run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.file)
	t.Cleanup(d.remove)
	if out, err := exec.Command("losetup", "--find", "--show", d.file).CombinedOutput(); err != nil {
		t.Skipf("loop devices cannot be used here: %v: %s", err, out)
	} else {
		d.dev = strings.TrimSpace(string(out))
	}
	d.mount()
	return d
}

// Dir is where the disk is mounted.
func (d *Disk) Dir() string { return d.dir }

func (d *Disk) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (d *Disk) mount() {
	d.t.Helper()
	if err := unix.Mount(d.dev, d.dir, "ext4", unix.MS_NOATIME, ""); err != nil {
		d.t.Fatalf("mount %s: %v", d.dev, err)
	}
}

// ext4Shutdown is EXT4_IOC_SHUTDOWN. With logFlush, EXT4_GOING_FLAGS_LOGFLUSH, the journal is written before; with noLogFlush nothing
// reaches the disk any more, the journal's running transaction included.
const (
	ext4Shutdown = 0x8004587d
	logFlush     = 1
	noLogFlush   = 2
)

// Cut cuts the power: what was not synced may be lost.
func (d *Disk) Cut() error { return d.shutdown(noLogFlush) }

// Break breaks the disk: every access fails with EIO from now on, and what was written before is there.
func (d *Disk) Break() {
	d.t.Helper()
	if err := d.shutdown(logFlush); err != nil {
		d.t.Fatal(err)
	}
}

func (d *Disk) shutdown(flags uint32) error {
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return fmt.Errorf("shut %s down: %w", d.dir, errno)
	}
	return nil
}

// Fill takes all the room there is.
func (d *Disk) Fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) >= 1; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if err := f.Sync(); err != nil {
		d.t.Fatal(err)
	}
}

// Free gives the room back.
func (d *Disk) Free() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *Disk) filler() string { return filepath.Join(d.dir, "filler") }

// Restore brings the disk back as the next boot finds it: the journal is replayed, and the file system must be sound.
func (d *Disk) Restore() {
	d.t.Helper()
	if err := unix.Unmount(d.dir, 0); err != nil {
		d.t.Fatalf("unmount %s: %v", d.dir, err)
	}
	out, err := exec.Command("e2fsck", "-p", d.dev).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() > 1) { //nolint:errorlint // as exec returns it
		d.t.Fatalf("e2fsck: %v\n%s", err, out)
	}
	d.mount()
}

// remove unmounts and detaches; a disk that stays behind fails the test.
func (d *Disk) remove() {
	if procenv.Mounted(d.dir) {
		if err := unix.Unmount(d.dir, 0); err != nil {
			d.t.Errorf("unmount %s: %v", d.dir, err)
			_ = unix.Unmount(d.dir, unix.MNT_DETACH)
		}
	}
	if d.dev == "" {
		return
	}
	if out, err := exec.Command("losetup", "--detach", d.dev).CombinedOutput(); err != nil {
		d.t.Errorf("detach %s: %v\n%s", d.dev, err, out)
	}
	left, err := exec.Command("losetup", "--associated", d.file).Output()
	if err != nil || len(left) > 0 {
		d.t.Errorf("left behind: %s (%v)", left, err)
	}
}
