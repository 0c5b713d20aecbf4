package setid

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// judgedCalls are calls that take a right to a file or to a directory; undo makes it as it was before.
var judgedCalls = map[string]struct {
	file, dir bool
	call      func(path string) error
	undo      func(path string) error
}{
	"read":      {true, true, func(p string) error { return closed(unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0)) }, nil},
	"write":     {true, false, func(p string) error { return closed(unix.Open(p, unix.O_WRONLY|unix.O_CLOEXEC, 0)) }, nil},
	"both":      {true, false, func(p string) error { return closed(unix.Open(p, unix.O_RDWR|unix.O_CLOEXEC, 0)) }, nil},
	"run":       {true, false, func(p string) error { return unix.Faccessat(unix.AT_FDCWD, p, unix.X_OK, unix.AT_EACCESS) }, nil},
	"getxattr":  {true, true, func(p string) error { _, err := unix.Getxattr(p, "user.a", make([]byte, 9)); return err }, nil},
	"setxattr":  {true, true, func(p string) error { return unix.Setxattr(p, "user.a", []byte("v"), 0) }, nil},
	"chmod":     {true, true, func(p string) error { return unix.Chmod(p, 0o700) }, nil},
	"chown":     {true, true, func(p string) error { return unix.Chown(p, other, -1) }, nil},
	"chgrp":     {true, true, func(p string) error { return unix.Chown(p, -1, other) }, nil},
	"own group": {true, true, func(p string) error { return unix.Chown(p, -1, team) }, nil},
	"stay":      {true, true, func(p string) error { return unix.Chown(p, owner, -1) }, nil},
	"utimes": {true, true, func(p string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Sec: 1}, {Sec: 1}}, 0)
	}, nil},
	"truncate": {true, false, func(p string) error { return unix.Truncate(p, 4) }, nil},
	"set gid":  {true, true, func(p string) error { return unix.Chmod(p, 0o2755) }, nil},
	"setxattr, fsync": {true, false, func(p string) error {
		fd, err := unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return errors.Join(unix.Setxattr(p, "user.a", []byte("v"), 0), unix.Fsync(fd), unix.Close(fd))
	}, nil},
	"touch":  {true, true, func(p string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, p, nil, 0) }, nil},
	"stat":   {false, true, func(p string) error { return unix.Stat(p+"/entry", new(unix.Stat_t)) }, nil},
	"mkdir":  {false, true, func(p string) error { return unix.Mkdir(p+"/new", 0o700) }, func(p string) error { return os.RemoveAll(p + "/new") }},
	"unlink": {false, true, func(p string) error { return unix.Unlink(p + "/entry") }, entry},
	"rename": {false, true, func(p string) error { return unix.Rename(p+"/entry", p+"/moved") }, func(p string) error { return errors.Join(os.RemoveAll(p+"/moved"), entry(p)) }},
	"move":   {false, true, func(p string) error { return unix.Rename(p, p+".d/moved") }, func(p string) error { return moveBack(p+".d/moved", p) }},
}

// entry makes a file of owner's in a directory.
func entry(dir string) error {
	return errors.Join(os.WriteFile(dir+"/entry", nil, 0o644), unix.Chown(dir+"/entry", owner, owner))
}

// moveBack undoes a rename that may not have been one.
func moveBack(from, to string) error {
	if _, err := os.Lstat(from); err != nil {
		return nil
	}
	return os.Rename(from, to)
}

// twoMachinesAt is twoMachines with a bucket whose time is told: of what changes within a second others see nothing.
func twoMachinesAt(t *testing.T, mount gofs.Options) (here, there *testenv.Env, clock *testenv.Clock) {
	t.Helper()
	clock = testenv.NewClock()
	options := shared
	options.Mount = mount
	options.Cache.MetaTTL = 300 * time.Millisecond // what is known once is asked for seldom
	options.Emulator = clock.Use
	here = testenv.New(t, options)
	options.Share = here
	openFolder(t, here.Dir)
	return here, testenv.New(t, options), clock
}

// TestJudgedAsOnADisk: what others have changed here is judged by the daemon, and everybody may do with it what he may on a local disk, no more and no
// less, each time.
func TestJudgedAsOnADisk(t *testing.T) {
	requireRoot(t)
	for name, mount := range mounts {
		t.Run(name, func(t *testing.T) { judgedAsOnADisk(t, mount, callers, owner) })
	}
}

// itself is the user of a mount that serves nobody else, with its capabilities and without them; the kernel lets in no other first group either.
var itself = []caller{
	{name: "root", fsetid: true},
	{name: "user", plain: true},
	{name: "member by a second group", groups: []uint32{7, team}, plain: true},
}

