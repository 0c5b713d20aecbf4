package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// ErrLockout: the change would leave somebody without a way to open the volume.
var ErrLockout = errors.New("somebody could not open the volume any more")

// Volumes are the volume keys of a bucket as those see them who manage them. OpenVolumes makes it. Each change is a new revision of
// a record, made again when another host was faster. It prints as "redacted" whatever the verb, and is not safe for concurrent use.
type Volumes struct {
	b       *Bucket
	code    string // recovery code; empty: none
	pinned  *pins
	root    string
	entries []*volumeEntry // by id
}

// volumeEntry is one volume key.
type volumeEntry struct {
	id        keys.VolumeID
	revisions []string        // keys of its records, the newest first
	record    *keys.Record    // of the newest revision that opens, or else could be read; nil: none
	secret    *keys.VolumeKey // nil: it does not open
	failed    error           // why not
	forged    error           // the first revision that is not authentic
}

// OpenVolumes reads the records of the volume at or above Options.Prefix. Options.Keyring may be nil and recoveryCode empty; they
// open what they can. Nothing is refused yet: Problem and Describe tell what is wrong.
func OpenVolumes(ctx context.Context, o Options, recoveryCode string) (*Volumes, error) {
	client, prefix, err := connect(o)
	if err != nil {
		return nil, err
	}
	if o.Keyring == nil {
		o.Keyring = keys.NewKeyring(nil)
	}
	v := &Volumes{b: &Bucket{oss: client, prefix: prefix, opt: o, ring: o.Keyring}, code: recoveryCode}
	if err = client.Check(ctx); err == nil {
		v.pinned, err = loadPins(o.PinFile)
	}
	if err == nil {
		err = v.load(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// Close drops idle connections.
func (v *Volumes) Close() error { return v.b.oss.Close() }

// Root is the prefix of the records in the bucket.
func (v *Volumes) Root() string { return v.root }

// Problem tells why the records do not agree with what this machine remembers, in the errors of Bucket.OpenVolume; nil when they do.
func (v *Volumes) Problem() error {
	f := &found{root: v.root}
	for _, e := range v.entries {
		_, pinned := v.pinned.Keys[e.id.String()]
		switch {
		case e.record != nil && pinned && e.secret == nil && !errors.Is(e.failed, keys.ErrNoSlot):
			return e.whyNot()
		case e.secret != nil:
			f.records = append(f.records, openedRecord{e.record, e.secret})
		case e.record != nil:
			f.others++
		}
		f.forged = cmp.Or(f.forged, e.forged)
	}
	return checkPins(f, v.pinned, v.b.opt.VolumeIDs)
}

// Pin remembers the records that open, from now on in this file.
func (v *Volumes) Pin(path string) (err error) {
	if v.pinned, err = loadPins(path); err != nil {
		return err
	}
	v.b.opt.PinFile = path
	for _, e := range v.opened() {
		v.pinned.note(v.root, e.record)
	}
	return v.pinned.save(path)
}

// load finds the root and reads all records.
func (v *Volumes) load(ctx context.Context) (err error) {
	if v.root, _, err = v.b.findRoot(ctx, v.pinned); err != nil {
		return err
	}
	return v.reload(ctx)
}

// reload reads all records below the root.
func (v *Volumes) reload(ctx context.Context) error {
	for look := 1; ; look++ {
		list, err := v.b.listRecords(ctx, v.root)
		if err != nil {
			return err
		}
		entries, err := v.read(ctx, v.root, list, look == looks)
		if errors.Is(err, oss.ErrNotFound) && look < looks {
			continue // replaced since they were listed
		}
		if err == nil {
			v.entries = entries
		}
		return err
	}
}

// read reads the records with these keys; last is as in openRecord.
func (v *Volumes) read(ctx context.Context, root string, list []string, last bool) ([]*volumeEntry, error) {
	var entries []*volumeEntry
	for id, revisions := range groupRevisions(root, list) {
		e := &volumeEntry{id: id, revisions: revisions}
		if err := v.readEntry(ctx, root, e, last); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *volumeEntry) int { return slices.Compare(a.id[:], b.id[:]) })
	return entries, nil
}

// readEntry opens the newest authentic revision. One for which there is no key ends the search: an older one would be no better than
// a record that was rolled back.
func (v *Volumes) readEntry(ctx context.Context, root string, e *volumeEntry, last bool) error {
	gone := 0
	for _, key := range e.revisions {
		r, err := v.b.readRecord(ctx, root, e.id, key)
		if errors.Is(err, oss.ErrNotFound) && last {
			gone++
			continue
		}
		var k *keys.VolumeKey
		if err == nil {
			k, err = v.open(ctx, r)
		}
		switch {
		case err == nil:
			e.record, e.secret = r, k
			return nil
		case errors.Is(err, keys.ErrForged), errors.Is(err, keys.ErrRecord):
			e.forged = cmp.Or(e.forged, fmt.Errorf("%q: %w: %w", key, ErrRecordForged, err))
		case r == nil || ctx.Err() != nil:
			return err
		default:
			e.record, e.failed = r, err
			return nil
		}
	}
	if gone == len(e.revisions) {
		return fmt.Errorf("volume record %s: %w", e.id, oss.ErrNotFound)
	}
	e.failed = e.forged
	return nil
}

// open opens a record with the keys, or else with the recovery code.
func (v *Volumes) open(ctx context.Context, r *keys.Record) (*keys.VolumeKey, error) {
	k, err := r.Open(ctx, v.b.ring)
	if err == nil || v.code == "" || errors.Is(err, keys.ErrForged) || ctx.Err() != nil {
		return k, err
	}
	k, codeErr := r.OpenRecovery(v.code)
	switch {
	case codeErr == nil:
		return k, nil
	case errors.Is(err, keys.ErrNoSlot):
		return nil, codeErr
	}
	return nil, errors.Join(err, codeErr)
}

// opened lists the volume keys that open.
func (v *Volumes) opened() []*volumeEntry {
	return slices.DeleteFunc(slices.Clone(v.entries), func(e *volumeEntry) bool { return e.secret == nil })
}

// writer is the volume key under which new objects are sealed; nil when none opens.
func (v *Volumes) writer() *volumeEntry {
	var writer *volumeEntry
	for _, e := range v.opened() {
		if writer == nil || writerOf(writer.secret, e.secret) == e.secret {
			writer = e
		}
	}
	return writer
}

// RecordInfo is what may be shown of a volume key.
type RecordInfo struct {
	ID        string     `json:"id"`
	Epoch     uint32     `json:"epoch"`
	Revision  uint32     `json:"revision"`
	Authentic bool       `json:"authentic"` // flag of the volume: objects of others are not accepted unless the mount says so
	Opens     bool       `json:"opens"`     // with what was given; if not, nothing of this is certain
	Writes    bool       `json:"writes"`    // new objects are sealed under it
	Pinned    bool       `json:"pinned"`    // this machine remembers it
	Problem   error      `json:"-"`         // why it does not open
	Forged    error      `json:"-"`         // a newer revision, or all of them, are not authentic
	Slots     []SlotInfo `json:"slots"`
	Hosts     []HostInfo `json:"hosts,omitempty"`
}

// SlotInfo is what may be shown of a slot.
type SlotInfo struct {
	Type  string `json:"type"` // rsa, kms or recovery
	Key   string `json:"key"`
	Opens bool   `json:"opens"` // its master key was given
}

// HostInfo is what may be shown of a write-only host.
type HostInfo struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Prefixes []string `json:"prefixes"`          // of names in the bucket
	Retired  string   `json:"retired,omitempty"` // when it lost its right to write, as RFC 3339
}

// Describe tells what is known of each volume key, the newest epoch first.
func (v *Volumes) Describe() []RecordInfo {
	list := make([]RecordInfo, 0, len(v.entries))
	writer := v.writer()
	for _, e := range v.entries {
		_, pinned := v.pinned.Keys[e.id.String()]
		info := RecordInfo{ID: e.id.String(), Opens: e.secret != nil, Writes: e == writer, Pinned: pinned, Problem: e.failed, Forged: e.forged}
		if r := e.record; r != nil {
			info.Epoch, info.Revision, info.Authentic = r.Epoch, r.Revision, r.Authentic
			info.Slots = v.slots(e)
			for _, h := range r.Hosts {
				host := HostInfo{ID: h.ID.String(), Name: h.Name, Prefixes: h.Prefixes}
				if h.Retired > 0 {
					host.Retired = time.Unix(h.Retired, 0).UTC().Format(time.RFC3339)
				}
				info.Hosts = append(info.Hosts, host)
			}
		}
		list = append(list, info)
	}
	slices.SortStableFunc(list, func(a, b RecordInfo) int { return cmp.Compare(b.Epoch, a.Epoch) })
	return list
}

// slots describes the slots of a record. Where it opened by another name of a KMS key, or by the code, and only one slot can be meant,
// that one is named.
func (v *Volumes) slots(e *volumeEntry) []SlotInfo {
	list := make([]SlotInfo, 0, len(e.record.Slots))
	named := false
	for _, s := range e.record.Slots {
		ours := e.secret != nil && v.ringKey(s.Key) != nil
		named = named || ours
		list = append(list, SlotInfo{Type: s.Type, Key: s.Key, Opens: ours})
	}
	if named || e.secret == nil {
		return list
	}
	var candidates []int
	for i, s := range list {
		if s.Type == "recovery" && v.code != "" || s.Type == "kms" && v.code == "" {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 1 {
		list[candidates[0]].Opens = true
	}
	return list
}

// ringKey finds a master key that was given.
func (v *Volumes) ringKey(id string) keys.MasterKey {
	for _, k := range v.b.ring.All() {
		if k.ID() == id {
			return k
		}
	}
	return nil
}

// redactedVolumes is how Volumes prints: it holds a recovery code.
const redactedVolumes = "Volumes(redacted)"

// String hides the secrets.
func (v *Volumes) String() string { return redactedVolumes }

// Format hides the secrets whatever the verb.
func (v *Volumes) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redactedVolumes)) }

// MarshalText hides the secrets from encoders.
func (v *Volumes) MarshalText() ([]byte, error) { return []byte(redactedVolumes), nil }
