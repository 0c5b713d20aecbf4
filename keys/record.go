package keys

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors of volume records. Test with errors.Is.
var (
	// ErrRecord: the text is no volume record of a kind that this version reads. The text says why.
	ErrRecord = errors.New("unreadable volume record")
	// ErrForged: the record, one of its slots or its public key was not made by a holder of the volume key.
	ErrForged = errors.New("the volume record is forged or damaged")
	// ErrNoSlot: the record has no slot for the master key in question.
	ErrNoSlot = errors.New("the volume record has no slot for this master key")
	// ErrLastSlot: without this slot nobody could open the volume any more.
	ErrLastSlot = errors.New("the volume record needs at least one slot")
)

// Limits of a record.
const (
	maxRecord   = 256 << 10 // bytes of its JSON text
	maxRevision = 99_999_999
	maxSlots    = 64
	maxRecovery = 4 // slots of the recovery kind: trying a code costs Argon2id for each
	maxHosts    = 256
	macSize     = 32
)

// Record is what a bucket keeps of one volume key: public facts, the key wrapped in slots, the write-only hosts. A MAC under the
// volume key covers all of it. What is read from elsewhere is to be believed only after Open or OpenRecovery succeeded.
// The fields are for reading; the methods change them. It is not safe for concurrent changes.
//
// A change is a new revision: Next, then AddSlot and the like, then Marshal.
type Record struct {
	ID        VolumeID
	Epoch     uint32
	Authentic bool
	Place     Place  // whose volume it is; none: format 1, which is not bound to one
	Revision  uint32 // 1 and up, at most 8 decimal digits
	Public    []byte // the volume's HPKE public key
	Slots     []Slot
	Hosts     []Host

	Made         int64         // when the volume key was drawn, in seconds since 1970 by the clock of who did; 0: not known
	Endorsements []Endorsement // by holders of other keys of this volume
	Retired      []VolumeID    // keys of earlier epochs under which nothing counts any more

	// origin is the encoding whose MAC is mac, as it was read or written. Marshal signs a changed record only if
	// that MAC is right, so that no forger's slots and hosts are ever signed by accident.
	origin []byte
	mac    []byte
	opened Slot // see Bound
	with   string
}

// NewRecord begins the record of a volume key at a place: revision 1, without slots. Without a place it is one of format 1.
func NewRecord(v *VolumeKey, at Place) *Record {
	return &Record{ID: v.ID(), Epoch: v.Epoch(), Authentic: v.Authentic(), Place: at, Revision: 1, Public: v.HPKEPublic()}
}

// Bound reports whether the slot through which the record was opened last is bound to its Place. If not, whoever holds the volume
// key can have made the record for any place.
func (r *Record) Bound() bool { return r.opened.Key != "" && !r.Place.IsZero() && !r.opened.Unbound }

// OpenedBy names the slot through which the record was opened last, as in Slot.Key; empty: none.
func (r *Record) OpenedBy() string { return r.opened.Key }

// OpenedWith is the id of the master key with which the record was opened last; empty: none, or a recovery code.
func (r *Record) OpenedWith() string { return r.with }

// Next is a deep copy with the next revision.
func (r *Record) Next() *Record {
	next := *r
	next.Revision++
	next.Public, next.mac, next.origin = bytes.Clone(r.Public), bytes.Clone(r.mac), bytes.Clone(r.origin)
	next.Slots, next.Hosts, next.Retired = slices.Clone(r.Slots), slices.Clone(r.Hosts), slices.Clone(r.Retired)
	next.Endorsements = slices.Clone(r.Endorsements)
	for i, e := range next.Endorsements {
		next.Endorsements[i].MAC = bytes.Clone(e.MAC)
	}
	for i, s := range next.Slots {
		s.Wrapped, s.MAC, s.Salt = bytes.Clone(s.Wrapped), bytes.Clone(s.MAC), bytes.Clone(s.Salt)
		next.Slots[i] = s
	}
	for i, h := range next.Hosts {
		next.Hosts[i] = h.clone()
	}
	return &next
}

// Outline is a copy of what tells which volume key the record is of and who vouches for it, to be kept where there are many. It has no slots
// and hosts: it does not open, and MadeBy is false of it.
func (r *Record) Outline() *Record {
	return &Record{ID: r.ID, Epoch: r.Epoch, Authentic: r.Authentic, Place: r.Place, Revision: r.Revision, Public: r.Public, Made: r.Made,
		Endorsements: r.Endorsements}
}

