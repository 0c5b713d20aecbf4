package object

import (
	"math"
	"time"
)

// Bits of Attr.Mode, as in st_mode of Linux. They are written to the bucket and do not depend on this machine.
const (
	ModeType    uint32 = 0o170000 // mask of the type
	ModeSocket  uint32 = 0o140000
	ModeSymlink uint32 = 0o120000
	ModeRegular uint32 = 0o100000
	ModeBlock   uint32 = 0o060000
	ModeDir     uint32 = 0o040000
	ModeChar    uint32 = 0o020000
	ModeFIFO    uint32 = 0o010000
	ModePerm    uint32 = 0o007777 // permissions, set-id and sticky bits
)

// Attr is what the bucket keeps of a file beside its content.
type Attr struct {
	Mode   uint32            // st_mode: type and permissions
	UID    uint32            // owner
	GID    uint32            // group
	Rdev   uint32            // device number of block and character devices
	Mtime  int64             // modification time in nanoseconds since 1970
	Xattrs map[string][]byte // extended attributes by full name ("user.comment"); nil: none
}

// Fields names attributes. The cache keeps them, so the numbers do not change.
type Fields uint8

// The fields.
const (
	FieldMode Fields = 1 << iota // permissions; the type never changes
	FieldUID
	FieldGID
	FieldMtime

	AllFields = FieldMode | FieldUID | FieldGID | FieldMtime

	// FieldsOfRights are those that say who may do what.
	FieldsOfRights = FieldMode | FieldUID | FieldGID

	// FieldsOfOthers says that somebody else has changed attributes by a tag since the object was stored. A write-only host cannot verify
	// that tag, and not take it along to another name.
	FieldsOfOthers Fields = 1 << 7
)

// DefaultAttr fills in what an object without attributes does not say.
type DefaultAttr struct {
	UID, GID uint32 // owner and group
	Umask    uint32 // permission bits to take away from 0666 (files) and 0777 (directories)
}

// of is the attributes of an object that has none.
func (d DefaultAttr) of(key string, modified time.Time) Attr {
	a := Attr{UID: d.UID, GID: d.GID, Mode: ModeRegular | 0o666&^d.Umask}
	if isDirKey(key) {
		a.Mode = ModeDir | 0o777&^d.Umask
	}
	if !modified.IsZero() {
		a.Mtime = Nanoseconds(modified)
	}
	return a
}

// Nanoseconds is what attributes keep of a time: what lies outside of the years 1677 to 2262 becomes the first or the last second of them.
func Nanoseconds(t time.Time) int64 {
	const first, last = math.MinInt64 / second, math.MaxInt64 / second
	switch s := t.Unix(); {
	case s >= last:
		return last * second
	case s < first:
		return first * second
	}
	return t.UnixNano()
}

// Info describes an object.
type Info struct {
	Key        string    // relative key
	Size       int64     // bytes of the content, which is as long as its ciphertext
	ETag       string    // without quotes; changes whenever the bytes may have changed
	Modified   time.Time // when the bucket last stored it, in whole seconds; zero in the answer to a Put
	Young      bool      // it was stored so shortly before the question that a change after it may tell the same time
	Date       time.Time // the server's clock when it answered; zero when it tells none
	Attr       Attr      // complete: what the object does not say comes from Options.DefaultAttr and Modified
	HasAttr    bool      // whether the object carries a mode of its own
	Generation ID        // generation of the sealed body; zero: foreign
	Upload     ID        // id of the last PUT, COPY or TAG of ours; zero: foreign
	Encrypted  bool      // whether the object has an envelope
	TagCount   int       // number of object tags, ours included
	OthersTags bool      // whether other programs' tags are among them; known after Head only
	XattrErr   error     // why Attr.Xattrs could not be opened; the rest of Info is right

	State   State  // who wrote it, as far as can be proved
	Volume  ID     // volume key on whose word content and attributes rest; of two, by box and tag, the one of the earlier epoch; zero: on none
	Refusal error  // StateRefused: why
	Dialect string // header sets it carries: "both", "current", "legacy"; empty: none
	KeyID   string // master key of this keyring that its headers are wrapped under, where its box tells; else empty
	Change  uint64 // number of the last change of attributes by a valid tag; 0: none

	Content *Content // StateAuthentic, after Head and Get: to compare content with that is here; else nil

	Version string // id of the version in a bucket with versioning; empty in others
	Stored  ID     // id of the PUT or COPY of ours that stored it, where Upload is that of a later tag; zero: foreign
	Over    []ID   // uploads that it was written over as far as its writer knew, the newest first; not authenticated

	// Unproven are the attributes that nobody has vouched for: those that a write-only host cannot verify, which it shows and does not sign, and those
	// of an object whose tag was taken away, which give nobody a right.
	Unproven Fields

	Others *Others // what other programs said of it; nil: that was not looked at

	box string // value of the header with its box; empty: it has none, or that was not looked at
}

// Anew reports whether the object holds a sealed body that is known, in a version without a newer tag: whatever its upload id is, its
// content is the same. Rewrapping leaves that behind, and so do new extended attributes.
func (i *Info) Anew(generation ID) bool {
	return i.State == StateAuthentic && i.Change == 0 && !generation.IsZero() && i.Generation == generation
}

// isDirKey reports whether key names a directory.
func isDirKey(key string) bool { return key == "" || key[len(key)-1] == '/' }
