package object

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"

	"github.com/ossencfs/ossencfs/oss"
)

// SmallFile is the size in bytes up to which a file that loses rights, or gets another owner, is stored anew: that costs a round trip more than
// bandwidth. Of larger ones Options.Shared says more.
const SmallFile = 1 << 20

// Who may write to the bucket can take an object's tag away, and the attributes in its box, which may have been wider, would count again. The
// upload id of an object that is never without a tag of ours says so, which the box proves:
//
//	upload = id(8) mark(8)
//	mark   = first 8 bytes of SHA-256( "ossencfs tagged v1" %x00 generation id )
//
// To those who know nothing of it, it is an id as any other.

// tagMark is the second half of such an id.
func tagMark(generation ID, id []byte) []byte {
	sum := sha256.Sum256(append(append([]byte("ossencfs tagged v1\x00"), generation[:]...), id...))
	return sum[:8]
}

// alwaysTagged reports whether the object of an upload is never without a tag.
func alwaysTagged(generation, upload ID) bool {
	return !generation.IsZero() && bytes.Equal(upload[8:], tagMark(generation, upload[:8]))
}

// NewUpload draws the id of a request that stores a body, which also says whether the object is to have its attributes in a tag from the first:
// that of a file above SmallFile, with Options.Shared.
func (b *Bucket) NewUpload(key string, generation ID, size int64) ID {
	id := NewID()
	if b.opt.Shared && b.opt.Bundle == nil && size > SmallFile && !isDirKey(key) {
		copy(id[8:], tagMark(generation, id[:8]))
	}
	return id
}

// firstTags is the tags with which an object is stored; url-encoded, empty where it needs none. That of its attributes counts no change.
func (b *Bucket) firstTags(full string, c content) (string, error) {
	tags, err := b.firstTag(full, c.keep.told(), c)
	if err == nil && len(tags) > oss.MaxTags {
		err = fmt.Errorf("object %.100q: %w: it has %d", full, ErrTagRoom, len(tags)-1)
	}
	return oss.EncodeTagging(tags), err
}

// firstTag adds that tag to others'.
func (b *Bucket) firstTag(full string, tags map[string]string, c content) (map[string]string, error) {
	if !alwaysTagged(c.generation, c.upload) {
		return tags, nil
	}
	value, err := b.formatTag(full, tag{upload: c.upload, generation: c.generation, attr: c.attr})
	if err != nil {
		return nil, err
	}
	tags = maps.Clone(tags)
	if tags == nil {
		tags = make(map[string]string, 1)
	}
	tags[tagName] = value
	return tags, nil
}

// errNoTag says that a tag was taken away.
var errNoTag = errors.New("the tag with its mode and owner was removed or changed; nobody but the mount's user has rights to it until a chmod and a chown")

// closed is attributes as they are signed: what nobody has vouched for gives no right to others.
func (b *Bucket) closed(a Attr, unproven Fields) Attr {
	if b.opt.Bundle != nil {
		return a // a write-only host leaves them out of its tag
	}
	if unproven&FieldMode != 0 {
		a.Mode &= ModeType | 0o700
	}
	if unproven&FieldUID != 0 {
		a.UID = b.opt.DefaultAttr.UID
	}
	if unproven&FieldGID != 0 {
		a.GID = b.opt.DefaultAttr.GID
	}
	return a
}
