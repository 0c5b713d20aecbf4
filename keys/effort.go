package keys

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// ErrEffort: as much as records are worth that nobody vouches for was tried in vain, and the rest of them was not tried.
var ErrEffort = errors.New("too much was tried in vain on volume records, so that others were not tried")

// What may be tried in vain on all records together. Whoever can write to the bucket can plant thousands, and name keys in their slots.
const (
	maxVain         = 8  // calls of KMS for slots of one's own key, as many for slots of other names, and computations of Argon2id
	maxExpected     = 64 // calls of either kind for records that are expected: the slots of one record
	maxExpectedCode = 16 // computations for those
)

// Kinds of what costs time, or money, before it is known whether the record is genuine.
type toil int

const (
	namedCall  toil = iota // of KMS, for a slot that has the key's name
	guessCall              // of KMS, for a slot of another name, which may be the same key's
	stretching             // Argon2id
)

// Effort opens records and bounds what is spent in vain on all of them together, whoever made them. What opens costs nothing of it. It is
// safe for concurrent use; the zero value is ready.
type Effort struct {
	mu         sync.Mutex
	vain       map[bool]map[toil]int // by whether the record was expected
	known      map[VolumeID]knownKey
	silent     map[string]error // KMS keys that gave no answer, by id
	unresolved map[string]bool  // KMS keys of which it was asked in vain what their alias stands for, by id
	position   int              // of the slot that the recovery code opened last, among those of its kind
}

// knownKey is a volume key that came out of a slot.
type knownKey struct {
	key     *VolumeKey
	slots   map[Place]Slot // that gave it last, by the place to which each is bound
	by      string         // id of the master key that opened it
	genuine bool           // a holder of the key made the record
}

// Retry lets KMS be asked again where it gave no answer.
func (e *Effort) Retry() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.silent = nil
}

// may reports whether something may be tried.
func (e *Effort) may(t toil, expected bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	most := maxVain
	switch {
	case expected && t == stretching:
		most = maxExpectedCode
	case expected:
		most = maxExpected
	}
	return e.vain[expected][t] < most
}

// spend counts what was tried in vain.
func (e *Effort) spend(t toil, expected bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.vain == nil {
		e.vain = map[bool]map[toil]int{false: {}, true: {}}
	}
	e.vain[expected][t]++
}

// without opens a record without any key, where a slot gave its volume key before: by the same slot, if that is bound to the same place and a holder
// of the key made the record. Holders can copy a slot into a record that they make for another place, and only the master key tells that. A
// record of the same key that no holder made is ErrForged. Both nil: it is not known.
func (e *Effort) without(r *Record) (*VolumeKey, error) {
	e.mu.Lock()
	old, ok := e.known[r.ID]
	e.mu.Unlock()
	switch {
	case !ok:
		return nil, nil
	case r.MadeBy(old.key):
		i := slices.IndexFunc(r.Slots, func(s Slot) bool { return s.same(old.slots[s.facts(r.Volume()).Place]) })
		if i < 0 {
			return nil, nil
		}
		r.opened, r.with = r.Slots[i], old.by
		return old.key, nil
	case old.genuine || old.key.public.Same(r.Volume()):
		return nil, fmt.Errorf("open volume %s: %w", r.ID, ErrForged)
	}
	return nil, nil
}

