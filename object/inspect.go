package object

import (
	"context"
	"encoding/hex"
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
	Foreign   bool                `json:"foreign"`              // it has no box
	State     string              `json:"state"`                // as State; "unknown" without a key
	Refusal   string              `json:"refusal,omitempty"`    // why it is refused
	Box       *BoxReport          `json:"box,omitempty"`        // nil: it has none, or one that cannot be read
	MasterKey string              `json:"master_key,omitempty"` // key of the keyring that the envelope is wrapped under, by its box

	LeafTagObject bool `json:"leaf_tag_object,omitempty"` // its leaf tags are an object of their own

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

// BoxReport is what a box tells without a key.
type BoxReport struct {
	Volume  string `json:"volume"` // id of the volume key
	Epoch   uint32 `json:"epoch"`
	Host    string `json:"host,omitempty"` // id of the write-only host that made it
	Renamed bool   `json:"renamed"`        // the object has another name than when it was sealed
	Bytes   int    `json:"bytes"`          // of the header's value
}

// describeBox fills in what the box tells without a key.
func (r *Report) describeBox(meta map[string]string, full string) {
	value := meta[cipher.BoxHeader]
	if value == "" {
		return
	}
	box, err := cipher.ParseBox(value)
	if err != nil {
		r.Problem = err.Error()
		return
	}
	r.Box = &BoxReport{Volume: box.Volume.String(), Epoch: box.Epoch, Renamed: !box.NameIs(full), Bytes: len(value)}
	if box.Type == cipher.BoxOfHost {
		r.Box.Host = hex.EncodeToString(box.HostID[:])
	}
}

// Inspect describes the object at a key below the prefix from its headers and tags. Without Options.Keyring nothing is verified.
func Inspect(ctx context.Context, o Options, key string) (Report, error) {
	client, prefix, err := connect(o)
	if err != nil {
		return Report{}, err
	}
	b := &Bucket{oss: client, prefix: prefix, opt: o, ring: o.Keyring}
	b.opt.ReadOnly = true
	if o.Keyring != nil {
		err = b.OpenVolume(ctx)
	}
	var rep Report
	if err == nil {
		rep, err = b.inspect(ctx, key)
	}
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
	tags, err := b.tagsOf(ctx, full, "")
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
	info, p, err := b.describe(ctx, key, full, got)
	if err != nil {
		return Report{}, err
	}
	rep.describeBox(got.Meta, full)
	rep.State = info.State.String()
	if info.Refusal != nil {
		rep.Refusal = info.Refusal.Error()
	}
	if p.tags != nil {
		tags = p.tags
	}
	if info.State != StateRefused {
		rep.AttrFromTag = b.applyTags(full, tags, &info)
	}
	if p.box != nil {
		rep.MasterKey, rep.LeafTagObject = info.KeyID, p.box.Tags.Separate()
	}
	rep.Foreign = got.Meta[cipher.BoxHeader] == ""
	if !info.Generation.IsZero() {
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
