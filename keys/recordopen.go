package keys

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
)

// try is one attempt to open a record.
type try struct {
	key  MasterKey
	slot Slot
	// guessed is set when the names do not agree: KMS knows a key by its id and by aliases.
	guessed bool
}

// tries lists what to try: slots that name one of the ring's keys first, then slots of KMS for the ring's KMS keys.
func (r *Record) tries(ring *Keyring) []try {
	var named, guessed []try
	for _, k := range ring.All() {
		maker, ok := k.(slotKey)
		if !ok {
			continue
		}
		for _, s := range r.Slots {
			switch {
			case s.Type != maker.slotType():
			case s.Key == k.ID():
				named = append(named, try{k, s, false})
			case s.Type == slotKMS:
				guessed = append(guessed, try{k, s, true})
			}
		}
	}
	return append(named, guessed...)
}

// Open unwraps the volume key with a key of the ring and checks that the record was made by a holder of it. When the ring's key has a
// slot and it is right, that costs one RSA operation or one KMS call. The errors are ErrForged, ErrNoSlot (beside
// ErrKMSDenied or ErrUnwrap when slots of other KMS keys were tried in vain), ErrPublicOnly, and those of KMS as they are,
// which say nothing about the record; where several keys failed, their errors are joined.
func (r *Record) Open(ctx context.Context, ring *Keyring) (*VolumeKey, error) {
	var failed, vain []error
	public := r.Volume()
	unreachable := map[string]bool{} // by the key's id
	for _, t := range r.tries(ring) {
		if unreachable[t.key.ID()] {
			continue
		}
		secret, err := t.key.(slotKey).openSlot(ctx, t.slot.facts(public), t.slot)
		if err == nil {
			return r.unlock(secret, t.slot)
		}
		unreachable[t.key.ID()] = errors.Is(err, ErrKMSUnreachable)
		err = fmt.Errorf("open slot %q with %s: %w", t.slot.Key, t.key.ID(), err)
		switch {
		case t.guessed && (errors.Is(err, ErrUnwrap) || errors.Is(err, ErrKMSDenied)):
			vain = append(vain, err)
		case errors.Is(err, ErrUnwrap): // KMS never made it for this volume at this place
			failed = append(failed, fmt.Errorf("%w: %w", ErrForged, err))
		default:
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 0 {
		failed = append([]error{ErrNoSlot}, vain...)
	}
	return nil, fmt.Errorf("open volume %s: %w", r.ID, errors.Join(failed...))
}

// OpenRecovery unwraps the volume key with a recovery code. A mistyped code and one that opens no slot are ErrRecoveryCode;
// without a recovery slot it is ErrNoSlot, for a record that no holder of the volume key made ErrForged.
func (r *Record) OpenRecovery(code string) (*VolumeKey, error) {
	raw, err := parseRecoveryCode(code)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	public := r.Volume()
	err = fmt.Errorf("no recovery code was made: %w", ErrNoSlot)
	for _, s := range r.Slots {
		if s.Type != slotRecovery {
			continue
		}
		var secret []byte
		if secret, err = openRecovery(s.facts(public), s, raw); err == nil {
			return r.unlock(secret, s)
		}
	}
	return nil, fmt.Errorf("open volume %s: %w", r.ID, err)
}

// unlock makes the volume key of the secret unwrapped from a slot, which it wipes, and checks the record against it.
func (r *Record) unlock(secret []byte, from Slot) (*VolumeKey, error) {
	defer clear(secret)
	v, err := newVolumeKey(r.ID, r.Epoch, r.Authentic, secret)
	if err != nil {
		return nil, fmt.Errorf("open volume %s: %w: %w", r.ID, ErrForged, err)
	}
	if subtle.ConstantTimeCompare(v.public.HPKE, r.Public) != 1 || !r.authentic(v, r.encode()) {
		return nil, fmt.Errorf("open volume %s: %w", r.ID, ErrForged)
	}
	r.opened = from
	return v, nil
}

// MadeBy reports whether a holder of a volume key that is open made this record of it.
func (r *Record) MadeBy(v *VolumeKey) bool {
	return r.belongs(v) == nil && r.authentic(v, r.encode())
}
