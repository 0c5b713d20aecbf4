package object

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/keys"
)

// volume is the volume keys of an open bucket and what their records say. The zero value has none: everything is foreign then,
// and nothing can be sealed.
type volume struct {
	root string // prefix of the records, "" or ending in "/"

	mu        sync.RWMutex // guards the fields below
	keys      map[keys.VolumeID]*keys.VolumeKey
	records   map[keys.VolumeID]*keys.Record
	retired   map[keys.VolumeID]bool  // keys under which nothing in the bucket counts any more
	failing   map[keys.VolumeID]error // that did not open for a reason that may pass, and are not known
	writer    *keys.VolumeKey         // seals: the smallest id of the newest epoch; nil on a host that only writes, or without a record
	authentic bool                    // every object has to have a box; it never goes back
	missing   bool                    // a bucket with objects was opened for reading without a record
	made      bool                    // by this bucket

	verdicts   map[string]verdict // what became of objects among the records, by key
	spent      *keys.Effort       // on records in vain, since the next field
	spentSince time.Time
	looked     time.Time // when the last look that succeeded was begun
	tried      time.Time // when the last one was begun, which ended with triedErr
	triedErr   error
	strangers  map[keys.HostID]time.Time // hosts of tags that no record had, and when that was seen

	host   *keys.HostKey      // of a write-only host, with the next field; else nil
	public *keys.VolumePublic // what such a host seals for
}

// key finds a volume key, nil when there is none.
func (v *volume) key(id keys.VolumeID) *keys.VolumeKey {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.keys[id]
}

// open is a record at a root that is open, with its volume key; nil when there is none.
func (v *volume) open(id keys.VolumeID, root string) (*keys.Record, *keys.VolumeKey) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if r, k := v.records[id], v.keys[id]; r != nil && k != nil && v.root == root {
		return r, k
	}
	return nil, nil
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

// counting finds a volume key for what is in the bucket: retired says that nothing under it counts any more.
func (v *volume) counting(id keys.VolumeID) (k *keys.VolumeKey, retired bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.keys[id], v.retired[id]
}

// all lists the volume keys, retired ones included.
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
	return v.authentic || v.missing
}

// hostOf finds a write-only host in the record of a volume key that counts.
func (v *volume) hostOf(id keys.VolumeID, host keys.HostID) (keys.Host, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r := v.records[id]
	if r == nil || v.retired[id] {
		return keys.Host{}, false
	}
	return r.Host(host)
}

// vouches reports whether a volume key that is open endorses a record, or was endorsed by its key.
func (v *volume) vouches(r *keys.Record) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for id, k := range v.keys {
		names := v.records[id] != nil && slices.ContainsFunc(v.records[id].Endorsements, func(x keys.Endorsement) bool { return x.By == r.ID })
		if names || r.EndorsedBy(k) {
			return true
		}
	}
	return false
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
// on an empty prefix, or with Options.NewVolume. A bucket that is opened for reading, is empty or accepts objects of others by
// Trust.AcceptForeign needs none. The errors are ErrNoRecord, ErrRecordMissing, ErrRecordRolledBack, ErrRecordForged, ErrElsewhere,
// ErrUnbound, ErrUnvouched, ErrApart, ErrWrongKey (no slot of the record is for a key of the keyring), ErrHostRefused (a write-only host's
// only), and those of requests and of KMS, the latter also where only the volume key of the newest epoch needs KMS, unless nothing is to be written.
func (b *Bucket) OpenVolume(ctx context.Context) error {
	if b.opt.Bundle != nil {
		return b.openForWriting(ctx)
	}
	pinned, err := loadPins(b.opt.PinFile)
	if err != nil {
		return err
	}
	b.volume.setLooked(time.Now())
	found, err := b.findRecords(ctx, pinned)
	if err != nil {
		return err
	}
	if err := found.shutNewer(); err != nil && !b.opt.ReadOnly {
		return err
	}
	if len(found.entries) == 0 {
		if found, err = b.newVolume(ctx, pinned); err != nil {
			return err
		}
	}
	return b.adoptRecords(found)
}

