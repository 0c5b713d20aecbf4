package object

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/oss"
)

// Head describes an object: a HEAD request, and one for its tags where it has any. An object that is not believed is described all
// the same, by its listing alone: see Info.State.
func (b *Bucket) Head(ctx context.Context, key string) (Info, error) {
	full, err := b.full(key)
	if err != nil {
		return Info{}, err
	}
	got, err := b.oss.Head(ctx, full)
	if oss.DanglingLink(err) {
		err = fmt.Errorf("object %.100q: %w, which is missing", key, ErrSymlink)
	}
	if err != nil {
		return Info{}, err
	}
	info, p, err := b.describe(ctx, key, full, got)
	if err != nil {
		return Info{}, err
	}
	return info, b.complete(ctx, full, got, &info, p)
}

// settledAfter is how old an object must be for its Last-Modified to be its alone: OSS tells times in whole seconds, and the clocks of its
// machines are not the same to the millisecond.
const settledAfter = 2 * time.Second

// describe turns headers into Info and finds out who wrote the object. An envelope that cannot be understood is left to
// openContent to report, since names and attributes do not need it.
func (b *Bucket) describe(ctx context.Context, key, full string, got oss.Info) (Info, proof, error) {
	return b.describeVersion(ctx, key, full, "", got)
}

// describeVersion is describe for another version than the current one.
func (b *Bucket) describeVersion(ctx context.Context, key, full, version string, got oss.Info) (Info, proof, error) {
	if strings.EqualFold(got.Type, "Symlink") {
		return Info{}, proof{}, fmt.Errorf("object %.100q: %w", key, ErrSymlink)
	}
	info := Info{Key: key, Size: got.Size, ETag: got.ETag, Modified: got.LastModified, Date: got.Date, TagCount: got.TagCount, Dialect: dialectOf(got.Meta)}
	info.Young = !got.Asked.IsZero() && got.Asked.Before(got.LastModified.Add(settledAfter))
	info.Attr = b.opt.DefaultAttr.of(key, got.LastModified)
	info.HasAttr = readAttr(got.Meta, key, &info.Attr)
	if g, u, err := parseIDs(got.Meta[metaIDs]); err == nil {
		info.Generation, info.Upload = g, u
	}
	info.box, info.Others = got.Meta[cipher.BoxHeader], othersOf(full, got)
	info.Version, info.Over = got.VersionID, parseOver(got.Meta[metaOver])
	_, err := cipher.ParseEnvelope(got.Meta)
	info.Encrypted = !errors.Is(err, cipher.ErrPlain)
	p, err := b.judge(ctx, full, version, got, &info)
	info.Stored = info.Upload
	switch {
	case b.opt.Bundle != nil:
		info.Unproven = AllFields
	case p.box != nil && alwaysTagged(p.box.Generation, p.box.Upload):
		info.Unproven = FieldsOfRights
	}
	return info, p, err
}

// complete adds what is not in the plain headers: tags, and extended attributes.
func (b *Bucket) complete(ctx context.Context, full string, got oss.Info, info *Info, p proof) error {
	if info.State == StateRefused {
		return nil
	}
	if err := b.readTags(ctx, full, got, info, p); err != nil || info.State == StateRefused {
		return err
	}
	b.openXattrs(ctx, got.Meta, info, p)
	return nil
}

// readTags reads the tags of an object that has any. With Trust.Strict they also decide whether it may stand where it does.
func (b *Bucket) readTags(ctx context.Context, full string, got oss.Info, info *Info, p proof) error {
	tags, err := b.tagsOn(ctx, full, "", got, p)
	if err != nil {
		return err
	}
	bound := b.applyTags(full, tags, info)
	if b.opt.Bundle == nil && info.Unproven != 0 {
		b.notice(NoticeTag, info.Key, errNoTag)
	}
	if b.misplaced(info.Key, p, bound) {
		b.refuse(info, NoticeTampered, ErrMoved)
	}
	return nil
}

