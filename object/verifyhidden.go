package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// largeSize is the size in bytes above which an object has its leaf tags in an object of their own.
const largeSize = cipher.MaxCoarse * cipher.LeafSize

// leafObject is a leaf-tag object that the bucket holds.
type leafObject struct {
	modified time.Time
	needed   bool // an object of its generation was seen
}

// splitHidden splits a full key at the first hidden area in it: the prefix that the area belongs to, and what is below the area. rest
// is empty for other keys.
func splitHidden(full string) (root, rest string) {
	if rest, ok := strings.CutPrefix(full, Hidden); ok {
		return "", rest
	}
	if root, rest, ok := strings.Cut(full, "/"+Hidden); ok {
		return root + "/", rest
	}
	return "", ""
}

// listLeaves notes which leaf-tag objects there are, where all objects that may need them are looked at.
func (v *verification) listLeaves(ctx context.Context) error {
	if !v.whole {
		return nil
	}
	dir := v.b.volume.rootPrefix() + leafDir
	return v.b.oss.ListAll(ctx, oss.ListOptions{Prefix: dir}, func(p oss.Page) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, e := range p.Objects {
			if id, err := ParseID(strings.TrimPrefix(e.Key, dir)); err == nil {
				v.leaves[id] = &leafObject{modified: e.LastModified}
			}
		}
		return nil
	})
}

// seen notes that an object of a generation is there.
func (v *verification) seen(generation ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l := v.leaves[generation]; l != nil {
		l.needed = true
	}
}

// seenPlain notes the generation that an object claims to be of, so that nothing is taken from one that is damaged.
func (v *verification) seenPlain(meta map[string]string) {
	if generation, _, err := parseIDs(meta[metaIDs]); err == nil {
		v.seen(generation)
	}
}

// markLeaf notes the generation of a large object that an earlier run has verified.
func (v *verification) markLeaf(ctx context.Context, n *visit) error {
	got, err := v.b.oss.Head(ctx, v.b.prefix+n.key)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return v.setback(ctx, n.key, err)
	}
	v.seenPlain(got.Meta)
	return nil
}

// leafName reports what lies among the leaf-tag objects and is none.
func (v *verification) leafName(key, name string) {
	if _, err := ParseID(name); err != nil {
		v.tell(Finding{Kind: FoundHidden, Key: key})
	}
}

// leafTags compares the leaf-tag object of a large object with its box. problem: it is lost or wrong.
func (v *verification) leafTags(ctx context.Context, x *exam) (problem, err error) {
	v.seen(x.info.Generation)
	problem = v.b.repeat(ctx, func() error { return v.readLeafTags(ctx, x) })
	switch {
	case problem == nil:
		return nil, nil
	case !isGone(problem) && !errors.Is(problem, cipher.ErrTampered):
		return nil, fmt.Errorf("read leaf tags: %w", problem)
	}
	now, err := v.b.oss.Head(ctx, x.full)
	if isGone(err) || err == nil && now.ETag != x.got.ETag {
		return nil, errChanging // its leaf tags went with it
	}
	return problem, err
}

// readLeafTags reads a leaf-tag object and adds its tags to those of the box.
func (v *verification) readLeafTags(ctx context.Context, x *exam) error {
	tags := x.p.box.Tags
	body, got, err := v.b.oss.Get(ctx, v.b.leafKey(x.info.Generation), oss.GetOptions{})
	if err != nil {
		return err
	}
	defer body.Close()
	if want := tags.Leaves() * cipher.TagSize; got.Size != want {
		return fmt.Errorf("%d bytes of leaf tags instead of %d: %w", got.Size, want, cipher.ErrTampered)
	}
	group := tags.GroupLeaves()
	window := max(1, leafWindow/cipher.TagSize/group) * group
	for from := int64(0); from < tags.Leaves(); from += window {
		text := make([]byte, (min(from+window, tags.Leaves())-from)*cipher.TagSize)
		if _, err := io.ReadFull(body, text); err != nil {
			return err
		}
		if err := tags.AddLeaves(from, text); err != nil {
			return err
		}
	}
	return nil
}

// mendLeaf reports a leaf-tag object that is lost or wrong, and writes it again where the whole object was found right.
func (v *verification) mendLeaf(ctx context.Context, x *exam, problem error, sound bool) error {
	f := Finding{Kind: FoundLeafWrong, Key: x.key, Detail: fmt.Sprintf("%q: %v", v.b.leafKey(x.info.Generation), problem)}
	if isGone(problem) {
		f.Kind = FoundLeafMissing
	}
	if v.o.Repair && sound {
		if err := v.b.putLeaves(ctx, x.info.Generation, x.p.box.Tags); err != nil {
			return err
		}
		f.Repaired = "the leaf-tag object is written again"
	}
	v.tell(f)
	return nil
}

// strayLeaves reports leaf-tag objects that no object needs. One that is young may belong to an upload under way.
func (v *verification) strayLeaves(ctx context.Context) error {
	for id, l := range v.leaves {
		if l.needed || !v.stale(l.modified) {
			continue
		}
		if v.o.Memory != nil {
			if needed, err := v.o.Memory.Needed(id); err != nil || needed {
				if err != nil {
					return err
				}
				continue
			}
		}
		f := Finding{Kind: FoundStrayLeaf, Key: strings.TrimPrefix(v.b.leafKey(id), v.b.prefix)}
		if v.o.Repair {
			if err := v.b.DropLeaf(ctx, id); err != nil {
				return fmt.Errorf("remove stray leaf tags: %w", err)
			}
			f.Repaired = "removed"
		}
		v.tell(f)
	}
	return nil
}

