package setid

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The files of the table belong to owner and to team; other is somebody else.
const (
	owner = 41000
	other = 43000
	team  = 42000
)

// caller is who makes a call. fsetid is for root that it keeps CAP_FSETID, for others that they have it; plain is root without any capability.
type caller struct {
	name     string
	uid, gid int
	groups   []uint32
	fsetid   bool
	plain    bool
}

var callers = []caller{
	{name: "root", fsetid: true},
	{name: "root without CAP_FSETID"},
	{name: "owner in the group", uid: owner, gid: team},
	{name: "owner outside", uid: owner, gid: owner},
	{name: "member", uid: other, gid: team},
	{name: "member by a second group", uid: other, gid: other, groups: []uint32{7, team}},
	{name: "stranger", uid: other, gid: other, groups: []uint32{7}},
	{name: "stranger with CAP_FSETID", uid: other, gid: other, fsetid: true},
}

// as runs f on a thread of its own, which becomes the caller and ends with f.
func (c caller) as(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and no other is started from it
		if err := c.become(); err != nil {
			done <- errors.Join(errSetup, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// errSetup is that of a call that could not even be tried.
var errSetup = errors.New("prepare the call")

// become gives this thread the rights of the caller. The functions of package syscall would change every thread.
func (c caller) become() error {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return err
	}
	groups := append([]uint32{}, c.groups...)
	var list unsafe.Pointer
	if len(groups) > 0 {
		list = unsafe.Pointer(&groups[0])
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(list), 0); errno != 0 {
		return errno
	}
	for _, id := range []struct{ nr, id uintptr }{{unix.SYS_SETRESGID, uintptr(c.gid)}, {unix.SYS_SETRESUID, uintptr(c.uid)}} {
		if _, _, errno := unix.RawSyscall(id.nr, id.id, id.id, id.id); errno != 0 {
			return errno
		}
	}
	return c.setCapabilities()
}

func (c caller) setCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	const bit = 1 << unix.CAP_FSETID
	switch {
	case c.plain:
		sets = [2]unix.CapUserData{}
	case c.uid == 0 && c.fsetid:
		return nil
	case c.uid == 0:
		sets[0].Effective &^= bit
		sets[0].Permitted &^= bit
	default:
		sets = [2]unix.CapUserData{}
		if c.fsetid {
			sets[0].Effective, sets[0].Permitted = bit, bit
		}
	}
	return unix.Capset(&header, &sets[0])
}