// misplaced reports whether an object must not stand where it does; bound says that a tag of ours binds it there. No mount of ours moves a
// directory's marker, and who may write to the bucket could give a directory the rights of another one by it.
func (b *Bucket) misplaced(key string, p proof, bound bool) bool {
	return p.moved && !bound && (b.opt.Trust.Strict || isDirKey(key) && b.Authentic(key))
}

// applyTags lets the attributes of our tags stand for those of the headers, if they are about this generation and were made by a key
// holder for an object of this name. It reports whether there is such a tag.
func (b *Bucket) applyTags(full string, tags map[string]string, i *Info) bool {
	i.TagCount = len(tags)
	i.Others.hasTags(tags)
	found := b.checkTags(full, tags, i)
	others := len(tags) - found.ours
	if over, marked := tags[overTag]; marked {
		i.Over = parseOver(over)
		others--
	}
	i.OthersTags = others > 0
	if found.err != nil {
		b.notice(NoticeTag, i.Key, fmt.Errorf("its attribute tag is ignored: %w", found.err))
	}
	for _, t := range found.valid {
		a := t.over(i.Attr)
		a.Mode = modeFor(i.Key, a.Mode)
		i.Attr, i.HasAttr, i.Upload, i.Change = a, true, t.upload, t.change
		i.Volume = b.volume.earlier(i.Volume, ID(t.under))
		b.heard(t, i)
	}
	return len(found.valid) > 0
}

// foundTags is what the tags of an object say of its attributes.
type foundTags struct {
	valid []tag // in the order in which they count
	ours  int   // how many are ours by their names
	err   error // why one of them is not believed
}

// bound reports whether a valid tag binds the object to its name.
func (f *foundTags) bound() bool { return len(f.valid) > 0 }

// checkTags finds our tags, and why one is not believed. A later change counts over an earlier one; of two with one number the main tag does, whose
// writer did not know the other.
func (b *Bucket) checkTags(full string, tags map[string]string, i *Info) (f foundTags) {
	for name, value := range tags {
		if !isOwnTag(name) {
			continue
		}
		f.ours++
		t, err := b.checkTag(full, name, value, i)
		if err != nil {
			f.err = err
			continue
		}
		f.valid = append(f.valid, t)
	}
	slices.SortFunc(f.valid, func(a, b tag) int {
		if a.change == b.change && b.main {
			return -1
		}
		return cmp.Compare(a.change, b.change)
	})
	return f
}

// checkTag reads one of our tags, and verifies it.
func (b *Bucket) checkTag(full, name, value string, i *Info) (tag, error) {
	t, err := parseTag(value)
	t.main = name == tagName
	switch {
	case err != nil:
	case !t.main && (t.host == nil || name != hostTagName(*t.host)):
		err = fmt.Errorf("it has the name of another host's: %w", errTag)
	case b.volume.host != nil:
		err = b.verifyOwnTag(full, &t)
	case i.State != StateUnknown:
		t.under, err = b.tagKey(full, t)
	}
	if err == nil && !t.partial && i.State == StateAuthentic && modeFor(i.Key, t.attr.Mode)&ModeType != i.Attr.Mode&ModeType {
		err = fmt.Errorf("it makes mode %o of %o: %w", t.attr.Mode, i.Attr.Mode, errTag) // no request of ours changes a type
	}
	if err == nil && t.generation != i.Generation {
		err = fmt.Errorf("it is about generation %s: %w", t.generation, errTag)
	}
	if err == nil && t.box != nil && !bytes.Equal(t.box, boxDigest(i.box)) {
		err = fmt.Errorf("it is about an object with another box: %w", errTag) // the host of that one chose the generation
	}
	return t, err
}

