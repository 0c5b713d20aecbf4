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
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// Failures of a write-only host. Test with errors.Is.
var (
	// ErrOutside: this write-only host may not write there; readers would refuse what it did.
	ErrOutside = errors.New("this host may not write there")
	// ErrHostRefused: the volume record does not let this host write any more, so that readers would refuse what it wrote.
	ErrHostRefused = errors.New("the volume record does not let this host write")
)

// WriteOnly reports whether this is a host without a key for reading (Options.Bundle).
func (b *Bucket) WriteOnly() bool { return b.opt.Bundle != nil }

// MayWrite fails with ErrOutside where this host may not write. Hosts with a master key may everywhere.
func (b *Bucket) MayWrite(key string) error {
	full, err := b.full(key)
	if err == nil && !b.hostMayWrite(full) {
		err = b.outside(key)
	}
	return err
}

// hostMayWrite is MayWrite for a name in the bucket.
func (b *Bucket) hostMayWrite(full string) bool {
	return b.opt.Bundle == nil || b.opt.Bundle.Key().Host().MayWrite(full)
}

// outside is the error of a key where this host may not write.
func (b *Bucket) outside(key string) error {
	h := b.opt.Bundle.Key().Host()
	return before(fmt.Errorf("%.100q: %w: host %q may write below %q only", b.prefix+key, ErrOutside, h.Name, h.Prefixes))
}

// openForWriting opens the volume of a host that has no key for reading. It cannot verify the record, but one of the bundle's volume
// key has to be there, no older than the bundle, and list the host: else readers would not believe what it writes.
func (b *Bucket) openForWriting(ctx context.Context) error {
	bundle := b.opt.Bundle
	public := bundle.Volume()
	root, r, err := b.bundledRecord(ctx)
	if err != nil {
		return fmt.Errorf("volume %s below %q: %w", public.ID, root+volumeDir, err)
	}
	me := bundle.Key().Host()
	listed, ok := r.Host(me.ID)
	switch {
	case r.Revision < bundle.Revision():
		return fmt.Errorf("volume %s: revision %d, that of the bundle is %d: %w", public.ID, r.Revision, bundle.Revision(), ErrRecordRolledBack)
	case !ok || !me.Public.Equal(listed.Public):
		return fmt.Errorf("host %s, %q, is not in it: %w", me.ID, me.Name, ErrHostRefused)
	case listed.Retired != 0:
		return fmt.Errorf("host %s, %q, was retired: %w", me.ID, me.Name, ErrHostRefused)
	}
	v := &b.volume
	v.mu.Lock()
	defer v.mu.Unlock()
	v.root, v.host, v.public = root, bundle.Key(), public
	v.authentic = public.Authentic
	return nil
}

// bundledRecord finds the newest revision that is of the bundle's volume key: at the root that the bundle names, or else, as bundles of
// format 1 name none, at the nearest. What is not is reported: who can write to the bucket can put such a thing beside the record.
func (b *Bucket) bundledRecord(ctx context.Context) (root string, r *keys.Record, err error) {
	public, roots := b.opt.Bundle.Volume(), b.roots()
	if at := public.Place; !at.IsZero() {
		if here := b.here(at.Root); !at.Is(here) || !slices.Contains(roots, at.Root) {
			return at.Root, nil, fmt.Errorf("the bundle is for %s, and this is %s: %w", at, b.here(roots[0]), ErrElsewhere)
		}
		roots = []string{at.Root}
	}
	failure := ErrRecordMissing
	for _, root := range roots {
		list, err := b.listRecords(ctx, root)
		if errors.Is(err, oss.ErrDenied) && root != roots[0] {
			continue
		}
		if err != nil {
			return root, nil, err
		}
		for _, key := range groupRevisions(root, maps.Keys(list))[public.ID] {
			r, err := b.readRecord(ctx, root, public.ID, key)
			if err == nil && !r.Volume().Same(public) {
				err = fmt.Errorf("it is not that of the bundle: %w", keys.ErrForged)
			}
			if err == nil {
				err = b.belongs(r, root)
			}
			switch {
			case err == nil:
				return root, r, nil
			case errors.Is(err, oss.ErrNotFound): // replaced by a newer revision meanwhile
			case errors.Is(err, keys.ErrForged), errors.Is(err, keys.ErrRecord), errors.Is(err, ErrElsewhere):
				failure = fmt.Errorf("%q: %w: %w", key, ErrRecordForged, err)
				b.notice(NoticeRecord, strings.TrimPrefix(key, b.prefix), failure)
			default:
				return root, nil, err
			}
		}
	}
	return roots[0], nil, failure
}

// ownState is the state of an object after a request of ours: a write-only host cannot open what it wrote.
func (b *Bucket) ownState() State {
	if b.opt.Bundle != nil {
		return StateSealed
	}
	return StateAuthentic
}

