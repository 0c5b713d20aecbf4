package object

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/oss"
)

// Head describes an object: a HEAD request, and one for its tags where it has any.
func (b *Bucket) Head(ctx context.Context, key string) (Info, error) {
	full, err := b.full(key)
	if err != nil {
		return Info{}, err
	}
	got, err := b.oss.Head(ctx, full)
	if err != nil {
		return Info{}, err
	}
	info, err := b.describe(key, got)
	if err != nil {
		return Info{}, err
	}
	if got.TagCount > 0 || b.uncounted.Load() {
		tags, err := b.oss.GetTagging(ctx, full)
		if err != nil {
			return Info{}, err
		}
		info.applyTags(tags)
	}
	b.openXattrs(ctx, got.Meta, &info)
	return info, nil
}

// describe turns headers into Info. An envelope that cannot be understood is left to openContent to report, since
// names and attributes do not need it.
func (b *Bucket) describe(key string, got oss.Info) (Info, error) {
	if strings.EqualFold(got.Type, "Symlink") {
		return Info{}, fmt.Errorf("object %.100q: %w", key, ErrSymlink)
	}
	info := Info{Key: key, Size: got.Size, ETag: got.ETag, Modified: got.LastModified, TagCount: got.TagCount}
	info.Attr = b.opt.DefaultAttr.of(key, got.LastModified)
	info.HasAttr = readAttr(got.Meta, key, &info.Attr)
	if g, u, err := parseIDs(got.Meta[metaIDs]); err == nil {
		info.Generation, info.Upload = g, u
	}
	_, err := cipher.ParseEnvelope(got.Meta)
	info.Encrypted = !errors.Is(err, cipher.ErrPlain)
	return info, nil
}

// applyTags lets the attributes of our tag stand for those of the headers, if it is about this generation.
func (i *Info) applyTags(tags map[string]string) {
	i.TagCount = len(tags)
	value, ours := tags[tagName]
	i.OthersTags = len(tags) > 1 || len(tags) == 1 && !ours
	t, err := parseTag(value)
	if !ours || err != nil || t.generation != i.Generation {
		return
	}
	x := i.Attr.Xattrs
	i.Attr, i.HasAttr, i.Upload = t.attr, true, t.upload
	i.Attr.Mode, i.Attr.Xattrs = modeFor(i.Key, t.attr.Mode), x
}

// openXattrs reads extended attributes from the headers: ours, sealed, or the plain ones of ossfs.
func (b *Bucket) openXattrs(ctx context.Context, meta map[string]string, info *Info) {
	sealed, ours := meta[metaSealedXattr]
	plain, theirs := meta[metaXattr]
	var err error
	switch {
	case ours && info.Encrypted:
		info.Attr.Xattrs, err = b.openSealedXattrs(ctx, meta, sealed)
	case theirs:
		info.Attr.Xattrs, err = parsePlainXattrs(plain)
	}
	if err != nil {
		info.XattrErr = fmt.Errorf("extended attributes of %.100q: %w", info.Key, err)
	}
}

// openSealedXattrs opens the header x-oss-meta-ossencfs-xattr.
func (b *Bucket) openSealedXattrs(ctx context.Context, meta map[string]string, sealed string) (map[string][]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, errXattrs
	}
	key, err := b.openContent(ctx, meta)
	if err != nil {
		return nil, err
	}
	p, err := cipher.OpenSmall(key, xattrLabel, raw)
	if err != nil {
		return nil, err
	}
	return unmarshalXattrs(p)
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
// plain object is sealed on the way, so that a reader who stores it stores no plaintext. The body is requested before
// the content key is unwrapped, so that nobody can learn from our requests whether unwrapping worked (TRUST.md). A
// range at or behind the end fails with ErrRange.
func (b *Bucket) Get(ctx context.Context, r GetRequest) (*Download, error) {
	if r.Content != nil && r.ETag == "" {
		return nil, fmt.Errorf("get %.100q: a content key belongs to one ETag: %w", r.Key, ErrInvalid)
	}
	full, err := b.full(r.Key)
	if err != nil {
		return nil, err
	}
	body, got, err := b.oss.Get(ctx, full, oss.GetOptions{Off: r.Off, Len: r.Len, IfMatch: r.ETag})
	if err != nil {
		return nil, err
	}
	d, err := b.download(ctx, r, body, got)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %.100q: %w", r.Key, err), body.Close())
	}
	return d, nil
}

// download finds the content key of a body under way.
func (b *Bucket) download(ctx context.Context, r GetRequest, body io.ReadCloser, got oss.Info) (*Download, error) {
	info, err := b.describe(r.Key, got)
	if err != nil {
		return nil, err
	}
	d := &Download{Info: info, Content: r.Content, Body: body, TotalSize: got.Size, crc: got.CRC64, hasCRC: got.HasCRC}
	if info.Encrypted {
		if d.Content == nil {
			d.Content, err = b.openContent(ctx, got.Meta)
		}
		return d, err
	}
	if d.Content == nil {
		if d.Content, err = NewContentKey(); err != nil {
			return nil, err
		}
	}
	d.Body = &sealReader{src: body, key: d.Content, off: r.Off}
	return d, nil
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
