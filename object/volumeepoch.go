package object

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ossencfs/ossencfs/keys"
)

// EpochRequest says who opens a new volume key.
type EpochRequest struct {
	Add      []keys.MasterKey // beside those that open the one in use and were given
	Recovery bool             // make a new recovery code
	Force    bool             // leave out slots that cannot be made
}

// Epoch is a new volume key.
type Epoch struct {
	ID      string
	Number  uint32
	Code    string     // new recovery code, to be shown once and kept nowhere; empty: none was asked for
	Missing []SlotInfo // of the volume key in use, that could not be made for the new one: their owners have to add them
}

// NewEpoch makes a new volume key for new seals. Its slots are those of the volume key in use, as far as their master keys or the
// recovery code were given. When one cannot be made it is refused with ErrLockout, unless Force is set, and Missing tells which.
func (v *Volumes) NewEpoch(ctx context.Context, req EpochRequest) (Epoch, error) {
	if err := v.ready(); err != nil {
		return Epoch{}, err
	}
	last := v.writer()
	if last.record.Place.IsZero() {
		return Epoch{}, fmt.Errorf("volume %s: a new volume key could not be vouched for: %w", last.id, ErrUnbound)
	}
	authentic := slices.ContainsFunc(v.opened(), func(e *volumeEntry) bool { return e.record.Authentic })
	k, err := keys.NewVolumeKey(last.record.Epoch+1, authentic)
	if err != nil {
		return Epoch{}, err
	}
	r, out := keys.NewRecord(k, v.b.here(v.root)), Epoch{ID: k.ID().String(), Number: k.Epoch()}
	r.Made = time.Now().Unix()
	r.Retired = slices.SortedFunc(maps.Keys(v.retired), func(a, b keys.VolumeID) int { return slices.Compare(a[:], b[:]) })
	if _, err := v.vouchFor(r); err != nil {
		return Epoch{}, err
	}
	for _, key := range req.Add {
		if err := r.AddSlot(ctx, k, key); err != nil {
			return Epoch{}, err
		}
	}
	if out.Missing, err = v.copySlots(ctx, last.record, r, k, req.Recovery); err != nil {
		return Epoch{}, err
	}
	if req.Recovery {
		if out.Code, err = r.AddRecovery(k); err != nil {
			return Epoch{}, err
		}
	}
	if len(out.Missing) > 0 && !req.Force {
		return Epoch{Missing: out.Missing}, fmt.Errorf("epoch %d, slots that cannot be made with what is given: %d: %w", out.Number, len(out.Missing), ErrLockout)
	}
	if err := v.b.storeRecord(ctx, v.root, r, k); err != nil {
		return Epoch{}, fmt.Errorf("make the volume record: %w", err)
	}
	return out, v.joinEpoch(ctx, r, k)
}

// joinEpoch takes up a new volume key whose record was stored. Somebody may make another one at this moment: one of the two sees the other now, and
// lets it vouch for its own, so that they are one volume without the key before, too.
func (v *Volumes) joinEpoch(ctx context.Context, r *keys.Record, k *keys.VolumeKey) error {
	v.trusted[r.ID] = true
	if err := v.reload(ctx); err != nil {
		return err
	}
	e := v.find(r.ID)
	if e == nil {
		return fmt.Errorf("volume record %q is not there after it was written: %w", recordKey(v.root, r), ErrRecordMissing)
	}
	if e.secret == nil { // none of its slots is for what was given
		e.record, e.secret, e.failed = r, k, nil
	}
	if err := v.note(e.record); err != nil {
		return err
	}
	return v.vouch(ctx, r.ID)
}

// vouch lets the other keys of the volume vouch for one, if there are any.
func (v *Volumes) vouch(ctx context.Context, id keys.VolumeID) error {
	_, err := v.change(ctx, id, func(next *keys.Record, _ *keys.VolumeKey) (bool, error) { return v.vouchFor(next) })
	return err
}

// vouchFor adds the word of the other keys of the volume to a record, as far as there is room, and reports whether any was missing. Those of the newest
// epochs come first.
func (v *Volumes) vouchFor(next *keys.Record) (news bool, err error) {
	by := v.opened()
	slices.SortStableFunc(by, func(a, b *volumeEntry) int { return cmp.Compare(b.secret.Epoch(), a.secret.Epoch()) })
	for _, e := range by {
		if e.id == next.ID || next.EndorsedBy(e.secret) {
			continue
		}
		if len(next.Endorsements) >= keys.MaxEndorsements {
			break
		}
		if err := next.Endorse(e.secret); err != nil {
			return false, err
		}
		news = true
	}
	return news, nil
}

// copySlots makes the slots of one record in another, and tells which it could not make.
func (v *Volumes) copySlots(ctx context.Context, from, to *keys.Record, k *keys.VolumeKey, recoveryRenewed bool) (missing []SlotInfo, err error) {
	coded := recoveryRenewed
	for _, s := range from.Slots {
		if s.Type == "recovery" {
			if !coded && v.code != "" {
				if err := to.AddRecoveryCode(k, v.code); err != nil {
					return nil, err
				}
				coded = true
			}
			if !coded {
				missing = append(missing, SlotInfo{Type: s.Type, Key: s.Key})
			}
			continue
		}
		key := v.ringKey(s.Key)
		if hasSlot(to, s.Key) {
			continue
		}
		if key == nil || !key.CanUnwrap() {
			missing = append(missing, SlotInfo{Type: s.Type, Key: s.Key})
			continue
		}
		if err := to.AddSlot(ctx, k, key); err != nil {
			return nil, err
		}
	}
	return missing, nil
}