// uploads reports multipart uploads that were given up. Who may not see them verifies the rest all the same. The begin of a file that is larger than the
// cache of its writer may be needed for as long as the file is written, and the writer alone knows: it is content, which is never removed here.
func (v *verification) uploads(ctx context.Context) error {
	err := v.b.ListUploads(ctx, time.Now().Add(-v.o.Stale), func(page []Upload) error {
		for _, u := range page {
			known, _, err := v.known(u.Key)
			if err != nil {
				return err
			}
			if known.Busy || !v.within(u.Key) {
				continue
			}
			f := Finding{Kind: FoundUpload, Key: u.Key, Detail: fmt.Sprintf("upload %s since %s", u.ID, u.Initiated.UTC().Format(time.RFC3339))}
			_, rest := splitHidden(v.b.prefix + u.Key)
			ahead := strings.HasPrefix(rest, "up/")
			if ahead {
				f.Detail += ", the begin of a file that a mount may be writing still"
			}
			if v.o.Repair && !ahead {
				if err := v.b.AbortUpload(ctx, u); err != nil {
					return fmt.Errorf("abort the upload of %.100q: %w", u.Key, err)
				}
				f.Repaired = "aborted"
			}
			v.tell(f)
		}
		return nil
	})
	if errors.Is(err, ErrDenied) {
		v.tell(Finding{Kind: FoundUpload, Key: v.o.Path, Detail: "unfinished uploads cannot be listed: " + err.Error()})
		return nil
	}
	return err
}

// parked reports an object on its way that no mount has taken back for long. It is content, perhaps the only copy of a file, and nobody here can
// know whether the cache that it belongs to is used again.
func (v *verification) parked(n *visit, detail string) error {
	_, isKnown, err := v.known(n.key)
	if err == nil && !isKnown && v.stale(n.entry.LastModified) {
		v.tell(Finding{Kind: FoundOrphan, Key: n.key, Detail: detail})
	}
	return err
}

// parkedBy tells of a name among the parked objects who takes it back, and what to do when nobody does.
func parkedBy(name string) string {
	cache := "the cache that parked it"
	if id, _, ok := strings.Cut(name, "."); ok {
		if _, err := ParseID(id); err == nil {
			cache = "the cache " + id
		}
	}
	return "content of a file on its way to another name; a mount with " + cache + " takes it back (`ossencfs status --json` shows ids). If that cache is gone for good, bring it out with " +
		"`ossencfs get`, see what it is, and then remove the object"
}

// nested reports a record of another volume below. It is false for what only has the name of a record.
func (v *verification) nested(ctx context.Context, key, root, full string) (is bool, err error) {
	for id := range groupRevisions(root, slices.Values([]string{full})) {
		if v.b.volume.key(id) != nil {
			return true, nil
		}
		r, err := v.b.readRecord(ctx, root, id, full)
		if err == nil {
			err = v.b.belongs(r, root)
		}
		switch {
		case err == nil:
			v.tell(Finding{Kind: FoundNested, Key: key, Detail: fmt.Sprintf("volume %s below %q", id, root)})
			return true, nil
		case ctx.Err() != nil || Retryable(err):
			return true, v.setback(ctx, key, err)
		}
	}
	return root == v.b.prefix || root == v.b.volume.rootPrefix(), nil
}

// strayName reports whether a key has the reserved name and is nothing that a mount of some directory makes there.
func strayName(full string) bool {
	_, rest := splitHidden(full)
	return Reserved(full) && rest != "canary" && rest != "root/" && !strings.HasPrefix(rest, "park/")
}

// record verifies one revision of a volume record.
func (v *verification) record(ctx context.Context, key, full string) error {
	root := v.b.volume.rootPrefix()
	var id keys.VolumeID
	named := false
	for id = range groupRevisions(root, slices.Values([]string{full})) {
		named = true
	}
	if !named {
		v.tell(Finding{Kind: FoundHidden, Key: key})
		return nil
	}
	text, err := v.b.readSmallObject(ctx, full, maxRecord)
	if isGone(err) {
		return nil
	}
	if err == nil {
		err = v.checkRecord(id, full, text)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keys.ErrForged), errors.Is(err, keys.ErrRecord), errors.Is(err, ErrInvalid), errors.Is(err, ErrElsewhere), doesNotCount(err):
		v.tell(Finding{Kind: FoundRecord, Key: key, Detail: err.Error()})
		return nil
	}
	return v.setback(ctx, key, err)
}

// checkRecord compares a record with its name and with the volume keys that are known. No key is tried on it: whoever can write to the bucket
// can plant thousands. One that does not open here, and that a known key vouches for, has no slot of ours.
func (v *verification) checkRecord(id keys.VolumeID, full string, text []byte) error {
	root := v.b.volume.rootPrefix()
	r, err := keys.ParseRecord(text)
	if err != nil {
		return err
	}
	if r.ID != id || recordKey(root, r) != full {
		return fmt.Errorf("it is that of %s, revision %d: %w", r.ID, r.Revision, keys.ErrForged)
	}
	if err := v.b.belongs(r, root); err != nil {
		return err
	}
	known := v.b.volume.key(id)
	switch {
	case known != nil && !r.MadeBy(known):
		return fmt.Errorf("no holder of the volume key made it: %w", keys.ErrForged)
	case known == nil && !v.b.volume.vouches(r):
		return fmt.Errorf("volume key %s: %w", id, ErrUnvouched)
	}
	return nil
}