// openXattrs reads extended attributes from the headers: ours, sealed, or the plain ones of ossfs, which an object of ours never has.
func (b *Bucket) openXattrs(ctx context.Context, meta map[string]string, info *Info, p proof) {
	if info.State == StateSealed {
		return
	}
	sealed, ours := meta[metaSealedXattr]
	plain, theirs := meta[metaXattr]
	var err error
	switch {
	case ours && info.Encrypted:
		info.Attr.Xattrs, err = b.openSealedXattrs(ctx, meta, sealed, p)
	case theirs && p.box == nil:
		info.Attr.Xattrs, err = parsePlainXattrs(plain)
	}
	if p.box == nil {
		maps.DeleteFunc(info.Attr.Xattrs, func(name string, _ []byte) bool { return !ofUsers(name) })
	}
	if err != nil {
		info.XattrErr = fmt.Errorf("extended attributes of %.100q: %w", info.Key, err)
	}
}

// openSealedXattrs opens the header x-oss-meta-ossencfs-xattr.
func (b *Bucket) openSealedXattrs(ctx context.Context, meta map[string]string, sealed string, p proof) (map[string][]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, errXattrs
	}
	key, err := b.contentKey(ctx, meta, p)
	if err != nil {
		return nil, err
	}
	plain, err := cipher.OpenSmall(key, xattrLabel, raw)
	if err != nil {
		return nil, err
	}
	return unmarshalXattrs(plain)
}

// contentKey is the content key of an object: that in its box, or else the one of its envelope.
func (b *Bucket) contentKey(ctx context.Context, meta map[string]string, p proof) (*ContentKey, error) {
	if p.box != nil && p.box.Key != nil {
		return p.box.Key, nil
	}
	return b.openContent(ctx, meta)
}

// openContent unwraps the content key of an envelope, or finds it among those opened before.
func (b *Bucket) openContent(ctx context.Context, meta map[string]string) (*ContentKey, error) {
	env, err := cipher.ParseEnvelope(meta)
	if err != nil {
		return nil, err
	}
	id := envelopeID(meta)
	if k := b.opened.get(id); k != nil {
		return k, nil
	}
	k, err := env.Open(ctx, b.ring)
	if err != nil {
		return nil, err
	}
	b.opened.put(id, k)
	return k, nil
}

// Get opens an object, or a range of it, for reading. What comes out is always ciphertext under Download.Content: a
// plain object is sealed on the way, so that a reader who stores it stores no plaintext. Of an object with a box no byte comes out
// before its leaf was verified; to that end whole leaves are asked for. The body is requested before the content key is unwrapped, so
// that nobody can learn from our requests whether unwrapping worked (TRUST.md). A range at or behind the end fails with ErrRange.
// An object that is refused fails with the reason: ErrTampered, ErrUnauthentic, ErrStripped, ErrMoved or ErrWriteOnly.
func (b *Bucket) Get(ctx context.Context, r GetRequest) (*Download, error) {
	if r.Content != nil && r.ETag == "" {
		return nil, fmt.Errorf("get %.100q: a content key belongs to one ETag: %w", r.Key, ErrInvalid)
	}
	full, err := b.full(r.Key)
	if err != nil {
		return nil, err
	}
	start := r.Off &^ (cipher.LeafSize - 1)
	o := oss.GetOptions{Off: start, IfMatch: r.ETag}
	if r.Len > 0 {
		o.Len = (r.Off+r.Len+cipher.LeafSize-1)&^(cipher.LeafSize-1) - start
	}
	body, got, err := b.oss.Get(ctx, full, o)
	if err != nil {
		return nil, err
	}
	d, err := b.download(ctx, r, full, body, got)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %.100q: %w", r.Key, err), body.Close())
	}
	return d, nil
}

