package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// read reads the records with these keys. ErrNotFound says that a revision was replaced since they were listed; with last an older one is taken
// then.
func (s *records) read(ctx context.Context, list map[string]listedRecord, last bool) ([]*volumeEntry, error) {
	var entries, waiting []*volumeEntry
	s.listed, s.held = list, 0
	for _, e := range s.byAge(groupRevisions(s.root, maps.Keys(list))) {
		entries = append(entries, e)
		switch {
		case s.reuse(e):
		case s.fresh || !s.anyKnown() || e.expected:
			if err := s.readEntry(ctx, e, last); err != nil {
				return nil, err
			}
		default:
			waiting = append(waiting, e)
		}
	}
	slices.SortFunc(entries, func(a, b *volumeEntry) int { return slices.Compare(a.id[:], b.id[:]) })
	err := s.readTied(ctx, entries, waiting, last)
	s.b.volume.keepVerdicts(list)
	return entries, err
}

// readTied opens those that keys which are open vouch for, one by the other. On a machine that knows the volume no key is tried on others:
// each slot costs an operation of RSA or KMS, or Argon2id, and whoever can write to the bucket can plant thousands.
func (s *records) readTied(ctx context.Context, entries, waiting []*volumeEntry, last bool) error {
	for more := true; more; {
		more = false
		var left []*volumeEntry
		by := s.vouching(entries)
		for _, e := range waiting {
			tied, err := slices.ContainsFunc(by, func(by *volumeEntry) bool { return by.names(e.id) }), error(nil)
			if e.told = !tied && len(e.parsed) == 0 && s.isUntied(e, idsOf(by)); !tied && !e.told {
				tied, err = s.tiedAmong(ctx, by, e, last)
			}
			if err == nil && tied {
				e.expected = true
				more, err = true, s.readEntry(ctx, e, last)
				by = s.vouching(entries)
			}
			if err != nil {
				return err
			}
			if !tied {
				s.noteUntied(e, idsOf(by), false) // a look that ends before the last of them is not in vain
				left = append(left, e)
			}
		}
		waiting = left
	}
	by := idsOf(s.vouching(entries))
	for _, e := range waiting {
		if e.failed = e.forged; e.told || e.record != nil {
			e.failed = ErrUnvouched
		}
		s.noteUntied(e, by, true)
	}
	return nil
}

// noteUntied remembers that none of some volume keys vouched for what was read of one. told says that it is reported in this look; what was read by one
// that came to no end is reported by the next.
func (s *records) noteUntied(e *volumeEntry, by string, told bool) {
	for key, p := range e.parsed {
		if p.err == nil {
			s.b.volume.note(key, verdict{etag: s.listed[key].etag, err: ErrUnvouched, by: by, told: told})
		}
	}
	if !e.told || !told {
		return
	}
	for _, key := range e.revisions {
		if old, ok := s.verdict(key); ok && !old.told && errors.Is(old.err, ErrUnvouched) {
			e.unsaid, old.told = true, true
			s.b.volume.note(key, old)
		}
	}
}

// isUntied reports whether all revisions were read before, and none of these volume keys vouched for one.
func (s *records) isUntied(e *volumeEntry, by string) bool {
	return !slices.ContainsFunc(e.revisions, func(key string) bool {
		old, ok := s.verdict(key)
		return !ok || errors.Is(old.err, keys.ErrNoSlot) || old.by != "" && old.by != by
	})
}

// verdict is what became of a revision before, if it is the same object.
func (s *records) verdict(key string) (verdict, bool) {
	old, ok := s.b.volume.verdict(key)
	return old, ok && !old.stale() && old.etag == s.listed[key].etag && old.etag != "" && s.from.IsZero() && s.code == ""
}

// vouching are the keys that are open and that no known key retires. What others retire decides stand, when all are open.
func (s *records) vouching(entries []*volumeEntry) []*volumeEntry {
	open := slices.DeleteFunc(slices.Clone(entries), func(e *volumeEntry) bool { return e.secret == nil })
	known := slices.DeleteFunc(slices.Clone(open), func(e *volumeEntry) bool { return !s.known(e.id) })
	retired := s.retiredAmong(known, entries)
	return slices.DeleteFunc(open, func(e *volumeEntry) bool { return retired[e.id] })
}

