package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// volumeDir is where a volume's records lie, below the root prefix of the volume: volumeDir ID "/" REVISION.
const volumeDir = Hidden + "volume/"

// maxRecord bounds in bytes what is read of a record.
const maxRecord = 256 << 10

// maxRecordObjects is how many objects are believed to be records of one volume: whoever keeps the bucket could list without an end.
const maxRecordObjects = 10_000

// errManyRecords says that the records do not end.
var errManyRecords = fmt.Errorf("more than %d objects below %s", maxRecordObjects, volumeDir)

// revisionDigits is the number of digits of a revision in a record's key.
const revisionDigits = 8

// recordKey is the full key of a record.
func recordKey(root string, r *keys.Record) string {
	return fmt.Sprintf("%s%s%s/%0*d", root, volumeDir, r.ID, revisionDigits, r.Revision)
}

// records are the records of a volume as they were read, and what is known of them. Which of them count is in standing.go.
type records struct {
	b       *Bucket
	code    string // recovery code; empty: none
	pinned  *pins
	trusted map[keys.VolumeID]bool  // beside those pinned and in Options.VolumeIDs: what counted before, was made here, or given
	from    keys.Place              // records that were made for this place are read too; none: only those of here
	kept    map[string]*keys.Record // by key: records of this machine, to be read instead of the bucket's; nil: the bucket's
	fresh   bool                    // the volume is being made: all that is bound to this place counts

	root    string
	listed  map[string]listedRecord // by key
	entries []*volumeEntry          // by id
	retired map[keys.VolumeID]bool
	held    int   // records that are kept whole
	apart   error // why none of several counts
}

// maxHeld is how many records are kept whole while they are read: one has up to maxRecord bytes, and whoever can write to the bucket can plant
// thousands. Of further ones an outline is kept, and they are read again where that is not enough.
const maxHeld = 128

// volumeEntry is one volume key.
type volumeEntry struct {
	id        keys.VolumeID
	revisions []string        // keys of its records, the newest first
	record    *keys.Record    // of the newest revision that opens, or else could be read; nil: none
	secret    *keys.VolumeKey // nil: it does not open, or does not count
	failed    error           // why not
	forged    error           // the first revision that is not authentic, belongs elsewhere, or cannot be read
	news      bool            // it counts, and this machine did not know it

	expected bool                    // this machine knows it, or what it knows vouches for it
	parsed   map[string]parsedRecord // revisions that were read, by key
	tried    map[string]triedRecord  // revisions on which the keys were tried, by key
	told     bool                    // it was found to count for nothing before, and not read again
	unsaid   bool                    // with told: that was not reported yet
}

// parsedRecord is a revision as it was read, or why it was not.
type parsedRecord struct {
	record  *keys.Record
	err     error
	outline bool // the record is an outline of what was read
}

// triedRecord is what came of a revision.
type triedRecord struct {
	record *keys.Record
	key    *keys.VolumeKey
	err    error
}

// newRecords begins with nothing read.
func newRecords(b *Bucket, pinned *pins) *records {
	return &records{b: b, pinned: pinned, trusted: make(map[keys.VolumeID]bool)}
}

// here is the place of a volume with this root. Where nobody checks the region, which signature v4 has the server do, it is not known.
func (b *Bucket) here(root string) keys.Place {
	p := keys.Place{Bucket: b.oss.Bucket(), Region: b.oss.Region(), Root: root}
	if b.opt.Connection.SignVersion == oss.SignV1 {
		p.Region = ""
	}
	return p
}

// roots are the prefixes where the record of this mount may lie, the nearest first.
func (b *Bucket) roots() []string {
	list := []string{b.prefix + b.opt.VolumeFrom}
	for at := list[0]; at != ""; {
		at = at[:strings.LastIndexByte(strings.TrimSuffix(at, "/"), '/')+1]
		list = append(list, at)
	}
	return list
}

// load finds the nearest prefix that has records of its own and reads them. Where the volume is pinned, no other place is looked at, and a
// machine that was told its id goes on to where that is. A prefix above the mounted one that may not be listed or read counts as having none, and so
// does one that has only what belongs elsewhere, as a copy of another bucket's objects has.
func (s *records) load(ctx context.Context) error {
	roots := s.b.roots()
	if len(s.pinned.Keys) > 0 {
		roots = []string{s.pinned.Root}
	}
	nearest := &records{root: s.b.prefix}
	for _, root := range roots {
		s.root = root
		if err := s.reload(ctx); errors.Is(err, oss.ErrDenied) && root != roots[0] {
			continue
		} else if err != nil {
			return err
		}
		counts := func(e *volumeEntry) bool {
			return (e.record != nil || errors.Is(e.failed, keys.ErrNoSlot)) && (s.known(e.id) || !s.anyKnown())
		}
		if slices.ContainsFunc(s.entries, counts) {
			return nil
		}
		denied := root != roots[0] && !slices.ContainsFunc(s.entries, func(e *volumeEntry) bool { return !errors.Is(e.failed, oss.ErrDenied) })
		if len(s.entries) > 0 && len(nearest.entries) == 0 && !denied {
			nearest.root, nearest.entries = root, s.entries
		}
	}
	s.root, s.entries = nearest.root, nearest.entries
	return nil
}