// Volume is the public side of the volume key; to be believed like the record itself.
func (r *Record) Volume() *VolumePublic {
	return &VolumePublic{ID: r.ID, Epoch: r.Epoch, Authentic: r.Authentic, Place: r.Place, HPKE: bytes.Clone(r.Public)}
}

// AddSlot wraps the volume key under one more master key. A key that has a slot already changes nothing. ErrPublicOnly when
// only the public half of an RSA key is here: a slot must show that an owner of the private key made it. RSA keys
// of more than two primes are ErrBadKey, master keys of foreign kinds ErrScheme, and a volume key that is not this record's
// ErrForged; errors of KMS are what they are elsewhere.
func (r *Record) AddSlot(ctx context.Context, v *VolumeKey, key MasterKey) error {
	if err := r.belongs(v); err != nil {
		return err
	}
	maker, ok := key.(slotKey)
	if !ok {
		return fmt.Errorf("add slot for %s: %w", key.ID(), ErrScheme)
	}
	if r.slot(key.ID()) >= 0 {
		return nil
	}
	if len(r.Slots) >= maxSlots {
		return fmt.Errorf("add slot for %s: a record has at most %d", key.ID(), maxSlots)
	}
	s, err := maker.makeSlot(ctx, r.Volume(), v.secret[:])
	if err != nil {
		return fmt.Errorf("add slot for %s: %w", key.ID(), err)
	}
	r.Slots = append(r.Slots, s)
	return nil
}

// AddRecovery adds a slot that a generated code opens and returns the code, which is to be shown once and kept nowhere.
func (r *Record) AddRecovery(v *VolumeKey) (code string, err error) {
	if code, err = NewRecoveryCode(); err != nil {
		return "", err
	}
	return code, r.AddRecoveryCode(v, code)
}

// AddRecoveryCode adds a slot for a code that NewRecoveryCode made, so that one code opens the records of several epochs. A
// mistyped code is ErrRecoveryCode.
func (r *Record) AddRecoveryCode(v *VolumeKey, code string) error {
	if err := r.belongs(v); err != nil {
		return err
	}
	raw, err := parseRecoveryCode(code)
	if err != nil {
		return err
	}
	defer clear(raw)
	n := 0
	for _, s := range r.Slots {
		if s.Type == slotRecovery {
			n++
		}
	}
	if n >= maxRecovery || len(r.Slots) >= maxSlots {
		return fmt.Errorf("add recovery code: a record has at most %d, and %d slots", maxRecovery, maxSlots)
	}
	s, err := makeRecovery(r.Volume(), v.secret[:], raw)
	if err != nil {
		return fmt.Errorf("add recovery code: %w", err)
	}
	r.Slots = append(r.Slots, s)
	return nil
}

// KeepSlot takes a slot over from a record of format 1 of the same volume key, as it is: unbound. For owners of master keys who are not
// at hand when the record is bound to its place. A key that has a slot already changes nothing.
func (r *Record) KeepSlot(s Slot) error {
	if r.slot(s.Key) >= 0 {
		return nil
	}
	if len(r.Slots) >= maxSlots {
		return fmt.Errorf("keep slot of %s: a record has at most %d", s.Key, maxSlots)
	}
	s.Unbound = !r.Place.IsZero()
	r.Slots = append(r.Slots, s)
	return nil
}

// RemoveSlot takes away the slot of a master key or recovery code, named as in Slot.Key. ErrNoSlot when there is none,
// ErrLastSlot when no other remains. Who could open the volume with it may have kept the volume key.
func (r *Record) RemoveSlot(keyID string) error {
	i := r.slot(keyID)
	if i < 0 {
		return fmt.Errorf("remove slot %q: %w", keyID, ErrNoSlot)
	}
	if len(r.Slots) == 1 {
		return fmt.Errorf("remove slot %q: %w", keyID, ErrLastSlot)
	}
	r.Slots = slices.Delete(r.Slots, i, i+1)
	return nil
}

// slot is the place of a key's slot, -1 when there is none.
func (r *Record) slot(keyID string) int {
	return slices.IndexFunc(r.Slots, func(s Slot) bool { return s.Key == keyID })
}

// AddHost lets a write-only host write. Unfit hosts and those that are there already are ErrHost.
func (r *Record) AddHost(h Host) error {
	if err := h.check(); err != nil {
		return fmt.Errorf("add host: %w", err)
	}
	if _, there := r.Host(h.ID); there || len(r.Hosts) >= maxHosts {
		return fmt.Errorf("add host %s: it is there already, or %d others are: %w", h.ID, maxHosts, ErrHost)
	}
	r.Hosts = append(r.Hosts, h.clone())
	return nil
}

