package object

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/oss"
)

// Report is what can be told of an object without any key.
type Report struct {
	Key       string              `json:"key"` // full name in the bucket
	Size      int64               `json:"size"`
	ETag      string              `json:"etag"`
	Modified  time.Time           `json:"modified"`
	Type      string              `json:"type"`                 // Normal, Multipart, Appendable or Symlink
	CRC64     uint64              `json:"crc64,omitempty"`      // of the stored bytes, as OSS computed it; 0 when it did not
	VersionID string              `json:"version_id,omitempty"` // in a versioned bucket
	Envelope  *cipher.Description `json:"envelope,omitempty"`   // nil for a plain object and a damaged envelope
	Problem   string              `json:"problem,omitempty"`    // why the envelope cannot be understood
	Foreign   bool                `json:"foreign"`              // not written by this program

	Generation string `json:"generation,omitempty"`
	Upload     string `json:"upload,omitempty"`

	HasAttr     bool   `json:"has_attributes"`
	Mode        uint32 `json:"mode,omitempty"` // st_mode
	UID         uint32 `json:"uid"`
	GID         uint32 `json:"gid"`
	Rdev        uint32 `json:"rdev,omitempty"`
	Mtime       string `json:"mtime,omitempty"`        // seconds.nanoseconds since 1970
	SealedXattr int    `json:"sealed_xattr,omitempty"` // bytes of the sealed extended attributes' header
	AttrFromTag bool   `json:"attributes_from_tag"`    // the tag is newer than the headers

	Tags    map[string]string `json:"tags,omitempty"`
	Headers []string          `json:"headers"` // "name: value" of all user metadata, sorted
}

// Inspect describes the object at a key below the prefix from its headers and tags. Options.Keyring is not needed.
func Inspect(ctx context.Context, o Options, key string) (Report, error) {
	client, prefix, err := connect(o)
	if err != nil {
		return Report{}, err
	}
	b := &Bucket{oss: client, prefix: prefix, opt: o}
	rep, err := b.inspect(ctx, key)
	return rep, errors.Join(err, client.Close())
}

// inspect makes the report.
func (b *Bucket) inspect(ctx context.Context, key string) (Report, error) {
	// Any name may be looked at, be it a path or not.
	full := b.prefix + key
	got, err := b.oss.Head(ctx, full)
	if err != nil {
		return Report{}, err
	}
	tags, err := b.oss.GetTagging(ctx, full)
	if err != nil && !errors.Is(err, oss.ErrDenied) {
		return Report{}, err
	}
	rep := Report{Key: full, Size: got.Size, ETag: got.ETag, Modified: got.LastModified, Type: got.Type, CRC64: got.CRC64,
		VersionID: got.VersionID, Tags: tags, SealedXattr: len(got.Meta[metaSealedXattr])}
	for _, name := range slices.Sorted(maps.Keys(got.Meta)) {
		rep.Headers = append(rep.Headers, fmt.Sprintf("%s: %s", name, got.Meta[name]))
	}
	rep.describeEnvelope(got.Meta)
	if strings.EqualFold(got.Type, "Symlink") {
		rep.Problem = ErrSymlink.Error()
		return rep, nil
	}
	info, err := b.describe(key, got)
	if err != nil {
		return Report{}, err
	}
	before := info.Upload
	info.applyTags(tags)
	rep.AttrFromTag = info.Upload != before
	rep.Foreign = info.Generation.IsZero()
	if !rep.Foreign {
		rep.Generation = info.Generation.String()
	}
	if !info.Upload.IsZero() {
		rep.Upload = info.Upload.String()
	}
	if rep.HasAttr = info.HasAttr; info.HasAttr {
		rep.Mode, rep.UID, rep.GID, rep.Rdev, rep.Mtime = info.Attr.Mode, info.Attr.UID, info.Attr.GID, info.Attr.Rdev, formatTime(info.Attr.Mtime)
	}
	return rep, nil
}

// describeEnvelope fills in what the crypto headers say.
func (r *Report) describeEnvelope(meta map[string]string) {
	env, err := cipher.ParseEnvelope(meta)
	switch {
	case errors.Is(err, cipher.ErrPlain):
	case err != nil:
		r.Problem = err.Error()
	default:
		d := env.Describe()
		r.Envelope = &d
	}
}
