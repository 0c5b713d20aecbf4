package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// volumeDir is where a volume's records lie, below the root prefix of the volume: volumeDir ID "/" REVISION.
const volumeDir = Hidden + "volume/"

// maxRecord bounds in bytes what is read of a record.
const maxRecord = 256 << 10

// volume is the volume keys of an open bucket and what their records say. The zero value has none: everything is foreign then,
// and nothing can be sealed.
type volume struct {
	root string // prefix of the records, "" or ending in "/"

	mu        sync.RWMutex // guards the fields below
	keys      map[keys.VolumeID]*keys.VolumeKey
	records   map[keys.VolumeID]*keys.Record
	writer    *keys.VolumeKey // seals: the smallest id of the newest epoch; nil on a host that only writes, or without a record
	authentic bool            // the flag of the writer
	made      bool            // by this bucket
	unknown   map[keys.VolumeID]time.Time
	strangers map[keys.HostID]time.Time // write-only hosts that no record had, and when that was seen

	host   *keys.HostKey      // of a write-only host, with the next field; else nil
	public *keys.VolumePublic // what such a host seals for
}

// unknownPause is how long after a look for an unknown volume key the records are not read again on its behalf.
const unknownPause = 30 * time.Second

// key finds a volume key, nil when there is none.
func (v *volume) key(id keys.VolumeID) *keys.VolumeKey {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.keys[id]
}

// rootPrefix is the prefix of the records.
func (v *volume) rootPrefix() string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.root
}

// empty reports whether there is no volume key.
func (v *volume) empty() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.keys) == 0
}

// all lists the volume keys.
func (v *volume) all() []*keys.VolumeKey {
	v.mu.RLock()
	defer v.mu.RUnlock()
	list := make([]*keys.VolumeKey, 0, len(v.keys))
	for _, k := range v.keys {
		list = append(list, k)
	}
	return list
}

// seals is the volume key for new seals.
func (v *volume) seals() *keys.VolumeKey {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.writer
}

// isAuthentic reports whether objects of others are not expected here.
func (v *volume) isAuthentic() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.authentic
}

// hostOf finds a write-only host in the record of a volume key.
func (v *volume) hostOf(id keys.VolumeID, host keys.HostID) (keys.Host, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r := v.records[id]
	if r == nil {
		return keys.Host{}, false
	}
	return r.Host(host)
}

// VolumeInfo is what may be shown of the open volume.
type VolumeInfo struct {
	Root      string   `json:"root"`      // prefix of its record in the bucket
	Writer    string   `json:"writer"`    // id of the volume key for new objects; empty: none
	Keys      []string `json:"keys"`      // ids of all volume keys that open here
	Epoch     uint32   `json:"epoch"`     // of the writer
	Authentic bool     `json:"authentic"` // objects of others are not accepted unless the mount says so
	Made      bool     `json:"-"`         // OpenVolume made it
	WriteOnly bool     `json:"write_only,omitempty"`
}

// Volume tells which volume is open.
func (b *Bucket) Volume() VolumeInfo {
	v := &b.volume
	v.mu.RLock()
	defer v.mu.RUnlock()
	info := VolumeInfo{Root: v.root, Authentic: v.authentic, Made: v.made, WriteOnly: v.host != nil}
	if v.public != nil {
		info.Writer, info.Epoch = v.public.ID.String(), v.public.Epoch
	}
	if v.writer != nil {
		info.Writer, info.Epoch = v.writer.ID().String(), v.writer.Epoch()
	}
	for id := range v.keys {
		info.Keys = append(info.Keys, id.String())
	}
	slices.Sort(info.Keys)
	return info
}

// OpenVolume reads the volume's records, compares them with what this machine remembers, and makes a volume where there is none:
// on an empty prefix, or with Options.NewVolume. A read-only bucket without a record has no volume. The errors are ErrNoRecord,
// ErrRecordMissing, ErrRecordRolledBack, ErrRecordForged, ErrWrongKey (no slot of the record is for a key of the keyring),
// ErrHostRefused (a write-only host's only), and those of requests and of KMS.
func (b *Bucket) OpenVolume(ctx context.Context) error {
	if b.opt.Bundle != nil {
		return b.openForWriting(ctx)
	}
	pinned, err := loadPins(b.opt.PinFile)
	if err != nil {
		return err
	}
	found, err := b.findRecords(ctx, pinned)
	if err != nil {
		return err
	}
	if found.empty() {
		if found, err = b.newVolume(ctx, pinned); err != nil {
			return err
		}
	}
	return b.adoptRecords(found, pinned)
}

// found are the records of a volume that opened.
type found struct {
	root    string
	records []openedRecord // newest revision of each volume key that opens
	others  int            // records without a slot for our keys
	forged  error          // the first record that is not authentic
}

// openedRecord is a record and the volume key that it holds.
type openedRecord struct {
	*keys.Record
	key *keys.VolumeKey
}

func (f *found) empty() bool { return len(f.records) == 0 && f.others == 0 && f.forged == nil }

