package object

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/oss"
)

// ErrTagRoom says that other programs have taken all of an object's tags, so that none is left for attributes.
var ErrTagRoom = errors.New("no object tag is free")

// SetAttr writes attributes into the object's tag. Neither bytes, headers, ETag nor modification time change. Tags of
// others are read first and written back. It is a write: one attempt.
func (b *Bucket) SetAttr(ctx context.Context, r TagRequest) error {
	full, err := b.writable(r.Key)
	if err != nil {
		return err
	}
	tags, err := b.mergedTags(ctx, full, r.OwnTagsOnly, tag{upload: r.Upload, generation: r.Generation, attr: r.Attr})
	if err != nil {
		return before(err)
	}
	return b.oss.PutTagging(ctx, full, tags)
}

// mergedTags is the tags of an object with ours replaced by t.
func (b *Bucket) mergedTags(ctx context.Context, full string, ownOnly bool, t tag) (map[string]string, error) {
	tags := map[string]string{}
	if !ownOnly {
		var err error
		if tags, err = b.oss.GetTagging(ctx, full); err != nil {
			return nil, err
		}
	}
	tags[tagName] = t.format()
	if len(tags) > oss.MaxTags {
		return nil, fmt.Errorf("object %.100q: %w: it has %d", full, ErrTagRoom, len(tags)-1)
	}
	return tags, nil
}

// Copy copies bytes and headers, the envelope included, and gives the copy new attributes by its tag, in one
// request. Tags of others are taken along. It sends no header that would make OSS store the bytes anew, so that it
// works at any size. It is a write: one attempt. The result has no Size and no
// Xattrs, and of a foreign source it does not know whether it is Encrypted.
func (b *Bucket) Copy(ctx context.Context, r CopyRequest) (Info, error) {
	dst, err := b.writable(r.Dst)
	if err != nil {
		return Info{}, err
	}
	src, err := b.full(r.Src)
	if err != nil {
		return Info{}, err
	}
	if src == dst {
		return Info{}, fmt.Errorf("copy %.100q onto itself: %w", r.Src, ErrInvalid)
	}
	tags, err := b.mergedTags(ctx, src, r.OwnTagsOnly, tag{upload: r.Upload, generation: r.Generation, attr: r.Attr})
	if err != nil {
		return Info{}, before(err)
	}
	tagging := oss.EncodeTagging(tags)
	got, err := b.oss.Copy(ctx, src, dst, oss.CopyOptions{
		SourceIfMatch: r.SrcETag, ForbidOverwrite: r.IfAbsent, ReplaceTagging: &tagging})
	if err != nil {
		return Info{}, err
	}
	attr := r.Attr
	attr.Xattrs = nil
	return Info{Key: r.Dst, ETag: got.ETag, Modified: got.LastModified, Attr: attr, HasAttr: true, Generation: r.Generation,
		Upload: r.Upload, Encrypted: !r.Generation.IsZero(), TagCount: len(tags), OthersTags: len(tags) > 1}, nil
}

// Delete removes an object; one that does not exist is no error. It is a write: one attempt.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	full, err := b.writable(key)
	if err != nil {
		return err
	}
	return b.oss.Delete(ctx, full)
}
