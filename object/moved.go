package object

import (
	"bytes"
	"context"
	"crypto/sha256"
	"strings"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// What a write-only host sealed counts below its prefixes. When a key holder gives such an object a name elsewhere, the tag of the COPY says so: it is
// of version 5 and has the digest of the box. No other tag vouches for a host's object, since the host chooses what generation it seals, and who may
// write to the bucket which tags it gets.

// boxDigest is what a tag of version 5 has of a box: the SHA-256 of its header's value. The host makes the box, so that half of it could be the
// same of two boxes.
func boxDigest(box string) []byte {
	sum := sha256.Sum256([]byte(box))
	return sum[:]
}

// movedByHolder finds the volume key a holder of which gave a host's object, or another version of it than the current one, its name; zero:
// nobody did. What the tags, which come with it, say of attributes counts as well: who answers another question for them may tell of others or of none.
func (b *Bucket) movedByHolder(ctx context.Context, full, version, box string) (by keys.VolumeID, tags map[string]string, err error) {
	if tags, err = b.tagsOf(ctx, full, version); err != nil {
		return by, nil, err
	}
	if t, err := parseTag(tags[tagName]); err == nil && bytes.Equal(t.box, boxDigest(box)) {
		by, _ = b.tagKey(full, t) // zero where it does not count
	}
	return by, tags, nil
}

// tagsOn is the tags of an object that was described: those that it counts by, or else what the bucket tells now.
func (b *Bucket) tagsOn(ctx context.Context, full, version string, got oss.Info, p proof) (map[string]string, error) {
	if p.tags != nil || got.TagCount == 0 && !b.uncounted.Load() {
		return p.tags, nil
	}
	return b.tagsOf(ctx, full, version)
}

// vouchedFor is the digest of the box that the tag of an object has to vouch for under its name dst: that of a write-only host's object, where the
// host may not write. tags are those of src, which may be the same name.
func (b *Bucket) vouchedFor(ctx context.Context, from source, dst string, tags map[string]string, generation ID) ([]byte, error) {
	if b.opt.Bundle != nil {
		return nil, nil
	}
	src, version := from.full, from.version
	if old, err := parseTag(tags[tagName]); err == nil && old.box != nil && old.generation == generation && b.verifyTag(src, old) == nil {
		return old.box, nil
	}
	if !b.volume.leavesHost(src, dst) {
		return nil, nil
	}
	if from.head == nil {
		got, err := b.oss.HeadVersion(ctx, src, version)
		if err != nil {
			return nil, err
		}
		from.head = &got
	}
	info, p, err := b.describeVersion(ctx, strings.TrimPrefix(src, b.prefix), src, version, *from.head)
	if err != nil || p.box == nil || info.Generation != generation {
		return nil, err
	}
	value := from.head.Meta[cipher.BoxHeader]
	if box, err := cipher.ParseBox(value); err != nil || box.Type != cipher.BoxOfHost {
		return nil, err
	}
	if b.misplaced(info.Key, p, b.applyTags(src, tags, &info)) {
		return nil, nil
	}
	return boxDigest(value), nil
}

// leavesHost reports whether some write-only host may write src and not dst.
func (v *volume) leavesHost(src, dst string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, r := range v.records {
		for _, h := range r.Hosts {
			if h.MayWrite(src) && !h.MayWrite(dst) {
				return true
			}
		}
	}
	return false
}