// RetireHost takes a host's right to go on away and keeps what it wrote readable; ErrNoHost when the record does not have it. A host
// that is retired already keeps its date.
func (r *Record) RetireHost(id HostID, when time.Time) error {
	i := slices.IndexFunc(r.Hosts, func(h Host) bool { return h.ID == id })
	if i < 0 {
		return fmt.Errorf("retire host %s: %w", id, ErrNoHost)
	}
	if r.Hosts[i].Retired == 0 {
		r.Hosts[i].Retired = max(when.Unix(), 1)
	}
	return nil
}

// RemoveHost takes away a host and with it the value of all that it signed: objects that it wrote are not authentic any more, unless
// they were sealed anew before. ErrNoHost when the record does not have it.
func (r *Record) RemoveHost(id HostID) error {
	n := len(r.Hosts)
	r.Hosts = slices.DeleteFunc(r.Hosts, func(h Host) bool { return h.ID == id })
	if len(r.Hosts) == n {
		return fmt.Errorf("remove host %s: %w", id, ErrNoHost)
	}
	return nil
}

// Host finds a host by its id.
func (r *Record) Host(id HostID) (Host, bool) {
	for _, h := range r.Hosts {
		if h.ID == id {
			return h.clone(), true
		}
	}
	return Host{}, false
}

// belongs refuses volume keys of other records.
func (r *Record) belongs(v *VolumeKey) error {
	if !v.public.Same(r.Volume()) {
		return fmt.Errorf("volume key %s is not that of record %s: %w", v.ID(), r.ID, ErrForged)
	}
	return nil
}

// recordMagic begins the encoding that the record's MAC covers, in either format; recordInfo derives its key.
const (
	recordMagic1 = "ossencfs record v1\x00"
	recordMagic2 = "ossencfs record v2\x00"
	recordInfo   = "ossencfs record v1"
)

// encode is everything but the MAC, in one canonical form (uv: unsigned varint, lp(x): uv(length) x):
//
//	record      = "ossencfs record v1" 0x00 facts u32(revision) uv(slots) slot... uv(hosts) host...
//	            / "ossencfs record v2" 0x00 facts u32(revision) uv(slots) ( slot uv(unbound) )... uv(hosts) host...
//	              uv(made) uv(endorsements) endorsement... uv(retired) id(16)...
//	slot        = lp(type) lp(key) lp(wrapped) lp(mac) lp(salt) uv(time) uv(memory) uv(threads)
//	host        = id(8) lp(name) lp(public) uv(retired) uv(prefixes) lp(prefix)...
//	endorsement = id(16) lp(mac)
func (r *Record) encode() []byte {
	lp := func(b, x []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(x))), x...) }
	magic, bound := recordMagic1, !r.Place.IsZero()
	if bound {
		magic = recordMagic2
	}
	b := append([]byte(magic), r.Volume().facts()...)
	b = binary.BigEndian.AppendUint32(b, r.Revision)
	b = binary.AppendUvarint(b, uint64(len(r.Slots)))
	for _, s := range r.Slots {
		for _, part := range [][]byte{[]byte(s.Type), []byte(s.Key), s.Wrapped, s.MAC, s.Salt} {
			b = lp(b, part)
		}
		for _, n := range []uint32{s.Time, s.Memory, s.Threads} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		if bound {
			b = append(b, map[bool]byte{true: 1}[s.Unbound])
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.Hosts)))
	for _, h := range r.Hosts {
		b = lp(lp(append(b, h.ID[:]...), []byte(h.Name)), h.Public)
		b = binary.AppendUvarint(b, uint64(h.Retired)) //nolint:gosec // checked
		b = binary.AppendUvarint(b, uint64(len(h.Prefixes)))
		for _, p := range h.Prefixes {
			b = lp(b, []byte(p))
		}
	}
	if !bound {
		return b
	}
	b = binary.AppendUvarint(b, uint64(r.Made)) //nolint:gosec // checked
	b = binary.AppendUvarint(b, uint64(len(r.Endorsements)))
	for _, e := range r.Endorsements {
		b = lp(append(b, e.By[:]...), e.MAC)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Retired)))
	for _, id := range r.Retired {
		b = append(b, id[:]...)
	}
	return b
}

// Same reports whether two records say the same and carry the same MAC.
func (r *Record) Same(other *Record) bool {
	return bytes.Equal(r.encode(), other.encode()) && hmac.Equal(r.mac, other.mac)
}

// authentic tells whether the record's MAC is the volume key's over the encoding.
func (r *Record) authentic(v *VolumeKey, encoded []byte) bool {
	mac := v.MAC(recordInfo, encoded)
	return hmac.Equal(mac[:], r.mac)
}