// download finds the content key of a body under way, which begins at the leaf of r.Off.
func (b *Bucket) download(ctx context.Context, r GetRequest, full string, body io.ReadCloser, got oss.Info) (*Download, error) {
	info, p, err := b.describe(ctx, r.Key, full, got)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Attributes:
		err = b.complete(ctx, full, got, &info, p)
	case b.opt.Trust.Strict && p.moved:
		err = b.readTags(ctx, full, got, &info, p)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case info.State == StateRefused:
		return nil, info.Refusal
	case info.State == StateSealed:
		return nil, ErrWriteOnly
	case !r.Generation.IsZero() && info.Generation != r.Generation: // or has no box any more
		return nil, fmt.Errorf("the object is of another generation than its version: %w: %w", ErrTampered, ErrPrecondition)
	case r.Off > 0 && r.Off >= got.Size:
		return nil, fmt.Errorf("offset %d of %d bytes: %w", r.Off, got.Size, ErrRange)
	}
	d := &Download{Info: info, Content: r.Content, Body: body, TotalSize: got.Size, crc: got.CRC64, hasCRC: got.HasCRC}
	if err := b.openBody(ctx, r, full, got, p, d); err != nil {
		return nil, err
	}
	if skip, size := r.Off%cipher.LeafSize, got.Size-r.Off; skip > 0 || r.Len > 0 && r.Len < size && (r.Off+r.Len)%cipher.LeafSize != 0 {
		w := &window{src: d.Body, skip: skip, remain: size}
		if r.Len > 0 {
			w.remain = min(r.Len, size)
		}
		d.Body = w
	}
	return d, nil
}

// openBody lets d.Body verify, or seal, what comes through it.
func (b *Bucket) openBody(ctx context.Context, r GetRequest, full string, got oss.Info, p proof, d *Download) error {
	start := r.Off &^ (cipher.LeafSize - 1)
	var err error
	switch {
	case p.box != nil:
		if d.Content, err = b.contentKey(ctx, got.Meta, p); err != nil {
			return err
		}
		if r.Content != nil && !r.Content.Equal(d.Content) {
			return fmt.Errorf("the object is under another key than its version: %w: %w", ErrTampered, ErrPrecondition)
		}
		tags := b.tags.same(got.Meta[cipher.BoxHeader], p.box.Tags)
		if tags.Separate() {
			end := got.Size
			if r.Len > 0 {
				end = min(end, r.Off+r.Len)
			}
			leaves := &leafSource{b: b, key: r.Key, full: full, etag: got.ETag, generation: d.Info.Generation, tags: tags}
			if err := leaves.need(ctx, start/cipher.LeafSize, (end-1)/cipher.LeafSize); err != nil {
				return err
			}
		}
		d.Body = &verifiedBody{src: d.Body, tags: tags, leaf: start / cipher.LeafSize,
			again:  func(leaf int64, p []byte) error { return b.readLeaf(ctx, full, got.ETag, leaf, p) },
			failed: func(err error) { b.notice(NoticeTampered, r.Key, err) }}
	case d.Info.Encrypted:
		if d.Content == nil {
			d.Content, err = b.openContent(ctx, got.Meta)
		}
	default:
		if d.Content == nil {
			if d.Content, err = NewContentKey(); err != nil {
				return err
			}
		}
		d.Body = &sealReader{src: d.Body, key: d.Content, off: start}
	}
	return err
}

// readLeaf reads the ciphertext of one leaf of an object's version.
func (b *Bucket) readLeaf(ctx context.Context, full, etag string, leaf int64, p []byte) error {
	return b.repeat(ctx, func() error {
		body, _, err := b.oss.Get(ctx, full, oss.GetOptions{Off: leaf * cipher.LeafSize, Len: int64(len(p)), IfMatch: etag})
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.ReadFull(body, p)
		return err
	})
}

// sealReader seals a plain body while it is read. The object's ETag binds its bytes to the key, see GetRequest.
type sealReader struct {
	src io.ReadCloser
	key *ContentKey
	off int64 // of the next byte
}

// Read implements io.Reader.
func (s *sealReader) Read(p []byte) (int, error) {
	n, err := s.src.Read(p)
	s.key.XORKeyStreamAt(p[:n], p[:n], s.off)
	s.off += int64(n)
	return n, err
}

// Close implements io.Closer.
func (s *sealReader) Close() error { return s.src.Close() }
