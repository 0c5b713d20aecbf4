package index

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/object"
)

// ID is a random 128-bit name, of a sealed generation or of an upload; package object has the same type under its own name.
type ID = [16]byte

// Ino is an inode number: stable over remounts, never used twice.
type Ino uint64

// Root is the inode of the mounted directory. It is made with the database; its key is "".
const Root Ino = 1

// Inode is what the mount says a file is: the desired state. Times are nanoseconds since the epoch.
type Inode struct {
	Ino, Parent Ino
	Name        string
	Unlinked    bool // no name any more, still open; Parent and Name tell what it last was

	Mode, UID, GID, Rdev uint32 // st_mode with its type bits
	Size                 int64
	Atime, Mtime, Ctime  int64

	Holes     int64  // bytes of blocks without data in the content of Gen, as far as they are known here; see Size
	Gen       uint64 // content generation: a new number with the first change of content after a seal
	AttrVer   uint64 // counts changes of uploaded attributes: mode, uid, gid, rdev, explicit mtime; see Move
	XattrVer  uint64 // counts changes of extended attributes
	CachedGen uint64 // generation whose sealed body is whole in the local cache; 0: none
	Sealed    bool   // the content of Gen is complete and sealed; false while it is written
	AttrKnown bool   // false: only seen in a listing, the attributes need a HEAD
	Refers    bool   // its name came by a rename, or it is appended to: it may refer to what was there before
	Synced    bool   // content was fsynced
	PathSeq   uint64 // sequence number of the last create or rename of its name
	CommitSeq uint64 // sequence number of the last SetUnsent; written by SetUnsent and never lowered

	ChangedAt, ClosedAt int64 // last change of content or attributes, last close after a change

	Target string            // of a symbolic link; sealed at rest
	Xattrs map[string][]byte // sealed at rest; a map that was read is never written to

	ListedAt int64 // directories: begin of the last complete listing
	Complete bool  // directories: all entries are known
	Marker   bool  // directories: wants a marker object
	Occupied bool  // directories: somebody keeps content under the marker's key, which no marker may replace

	// Unproven are attributes that no key holder has vouched for: those that a write-only host has only heard of, and the mode of what shows
	// with defaults because somebody may have taken away what told it. They are not signed: see Prove.
	Unproven object.Fields
	// Tight is the AttrVer of the last change that took rights away or gave a file to others; 0: there was none.
	Tight uint64
	// Origin is the volume key that vouched for the content of CachedGen when it came from the bucket, as object.Info.Volume; zero: it was written
	// here, or no volume key vouched for it. Of a directory, that vouched for its attributes.
	Origin ID
	// Moves is how many of the last changes that AttrVer counts moved the modification time of a directory whose entries changed, and nothing else.
	// Moving says that no request was made of the last of them.
	Moves  uint64
	Moving bool
}

// Move notes that the entries of a directory changed. Many such changes are one, until a request is made of them.
func (i *Inode) Move() {
	if !i.Moving {
		i.AttrVer, i.Moves, i.Moving = i.AttrVer+1, i.Moves+1, true
	}
}

// Change notes that a program set attributes.
func (i *Inode) Change() { i.AttrVer, i.Moves, i.Moving = i.AttrVer+1, 0, false }

// OnlyMoved reports whether a directory differs from what a row of its marker holds by nothing but changes of its entries.
func (i *Inode) OnlyMoved(o *Object) bool {
	return i.IsDir() && o.Ino == i.Ino && o.XattrVer == i.XattrVer && o.AttrVer < i.AttrVer && i.AttrVer-o.AttrVer <= i.Moves
}

// Prove replaces the attributes that nobody has vouched for, because the inode is about to be stored as a whole: the owner becomes that of the
// mount, and nobody else gets a right. It reports whether there were any.
func (i *Inode) Prove(uid, gid uint32, now int64) bool {
	u := i.Unproven
	if i.Unproven = 0; u&object.AllFields == 0 {
		return false
	}
	if u&object.FieldMode != 0 {
		i.Mode &= unix.S_IFMT | unix.S_IRWXU
	}
	if u&object.FieldUID != 0 {
		i.UID = uid
	}
	if u&object.FieldGID != 0 {
		i.GID = gid
	}
	if u&object.FieldMtime != 0 {
		i.Mtime = now
	}
	return true
}

// WantsMarker reports whether a directory's marker belongs in the bucket.
func (i *Inode) WantsMarker() bool { return i.Marker && !i.Occupied }

