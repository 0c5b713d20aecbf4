package cache

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Caller is who makes a call, as far as it is asked here. What cannot be found out is answered with no.
type Caller interface {
	// MayChange tells whether the caller is this user, or acts for every one (CAP_FOWNER).
	MayChange(uid uint32) bool
	// Owner is MayChange, and tells whether that can be found out.
	Owner(uid uint32) (is, known bool)
	// Is tells whether the caller is this user.
	Is(uid uint32) bool
	// Gives tells whether the caller may give files to others (CAP_CHOWN), and whether that can be found out.
	Gives() (may, known bool)
	// May tells whether mode and owner give the caller all of the rights (unix.R_OK, W_OK, X_OK), and whether that can be found out.
	May(st *Stat, rights uint32) (may, known bool)
	// InGroup tells whether the caller is a member of a group.
	InGroup(gid uint32) bool
	// KeepsSetID tells whether the caller's changes leave the bits where they are (CAP_FSETID).
	KeepsSetID() bool
}

// The rule of set-id bits is that of Linux on a local disk. HANDLE_KILLPRIV_V2 makes it ours for every call that changes content or owner:
//
//	content   set-user-id goes, and set-group-id where it means execution. Without execution by the group it goes unless
//	          the caller is in the group. All stay for a caller with CAP_FSETID.
//	owner     the same bits go, also for a caller with CAP_FSETID, except that he counts as a member of every group.
//	new file  in a set-group-id directory it is set-group-id and executable by the group only when made by a member.
//
// Capabilities of files are an extended attribute that a mount does not keep, so there are none to take away. The kernel applies
// the rule of chmod itself.
const setID = unix.S_ISUID | unix.S_ISGID

// modeWritten is the mode of a file whose content somebody changes.
func modeWritten(i *index.Inode, by Caller) uint32 {
	if i.Mode&modeType != unix.S_IFREG || i.Mode&setID == 0 || by.KeepsSetID() {
		return i.Mode
	}
	return withoutSetID(i, by)
}

// modeGiven is the mode of a file that somebody gives to an owner and to a group.
func modeGiven(i *index.Inode, gid uint32, by Caller) uint32 {
	if isDir(i) || i.Mode&setID == 0 {
		return i.Mode
	}
	mode := withoutSetID(i, by)
	if mode != i.Mode && mode&unix.S_ISGID != 0 && !countsIn(by, gid) { // the mode changes, so the rule of chmod applies
		mode &^= unix.S_ISGID
	}
	return mode
}

// gives reports whether a change gives a file to somebody, be it to the same. The kernel does not check who names neither owner nor group.
func gives(i *index.Inode, ch Change) bool {
	return ch.By != nil && (ch.Set&(SetUID|SetGID) != 0 || ch.Set == 0 && ch.By.MayChange(i.UID))
}

// modeMade is the mode of what somebody makes in a set-group-id directory.
func modeMade(dir, i *index.Inode, by Caller) uint32 {
	switch {
	case isDir(i):
		return i.Mode | unix.S_ISGID
	case i.Mode&unix.S_ISGID == 0 || i.Mode&unix.S_IXGRP == 0 || by == nil || countsIn(by, dir.GID):
		return i.Mode
	}
	return i.Mode &^ unix.S_ISGID
}

func withoutSetID(i *index.Inode, by Caller) uint32 {
	mode := i.Mode &^ unix.S_ISUID
	if mode&unix.S_ISGID != 0 && (mode&unix.S_IXGRP != 0 || !countsIn(by, i.GID)) {
		mode &^= unix.S_ISGID
	}
	return mode
}

// countsIn reports whether somebody may leave a file of a group set-group-id.
func countsIn(by Caller, gid uint32) bool { return by.InGroup(gid) || by.KeepsSetID() }

// dropSetID applies the rule before somebody changes the content of a file; nil is somebody whose changes leave the bits. The kernel
// runs programs with the mode that it remembers, so that it has forgotten it before the call is answered.
func (c *Cache) dropSetID(ctx context.Context, ino Ino, by Caller) error {
	if by == nil {
		return nil
	}
	i, err := c.knownInode(ctx, ino)
	if err != nil || modeWritten(&i, by) == i.Mode {
		return err
	}
	if err := c.changeAllowed(ino); err != nil {
		return err
	}
	if err := c.changeable(ino); err != nil {
		return err
	}
	err = c.db.Update(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return orErr(err, ErrGone)
		}
		unproven := i.Unproven // what is left of a mode that nobody vouches for is not vouched for either
		if !applyChange(&i, Change{Set: SetMode, Mode: modeWritten(&i, by)}) {
			return nil
		}
		i.Unproven = unproven
		if err := c.noteFloor(tx, ino, 0); err != nil {
			return err
		}
		return tx.PutInode(i)
	})
	if err == nil {
		c.kernel.get().ForgetAttr(ino)
	}
	return err
}
