package object

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"time"

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
	if err := b.freshen(ctx); err != nil {
		return Info{}, err
	}
	if b.Retired(r.Origin) {
		return Info{}, before(fmt.Errorf("put %.100q: its content came from the bucket: %w", r.Key, ErrRetired))
	}
	if !r.Generation.IsZero() && r.Sealed.Tags().Separate() {
		return Info{}, fmt.Errorf("put %.100q: a body of %d bytes keeps its generation: %w", r.Key, r.Sealed.Size(), ErrInvalid)
	}
	if r.fresh, err = freshTags(&r); err != nil {
		return Info{}, before(fmt.Errorf("put %.100q: %w", r.Key, err))
	}
	if err := b.putLeaves(ctx, generationOf(r.Sealed), r.Sealed.Tags()); err != nil {
		return Info{}, before(err)
	}
	if r.Keep, err = b.told(ctx, r.Keep); err != nil {
		return Info{}, before(fmt.Errorf("put %.100q: %w", r.Key, err))
	}
	var got placed
	switch {
	case r.Stage != nil:
		got, err = b.putStaged(ctx, full, r)
	case single:
		got, err = b.putSingle(ctx, full, r)
	default:
		got, err = b.putMultipart(ctx, full, r)
	}
	if err != nil {
		return Info{}, err
	}
	b.pool.uploaded(generationOf(r.Sealed))
	others := len(r.Keep.told())
	tags := others
	if alwaysTagged(r.generation(), r.Upload) {
		tags++
	}
	return Info{Key: r.Key, Size: r.Sealed.Size(), ETag: got.etag, TagCount: tags, OthersTags: others > 0, Version: got.version, Date: got.date, Attr: r.Attr, HasAttr: true,
		Generation: r.generation(), Upload: r.Upload, Stored: r.Upload, Over: r.Over, Encrypted: true, State: b.ownState()}, nil
}

// placed is an object that was stored: its ETag, its version in a bucket with versioning, and the server's clock in the answer.
type placed struct {
	etag, version string
	date          time.Time
}

func placedAs(i oss.Info) placed { return placed{etag: i.ETag, version: i.VersionID, date: i.Date} }

// generationOf is the generation of a sealed body.
func generationOf(s *Sealed) ID { return ID(s.GenerationID()) }

// generation is what the object will be of.
func (r *PutRequest) generation() ID {
	if !r.Generation.IsZero() {
		return r.Generation
	}
	return generationOf(r.Sealed)
}

// putSingle stores the body by one PUT.
func (b *Bucket) putSingle(ctx context.Context, full string, r PutRequest) (placed, error) {
	meta, tagging, err := b.described(ctx, r.Key, full, contentOf(r), 0)
	if err != nil {
		return placed{}, before(err)
	}
	sum, hasSum := r.Sealed.MD5()
	body := newCountedBody(r.Body, 0, r.Sealed.Size(), r.Progress)
	got, err := b.oss.Put(ctx, full, body, r.Sealed.Size(), oss.PutOptions{
		Meta: meta, Headers: r.Keep.served(), Tagging: tagging, ContentType: contentType(r.Key), ForbidOverwrite: r.IfAbsent,
		ContentMD5: sum, HasMD5: hasSum, CRC64: r.Sealed.CRC64(), HasCRC: true,
	})
	return placedAs(got), err
}

// content is what headers say of a body; it is known before the body has been sealed to its end.
type content struct {
	key        *ContentKey
	tags       *cipher.Tags
	size       int64
	sealed     ID // generation as which the body was sealed
	generation ID // that the object will be of
	upload     ID
	attr       Attr
	over       []ID
	keep       *Others
}

// contentOf is the content of a request whose body is sealed already.
func contentOf(r PutRequest) content {
	c := content{key: r.Sealed.ContentKey(), tags: r.Sealed.Tags(), size: r.Sealed.Size(), sealed: generationOf(r.Sealed),
		generation: r.generation(), upload: r.Upload, attr: r.Attr, over: r.Over, keep: r.Keep}
	if r.fresh != nil {
		c.tags = r.fresh.Tags()
	}
	return c
}