// FansOut reports whether a directory is one of those that spread content by two digits of its name, as git and restic do.
func (i *Inode) FansOut() bool {
	hex := func(b byte) bool { return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' }
	return i.IsDir() && len(i.Name) == 2 && hex(i.Name[0]) && hex(i.Name[1])
}

// IsDir reports whether the inode is a directory.
func (i *Inode) IsDir() bool { return i.Mode&unix.S_IFMT == unix.S_IFDIR }

// Empty reports whether the content has no bytes that would have to be stored: directories and files of size 0.
func (i *Inode) Empty() bool { return i.IsDir() || i.Size == 0 }

// Cached reports whether the content can be read without the bucket.
func (i *Inode) Cached() bool { return i.Sealed && (i.Empty() || i.CachedGen == i.Gen) }

// Object is what the bucket is known to hold under a key: the actual state. It outlives its inode, as the note that there is
// something to delete.
type Object struct {
	Key                    string
	Ino                    Ino
	Gen, AttrVer, XattrVer uint64 // what was sent: the inode's numbers at that time
	Upload, Generation     ID     // ids written with it; zero: another program's
	ETag                   string
	Size                   int64
	Modified               int64  // Last-Modified; see TimeSeen
	GoneSeq                uint64 // sequence number of the moment its inode left the key; 0: it is at home, or moved with its directory

	// Sent is the upload id of the PUT or COPY by which this mount made the object, and Base that of the object it replaced; zero:
	// others made it, or it replaced none.
	Sent, Base ID

	State  object.State  // who wrote it, as far as was seen; unknown after a listing
	Reason object.Reason // why it is refused
	Volume ID            // object.Info.Volume of what others wrote, and of what was copied from it; zero: none, or this mount wrote it
}

// TimeSeen is what a row keeps of the time that an answer tells: Last-Modified in nanoseconds; one less where a later change may show the
// same one, which no listing tells, so that the next one has the object asked for again; less than 0 in the answer to a PUT, which does not
// tell it: it is at most the server's clock of then, which stands there negated; 0 when nothing is known.
func TimeSeen(info *object.Info) int64 {
	switch {
	case !info.Modified.IsZero() && info.Young:
		return info.Modified.UnixNano() - 1
	case !info.Modified.IsZero():
		return info.Modified.UnixNano()
	case !info.Date.IsZero():
		return -info.Date.UnixNano()
	}
	return 0
}

// SameTime reports whether an object that a listing shows with a time may be the one of the row.
func (o *Object) SameTime(listed time.Time) bool {
	switch t := listed.UnixNano(); {
	case o.Modified < 0:
		return t <= -o.Modified
	case o.Modified > 0:
		return t == o.Modified
	}
	return true
}

// Op is a kind of request that changes a key.
type Op uint8

// The kinds of requests.
const (
	Put    Op = 1 + iota // the whole object
	Copy                 // content of Src with new attributes
	Delete               // nothing is left
	Tag                  // attributes in the object tag, content untouched
)

var opNames = [...]string{"none", "put", "copy", "delete", "tag"}

// String is the name of the request in log lines.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown"
}

// Pend is the intent of one request: durable before the request leaves, until its outcome is known and no attempt can
// be executed any more.
type Pend struct {
	Key                    string
	Op                     Op
	Ino                    Ino
	Gen, AttrVer, XattrVer uint64        // what is sent
	Upload, Generation     ID            // ids sent with it
	State                  object.State  // what the object will be: authentic, or for a copy and a tag what it was
	Reason                 object.Reason // why that is refused
	Src, SrcETag           string        // Copy: the source
	Covers                 string        // version that the look before showed, which the request covers; empty: none, or no versioning
	Over                   []ID          // object.Info.Past of what the look before showed
	IfAbsent               bool          // sent as a creation
	Error                  bool          // answered with an error that forbids the same attempt: only a look after Until decides
	Answered               bool          // the effect is recorded; the key stays closed until Fence
	Void                   bool          // no attempt had an effect, nor can one have any more; kept to be sent again
	Until                  int64         // the last attempt cannot be executed after this time
	Fence                  int64         // earlier unanswered attempts cannot be executed after this time; 0: there are none
	Attempts               int
	Multipart              []byte // state of an interrupted multipart upload
	GoneSeq                uint64 // sequence number of the moment its inode left the key since; 0: it is there
}

// MaxKey is the longest key in bytes that the index takes; the bucket allows less.
const MaxKey = 4096