// roots are the prefixes where the record of this mount may lie, the nearest first.
func (b *Bucket) roots() []string {
	list := []string{b.prefix + b.opt.VolumeFrom}
	for at := list[0]; at != ""; {
		at = at[:strings.LastIndexByte(strings.TrimSuffix(at, "/"), '/')+1]
		list = append(list, at)
	}
	return list
}

// findRoot finds the nearest prefix that has records, and their keys. Where the volume is pinned, no other place is looked at. A
// prefix above the mounted one that may not be listed counts as having none.
func (b *Bucket) findRoot(ctx context.Context, pinned *pins) (root string, records []string, err error) {
	roots := b.roots()
	if len(pinned.Keys) > 0 {
		roots = []string{pinned.Root}
	}
	for _, root := range roots {
		list, err := b.listRecords(ctx, root)
		if errors.Is(err, oss.ErrDenied) && root != roots[0] {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		if len(list) > 0 {
			return root, list, nil
		}
	}
	return b.prefix, nil, nil
}

// maxRecordObjects is how many objects are believed to be records of one volume: whoever keeps the bucket could list without an end.
const maxRecordObjects = 10_000

// errManyRecords says that the records do not end.
var errManyRecords = fmt.Errorf("more than %d objects below %s", maxRecordObjects, volumeDir)

// listRecords lists the keys of all records below a root.
func (b *Bucket) listRecords(ctx context.Context, root string) (list []string, err error) {
	err = b.oss.ListAll(ctx, oss.ListOptions{Prefix: root + volumeDir}, func(p oss.Page) error {
		for _, e := range p.Objects {
			list = append(list, e.Key)
		}
		if len(list) > maxRecordObjects {
			return errManyRecords
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for the volume record: %w", err)
	}
	return list, nil
}

// looks is how often the records are listed when one was replaced by a newer revision between listing and reading.
const looks = 10

// findRecords reads the newest authentic revision of each volume key.
func (b *Bucket) findRecords(ctx context.Context, pinned *pins) (*found, error) {
	for look := 1; ; look++ {
		root, list, err := b.findRoot(ctx, pinned)
		if err != nil {
			return nil, err
		}
		f := &found{root: root}
		replaced := false
		for id, revisions := range groupRevisions(root, list) {
			err := b.openRecord(ctx, f, id, revisions, look == looks)
			if replaced = replaced || errors.Is(err, oss.ErrNotFound); err != nil && !errors.Is(err, oss.ErrNotFound) {
				return nil, err
			}
		}
		if !replaced || look == looks {
			slices.SortFunc(f.records, func(a, b openedRecord) int { return slices.Compare(a.ID[:], b.ID[:]) })
			return f, nil
		}
	}
}

// groupRevisions sorts the keys of records by volume key, newest revision first. Other names are left out.
func groupRevisions(root string, list []string) map[keys.VolumeID][]string {
	groups := make(map[keys.VolumeID][]string)
	for _, key := range list {
		name, revision, ok := strings.Cut(strings.TrimPrefix(key, root+volumeDir), "/")
		id, err := keys.ParseVolumeID(name)
		if !ok || err != nil || len(revision) != revisionDigits || strings.Trim(revision, "0123456789") != "" {
			continue
		}
		groups[id] = append(groups[id], key)
	}
	for id := range groups {
		slices.SortFunc(groups[id], func(a, b string) int { return cmp.Compare(b, a) })
	}
	return groups
}

// revisionDigits is the number of digits of a revision in a record's key.
const revisionDigits = 8

// recordKey is the full key of a record.
func recordKey(root string, r *keys.Record) string {
	return fmt.Sprintf("%s%s%s/%0*d", root, volumeDir, r.ID, revisionDigits, r.Revision)
}

// openRecord opens the newest revision of one volume key that is authentic. What is not is reported; who can write to the bucket
// can put such a thing beside the record. ErrNotFound says that a revision was replaced since they were listed, and with last, which takes
// an older one then, that all were.
func (b *Bucket) openRecord(ctx context.Context, f *found, id keys.VolumeID, revisions []string, last bool) error {
	gone := 0
	for _, key := range revisions {
		r, err := b.readRecord(ctx, f.root, id, key)
		if errors.Is(err, oss.ErrNotFound) && last {
			gone++
			continue
		}
		if errors.Is(err, oss.ErrNotFound) {
			return fmt.Errorf("volume record %q: %w", key, err)
		}
		var k *keys.VolumeKey
		if err == nil {
			k, err = r.Open(ctx, b.ring)
		}
		switch {
		case err == nil:
			f.records = append(f.records, openedRecord{r, k})
			return nil
		case errors.Is(err, keys.ErrNoSlot):
			f.others++
			return nil
		case errors.Is(err, keys.ErrForged), errors.Is(err, keys.ErrRecord):
			err = fmt.Errorf("%q: %w: %w", key, ErrRecordForged, err)
			b.notice(NoticeRecord, strings.TrimPrefix(key, b.prefix), err)
			f.forged = cmp.Or(f.forged, err)
		default:
			return fmt.Errorf("open volume record %q: %w", key, err)
		}
	}
	if gone == len(revisions) {
		return fmt.Errorf("volume record %s: %w", id, oss.ErrNotFound)
	}
	return nil
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
	return r, err
}

// adoptRecords makes the found records the open volume, if they agree with what is pinned.
func (b *Bucket) adoptRecords(f *found, pinned *pins) error {
	if err := checkPins(f, pinned, b.opt.VolumeIDs); err != nil {
		return err
	}
	switch {
	case len(f.records) > 0, f.empty():
	case f.forged != nil:
		return f.forged
	default:
		return fmt.Errorf("volume record below %q: no slot is for a key that is given: %w", f.root+volumeDir, ErrWrongKey)
	}
	b.volume.adopt(f)
	changed := false
	for _, r := range f.records {
		changed = pinned.note(f.root, r.Record) || changed
	}
	if !changed {
		return nil
	}
	return pinned.save(b.opt.PinFile)
}

// checkPins refuses records that are missing or older than those this machine knows, or lack a volume that it was told to expect.
func checkPins(f *found, pinned *pins, wanted []string) error {
	have := make(map[string]*keys.Record, len(f.records))
	for _, r := range f.records {
		have[r.ID.String()] = r.Record
	}
	for id, pin := range pinned.Keys {
		r := have[id]
		switch {
		case r == nil && f.forged != nil:
			return f.forged
		case r == nil && f.others > 0:
			return fmt.Errorf("volume %s: %w: no slot is for a key that is given", id, ErrWrongKey)
		case r == nil:
			return fmt.Errorf("volume %s below %q: %w", id, f.root, ErrRecordMissing)
		case r.Revision < pin.Revision || r.Epoch != pin.Epoch:
			return fmt.Errorf("volume %s: revision %d, seen before %d: %w", id, r.Revision, pin.Revision, ErrRecordRolledBack)
		}
	}
	for _, id := range wanted {
		if have[strings.ToLower(id)] == nil {
			return fmt.Errorf("volume %s below %q: %w", id, f.root, ErrRecordMissing)
		}
	}
	return nil
}

// adopt takes the volume keys of records that opened; keys from before stay.
func (v *volume) adopt(f *found) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.root = f.root
	if v.keys == nil {
		v.keys, v.records = make(map[keys.VolumeID]*keys.VolumeKey), make(map[keys.VolumeID]*keys.Record)
	}
	for _, r := range f.records {
		if v.keys[r.ID] == nil {
			v.keys[r.ID] = r.key
		}
		v.records[r.ID] = r.Record
	}
	for _, k := range v.keys {
		v.writer = writerOf(v.writer, k)
	}
	v.authentic = v.writer != nil && v.writer.Authentic()
}

// writerOf is the one of two volume keys that seals, if no other is there: of the newest epoch the one with the smallest id, so that all
// hosts choose alike. The first may be nil.
func writerOf(a, b *keys.VolumeKey) *keys.VolumeKey {
	if a == nil || b.Epoch() > a.Epoch() || b.Epoch() == a.Epoch() && lessID(b.ID(), a.ID()) {
		return b
	}
	return a
}

// setMade notes that the volume is a new one.
func (v *volume) setMade() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.made = true
}

func lessID(a, b keys.VolumeID) bool { return slices.Compare(a[:], b[:]) < 0 }

// volumeKey finds the key of a box. One that is not known may have been made by another host since: the records are read again
// then, once in a while.
func (b *Bucket) volumeKey(ctx context.Context, id keys.VolumeID) (*keys.VolumeKey, error) {
	v := &b.volume
	if k := v.key(id); k != nil || v.host != nil || b.ring == nil {
		return k, nil
	}
	v.mu.Lock()
	if v.unknown == nil {
		v.unknown = make(map[keys.VolumeID]time.Time)
	}
	if asked, ok := v.unknown[id]; ok && time.Since(asked) < unknownPause || len(v.unknown) > maxUnknown {
		v.mu.Unlock()
		return nil, nil
	}
	v.unknown[id] = time.Now()
	v.mu.Unlock()
	if err := b.reloadVolume(ctx); err != nil {
		v.mu.Lock()
		delete(v.unknown, id)
		v.mu.Unlock()
		return nil, fmt.Errorf("look for volume %s: %w", id, err)
	}
	return v.key(id), nil
}

// maxUnknown bounds for how many unknown volume keys the records are read again: an attacker can name any number of them.
const maxUnknown = 64

// reloadVolume reads the records again. A read-only bucket without one stays without.
func (b *Bucket) reloadVolume(ctx context.Context) error {
	pinned, err := loadPins(b.opt.PinFile)
	if err != nil {
		return err
	}
	f, err := b.findRecords(ctx, pinned)
	if err != nil {
		return err
	}
	return b.adoptRecords(f, pinned)
}