// unlock makes the volume key of the secret from a slot, which it wipes, and checks the record against it. It remembers the key for further
// revisions of the record: anybody could plant any number of them with the same slot.
func (e *Effort) unlock(r *Record, secret []byte, from Slot, by string) (*VolumeKey, error) {
	defer clear(secret)
	v, err := newVolumeKey(r.ID, r.Epoch, r.Authentic, secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if subtle.ConstantTimeCompare(v.public.HPKE, r.Public) != 1 {
		return nil, ErrForged
	}
	genuine := r.authentic(v, r.encode())
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil {
		e.known = make(map[VolumeID]knownKey)
	}
	if old := e.known[r.ID]; genuine || !old.genuine {
		slots := map[Place]Slot{}
		if old.genuine {
			slots = maps.Clone(old.slots)
		}
		slots[from.facts(r.Volume()).Place] = from
		e.known[r.ID] = knownKey{v, slots, by, genuine}
	}
	if !genuine {
		return nil, ErrForged
	}
	r.opened, r.with = from, by
	return v, nil
}

// failures are why a record did not open.
type failures struct {
	failed []error
	vain   []error // of slots that may not have been meant for us
	left   int     // slots that were not tried
}

// Open unwraps the volume key with a key of the ring and checks that the record was made by a holder of it. When the ring's key has a
// slot and it is right, that costs one RSA operation or one KMS call, and nothing if it opened another revision of the record before. expected
// says that this machine knows the volume key by its id, so that more may be tried. The errors are ErrForged, ErrNoSlot (beside
// ErrKMSDenied or ErrUnwrap when slots of other KMS keys were tried in vain), ErrEffort, ErrPublicOnly, and those of KMS as they are,
// which say nothing about the record; where several keys failed, their errors are joined.
func (e *Effort) Open(ctx context.Context, r *Record, ring *Keyring, expected bool) (*VolumeKey, error) {
	if v, err := e.without(r); v != nil || err != nil {
		return v, err
	}
	var f failures
	for _, t := range e.tries(ctx, r, ring, expected) {
		switch v, err := e.attempt(ctx, r, t, expected); {
		case errors.Is(err, errSilent):
		case errors.Is(err, ErrEffort):
			f.left++
		case err == nil:
			return v, nil
		default:
			f.add(t, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("open volume %s: %w", r.ID, f.err())
}

// errSilent: KMS gave no answer to an earlier slot.
var errSilent = errors.New("KMS gave no answer before")

// attempt tries one slot, if that is still allowed. Calls that KMS did not answer are not counted.
func (e *Effort) attempt(ctx context.Context, r *Record, t try, expected bool) (*VolumeKey, error) {
	if t.kms() {
		e.mu.Lock()
		silent := e.silent[t.key.ID()]
		e.mu.Unlock()
		switch {
		case silent != nil && t.first:
			return nil, silent
		case silent != nil:
			return nil, errSilent
		case !e.may(t.toil, expected):
			return nil, ErrEffort
		}
	}
	secret, err := t.key.(slotKey).openSlot(ctx, t.slot.facts(r.Volume()), t.slot)
	if err == nil {
		var v *VolumeKey
		if v, err = e.unlock(r, secret, t.slot, t.key.ID()); err == nil {
			return v, nil
		}
	}
	switch {
	case !t.kms():
	case errors.Is(err, ErrKMSUnreachable):
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.silent == nil {
			e.silent = make(map[string]error)
		}
		e.silent[t.key.ID()] = err
	default:
		e.spend(t.toil, expected)
	}
	return nil, err
}

// add sorts the failure of one slot.
func (f *failures) add(t try, err error) {
	text := fmt.Errorf("open slot %q with %s: %w", t.slot.Key, t.key.ID(), err)
	switch {
	case errors.Is(err, errAnotherKey), t.toil == guessCall && (errors.Is(err, ErrUnwrap) || errors.Is(err, ErrKMSDenied)):
		f.vain = append(f.vain, text)
	case errors.Is(err, ErrUnwrap): // KMS never made it for this volume at this place
		f.failed = append(f.failed, fmt.Errorf("%w: %w", ErrForged, text))
	default:
		f.failed = append(f.failed, text)
	}
}

// err is all of it.
func (f *failures) err() error {
	switch {
	case f.left > 0 && len(f.failed) == 0:
		return errors.Join(append([]error{fmt.Errorf("%w: slots that are left: %d", ErrEffort, f.left)}, f.vain...)...)
	case len(f.failed) == 0:
		return errors.Join(append([]error{ErrNoSlot}, f.vain...)...)
	}
	return errors.Join(f.failed...)
}

// OpenRecovery unwraps the volume key with a recovery code. A mistyped code and one that opens no slot are ErrRecoveryCode;
// without a recovery slot it is ErrNoSlot, for a record that no holder of the volume key made ErrForged, and ErrEffort where nothing more may be
// tried. Each slot costs Argon2id: that in the place of the one that opened last comes first, since one code has its slots in all records.
func (e *Effort) OpenRecovery(r *Record, code string, expected bool) (*VolumeKey, error) {
	raw, err := parseRecoveryCode(code)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	if v, err := e.without(r); v != nil || err != nil {
		return v, err
	}
	slots := slices.DeleteFunc(slices.Clone(r.Slots), func(s Slot) bool { return s.Type != slotRecovery })
	if len(slots) == 0 {
		return nil, fmt.Errorf("open volume %s: no recovery code was made: %w", r.ID, ErrNoSlot)
	}
	e.mu.Lock()
	first := e.position
	e.mu.Unlock()
	for n := range slots {
		at := (first + n) % len(slots)
		var v *VolumeKey
		if v, err = e.stretch(r, slots[at], raw, expected); err == nil {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.position = at
			return v, nil
		}
		if errors.Is(err, ErrEffort) || errors.Is(err, ErrForged) {
			break
		}
	}
	return nil, fmt.Errorf("open volume %s: %w", r.ID, err)
}

// stretch tries the code on one slot, if that is still allowed.
func (e *Effort) stretch(r *Record, s Slot, raw []byte, expected bool) (*VolumeKey, error) {
	if !e.may(stretching, expected) {
		return nil, fmt.Errorf("a recovery code: %w", ErrEffort)
	}
	secret, err := openRecovery(s.facts(r.Volume()), s, raw)
	if err == nil {
		var v *VolumeKey
		if v, err = e.unlock(r, secret, s, ""); err == nil {
			return v, nil
		}
	}
	e.spend(stretching, expected)
	return nil, err
}
