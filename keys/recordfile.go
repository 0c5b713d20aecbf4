package keys

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
)

// Formats of records, the first field of each. The first is not bound to a place.
const (
	recordFormat1 = "ossencfs volume v1"
	recordFormat2 = "ossencfs volume v2"
)

// recordFile is a record as JSON.
type recordFile struct {
	Format    string      `json:"format"`
	ID        VolumeID    `json:"id"`
	Epoch     uint32      `json:"epoch"`
	Authentic bool        `json:"authentic"`
	Bucket    string      `json:"bucket,omitempty"` // format 2, with the two below
	Region    string      `json:"region,omitempty"`
	Root      string      `json:"root,omitempty"`
	Revision  uint32      `json:"revision"`
	Public    strictBytes `json:"public"`
	Slots     []slotFile  `json:"slots"`
	Hosts     []hostFile  `json:"hosts,omitempty"`

	Made         int64             `json:"made,omitempty"` // format 2, with the two below
	Endorsements []endorsementFile `json:"endorsements,omitempty"`
	Retired      []VolumeID        `json:"retired,omitempty"`
	MAC          strictBytes       `json:"mac"`
}

// endorsementFile is an endorsement as JSON.
type endorsementFile struct {
	By  VolumeID    `json:"by"`
	MAC strictBytes `json:"mac"`
}

// slotFile is a slot as JSON.
type slotFile struct {
	Type    string      `json:"type"`
	Key     string      `json:"key"`
	Wrapped strictBytes `json:"wrapped"`
	MAC     strictBytes `json:"mac,omitempty"`
	Salt    strictBytes `json:"salt,omitempty"`
	Time    uint32      `json:"time,omitempty"`
	Memory  uint32      `json:"memory,omitempty"`
	Threads uint32      `json:"threads,omitempty"`
	Unbound bool        `json:"unbound,omitempty"` // format 2
}

// hostFile is a host as JSON.
type hostFile struct {
	ID       HostID      `json:"id"`
	Name     string      `json:"name"`
	Public   strictBytes `json:"public"`
	Prefixes []string    `json:"prefixes"`
	Retired  int64       `json:"retired,omitempty"` // seconds since 1970
}

