package object

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/oss"
)

// Version is one version of an object in a bucket with versioning, or the note that it was deleted.
type Version struct {
	ID       string
	ETag     string // without quotes; empty for a delete marker
	Size     int64
	Modified time.Time
	Marker   bool // a delete marker
}

// Versions returns up to limit versions of a key, the newest first: from the top, or those below the version under.
func (b *Bucket) Versions(ctx context.Context, key, under string, limit int) ([]Version, error) {
	full, err := b.full(key)
	if err != nil {
		return nil, err
	}
	list, err := b.oss.ListVersions(ctx, full, under, limit)
	if err != nil {
		return nil, err
	}
	versions := make([]Version, len(list))
	for n, v := range list {
		versions[n] = Version{ID: v.ID, ETag: v.ETag, Size: v.Size, Modified: v.LastModified, Marker: v.Marker}
	}
	return versions, nil
}

// HeadVersion describes one version of an object, as Head does the current one.
func (b *Bucket) HeadVersion(ctx context.Context, key, version string) (Info, error) {
	full, err := b.full(key)
	if err != nil {
		return Info{}, err
	}
	got, err := b.oss.HeadVersion(ctx, full, version)
	if err != nil {
		return Info{}, err
	}
	info, p, err := b.describeVersion(ctx, key, full, version, got)
	if err != nil || info.State == StateRefused {
		return info, err
	}
	tags, err := b.tagsOn(ctx, full, version, got, p)
	if err != nil {
		return Info{}, err
	}
	bound := b.applyTags(full, tags, &info)
	if b.misplaced(key, p, bound) {
		b.refuse(&info, NoticeTampered, ErrMoved)
		return info, nil
	}
	b.openXattrs(ctx, got.Meta, &info, p)
	return info, nil
}

// RemoveVersion removes one version for good, a delete marker too; one that is gone is no error. It is a write: one attempt.
func (b *Bucket) RemoveVersion(ctx context.Context, key, version string) error {
	full, err := b.writable(key)
	if err != nil {
		return err
	}
	return b.oss.RemoveVersion(ctx, full, version)
}

// Remove removes an object as Delete does, and tells the version that this made: the id of a delete marker in a bucket with
// versioning, empty in others. It is a write: one attempt.
func (b *Bucket) Remove(ctx context.Context, key string) (version string, err error) {
	full, err := b.writable(key)
	if err != nil {
		return "", err
	}
	return b.oss.Remove(ctx, full)
}

// The header x-oss-meta-ossencfs-over, and the object tag of that name for what was copied, say which uploads an object was written
// over, as far as its writer knew: the newest first. A writer whose upload is left out has lost it to somebody who never saw it. It is
// not authenticated and nothing but that report depends on it.
//
//	over = upload { ":" upload } ; at most MaxOver, 22 characters of base64url each
const (
	metaOver = metaPrefix + "ossencfs-over"
	overTag  = "ossencfs-over"
)

// MaxOver is how many uploads an object names that it was written over.
const MaxOver = 8

// formatOver writes ids; empty for none.
func formatOver(ids []ID) string {
	var b strings.Builder
	for n, id := range ids {
		if n == MaxOver {
			break
		}
		if n > 0 {
			b.WriteByte(':')
		}
		b.WriteString(id.short())
	}
	return b.String()
}

// parseOver reads what formatOver writes, up to what it does not understand.
func parseOver(s string) []ID {
	var ids []ID
	for len(ids) < MaxOver && s != "" {
		var one string
		one, s, _ = strings.Cut(s, ":")
		id, err := parseShortID(one)
		if err != nil {
			break
		}
		ids = append(ids, id)
	}
	return ids
}

// Past is what an object that replaces this one was written over: the newest first, so that what its headers say, which for a copy is
// the source's, stands where a tag names it.
func (i *Info) Past() []ID {
	past := make([]ID, 0, MaxOver)
	if !i.Upload.IsZero() {
		past = append(past, i.Upload)
	}
	if !i.Stored.IsZero() && i.Stored != i.Upload && !slices.Contains(i.Over, i.Stored) {
		past = append(past, i.Stored)
	}
	return append(past, i.Over[:min(len(i.Over), MaxOver-len(past))]...)
}

// putOver adds the header where there is room for it: it is worth less than the attributes of programs.
func putOver(meta map[string]string, over []ID, size int) {
	if value := formatOver(over); value != "" && size+len(metaOver)+len(value) <= metaTotal {
		meta[metaOver] = value
	}
}

// tagOver adds the tag, where one is free.
func tagOver(tags map[string]string, over []ID) {
	if value := formatOver(over); value != "" && len(tags) < oss.MaxTags {
		tags[overTag] = value
	}
}