// tiedAmong reads the revisions of a volume key and reports whether one of these vouches for it.
func (s *records) tiedAmong(ctx context.Context, by []*volumeEntry, e *volumeEntry, last bool) (bool, error) {
	e.record, e.forged = nil, nil
	var readable []*keys.Record
	for _, key := range e.revisions {
		r, err := s.glance(ctx, e, key)
		switch {
		case err == nil:
			readable, e.record = append(readable, r), cmp.Or(e.record, r)
		case ofItsOwn(err, last):
			e.forged = cmp.Or(e.forged, fmt.Errorf("%q: %w", key, err))
		default:
			return false, err
		}
	}
	return slices.ContainsFunc(by, func(by *volumeEntry) bool {
		return slices.ContainsFunc(readable, func(r *keys.Record) bool { return r.EndorsedBy(by.secret) })
	}), nil
}

// names reports whether another volume key endorsed this one, as its record says.
func (e *volumeEntry) names(id keys.VolumeID) bool {
	return slices.ContainsFunc(e.record.Endorsements, func(x keys.Endorsement) bool { return x.By == id })
}

// reuse takes a record that is open and has no newer revision: what stands in its place now makes no difference.
func (s *records) reuse(e *volumeEntry) bool {
	r, k := s.b.volume.open(e.id, s.root)
	if r == nil || k == nil || recordKey(s.root, r) != e.revisions[0] {
		return false
	}
	e.record, e.secret = r, k
	return true
}

// glance is parse where an outline is enough.
func (s *records) glance(ctx context.Context, e *volumeEntry, key string) (*keys.Record, error) {
	p, ok := e.parsed[key]
	if !ok {
		r, err := s.parse(ctx, e, key)
		if p, ok = e.parsed[key]; !ok {
			return r, err
		}
	}
	return p.record, p.err
}

// parse reads a revision that belongs here, once, or again where only an outline was kept.
func (s *records) parse(ctx context.Context, e *volumeEntry, key string) (*keys.Record, error) {
	if p, ok := e.parsed[key]; ok && !p.outline {
		return p.record, p.err
	}
	old, ok := s.verdict(key)
	if ok && old.record != nil { // it had no slot for us
		return old.record, nil
	}
	if ok && (errors.Is(old.err, ErrRecordForged) || errors.Is(old.err, ErrElsewhere)) {
		return nil, old.err
	}
	r, err := s.fetch(ctx, e.id, key)
	switch {
	case errors.Is(err, keys.ErrForged), errors.Is(err, keys.ErrRecord):
		err = fmt.Errorf("%w: %w", ErrRecordForged, err)
	case err == nil:
		err = s.belongs(r)
	}
	if errors.Is(err, ErrRecordForged) || errors.Is(err, ErrElsewhere) {
		s.b.volume.note(key, verdict{etag: s.listed[key].etag, err: err})
	}
	p := parsedRecord{record: r, err: err}
	if s.held++; s.held > maxHeld && r != nil {
		p.record, p.outline = r.Outline(), true
	}
	e.parsed[key] = p
	return r, err
}

