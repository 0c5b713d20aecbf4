package object

import (
	"context"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/oss"
)

// List returns a page of a directory. The hidden area is left out, and so is what cannot be a path or has a reserved name; a page may be
// empty and yet have a next one. A name may be there both as a file and as a directory ("a" and "a/"), perhaps on
// different pages. A directory without any key below it is no error, just empty: the bucket does not know it. One that is the root of
// another volume is ErrNestedVolume.
func (b *Bucket) List(ctx context.Context, r ListRequest) (Page, error) {
	if !isDirKey(r.Dir) {
		return Page{}, fmt.Errorf("list %.100q: %w: a directory's key ends in /", r.Dir, ErrName)
	}
	if err := CheckKey(r.Dir); err != nil {
		return Page{}, fmt.Errorf("list %.100q: %w", r.Dir, err)
	}
	o := oss.ListOptions{Prefix: b.prefix + r.Dir, Token: r.Token}
	if r.Behind != "" {
		o.Behind = b.prefix + r.Behind
	}
	if !r.Recursive {
		o.Delimiter = "/"
	}
	got, err := b.oss.List(ctx, o)
	if err != nil {
		return Page{}, err
	}
	if err := b.checkNested(ctx, r.Dir, got); err != nil {
		return Page{}, err
	}
	return b.cleanPage(got), nil
}

// cleanPage makes keys relative and sets aside those that are no paths.
func (b *Bucket) cleanPage(got oss.Page) Page {
	p := Page{Objects: make([]Entry, 0, len(got.Objects)), Next: got.NextToken, Last: strings.TrimPrefix(got.Last(), b.prefix)}
	for _, e := range got.Objects {
		key := strings.TrimPrefix(e.Key, b.prefix)
		if isHidden(key) {
			continue
		}
		if reason := b.notShown(key, e); reason != nil {
			p.Unusable = append(p.Unusable, Unusable{Key: key, Reason: reason})
			continue
		}
		p.Objects = append(p.Objects, Entry{Key: key, Size: e.Size, ETag: e.ETag, Modified: e.LastModified})
	}
	for _, full := range got.Prefixes {
		key := strings.TrimPrefix(full, b.prefix)
		if isHidden(key) {
			continue
		}
		if err := b.notShown(key, oss.Entry{}); err != nil {
			p.Unusable = append(p.Unusable, Unusable{Key: key, Reason: err})
			continue
		}
		p.Dirs = append(p.Dirs, key)
	}
	return p
}

// notShown is why an object is left out of listings, or nil. One in somebody else's hidden area is: a mount of that directory looks after it.
func (b *Bucket) notShown(key string, e oss.Entry) error {
	if Reserved(key) {
		return ErrReserved
	}
	return b.unusable(key, e)
}

// unusable is why an object cannot be shown, or nil.
func (b *Bucket) unusable(key string, e oss.Entry) error {
	switch {
	case strings.EqualFold(e.Type, "Symlink"):
		return ErrSymlink
	case isDirKey(key) && e.Size > 0:
		return ErrMarkerContent
	}
	return b.checkListed(key)
}

// checkListed is CheckKey for a key that the bucket shows: no other request could name it.
func (b *Bucket) checkListed(key string) error {
	if b.prefix == "" && strings.HasPrefix(key, `\`) {
		return fmt.Errorf("%w: a backslash in front", ErrName)
	}
	return CheckKey(key)
}

// IsFullMarker reports whether an object has a directory's name and content: such a marker is nobody's attributes, and what is in it must not
// be written over.
func IsFullMarker(key string, size int64) bool { return isDirKey(key) && size > 0 }

// MaxEmptyPages is how many pages in a row without Page.Last are believed to lead somewhere.
const MaxEmptyPages = oss.MaxEmptyPages
