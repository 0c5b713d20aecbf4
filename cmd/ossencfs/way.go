package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/ossencfs/ossencfs/localfile"
)

// maxLinks is how many symbolic links a path may lead through, as for the kernel.
const maxLinks = 40

// checkWay refuses a path to a folder of ours that others can lead elsewhere: who may rename what is in one of the folders above, exchanges ours for
// one with links in it, through which we would write to other files of this user. What does not exist yet is not looked at.
func checkWay(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	at, rest := "/", strings.Split(abs, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		if err := checkAbove(at); err != nil {
			return err
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if errors.Is(err, iofs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode().Type() != iofs.ModeSymlink {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return &os.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		if !isTrusted(ownerIn(info)) {
			return fail(exitFailure, fmt.Errorf("%s leads through %s, a link of another user", path, next), "name a folder that only you and root can move")
		}
		target, err := os.Readlink(next)
		if err != nil {
			return err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// checkAbove refuses a folder in which others can rename what is ours. In a sticky one they cannot. The group counts as this user's when it is his own.
func checkAbove(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner := ownerIn(info)
	if owner == nil {
		return nil
	}
	mode := info.Mode()
	open := mode.Perm()&0o002 != 0 || mode.Perm()&0o020 != 0 && int(owner.Gid) != os.Getegid() && owner.Gid != 0
	switch {
	case !isTrusted(owner):
		return fail(exitFailure, fmt.Errorf("%s above belongs to another user, who could exchange what is in it", dir), "name a folder that only you and root can move")
	case open && mode&iofs.ModeSticky == 0:
		return fail(exitFailure, fmt.Errorf("%s above is writable for others, who could exchange what is in it", dir), "close it: chmod go-w "+localfile.Word(dir),
			"or keep all from moving what is another's, as in /tmp: chmod +t "+localfile.Word(dir))
	}
	return nil
}

// ownerIn is whose a file is, nil where that cannot be told.
func ownerIn(info iofs.FileInfo) *syscall.Stat_t {
	st, _ := info.Sys().(*syscall.Stat_t)
	return st
}

// isTrusted reports whether what belongs to somebody can be moved by this user and by root alone. In a user namespace that does not have all users,
// those that it lacks look like one, and root of the machine is among them.
func isTrusted(owner *syscall.Stat_t) bool {
	return owner == nil || owner.Uid == 0 || int(owner.Uid) == os.Geteuid() || isUnmapped(owner.Uid)
}

func isUnmapped(uid uint32) bool {
	users, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || strings.Join(strings.Fields(string(users)), " ") == "0 0 4294967295" {
		return false
	}
	nobody, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	return err == nil && strings.TrimSpace(string(nobody)) == strconv.FormatUint(uint64(uid), 10)
}