// freshTags makes tags of a body that was in the bucket before, under another MAC key: who held the volume key of then, which may be left since, knows
// that one, and could change bytes so that the tags remain right.
func freshTags(r *PutRequest) (*Sealed, error) {
	if r.Generation.IsZero() || r.Stage != nil || r.Sealed.Size() == 0 {
		return nil, nil //nolint:nilnil // they are those of Sealed
	}
	intake, err := cipher.NewIntake(r.Sealed.ContentKey())
	if err == nil {
		_, err = io.Copy(intake, io.NewSectionReader(r.Body, 0, r.Sealed.Size()))
	}
	if err != nil {
		return nil, err
	}
	if s := intake.Finish(); s.Size() == r.Sealed.Size() && s.CRC64() == r.Sealed.CRC64() {
		return s, nil
	}
	return nil, fmt.Errorf("its body is not what was sealed: %w", ErrBadDigest)
}

// headers is all metadata of an object: envelope, attributes, ids, sealed extended attributes and the box. partSize is 0 for
// a single PUT.
func (b *Bucket) headers(ctx context.Context, key, full string, c content, partSize int64) (map[string]string, error) {
	c.attr.Mode = modeFor(key, c.attr.Mode)
	if err := b.freshen(ctx); err != nil {
		return nil, err
	}
	meta, err := b.envelope(ctx, c, partSize)
	if err == nil {
		putAttr(meta, c.attr)
		meta[metaIDs] = formatIDs(c.generation, c.upload)
		err = b.putXattrs(meta, c)
	}
	if err == nil {
		err = b.seal(full, meta, c)
	}
	size := cipher.HeadersSize(meta)
	if err == nil && size > metaTotal {
		err = fmt.Errorf("its metadata has %d bytes, OSS takes %d: %w", size, metaTotal, ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("put %.100q: %w", key, err)
	}
	putOver(meta, c.over, c.keep.putMeta(meta, size))
	return meta, nil
}

// described is metadata and tags of an object.
func (b *Bucket) described(ctx context.Context, key, full string, c content, partSize int64) (meta map[string]string, tagging string, err error) {
	if meta, err = b.headers(ctx, key, full, c, partSize); err == nil {
		tagging, err = b.firstTags(full, c)
	}
	return meta, tagging, err
}

// envelope is the headers of the SDKs. With KMS those of a body are wrapped once, ahead or at the first attempt to store it.
func (b *Bucket) envelope(ctx context.Context, c content, partSize int64) (map[string]string, error) {
	o := cipher.EnvelopeOptions{Dialect: b.dialect, Size: c.size, PartSize: partSize}
	meta := b.pool.envelope(c.sealed, c.key)
	if meta == nil {
		var err error
		if meta, err = cipher.WrapEnvelope(ctx, b.ring, c.key, cipher.EnvelopeOptions{Dialect: b.dialect}); err != nil {
			return nil, err
		}
		b.pool.remember(c.sealed, preparedKey{key: c.key, headers: maps.Clone(meta)})
	}
	if err := cipher.AddPartSizes(meta, o); err != nil {
		return nil, err
	}
	if b.opt.Bundle == nil { // a write-only host keeps no key of what it wrote
		b.opened.put(envelopeID(meta), c.key) // a later read need not unwrap what was wrapped here
	}
	return meta, nil
}

// putXattrs adds the header of the sealed extended attributes.
func (b *Bucket) putXattrs(meta map[string]string, c content) error {
	if len(c.attr.Xattrs) == 0 {
		return nil
	}
	if err := b.CheckXattrs(c.attr.Xattrs); err != nil {
		return err
	}
	sealed, err := cipher.SealSmall(c.key, xattrLabel, marshalXattrs(c.attr.Xattrs))
	if err != nil {
		return err
	}
	meta[metaSealedXattr] = base64.StdEncoding.EncodeToString(sealed)
	return nil
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
	boxRoom   = 3300 // for the box of the largest file
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
