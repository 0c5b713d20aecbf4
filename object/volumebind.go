package object

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ossencfs/ossencfs/keys"
)

// binding is a record made anew for the place where it is.
type binding struct {
	record  *keys.Record
	dropped []SlotInfo // that were bound to another place, and whose keys were not given
	kept    []SlotInfo // that are not bound, and whose keys were not given: they open, on machines that know the volume
	news    bool       // it says more than the record before
}

// refuse tells who could not open the volume any more; force lets that happen.
func (n *binding) refuse(r *keys.Record, force bool) error {
	if len(n.dropped) == 0 || force {
		return nil
	}
	return fmt.Errorf("volume %s, epoch %d: slots that were made for another place and cannot be made anew with what is given: %s: %w",
		r.ID, r.Epoch, slotNames(n.dropped), ErrLockout)
}

// slotNames lists slots.
func slotNames(list []SlotInfo) (names []string) {
	for _, s := range list {
		names = append(names, s.Key)
	}
	return names
}

// bind makes a record anew for this place: slots whose keys were given are bound to it, those of format 1 are kept, and the other keys of the
// volume vouch for it.
func (v *Volumes) bind(ctx context.Context, old *keys.Record, k *keys.VolumeKey) (*binding, error) {
	here := v.b.here(v.root)
	same := old.Place.Is(here)
	if same {
		here = old.Place
	}
	r := keys.NewRecord(k, here)
	r.Revision, r.Hosts, r.Made, r.Retired = old.Revision, old.Hosts, old.Made, old.Retired
	n := &binding{record: r, news: !same}
	if same {
		r.Endorsements = slices.Clone(old.Endorsements)
	}
	coded := sync.OnceValue(func() string { return v.codedSlot(old) })
	for _, s := range old.Slots {
		if same && !s.Unbound {
			r.Slots = append(r.Slots, s)
			continue
		}
		made, err := v.remake(ctx, r, k, s, coded)
		switch {
		case err != nil:
			return nil, err
		case made:
			n.news = true
		case s.Unbound, old.Place.IsZero():
			n.kept = append(n.kept, SlotInfo{Type: s.Type, Key: s.Key})
			if err := r.KeepSlot(s); err != nil {
				return nil, err
			}
		default:
			n.dropped = append(n.dropped, SlotInfo{Type: s.Type, Key: s.Key})
		}
	}
	more, err := v.vouchFor(r)
	n.news = n.news || more
	return n, err
}

// codedSlot names the slot that the recovery code opens; empty: none.
func (v *Volumes) codedSlot(r *keys.Record) string {
	if v.code == "" {
		return ""
	}
	probe := r.Next()
	probe.Revision = r.Revision
	if _, err := probe.OpenRecovery(v.code); err != nil {
		return ""
	}
	return probe.OpenedBy()
}

// remake makes the slot of a key that was given anew, and reports whether it was.
func (v *Volumes) remake(ctx context.Context, r *keys.Record, k *keys.VolumeKey, s keys.Slot, coded func() string) (bool, error) {
	if s.Type == "recovery" {
		if s.Key != coded() {
			return false, nil
		}
		return true, r.AddRecoveryCode(k, v.code)
	}
	key := v.ringKey(s.Key)
	if key == nil || !key.CanUnwrap() {
		return false, nil
	}
	return true, r.AddSlot(ctx, k, key)
}

// Bound is what Bind did.
type Bound struct {
	Keys []string   // ids of the volume keys whose records were made anew
	Kept []SlotInfo // slots that are not bound, because their keys were not given
}

// Bind makes the records those of the bucket and directory in which they are: records of format 1, which belong to no place in particular,
// and with OpenVolumesFrom those that were made for another place. Slots of format 1 whose keys are not given go on opening the volume on
// machines that know it; those that were bound to another place cannot be kept, which is refused with ErrLockout unless force is set. What
// is bound already stays as it is.
func (v *Volumes) Bind(ctx context.Context, force bool) (Bound, error) {
	if err := v.ready(); err != nil {
		return Bound{}, err
	}
	var out Bound
	for _, e := range v.opened() { // all or nothing, as far as that can be known beforehand
		if e.record.Place.IsZero() || e.record.Place.Is(v.b.here(v.root)) {
			continue // drops nothing
		}
		n, err := v.bind(ctx, e.record, e.secret)
		if err == nil {
			err = n.refuse(e.record, force)
		}
		if err != nil {
			return Bound{}, err
		}
	}
	for _, e := range v.opened() {
		var kept []SlotInfo
		changed, err := v.change(ctx, e.id, func(next *keys.Record, k *keys.VolumeKey) (bool, error) {
			now := v.find(e.id).record // next has another revision than its MAC says, so that no code opens it
			n, err := v.bind(ctx, now, k)
			if err == nil {
				err = n.refuse(now, force)
			}
			if err != nil {
				return false, err
			}
			n.record.Revision = next.Revision
			*next, kept = *n.record, n.kept
			return n.news, nil
		})
		if err != nil {
			return out, err
		}
		if changed {
			out.Keys = append(out.Keys, e.id.String())
		}
		for _, s := range kept {
			if !slices.Contains(out.Kept, s) {
				out.Kept = append(out.Kept, s)
			}
		}
	}
	return out, nil
}
