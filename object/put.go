package object

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// Put stores an object. Up to the multipart threshold this is one PUT with the Content-MD5 of the ciphertext, which
// OSS checks before it replaces anything; above, a multipart upload whose checksum is compared before it is completed.
// It is a write: one attempt, of which only parts are repeated inside.
func (b *Bucket) Put(ctx context.Context, r PutRequest) (Info, error) {
	full, err := b.writable(r.Key)
	if err != nil {
		return Info{}, err
	}
	if r.Sealed == nil || r.Body == nil && r.Sealed.Size() > 0 {
		return Info{}, fmt.Errorf("put %.100q: no sealed body: %w", r.Key, ErrInvalid)
	}
	single := r.Sealed.Size() <= b.opt.MultipartThreshold
	var etag string
	if single {
		etag, err = b.putSingle(ctx, full, r)
	} else {
		etag, err = b.putMultipart(ctx, full, r)
	}
	if err != nil {
		return Info{}, err
	}
	return Info{Key: r.Key, Size: r.Sealed.Size(), ETag: etag, Attr: r.Attr, HasAttr: true,
		Generation: generationOf(r.Sealed), Upload: r.Upload, Encrypted: true}, nil
}

// generationOf is the generation of a sealed body.
func generationOf(s *Sealed) ID { return ID(s.GenerationID()) }

// putSingle stores the body by one PUT and returns the object's ETag.
func (b *Bucket) putSingle(ctx context.Context, full string, r PutRequest) (string, error) {
	meta, err := b.headers(ctx, r.Key, contentOf(r), 0)
	if err != nil {
		return "", before(err)
	}
	sum, hasSum := r.Sealed.MD5()
	body := newCountedBody(r.Body, 0, r.Sealed.Size(), r.Progress)
	got, err := b.oss.Put(ctx, full, body, r.Sealed.Size(), oss.PutOptions{
		Meta: meta, ContentType: contentType(r.Key), ForbidOverwrite: r.IfAbsent,
		ContentMD5: sum, HasMD5: hasSum, CRC64: r.Sealed.CRC64(), HasCRC: true,
	})
	return got.ETag, err
}

// content is what headers say of a body; it is known before the body has been sealed to its end.
type content struct {
	key        *ContentKey
	size       int64
	generation ID
	upload     ID
	attr       Attr
}

// contentOf is the content of a request whose body is sealed already.
func contentOf(r PutRequest) content {
	return content{key: r.Sealed.ContentKey(), size: r.Sealed.Size(), generation: generationOf(r.Sealed), upload: r.Upload, attr: r.Attr}
}

// headers is all metadata of an object: envelope, attributes, ids and sealed extended attributes. partSize is 0 for
// a single PUT.
func (b *Bucket) headers(ctx context.Context, key string, c content, partSize int64) (map[string]string, error) {
	meta, err := cipher.WrapEnvelope(ctx, b.ring, c.key, cipher.EnvelopeOptions{Dialect: b.dialect, Size: c.size, PartSize: partSize})
	if err != nil {
		return nil, fmt.Errorf("put %.100q: %w", key, err)
	}
	b.opened.put(envelopeID(meta), c.key) // a later read need not unwrap what was wrapped here
	putAttr(meta, c.attr)
	meta[metaIDs] = formatIDs(c.generation, c.upload)
	if len(c.attr.Xattrs) == 0 {
		return meta, nil
	}
	if err := b.CheckXattrs(c.attr.Xattrs); err != nil {
		return nil, fmt.Errorf("put %.100q: %w", key, err)
	}
	sealed, err := cipher.SealSmall(c.key, xattrLabel, marshalXattrs(c.attr.Xattrs))
	if err != nil {
		return nil, fmt.Errorf("put %.100q: %w", key, err)
	}
	meta[metaSealedXattr] = base64.StdEncoding.EncodeToString(sealed)
	return meta, nil
}

// contentType is what ossfs gives markers and all other objects.
func contentType(key string) string {
	if isDirKey(key) {
		return "application/x-directory"
	}
	return ""
}

// Room in an object's metadata (TRUST.md "The box").
const (
	boxRoom   = 3300 // kept free for the box of the largest file
	attrRoom  = 256  // attributes, ids and what else is small
	metaTotal = oss.MaxMetaLen
)

// XattrRoom is how many bytes the header of extended attributes may take, at the size of this master key: the
// metadata that OSS allows, less the envelope, the room kept for the box, and the attributes. With KMS it rests on the
// longest wrapped key seen so far.
func (b *Bucket) XattrRoom() int {
	room, err := xattrRoom(b.ring.Primary(), b.dialect)
	if err != nil {
		return 0
	}
	return max(0, room)
}

// xattrRoom is negative when not even the envelope leaves enough room.
func xattrRoom(master keys.MasterKey, d cipher.Dialect) (int, error) {
	size, err := cipher.EnvelopeSize(master, d)
	return metaTotal - size - boxRoom - attrRoom, err
}

// countedBody reads a part of a ReaderAt and tells how far it got. Reading again after Seek is not told twice.
type countedBody struct {
	*io.SectionReader
	progress func(n int64)
	told     int64
}

// newCountedBody reads size bytes of r from off; progress may be nil.
func newCountedBody(r io.ReaderAt, off, size int64, progress func(int64)) *countedBody {
	if r == nil {
		r = noBytes{}
	}
	return &countedBody{SectionReader: io.NewSectionReader(r, off, size), progress: progress}
}

// Read implements io.Reader.
func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.SectionReader.Read(p)
	if at, _ := c.Seek(0, io.SeekCurrent); c.progress != nil && at > c.told {
		c.progress(at - c.told)
		c.told = at
	}
	return n, err
}

// noBytes is an empty body.
type noBytes struct{}

// ReadAt implements io.ReaderAt.
func (noBytes) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
