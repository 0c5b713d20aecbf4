package cache

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Ino is an inode number: stable over remounts, never used twice.
type Ino = index.Ino

// Root is the inode of the mounted directory.
const Root = index.Root

// MaxName is the longest name in bytes. The whole key has a limit too: Bucket.KeyRoom, with a directory's trailing slash.
const MaxName = object.MaxName

// modeType and modePerm split st_mode.
const (
	modeType = unix.S_IFMT
	modePerm = 0o7777
)

// Stat is what stat(2) shows. Times are nanoseconds since the epoch, Blocks are of 512 bytes.
type Stat struct {
	Ino                 Ino
	Mode, Nlink         uint32
	UID, GID, Rdev      uint32
	Size, Blocks        int64
	Atime, Mtime, Ctime int64
}

// New says what a new file is: permission bits (and, for Mknod, the type), its owner, its device number, and who makes it: nil is somebody
// who may give it to any group.
type New struct {
	Mode, UID, GID, Rdev uint32

	By Caller

	call arrival // once that is known
}

// ChangeSet tells which fields of a Change are meant.
type ChangeSet uint32

// The fields of a Change.
const (
	SetMode ChangeSet = 1 << iota
	SetUID
	SetGID
	SetSize
	SetAtime
	SetMtime
)

// Change is a request to change attributes. By is whose change of size or owner takes set-id bits away, nil nobody's. With By and no
// field it is a change of owner to the same one.
type Change struct {
	Set            ChangeSet
	Mode, UID, GID uint32
	Size           int64
	Atime, Mtime   int64
	Touch          bool // the times are those of now, which all may set who may write
	By             Caller
	Asked          Caller // who changes mode, owner, times or size, nil: nobody whose right to it is in question
}

// OpenMode says how a file is opened or created: Exclusive is for creating, Truncate and By, whose opening takes set-id bits away (nil
// nobody's), for a file that exists.
type OpenMode struct {
	Write, Truncate, Exclusive bool

	Append bool   // what is written goes to the end
	Rights uint32 // that the opening takes: unix.R_OK, W_OK, X_OK
	By     Caller
}

// RenameMode says what Rename does with an existing target.
type RenameMode int

// The modes of Rename: replace it (the rule of rename(2)), fail with ErrExist, or exchange the two names.
const (
	RenameReplace RenameMode = iota
	RenameNoReplace
	RenameExchange
)

// XattrMode says what SetXattr does with an attribute that exists or not.
type XattrMode int

// The modes of SetXattr: either, only new ones (ErrAttrExists), only existing ones (ErrNoAttr).
const (
	XattrAny XattrMode = iota
	XattrCreate
	XattrReplace
)

// DirEntry is one name of a directory. Mode has only type bits, and 0 when the type is not known; Stat holds when Known is
// set. Off is the position after the entry.
type DirEntry struct {
	Name  string
	Ino   Ino
	Mode  uint32
	Off   uint64
	Known bool
	Stat  Stat
}

// Space is what statfs(2) shows: bytes and files. The bucket has no limit of its own, so Total is a large constant.
type Space struct {
	Total, Free      int64
	Files, FreeFiles uint64
}

// Kernel is told what the kernel may have remembered and should forget. Calls wait for nobody.
type Kernel interface {
	// ForgetName: the name in the directory means something else now.
	ForgetName(parent Ino, name string)
	// ForgetInode: attributes or content of the inode changed.
	ForgetInode(ino Ino)
	// ForgetAttr: attributes of the inode changed. The kernel has forgotten them when it returns.
	ForgetAttr(ino Ino)
	// Outdated reports whether the kernel checks callers by a mode or owner from before the last ForgetInode.
	Outdated(ino Ino) bool
	// AskInode: when the kernel does not know the inode, Cache.Forget is called soon.
	AskInode(ino Ino)
}

// noKernel is used until a mount is there.
type noKernel struct{}

func (noKernel) ForgetName(Ino, string) {}
func (noKernel) ForgetInode(Ino)        {}
func (noKernel) ForgetAttr(Ino)         {}
func (noKernel) AskInode(Ino)           {}
func (noKernel) Outdated(Ino) bool      { return false }

// statOf shows an inode. An owner whom nobody has vouched for is the mount's user. Where other users are let in, a mode that nobody has vouched for
// shows no right of theirs: what told a narrower one may have been taken away. A write-only host shows what the bucket tells.
func (c *Cache) statOf(i *index.Inode) Stat {
	st := Stat{
		Ino: i.Ino, Mode: i.Mode, Nlink: 1, UID: i.UID, GID: i.GID, Rdev: i.Rdev,
		Size: i.Size, Atime: i.Atime, Mtime: i.Mtime, Ctime: i.Ctime,
	}
	if i.Unlinked {
		st.Nlink = 0
	}
	if isDir(i) {
		st.Size = 0
	}
	if !c.bucket.WriteOnly() {
		if c.o.Shared && i.Unproven&object.FieldMode != 0 {
			st.Mode &^= unix.S_IRWXG | unix.S_IRWXO
		}
		if i.Unproven&object.FieldUID != 0 {
			st.UID = c.o.UID
		}
		if i.Unproven&object.FieldGID != 0 {
			st.GID = c.o.GID
		}
	}
	st.Blocks = blocksOf(i, i.Holes > 0 && c.opens.count(i.Ino).writers == 0)
	return st
}

// blocksOf is the room of a file in blocks of 512 bytes, of which 8 are given at a time. Programs that find less room than size ask where data is, or
// read none at all; so a file with a size has a block, and as long as one has it open for writing it has no holes: what was written to a mapping
// of it may be with the kernel still.
func blocksOf(i *index.Inode, holes bool) int64 {
	if i.Mode&modeType != unix.S_IFREG || i.Size == 0 {
		return 0
	}
	const unit = 4096
	n := (i.Size + unit - 1) / unit
	if holes {
		n = max(n-i.Holes/unit, 1)
	}
	return n * (unit / 512)
}

func isDir(i *index.Inode) bool     { return i.IsDir() }
func isSymlink(i *index.Inode) bool { return i.Mode&modeType == unix.S_IFLNK }

// now is the time written into inodes, in nanoseconds since the epoch.
func now() int64 { return time.Now().UnixNano() }