// privileged are the bits of a mode that give rights away: set-user-id and set-group-id.
const privileged = 0o6000

// judgeSealed says of an object that this host cannot read it. Its attributes are those of the plain headers, which anybody with access
// to the bucket can change: this host shows them, but for what gives rights away, and signs none of them (Info.Unproven).
func (b *Bucket) judgeSealed(info *Info) {
	info.State = StateSealed
	info.Attr.Mode &^= privileged
}

// verifyOwnTag is verifyTag of a write-only host: only its own signature can be verified, others' tags are taken as they are, less
// what gives rights away.
func (b *Bucket) verifyOwnTag(full string, t *tag) error {
	me := b.opt.Bundle.Key().Host()
	if t.host == nil || *t.host != me.ID {
		t.attr.Mode &^= privileged
		return nil
	}
	if !me.Verify(hostTagText(full, t.signed), t.mac) {
		return fmt.Errorf("its signature is wrong: %w", errTag)
	}
	return nil
}

// heard notes what nobody has vouched for of an object's attributes after a tag. A write-only host knows its own changes only, and that others made
// some.
func (b *Bucket) heard(t tag, i *Info) {
	switch {
	case b.opt.Bundle == nil, t.host != nil && *t.host == b.opt.Bundle.Key().Host().ID:
		i.Unproven &^= AllFields &^ t.unproven
	default:
		i.Unproven |= AllFields&^t.unproven | FieldsOfOthers
	}
}

// maxUnverified is the largest change number that a write-only host goes on from without knowing who wrote it.
const maxUnverified = 1 << 40

// countsOn reports whether the next tag of an object continues the numbers of this one.
func (b *Bucket) countsOn(full string, t tag) bool {
	if b.opt.Bundle != nil {
		return b.verifyOwnTag(full, &t) == nil && t.change < maxUnverified
	}
	return b.verifyTag(full, t) == nil
}

// requestError is the failure of a request that would have told whether a box counts.
type requestError struct{ err error }

func (e *requestError) Error() string { return e.err.Error() }

func (e *requestError) Unwrap() error { return e.err }

// openBox opens a box of either kind, and tells on the word of which volume key it counts. A host's box counts only where that host may write,
// and where a key holder has moved it (moved.go), which the tags tell that come with it.
func (b *Bucket) openBox(ctx context.Context, box *cipher.Box, k *keys.VolumeKey, full, version string, got oss.Info) (p proof, word ID, err error) {
	meta, word := got.Meta, ID(box.Volume)
	if box.Type != cipher.BoxOfHost {
		p.box, err = box.Open(k, meta)
		return p, word, err
	}
	host, ok, err := b.boxHost(ctx, box, ageOf(got))
	if err != nil {
		return proof{}, word, &requestError{err}
	}
	if !ok {
		return proof{}, word, fmt.Errorf("written by host %s, which is not in the record of the volume: %w", box.HostID, ErrUnauthentic)
	}
	p.box, err = box.OpenHost(k, host, meta)
	if err != nil || host.MayWrite(full) {
		return p, word, err
	}
	by, tags, err := b.movedByHolder(ctx, full, version, meta[cipher.BoxHeader])
	if err != nil {
		return proof{}, word, &requestError{err}
	}
	if by.IsZero() {
		return proof{}, word, fmt.Errorf("written by host %q, which may write below %q only: %w", host.Name, host.Prefixes, ErrUnauthentic)
	}
	p.tags = tags
	return p, b.volume.earlier(word, ID(by)), nil
}

// boxHost finds the host that signed a box.
func (b *Bucket) boxHost(ctx context.Context, box *cipher.Box, age time.Duration) (host keys.Host, ok bool, err error) {
	if err := b.meetHost(ctx, box.HostID, age); err != nil {
		return keys.Host{}, false, err
	}
	host, ok = b.volume.hostOf(box.Volume, box.HostID)
	return host, ok, nil
}

// lists reports whether any record has a host.
func (v *volume) lists(id keys.HostID) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, r := range v.records {
		if _, ok := r.Host(id); ok {
			return true
		}
	}
	return false
}

// tagsOf reads the tags of an object, or of another version than the current one. If ours was signed by a host that is not known, the records are read again.
func (b *Bucket) tagsOf(ctx context.Context, full, version string) (map[string]string, error) {
	tags, err := b.oss.GetVersionTagging(ctx, full, version)
	if err != nil {
		return nil, err
	}
	for name, value := range tags {
		if t, err := parseTag(value); isOwnTag(name) && err == nil && t.host != nil {
			if err := b.meetTagger(ctx, *t.host); err != nil {
				return nil, err
			}
		}
	}
	return tags, nil
}