// findRecords reads the records. What is open already counts as known.
func (b *Bucket) findRecords(ctx context.Context, pinned *pins) (*records, error) {
	s := newRecords(b, pinned)
	for _, k := range b.volume.all() {
		s.trusted[k.ID()] = true
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if err := s.shut(); err != nil {
		return nil, err
	}
	return s, nil
}

// shut is why a volume key does not open at this moment that has to; nil: there is none.
func (s *records) shut() error {
	for _, e := range s.entries {
		if e.passing() && !s.retired[e.id] && (s.known(e.id) || len(s.opened()) == 0) {
			return fmt.Errorf("open volume record %q: %w", e.revisions[0], e.failed)
		}
	}
	return nil
}

// shutNewer is why a volume key does not open at this moment that is of a later epoch than the one in use, by the word of one that opens; nil: there is
// none. Somebody began a new epoch to leave the one before, under which a machine that comes now should not seal anything any more.
func (s *records) shutNewer() error {
	writer := s.writer()
	for _, e := range s.entries {
		if writer == nil || e.record == nil || !e.passing() || s.retired[e.id] || e.record.Epoch <= writer.record.Epoch {
			continue
		}
		vouches := func(by *volumeEntry) bool { return !s.retired[by.id] && e.record.EndorsedBy(by.secret) }
		if slices.ContainsFunc(s.opened(), vouches) {
			return fmt.Errorf("volume key %s, epoch %d, under which new files are to be sealed, does not open: %w", e.id, e.record.Epoch, e.failed)
		}
	}
	return nil
}

// adoptRecords makes the records the open volume, if they agree with what is pinned.
func (b *Bucket) adoptRecords(s *records) error {
	if err := s.problem(); err != nil {
		return err
	}
	if err := s.none(); err != nil {
		return err
	}
	before := b.RetiredVolumes()
	b.volume.adopt(s)
	if h := b.history.Load(); h != nil && !slices.Equal(before, b.RetiredVolumes()) {
		(*h).Retired()
	}
	news := s.pin()
	if err := b.keepRecords(); err != nil {
		b.notice(NoticeRecord, volumeDir, fmt.Errorf("keep the records for a time without the bucket: %w", err))
	}
	if !news {
		return nil
	}
	return s.pinned.save(b.opt.PinFile)
}

// adopt takes the volume keys of records that count; keys from before stay.
func (v *volume) adopt(s *records) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.root = s.root
	if v.keys == nil {
		v.keys, v.records = make(map[keys.VolumeID]*keys.VolumeKey), make(map[keys.VolumeID]*keys.Record)
	}
	for _, e := range s.opened() {
		if v.keys[e.id] == nil {
			v.keys[e.id] = e.secret
		}
		v.records[e.id] = e.record
	}
	for id := range v.retired { // until its record says otherwise
		if e := s.find(id); e == nil || e.secret == nil {
			s.retired[id] = true
		}
	}
	v.retired, v.writer, v.failing = s.retired, nil, nil
	for _, e := range s.entries {
		if e.passing() {
			if v.failing == nil {
				v.failing = make(map[keys.VolumeID]error)
			}
			v.failing[e.id] = e.failed
		}
	}
	for id, k := range v.keys {
		v.authentic = v.authentic || k.Authentic()
		if !v.retired[id] {
			v.writer = writerOf(v.writer, k)
		}
	}
}

// writerOf is the one of two volume keys that seals, if no other is there: of the newest epoch the one with the smallest id, so that all
// hosts choose alike. The first may be nil.
func writerOf(a, b *keys.VolumeKey) *keys.VolumeKey {
	if a == nil || b.Epoch() > a.Epoch() || b.Epoch() == a.Epoch() && lessID(b.ID(), a.ID()) {
		return b
	}
	return a
}

// setMissing notes that there is no record where objects are read.
func (v *volume) setMissing() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.missing = true
}

// setMade notes that the volume is a new one.
func (v *volume) setMade() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.made = true
}

func lessID(a, b keys.VolumeID) bool { return slices.Compare(a[:], b[:]) < 0 }
