package object

import (
	"errors"
	"io"
	"time"
)

// GetRequest reads an object or a range of it. The zero value of all but Key reads the whole object.
type GetRequest struct {
	Key     string
	ETag    string      // ETag the object must have, or the call fails with ErrPrecondition; empty: any
	Off     int64       // first byte
	Len     int64       // number of bytes; 0: to the end of the object
	Content *ContentKey // key to read under, from an earlier Get of the same ETag, which then is required; nil: the object's own
	// Generation is that which the object must have, or the call fails with ErrPrecondition; zero: any.
	Generation ID
	// Attributes asks for complete attributes: the object's tags are read too where it has any, as Head does.
	Attributes bool
}

// Download is an object being read. Body must be closed.
type Download struct {
	Info      Info          // attributes are those of the headers; when Info.TagCount is not 0, Head knows newer ones
	Content   *ContentKey   // key under which Body is sealed
	Body      io.ReadCloser // ciphertext; of a whole object its CRC-64 is checked at the end
	TotalSize int64         // bytes of the whole object

	crc    uint64 // CRC-64 of the stored bytes of the whole object, when hasCRC
	hasCRC bool
}

// PutRequest stores a sealed body with its attributes.
type PutRequest struct {
	Key    string
	Body   io.ReaderAt // ciphertext of Sealed.Size bytes, just as it was sealed
	Sealed *Sealed
	Attr   Attr
	Upload ID // id of this request; a repeated one has the same
	// Generation is what the object is to be of, when the bucket had it before with other attributes: no tag of then is about this one, and the tags of
	// its content are new, too. Zero: that of Sealed. It is not for bodies with leaf tags of their own, which are stored by the generation.
	Generation ID
	fresh      *Sealed // with Generation: the tags of the content
	IfAbsent   bool    // fail with ErrExists when the object exists; void in versioned buckets
	Over       []ID    // what it replaces: Info.Past of the object that was looked at
	Keep       *Others // what others said of the object that it takes the place of: Info.Others

	// Origin is the volume key on whose word the body rests, where it came from the bucket, as Info.Volume; zero: it was written here. Once that key
	// is retired nothing is stored that rests on it: ErrRetired.
	Origin ID

	// Stage holds the begin of the body, which Body need not have any more; nil: Body has all.
	Stage *Stage
	// Multipart is the state that an earlier attempt of the same request saved, or nil. A state of another request, or
	// one that cannot be read, is not used.
	Multipart []byte
	// SaveMultipart, when set, is called before the first part of a multipart upload goes up, with a state that lets a
	// later attempt go on, and with nil when a state has become useless. It must be durable when it returns.
	SaveMultipart func(state []byte) error
	// Progress, when set, is told how many more bytes have gone up. It is called from several goroutines.
	Progress func(n int64)
}

// TagRequest changes the attributes of an object that stays where it is.
type TagRequest struct {
	Key        string
	Attr       Attr   // without Xattrs, which live in headers and cannot change without an upload
	Generation ID     // the object's; zero for a foreign one. A reader ignores a tag of another generation
	Upload     ID     // id of this request
	Over       []ID   // Info.Past of what the caller saw there; empty: not known
	Unproven   Fields // attributes that the caller has only heard of (Info.Unproven): the tag leaves them as they are
}

// CopyRequest copies an object inside the bucket, on the server.
type CopyRequest struct {
	Src        string
	SrcETag    string // ETag the source must have, or the call fails with ErrPrecondition; empty: any
	SrcVersion string // version of the source; empty: the current one
	Dst        string // not Src: that would be SetAttr
	Attr       Attr   // without Xattrs, which come with the source's headers
	Generation ID     // the source's; zero for a foreign one
	Upload     ID     // id of this request
	IfAbsent   bool   // fail with ErrExists when Dst exists
	Over       []ID   // what it replaces: Info.Past of the object that was looked at
	Unproven   Fields // attributes that the caller has only heard of (Info.Unproven): the tag leaves them as they are in the source's headers
}

// ListRequest chooses a page of a listing.
type ListRequest struct {
	Dir       string // directory to list: "" or ending in "/"
	Recursive bool   // all keys below, instead of the directory's own entries
	Token     string // Page.Next of the page before; empty for the first
	Behind    string // greatest Page.Last so far: a page with a name that is not behind it is refused with ErrUnavailable
}

// Entry is an object of a listing.
type Entry struct {
	Key      string // relative key; a marker's ends in "/", and the listed directory's own is ListRequest.Dir
	Size     int64
	ETag     string // without quotes
	Modified time.Time
}

// Unusable is a listed name that cannot be shown as a file, and why.
type Unusable struct {
	Key    string // relative key
	Reason error  // ErrName, ErrSymlink or ErrMarkerContent
}

// ErrSymlink says that an object is a symbolic link of OSS's own. A reader gets the target's body with the link's
// headers, so it could not be told whether and how the body is encrypted.
var ErrSymlink = errors.New("the object is a symbolic link of OSS, whose target's envelope is not visible")

// ErrMarkerContent says that a directory's marker has content, which cannot be reached through a path.
var ErrMarkerContent = errors.New("the object's name is a directory's, but it has content")

// Page is a part of a listing, in the order of the keys' bytes: "a-b" comes before "a/".
type Page struct {
	Objects  []Entry
	Dirs     []string   // directories below, ending in "/"; none in a recursive listing
	Unusable []Unusable // names that were left out
	Last     string     // greatest name on the page, shown or not; empty when it has none
	Next     string     // token of the next page; empty at the end
}
