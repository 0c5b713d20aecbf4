package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ossencfs/ossencfs/keys"
)

// ErrLockout: the change would leave somebody without a way to open the volume.
var ErrLockout = errors.New("somebody could not open the volume any more")

// Volumes are the volume keys of a bucket as those see them who manage them. OpenVolumes makes it. Each change is a new revision of
// a record, made again when another host was faster. It prints as "redacted" whatever the verb, and is not safe for concurrent use.
type Volumes struct{ *records }

// OpenVolumes reads the records of the volume at or above Options.Prefix. Options.Keyring may be nil and recoveryCode empty; they
// open what they can. Nothing is refused yet: Problem and Describe tell what is wrong.
func OpenVolumes(ctx context.Context, o Options, recoveryCode string) (*Volumes, error) {
	return OpenVolumesFrom(ctx, o, recoveryCode, keys.Place{})
}

// OpenVolumesFrom is OpenVolumes that also takes records which were made for another place, as they are in a copied or renamed bucket.
// Bind makes them those of this one.
func OpenVolumesFrom(ctx context.Context, o Options, recoveryCode string, from keys.Place) (*Volumes, error) {
	client, prefix, err := connect(o)
	if err != nil {
		return nil, err
	}
	if o.Keyring == nil {
		o.Keyring = keys.NewKeyring(nil)
	}
	b := &Bucket{oss: client, prefix: prefix, opt: o, ring: o.Keyring}
	var pinned *pins
	if err = client.Check(ctx); err == nil {
		pinned, err = loadPins(o.PinFile)
	}
	v := &Volumes{newRecords(b, pinned)}
	v.code, v.from = recoveryCode, from
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

// Problem tells why the records do not agree with what this machine remembers, or why none of them counts, in the errors of
// Bucket.OpenVolume; nil when they do.
func (v *Volumes) Problem() error {
	for _, e := range v.entries {
		_, pinned := v.pinned.Keys[e.id.String()]
		if pinned && e.passing() && !v.retired[e.id] {
			return e.whyNot()
		}
	}
	if err := v.problem(); err != nil || v.nothingGiven() {
		return err
	}
	return v.none()
}

// nothingGiven reports whether there is neither key nor code: then nothing opens, which is no problem of the records.
func (v *Volumes) nothingGiven() bool { return v.code == "" && len(v.b.ring.All()) == 0 }

// Pin remembers the records that open, from now on in this file.
func (v *Volumes) Pin(path string) (err error) {
	if v.pinned, err = loadPins(path); err != nil {
		return err
	}
	v.b.opt.PinFile = path
	v.pin()
	return v.pinned.save(path)
}

// RecordInfo is what may be shown of a volume key.
type RecordInfo struct {
	ID        string     `json:"id"`
	Epoch     uint32     `json:"epoch"`
	Revision  uint32     `json:"revision"`
	Authentic bool       `json:"authentic"` // flag of the volume: objects of others are not accepted unless the mount says so
	Opens     bool       `json:"opens"`     // with what was given; if not, nothing of this is certain
	Writes    bool       `json:"writes"`    // new objects are sealed under it
	Retired   bool       `json:"retired"`   // nothing counts any more that was sealed under it
	Place     string     `json:"place"`     // bucket and directory to which it is bound; empty: to none
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
			info.Epoch, info.Revision, info.Authentic, info.Retired = r.Epoch, r.Revision, r.Authentic, v.retired[e.id]
			if !r.Place.IsZero() {
				info.Place = r.Place.String()
			}
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