// TestOwnUserJudgedAsOnADisk: a mount that serves its own user alone lets him do what a local disk lets him do, with his files and with those of others.
func TestOwnUserJudgedAsOnADisk(t *testing.T) {
	requireRoot(t)
	for name, mount := range map[string]gofs.Options{"mount": {}, "writeback": {Writeback: true}} {
		for _, owner := range []int{0, owner} {
			t.Run(fmt.Sprintf("%s, file of %d", name, owner), func(t *testing.T) { judgedAsOnADisk(t, mount, itself, owner) })
		}
	}
}

func judgedAsOnADisk(t *testing.T, mount gofs.Options, callers []caller, owner int) {
	here, there, clock := twoMachinesAt(t, mount)
	local := ext4(t)
	must(t, os.WriteFile(here.Path("file"), []byte("#!/bin/true\n"), 0o644))
	must(t, os.Mkdir(here.Path("dir"), 0o755))
	must(t, os.Mkdir(here.Path("dir.d"), 0o777))
	here.Sync()
	clock.Advance(5 * time.Second)
	must(t, errors.Join(unix.Chmod(there.Path("file"), 0o600), unix.Chmod(there.Path("dir"), 0o700)))
	there.Sync()
	for name, mode := range map[string]uint32{"file": 0o600, "dir": 0o700} {
		testenv.Eventually(t, "the change of "+name, func() bool {
			_, _ = os.ReadDir(here.Path("dir")) // a directory is looked at with what is in it
			var st unix.Stat_t
			return unix.Stat(here.Path(name), &st) == nil && st.Mode&0o7777 == mode
		})
	}
	clock.Advance(5 * time.Second)
	must(t, errors.Join(os.WriteFile(local+"/file", []byte("#!/bin/true\n"), 0o600), os.Mkdir(local+"/dir", 0o700), os.Mkdir(local+"/dir.d", 0o777)))
	for _, in := range []string{here.Dir, local} {
		must(t, unix.Chmod(in+"/dir.d", 0o777))
		must(t, entry(in+"/dir"))
	}
	for _, mode := range []uint32{0, 0o100, 0o111, 0o400, 0o640, 0o755, 0o070, 0o007, 0o775, 0o777, 0o1777, 0o2770} {
		for _, who := range callers {
			for name, tt := range judgedCalls {
				for kind, takes := range map[string]bool{"file": tt.file, "dir": tt.dir} {
					if !takes {
						continue
					}
					answers := map[string]string{}
					for _, in := range []string{local, here.Dir} {
						path := filepath.Join(in, kind)
						must(t, errors.Join(unix.Chown(path, owner, team), unix.Chmod(path, mode), unix.Setxattr(path, "user.a", nil, 0)))
						must(t, who.as(func() error { answers[in] = fmt.Sprint(tt.call(path)); return nil }))
						var st unix.Stat_t
						if unix.Stat(path, &st) == nil {
							answers[in] += fmt.Sprintf(", mode %04o", st.Mode&0o7777)
						}
						if tt.undo != nil {
							must(t, tt.undo(path))
						}
					}
					if answers[here.Dir] != answers[local] {
						t.Errorf("%s of %s, %04o, %s: got %s, want %s", name, kind, mode, who.name, answers[here.Dir], answers[local])
					}
				}
			}
		}
	}
}

// TestRunsWhatOthersChanged: who may run a program and not read it may run it after others changed it, and nobody else.
func TestRunsWhatOthersChanged(t *testing.T) {
	requireRoot(t)
	here, there, clock := twoMachinesAt(t, shared.Mount)
	must(t, os.WriteFile(here.Path("program"), []byte("#!/bin/true\n"), 0o755))
	here.Sync()
	for _, mode := range []uint32{0o711, 0o710} {
		runs := mode&1 != 0
		clock.Advance(5 * time.Second)
		must(t, unix.Chmod(there.Path("program"), mode))
		there.Sync()
		testenv.Eventually(t, fmt.Sprintf("mode %o", mode), func() bool {
			fi, err := os.Stat(here.Path("program"))
			return err == nil && fi.Mode().Perm() == os.FileMode(mode)
		})
		// By a shell: between fork and exec this process stands still, and would not answer its own call.
		shell := exec.Command("/bin/sh", "-c", "$0", here.Path("program"))
		shell.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: other, Gid: other}}
		if out, err := shell.CombinedOutput(); (err == nil) != runs {
			t.Errorf("%o: got %v, %s, want it to run %t", mode, err, out, runs)
		}
	}
}
