package object

import "time"

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
		a.Mtime = modified.UnixNano()
	}
	return a
}

// Info describes an object.
type Info struct {
	Key        string    // relative key
	Size       int64     // bytes of the content, which is as long as its ciphertext
	ETag       string    // without quotes; changes whenever the bytes may have changed
	Modified   time.Time // when the bucket last stored it; zero in the answer to a Put
	Attr       Attr      // complete: what the object does not say comes from Options.DefaultAttr and Modified
	HasAttr    bool      // whether the object carries a mode of its own
	Generation ID        // generation of the sealed body; zero: foreign
	Upload     ID        // id of the last PUT, COPY or TAG of ours; zero: foreign
	Encrypted  bool      // whether the object has an envelope
	TagCount   int       // number of object tags, ours included
	OthersTags bool      // whether other programs' tags are among them; known after Head only
	XattrErr   error     // why Attr.Xattrs could not be opened; the rest of Info is right
}

// isDirKey reports whether key names a directory.
func isDirKey(key string) bool { return key == "" || key[len(key)-1] == '/' }
