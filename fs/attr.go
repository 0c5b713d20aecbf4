package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
)

const (
	// attrTimeout is how long the kernel may remember attributes: what changes them without the kernel is an import,
	// and that is notified.
	attrTimeout = time.Hour
	// blockSize is st_blksize.
	blockSize = 4096
	// spaceUnit is the unit of statfs, in which the room is a number of 32 bits, which statfs of 32-bit programs takes.
	spaceUnit = 1 << 20
)

// fillAttr writes a file's attributes in the kernel's form.
func fillAttr(st *cache.Stat, out *fuse.Attr) {
	out.Ino = uint64(st.Ino)
	out.Size = uint64(st.Size)
	out.Blocks = uint64(st.Blocks)
	out.Mode = st.Mode
	out.Nlink = st.Nlink
	out.Uid = st.UID
	out.Gid = st.GID
	out.Rdev = st.Rdev
	out.Blksize = blockSize
	out.Atime, out.Atimensec = splitTime(st.Atime)
	out.Mtime, out.Mtimensec = splitTime(st.Mtime)
	out.Ctime, out.Ctimensec = splitTime(st.Ctime)
}

// splitTime turns nanoseconds since the epoch into the kernel's pair; times before 1970 have a positive remainder.
func splitTime(ns int64) (sec uint64, nsec uint32) {
	s, n := ns/int64(time.Second), ns%int64(time.Second)
	if n < 0 {
		s, n = s-1, n+int64(time.Second)
	}
	return uint64(s), uint32(n)
}

// joinTime is the reverse of splitTime. What 64 bits of nanoseconds do not hold becomes the first or the last second of those that they do, as Linux does
// where a file system has a range of times.
func joinTime(sec uint64, nsec uint32) int64 {
	const limit = int64(1<<63-1) / int64(time.Second)
	s := int64(sec)
	if s >= limit || s < -limit {
		s, nsec = min(max(s, -limit), limit), 0
	}
	return s*int64(time.Second) + int64(nsec)
}

// fillEntry answers a request that names a file; valid is how long the name may be remembered.
func (f *fileSystem) fillEntry(st *cache.Stat, valid time.Duration, out *fuse.EntryOut) {
	out.NodeId = uint64(st.Ino)
	out.Generation = f.cache.Generation(st.Ino)
	out.SetEntryTimeout(valid)
	out.SetAttrTimeout(attrTimeout)
	fillAttr(st, &out.Attr)
}

// change translates a SETATTR request. Times that were left to the server ("now") are marked so.
func change(in *fuse.SetAttrIn) cache.Change {
	var ch cache.Change
	if in.Valid&fuse.FATTR_MODE != 0 {
		ch.Set |= cache.SetMode
		ch.Mode = in.Mode & 0o7777
	}
	if in.Valid&fuse.FATTR_UID != 0 {
		ch.Set |= cache.SetUID
		ch.UID = in.Uid
	}
	if in.Valid&fuse.FATTR_GID != 0 {
		ch.Set |= cache.SetGID
		ch.GID = in.Gid
	}
	if in.Valid&fuse.FATTR_SIZE != 0 {
		ch.Set |= cache.SetSize
		ch.Size = int64(in.Size)
	}
	now := time.Now().UnixNano()
	if in.Valid&fuse.FATTR_ATIME != 0 {
		ch.Set |= cache.SetAtime
		ch.Atime = now
		if in.Valid&fuse.FATTR_ATIME_NOW == 0 {
			ch.Atime = joinTime(in.Atime, in.Atimensec)
		}
	}
	if in.Valid&fuse.FATTR_MTIME != 0 {
		ch.Set |= cache.SetMtime
		ch.Mtime = now
		if in.Valid&fuse.FATTR_MTIME_NOW == 0 {
			ch.Mtime = joinTime(in.Mtime, in.Mtimensec)
		}
	}
	// With --writeback, which FATTR_CTIME comes with, the kernel tells what time is now.
	const times = fuse.FATTR_MTIME_NOW | fuse.FATTR_CTIME
	ch.Touch = in.Valid&fuse.FATTR_ATIME_NOW != 0 && in.Valid&fuse.FATTR_MTIME != 0 && in.Valid&times != 0
	ch.By, ch.Asked = killer(in, ch.Set), asking(in, ch.Set)
	return ch
}

// asking is who changes mode, owner, times or size by a SETATTR. Who truncates an open file may do so. With --writeback the kernel tells times of its
// own, with an open file or without one, when it writes, and when somebody changes a name or extended attributes.
func asking(in *fuse.SetAttrIn, set cache.ChangeSet) cache.Caller {
	const flush = fuse.FATTR_MTIME | fuse.FATTR_CTIME
	switch {
	case set == 0, in.Valid&^fuse.FATTR_FH == flush:
		return nil
	case set&cache.SetSize != 0 && in.Valid&fuse.FATTR_FH != 0:
		return nil
	}
	return callerOf(&in.InHeader)
}

// killer is whose SETATTR takes set-id bits away. The kernel marks truncations by those without CAP_FSETID, and changes of owner by
// everybody. To one that names neither owner nor group it gives no mark: nothing is left in it.
func killer(in *fuse.SetAttrIn, set cache.ChangeSet) cache.Caller {
	switch {
	case set == 0:
		return callerOf(&in.InHeader)
	case in.Valid&fuse.FATTR_KILL_SUIDGID == 0:
		return nil
	case set&(cache.SetUID|cache.SetGID) != 0:
		return callerOf(&in.InHeader)
	}
	return killerOf(&in.InHeader, true)
}

// openedToRun is the flag with which the kernel opens a program that it runs (FMODE_EXEC).
const openedToRun = 0x20

// rightsTo is what an opening takes.
func rightsTo(flags uint32) (rights uint32) {
	switch flags & syscall.O_ACCMODE {
	case syscall.O_RDONLY:
		rights = unix.R_OK
		if flags&openedToRun != 0 {
			rights = unix.X_OK
		}
	case syscall.O_WRONLY:
		rights = unix.W_OK
	default:
		rights = unix.R_OK | unix.W_OK
	}
	if flags&syscall.O_TRUNC != 0 {
		rights |= unix.W_OK
	}
	return rights
}

// writes reports whether an open mode includes writing.
func writes(flags uint32) bool {
	return flags&syscall.O_ACCMODE != syscall.O_RDONLY
}