// Marshal signs the record with its volume key and returns its JSON text. A key that is not the record's, and a record that came
// from elsewhere and was not made by that key, are ErrForged; a record without slots is ErrLastSlot.
func (r *Record) Marshal(v *VolumeKey) ([]byte, error) {
	if err := r.belongs(v); err != nil {
		return nil, err
	}
	if r.origin != nil && !r.authentic(v, r.origin) {
		return nil, fmt.Errorf("sign record of volume %s: %w", r.ID, ErrForged)
	}
	if len(r.Slots) == 0 {
		return nil, fmt.Errorf("sign record of volume %s: %w", r.ID, ErrLastSlot)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	encoded := r.encode()
	mac := v.MAC(recordInfo, encoded)
	text, err := r.text(mac[:])
	if err != nil {
		return nil, err
	}
	r.origin, r.mac = encoded, mac[:]
	return text, nil
}

// text is the record as JSON, with its MAC.
func (r *Record) text(mac []byte) ([]byte, error) {
	file := recordFile{
		Format: recordFormat1, ID: r.ID, Epoch: r.Epoch, Authentic: r.Authentic, Revision: r.Revision, Public: r.Public, MAC: mac,
		Bucket: r.Place.Bucket, Region: r.Place.Region, Root: r.Place.Root, Made: r.Made, Retired: r.Retired,
	}
	if !r.Place.IsZero() {
		file.Format = recordFormat2
	}
	for _, s := range r.Slots {
		file.Slots = append(file.Slots, slotFile{s.Type, s.Key, s.Wrapped, s.MAC, s.Salt, s.Time, s.Memory, s.Threads, s.Unbound})
	}
	for _, e := range r.Endorsements {
		file.Endorsements = append(file.Endorsements, endorsementFile{e.By, e.MAC})
	}
	for _, h := range r.Hosts {
		file.Hosts = append(file.Hosts, hostFile{h.ID, h.Name, strictBytes(h.Public), h.Prefixes, h.Retired})
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode volume record: %w", err)
	}
	text = append(text, '\n')
	if len(text) > maxRecord {
		return nil, fmt.Errorf("volume record of %d bytes, at most %d: %w", len(text), maxRecord, ErrRecord)
	}
	return text, nil
}

// ParseRecord reads a record. It checks the form only; every error is ErrRecord.
func ParseRecord(text []byte) (*Record, error) {
	if len(text) > maxRecord {
		return nil, fmt.Errorf("%d bytes, at most %d are read: %w", len(text), maxRecord, ErrRecord)
	}
	var file recordFile
	if err := decodeStrict(text, &file); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	at := Place{Bucket: file.Bucket, Region: file.Region, Root: file.Root}
	switch {
	case file.Format == recordFormat1 && at.IsZero(), file.Format == recordFormat2 && !at.IsZero():
	case file.Format == recordFormat1, file.Format == recordFormat2:
		return nil, fmt.Errorf("format %q of %s: %w", file.Format, at, ErrRecord)
	default:
		return nil, fmt.Errorf("format %.40q, this version reads %q and %q: %w", file.Format, recordFormat1, recordFormat2, ErrRecord)
	}
	if len(file.MAC) != macSize {
		return nil, fmt.Errorf("MAC of %d bytes, want %d: %w", len(file.MAC), macSize, ErrRecord)
	}
	r := &Record{
		ID: file.ID, Epoch: file.Epoch, Authentic: file.Authentic, Place: at, Revision: file.Revision, Public: file.Public,
		Made: file.Made, Retired: file.Retired, mac: file.MAC,
	}
	for _, s := range file.Slots {
		r.Slots = append(r.Slots, Slot{s.Type, s.Key, s.Wrapped, s.MAC, s.Salt, s.Time, s.Memory, s.Threads, s.Unbound})
	}
	for _, e := range file.Endorsements {
		r.Endorsements = append(r.Endorsements, Endorsement{e.By, e.MAC})
	}
	for _, h := range file.Hosts {
		r.Hosts = append(r.Hosts, Host{h.ID, h.Name, ed25519.PublicKey(h.Public), h.Prefixes, h.Retired})
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	r.origin = r.encode()
	return r, nil
}

// check tells what no record can have; as ErrRecord.
func (r *Record) check() error {
	if err := r.Volume().check(); err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	switch {
	case r.Revision == 0 || r.Revision > maxRevision:
		return fmt.Errorf("revision %d, want 1 to %d: %w", r.Revision, maxRevision, ErrRecord)
	case len(r.Slots) == 0 || len(r.Slots) > maxSlots:
		return fmt.Errorf("%d slots, want 1 to %d: %w", len(r.Slots), maxSlots, ErrRecord)
	case len(r.Hosts) > maxHosts:
		return fmt.Errorf("%d hosts, at most %d: %w", len(r.Hosts), maxHosts, ErrRecord)
	}
	seen, recovery := map[string]bool{}, 0
	for i, s := range r.Slots {
		if err := s.check(); err != nil {
			return fmt.Errorf("slot %d: %w: %w", i, ErrRecord, err)
		}
		if seen[s.Key] || s.Unbound && r.Place.IsZero() {
			return fmt.Errorf("slot %d: another has the same key, or it says of format 1 what goes without saying: %w", i, ErrRecord)
		}
		seen[s.Key] = true
		if s.Type == slotRecovery {
			recovery++
		}
	}
	if recovery > maxRecovery {
		return fmt.Errorf("%d recovery slots, at most %d: %w", recovery, maxRecovery, ErrRecord)
	}
	hosts := map[HostID]bool{}
	for i, h := range r.Hosts {
		if err := h.check(); err != nil {
			return fmt.Errorf("host %d: %w: %w", i, ErrRecord, err)
		}
		if hosts[h.ID] {
			return fmt.Errorf("host %d: it is there twice: %w", i, ErrRecord)
		}
		hosts[h.ID] = true
	}
	return r.checkOthers()
}
