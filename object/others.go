package object

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/oss"
)

// Others is what other programs said of an object beside its content: how it is served and stored, and metadata and tags of their own. What takes
// the place of the object has it too. Nothing of it is authentic, and nothing is believed of it: what has a meaning to us, by its name, is never
// among it. The zero value and nil are nothing.
type Others struct {
	headers map[string]string // as oss.Info.Headers
	meta    map[string]string
	tags    map[string]string
	untold  string // full key of an object whose tags were not asked for; empty: tags are all
}

// classHeader is the storage class among the headers.
const classHeader = "x-oss-storage-class"

// othersOf is what the headers of an object say; its tags are added by hasTags.
func othersOf(full string, got oss.Info) *Others {
	o := &Others{headers: maps.Clone(got.Headers), meta: maps.Clone(got.Meta)}
	if classOf(got) == "" {
		delete(o.headers, classHeader)
	}
	maps.DeleteFunc(o.meta, func(name, value string) bool { return isOwnMeta(name) || !oss.CanCarry(name, value) })
	if got.TagCount > 0 {
		o.untold = full
	}
	return o
}

// hasTags adds the tags of the object, ours among them.
func (o *Others) hasTags(tags map[string]string) {
	if o == nil {
		return
	}
	o.untold, o.tags = "", maps.Clone(tags)
	maps.DeleteFunc(o.tags, func(name, _ string) bool { return isReservedTag(name) })
}

// isOwnMeta reports whether metadata has a meaning to us or to the SDKs, so that it is about the content and attributes of one object alone.
func isOwnMeta(name string) bool {
	switch name {
	case metaMode, metaUID, metaGID, metaMtime, metaRdev, metaXattr:
		return true
	}
	return cipher.IsCryptoHeader(name) || strings.HasPrefix(name, csePrefix) || strings.HasPrefix(name, metaPrefix+"ossencfs-")
}

// isReservedTag reports whether a tag is ours by its name, or may come to be.
func isReservedTag(name string) bool { return name == tagName || strings.HasPrefix(name, tagName+"-") }

// ForNewContent is what of it is still true when the content is another one: an encoding is that of the content of before. What is written by a
// program has to be readable for it, so that it is not archived; a rule of the bucket may archive it again.
func (o *Others) ForNewContent() *Others {
	if o == nil {
		return nil
	}
	n := *o
	n.headers = maps.Clone(o.headers)
	delete(n.headers, "Content-Encoding")
	if isArchived(n.headers[classHeader]) {
		delete(n.headers, classHeader)
	}
	return &n
}

// classOf is the storage class of an object, where it is one that a request can ask for; empty: the bucket's.
func classOf(got oss.Info) string {
	switch class := got.Headers[classHeader]; class {
	case "Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive":
		return class
	}
	return ""
}

// classOfCopy is the one that a copy asks for. A request without one never changes the class of an ordinary object, and OSS limits the size where it
// changes.
func classOfCopy(got oss.Info) string {
	if class := classOf(got); class != "Standard" {
		return class
	}
	return ""
}

// isArchived reports whether objects of a storage class have to be restored before they can be read.
func isArchived(class string) bool { return strings.HasSuffix(class, "Archive") }

// maxReclassed is the most bytes of an object whose storage class a copy may change.
const maxReclassed = 1 << 30

// forCopy is what a copy on the server, of an object of the bucket's own class, can give.
func (o *Others) forCopy(size int64) map[string]string {
	if o == nil || size <= maxReclassed {
		return o.served()
	}
	h := maps.Clone(o.headers)
	delete(h, classHeader)
	return h
}

// served is the headers beside the metadata.
func (o *Others) served() map[string]string {
	if o == nil {
		return nil
	}
	return o.headers
}

// putMeta adds the metadata to that of ours, which has size bytes, as far as OSS takes it, and returns the size of all.
func (o *Others) putMeta(meta map[string]string, size int) int {
	if o == nil {
		return size
	}
	for _, name := range slices.Sorted(maps.Keys(o.meta)) {
		more := cipher.HeadersSize(map[string]string{name: o.meta[name]})
		if _, ours := meta[name]; !ours && size+more <= metaTotal {
			meta[name] = o.meta[name]
			size += more
		}
	}
	return size
}

// told is the same with its tags, asked for where they were not yet. An object that is gone has none.
func (b *Bucket) told(ctx context.Context, o *Others) (*Others, error) {
	if o == nil || o.untold == "" {
		return o, nil
	}
	tags, err := b.oss.GetTagging(ctx, o.untold)
	if err != nil && !errors.Is(err, oss.ErrNotFound) {
		return nil, err
	}
	n := *o
	n.hasTags(tags)
	return &n, nil
}

// told is the tags that were asked for.
func (o *Others) told() map[string]string {
	if o == nil {
		return nil
	}
	return o.tags
}

// othersAt asks what others said of an object that is about to be replaced by new content. Where there is none, or where this account may not look, it
// is nothing.
func (b *Bucket) othersAt(ctx context.Context, key string) (*Others, error) {
	full, err := b.full(key)
	if err != nil {
		return nil, err
	}
	got, err := b.oss.Head(ctx, full)
	switch {
	case errors.Is(err, oss.ErrNoSuchBucket):
		return nil, err
	case errors.Is(err, oss.ErrNotFound), errors.Is(err, oss.ErrDenied), err == nil && strings.EqualFold(got.Type, "Symlink"):
		return nil, nil //nolint:nilnil // nothing of it is kept
	case err != nil:
		return nil, err
	}
	o := othersOf(full, got)
	if b.uncounted.Load() {
		o.untold = full
	}
	return o.ForNewContent(), nil
}