// looks is how often the records are listed when one was replaced by a newer revision between listing and reading, or when several hosts
// are making the volume at this moment; apartPause is the time between two looks in that case.
const (
	looks      = 10
	apartPause = 200 * time.Millisecond
)

// reload reads all records below the root, and finds out which count.
func (s *records) reload(ctx context.Context) error {
	s.b.volume.effort(time.Now()).Retry()
	for look := 1; ; look++ {
		list, err := s.list(ctx)
		if err != nil {
			return err
		}
		entries, err := s.read(ctx, list, look == looks)
		if errors.Is(err, oss.ErrNotFound) && look < looks {
			continue // replaced since they were listed
		}
		if err != nil {
			return err
		}
		s.entries = entries
		if s.stand(); s.apart == nil || look == looks {
			s.report()
			return nil
		}
		select {
		case <-time.After(apartPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// belongs refuses a record that was made for another place, before any key is tried on it.
func (s *records) belongs(r *keys.Record) error {
	if !s.from.IsZero() && r.Place.Is(s.from) {
		return nil
	}
	return s.b.belongs(r, s.root)
}

// belongs refuses a record that was made for another place than this root.
func (b *Bucket) belongs(r *keys.Record, root string) error {
	here := b.here(root)
	switch {
	case r.Place.IsZero() || r.Place.Is(here):
		return nil
	case r.Place.Bucket == here.Bucket && r.Place.Root == here.Root:
		return fmt.Errorf("it was made for %s in region %s, and this is region %s: %w", r.Place, r.Place.Region, here.Region, ErrElsewhere)
	}
	return fmt.Errorf("it was made for %s, and this is %s: %w", r.Place, here, ErrElsewhere)
}

// open opens a record with the keys, or else with the recovery code.
func (s *records) open(ctx context.Context, r *keys.Record, expected bool) (*keys.VolumeKey, error) {
	effort := s.b.volume.effort(time.Now())
	k, err := effort.Open(ctx, r, s.b.ring, expected)
	if err == nil || s.code == "" || errors.Is(err, keys.ErrForged) || ctx.Err() != nil {
		return k, err
	}
	k, codeErr := effort.OpenRecovery(r, s.code, expected)
	switch {
	case codeErr == nil:
		return k, nil
	case errors.Is(err, keys.ErrNoSlot):
		return nil, codeErr
	}
	return nil, errors.Join(err, codeErr)
}

// readRecord reads one revision of the record of a volume key. The record of another one, or another revision of it, is
// keys.ErrForged there.
func (b *Bucket) readRecord(ctx context.Context, root string, id keys.VolumeID, key string) (*keys.Record, error) {
	text, err := b.readSmallObject(ctx, key, maxRecord)
	if errors.Is(err, errTooBig) {
		err = fmt.Errorf("%w: %w", keys.ErrRecord, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read volume record %q: %w", key, err)
	}
	r, err := keys.ParseRecord(text)
	if err == nil && (r.ID != id || recordKey(root, r) != key) {
		err = fmt.Errorf("it is that of %s, revision %d: %w", r.ID, r.Revision, keys.ErrForged)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// find finds a volume key by its id.
func (s *records) find(id keys.VolumeID) *volumeEntry {
	i := slices.IndexFunc(s.entries, func(e *volumeEntry) bool { return e.id == id })
	if i < 0 {
		return nil
	}
	return s.entries[i]
}

// opened lists the volume keys that open and count, retired ones included.
func (s *records) opened() []*volumeEntry {
	return slices.DeleteFunc(slices.Clone(s.entries), func(e *volumeEntry) bool { return e.secret == nil })
}

// writer is the volume key under which new objects are sealed; nil when none opens.
func (s *records) writer() *volumeEntry {
	var writer *volumeEntry
	for _, e := range s.opened() {
		if !s.retired[e.id] && (writer == nil || writerOf(writer.secret, e.secret) == e.secret) {
			writer = e
		}
	}
	return writer
}

// whyNot is the reason why a volume key does not open.
func (e *volumeEntry) whyNot() error {
	if errors.Is(e.failed, keys.ErrNoSlot) {
		return fmt.Errorf("volume %s: no slot is for a key that is given: %w: %w", e.id, ErrWrongKey, e.failed)
	}
	return fmt.Errorf("volume %s: %w", e.id, e.failed)
}

// passing reports whether a key may open at another time: KMS does not answer, say.
func (e *volumeEntry) passing() bool {
	return e.secret == nil && e.forged == nil && !errors.Is(e.failed, keys.ErrNoSlot) && !errors.Is(e.failed, keys.ErrRecoveryCode) && !doesNotCount(e.failed)
}
