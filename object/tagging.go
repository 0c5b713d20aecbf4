package object

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

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
	if err := b.freshen(ctx); err != nil {
		return err
	}
	tags, err := b.tagsOf(ctx, full, "")
	if err != nil {
		return before(err)
	}
	tags, tagged, err := b.mergedTags(ctx, source{full: full}, tags, full, tag{upload: r.Upload, generation: r.Generation, attr: b.closed(r.Attr, r.Unproven), unproven: r.Unproven & AllFields})
	if err != nil {
		return before(err)
	}
	if tagged && len(r.Over) > 0 { // the id in the old tag, which may be that of a copy, is nowhere else
		delete(tags, overTag)
		tagOver(tags, r.Over)
	}
	return b.oss.PutTagging(ctx, full, tags)
}

// source is an object whose tags are changed or taken along.
type source struct {
	full, version string
	head          *oss.Info // nil: not asked for
}

// mergedTags is the tags of an object with ours replaced by t, as the object dst will have them. tagged says that it had one of ours.
func (b *Bucket) mergedTags(ctx context.Context, from source, tags map[string]string, dst string, t tag) (_ map[string]string, tagged bool, err error) {
	if t.box, err = b.vouchedFor(ctx, from, dst, tags, t.generation); err != nil {
		return nil, false, err
	}
	src := from.full
	_, tagged = tags[tagName]
	name := tagName
	for at, value := range tags {
		old, err := parseTag(value)
		if !isOwnTag(at) || err != nil {
			continue
		}
		if b.countsOn(src, old) {
			t.change = max(t.change, old.change)
		}
		if b.opt.Bundle == nil || old.host != nil && *old.host == b.opt.Bundle.Key().Host().ID {
			continue
		}
		if src != dst {
			return nil, false, fmt.Errorf("object %.100q: %w", src, errTagStays)
		}
		if at == tagName {
			name = hostTagName(b.opt.Bundle.Key().Host().ID)
		}
	}
	t.change++
	b.clearTags(tags, name)
	if tags[name], err = b.formatTag(dst, t); err != nil {
		return nil, false, err
	}
	if len(tags) > oss.MaxTags {
		delete(tags, overTag) // it is worth less than the attributes
	}
	if len(tags) > oss.MaxTags {
		return nil, false, fmt.Errorf("object %.100q: %w: it has %d", dst, ErrTagRoom, len(tags)-1)
	}
	return tags, tagged, nil
}

// errTagStays says that a write-only host cannot give an object another name, because a tag would be lost.
var errTagStays = fmt.Errorf("somebody else changed its attributes, which this host cannot verify and take along: %w", ErrWriteOnly)

// isOwnTag reports whether a tag is ours by its name.
func isOwnTag(name string) bool { return name == tagName || strings.HasPrefix(name, hostTagPrefix) }

// dropOwnTags leaves the tags of others.
func dropOwnTags(tags map[string]string) {
	maps.DeleteFunc(tags, func(name, _ string) bool { return isOwnTag(name) })
}

// clearTags removes what a new tag stands for: a key holder's for all, a write-only host's for its own.
func (b *Bucket) clearTags(tags map[string]string, name string) {
	if b.opt.Bundle == nil {
		dropOwnTags(tags)
		return
	}
	delete(tags, hostTagName(b.opt.Bundle.Key().Host().ID))
	delete(tags, name)
}

// sourceOf looks at the source of a copy: it tells the storage class that the copy is to have, and whether there are tags.
func (b *Bucket) sourceOf(ctx context.Context, full, version string) (got oss.Info, tags map[string]string, err error) {
	if got, err = b.oss.HeadVersion(ctx, full, version); err == nil && (got.TagCount > 0 || b.uncounted.Load()) {
		tags, err = b.tagsOf(ctx, full, version)
	}
	if tags == nil {
		tags = make(map[string]string, 2)
	}
	return got, tags, err
}

// Copy copies bytes and headers, the envelope included, and gives the copy new attributes by its tag, in one
// request, after a look at the source. Tags of others and the storage class are taken along. It sends no header that would make OSS store the
// bytes anew, so that it works at any size. It is a write: one attempt. The result has no Size and no
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
	if src == dst && r.SrcVersion == "" {
		return Info{}, fmt.Errorf("copy %.100q onto itself: %w", r.Src, ErrInvalid)
	}
	if err := b.freshen(ctx); err != nil {
		return Info{}, err
	}
	got, tags, err := b.sourceOf(ctx, src, r.SrcVersion)
	if err != nil {
		return Info{}, before(err)
	}
	tags, _, err = b.mergedTags(ctx, source{full: src, version: r.SrcVersion, head: &got}, tags, dst, tag{upload: r.Upload, generation: r.Generation, attr: b.closed(r.Attr, r.Unproven), unproven: r.Unproven & AllFields})
	if err != nil {
		return Info{}, before(err)
	}
	delete(tags, overTag) // of the source
	others := len(tags) > 1
	tagOver(tags, r.Over)
	tagging := oss.EncodeTagging(tags)
	got, err = b.oss.Copy(ctx, src, dst, oss.CopyOptions{StorageClass: classOfCopy(got),
		SourceVersion: r.SrcVersion, SourceIfMatch: r.SrcETag, ForbidOverwrite: r.IfAbsent, ReplaceTagging: &tagging})
	if err != nil {
		return Info{}, err
	}
	attr, unproven := b.closed(r.Attr, r.Unproven), Fields(0)
	attr.Xattrs = nil
	if b.opt.Bundle != nil {
		unproven = r.Unproven // they are left out of the tag
	}
	return Info{Key: r.Dst, ETag: got.ETag, Modified: got.LastModified, Attr: attr, HasAttr: true, Generation: r.Generation,
		Upload: r.Upload, Stored: r.Upload, Over: r.Over, Version: got.VersionID, Encrypted: !r.Generation.IsZero(),
		TagCount: len(tags), OthersTags: others, State: b.stateOfCopy(r.Generation), Unproven: unproven}, nil
}

// stateOfCopy is what is known of an object after a request of ours that kept its bytes: whether it carries a box is not told here,
// but only what does has a generation.
func (b *Bucket) stateOfCopy(generation ID) State {
	if generation.IsZero() {
		return StateUnknown
	}
	return b.ownState()
}

// Delete removes an object; one that does not exist is no error. It is a write: one attempt.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	full, err := b.writable(key)
	if err != nil {
		return err
	}
	return b.oss.Delete(ctx, full)
}