// ofItsOwn reports whether what keeps a revision from being read lies in this object: the others may be read all the same. What was listed and is
// not there was replaced, and is looked for again; what is not there in the last look either is a symbolic link to nothing, say.
func ofItsOwn(err error, last bool) bool {
	if errors.Is(err, oss.ErrNotFound) {
		return last
	}
	for _, kind := range []error{ErrRecordForged, ErrElsewhere, oss.ErrDenied, oss.ErrArchived, oss.ErrInvalid} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// revision opens one revision, once. Of one that does not open it may be the outline.
func (s *records) revision(ctx context.Context, e *volumeEntry, key string) (*keys.Record, *keys.VolumeKey, error) {
	if t, ok := e.tried[key]; ok {
		return t.record, t.key, t.err
	}
	r, k, err := s.openRevision(ctx, e, key)
	if p := e.parsed[key]; p.outline && r != nil && err != nil {
		r = p.record
	}
	e.tried[key] = triedRecord{r, k, err}
	return r, k, err
}

// openRevision opens one revision. A volume key that is open already tells without any further key whether it was made by a holder.
func (s *records) openRevision(ctx context.Context, e *volumeEntry, key string) (*keys.Record, *keys.VolumeKey, error) {
	r, err := s.parse(ctx, e, key)
	if err != nil {
		return nil, nil, err
	}
	had, k := s.b.volume.open(e.id, s.root)
	switch old, ok := s.verdict(key); {
	case k != nil && !r.MadeBy(k):
		err = keys.ErrForged
	case k != nil && had.Revision == r.Revision:
		return had, k, nil
	case ok && errors.Is(old.err, keys.ErrNoSlot):
		return r, nil, old.err
	default:
		k, err = s.open(ctx, r, e.expected)
	}
	switch {
	case errors.Is(err, keys.ErrForged):
		err = fmt.Errorf("%w: %w", ErrRecordForged, err)
		s.b.volume.note(key, verdict{etag: s.listed[key].etag, err: err})
		return nil, nil, err
	case errors.Is(err, keys.ErrNoSlot):
		s.b.volume.note(key, verdict{etag: s.listed[key].etag, record: r, err: err})
	}
	return r, k, err
}

// shutRecord is a revision that no key opens.
type shutRecord struct {
	key    string
	record *keys.Record // or its outline
	err    error
}

// readEntry opens the newest authentic revision. One for which there is no key counts if the key from an older one says that it was made by a
// holder, as it was when our slot was removed: then an older one is no better than a record that was rolled back.
func (s *records) readEntry(ctx context.Context, e *volumeEntry, last bool) error {
	var shut []shutRecord
	for _, key := range s.likeliest(e) { // when one opens, the volume key tells of all others what they are
		if _, _, err := s.revision(ctx, e, key); err == nil {
			break
		}
	}
	e.record, e.forged = nil, nil
	for _, key := range e.revisions {
		r, k, err := s.revision(ctx, e, key)
		switch {
		case err == nil:
			return s.take(ctx, e, r, k, shut)
		case ofItsOwn(err, last):
			e.forged = cmp.Or(e.forged, fmt.Errorf("%q: %w", key, err))
		case r == nil || ctx.Err() != nil:
			return err
		default:
			shut = append(shut, shutRecord{key, r, err})
		}
	}
	e.failed = e.forged
	if len(shut) == 0 {
		return nil
	}
	e.record, e.failed = shut[0].record, shut[0].err
	if pin, opened := s.pinned.Keys[e.id.String()]; opened && pin.Revision < e.record.Revision && errors.Is(e.failed, keys.ErrNoSlot) {
		e.failed = shutOut(shut[0])
	}
	if !e.expected {
		return nil
	}
	r, err := s.parse(ctx, e, shut[0].key)
	if err == nil {
		e.record = r
	}
	return err
}

// ErrShutOut: a volume key opened here, and a holder of it has made its record anew without a slot for any key that is given.
var ErrShutOut = errors.New("a holder of the volume key has made its record anew, without a slot for a key that is given")

// shutOut is the failure of such a revision.
func shutOut(n shutRecord) error { return fmt.Errorf("%q: %w: %w", n.key, ErrShutOut, n.err) }

// take takes a revision that opens, unless a newer one that does not was made by a holder of the same key.
func (s *records) take(ctx context.Context, e *volumeEntry, r *keys.Record, k *keys.VolumeKey, newer []shutRecord) error {
	for _, n := range newer {
		whole, err := s.parse(ctx, e, n.key)
		switch {
		case err == nil && whole.MadeBy(k):
			if e.record, e.failed = whole, n.err; errors.Is(n.err, keys.ErrNoSlot) {
				e.failed = shutOut(n)
			}
			return nil
		case err == nil:
			err = fmt.Errorf("%w: %w", ErrRecordForged, keys.ErrForged)
		case !ofItsOwn(err, true):
			return err
		}
		e.forged = cmp.Or(e.forged, fmt.Errorf("%q: %w", n.key, err))
	}
	e.record, e.secret = r, k
	return nil
}
