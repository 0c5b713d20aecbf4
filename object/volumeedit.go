package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// maxConflicts is how often a change is made again because other hosts changed the same record.
const maxConflicts = 20

// ready refuses changes where the records are not those that this machine knows, or none opens.
func (v *Volumes) ready() error {
	if len(v.entries) == 0 && v.problem() == nil {
		return fmt.Errorf("volume record at or above %q: %w", v.b.prefix, ErrNoVolume)
	}
	if err := v.Problem(); err != nil {
		return err
	}
	if v.writer() == nil {
		return v.entries[0].whyNot()
	}
	for _, e := range v.entries {
		if e.passing() && !v.retired[e.id] && v.tied(e) {
			return e.whyNot()
		}
	}
	return nil
}

// tied reports whether a volume key that does not open is known, or an open one vouches for it or was endorsed by it.
func (s *records) tied(e *volumeEntry) bool {
	return s.known(e.id) || slices.ContainsFunc(s.opened(), func(by *volumeEntry) bool { return by.names(e.id) || e.record.EndorsedBy(by.secret) })
}

// edit is a change of the next revision of a record. It reports whether there was something to change, and there is not where it was
// made before.
type edit func(next *keys.Record, k *keys.VolumeKey) (bool, error)

// change makes a change and stores the new revision, unless it turns out that there is nothing to change. When another host was
// faster, it is made again on what that host wrote.
func (v *Volumes) change(ctx context.Context, id keys.VolumeID, do edit) (changed bool, err error) {
	tried := false
	for range maxConflicts {
		e := v.find(id)
		if e == nil || e.secret == nil {
			return false, fmt.Errorf("volume %s: %w", id, ErrRecordMissing)
		}
		next := e.record.Next()
		for slices.Contains(e.revisions, recordKey(v.root, next)) { // it would be the newest if it were authentic
			next.Revision++
		}
		if news, err := do(next, e.secret); err != nil || !news {
			return tried && err == nil, err // another host may have built on our revision
		}
		err := v.store(ctx, e, next)
		tried = true
		if !errors.Is(err, oss.ErrExists) {
			return err == nil, err
		}
		if err := v.reload(ctx); err != nil {
			return false, err
		}
		if err := v.ready(); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("volume %s: other hosts change its record all the time: %w", id, oss.ErrExists)
}

// store writes a new revision of a volume key's record, remembers it, and removes the older ones. oss.ErrExists says that another
// host was faster.
func (v *Volumes) store(ctx context.Context, e *volumeEntry, next *keys.Record) error {
	secret, key := e.secret, recordKey(v.root, next)
	if slices.Contains(e.revisions, key) { // a versioned bucket would take it
		return fmt.Errorf("volume record %s, revision %d: %w", next.ID, next.Revision, oss.ErrExists)
	}
	err := v.b.storeRecord(ctx, v.root, next, secret)
	if errors.Is(err, oss.ErrNotFound) { // somebody built on it at once, and removed it
		err = fmt.Errorf("%w: %w", oss.ErrExists, err)
	}
	if err != nil {
		return err
	}
	// Another host may have written this revision before, and a newer one since, and removed the older: then its place was free.
	if err := v.reload(ctx); err != nil {
		return err
	}
	switch e = v.find(next.ID); {
	case e == nil || e.record == nil || e.record.Revision < next.Revision:
		return fmt.Errorf("volume record %q is not there after it was written: %w", key, ErrRecordMissing)
	case e.record.Revision > next.Revision && e.secret == nil:
		return e.whyNot()
	case e.record.Revision > next.Revision:
		return fmt.Errorf("volume record %s: revision %d is there: %w", next.ID, e.record.Revision, oss.ErrExists)
	}
	e.record, e.secret, e.failed = next, secret, nil // it may be our own slot that was removed
	if err := v.note(next); err != nil {
		return err
	}
	for _, old := range slices.Backward(e.revisions) { // the oldest first: who reads at this moment is to find none of them rather than an older one
		if old >= key {
			continue
		}
		if err := v.b.repeat(ctx, func() error { return ignoreMissing(v.b.oss.Delete(ctx, old)) }); err != nil {
			return fmt.Errorf("the new record is stored, and an older one stays: %w", err)
		}
	}
	e.revisions = slices.DeleteFunc(e.revisions, func(old string) bool { return old < key })
	return nil
}

// note remembers a record where others of this volume are.
func (v *Volumes) note(r *keys.Record) error {
	if v.b.opt.PinFile == "" {
		return nil
	}
	if news := v.pinned.note(v.root, r); !v.pin() && !news {
		return nil
	}
	return v.pinned.save(v.b.opt.PinFile)
}

// changeAll makes a change on all records that open, and tells how many it changed. Records of retired keys are changed as far as that goes:
// their former holders can see to it that it does not.
func (v *Volumes) changeAll(ctx context.Context, do edit) (n int, err error) {
	for _, e := range v.opened() {
		changed, err := v.change(ctx, e.id, do)
		if err != nil && v.retired[e.id] && ctx.Err() == nil {
			v.b.notice(NoticeRecord, strings.TrimPrefix(e.revisions[0], v.b.prefix), fmt.Errorf("volume key %s, which is retired, stays as it is: %w", e.id, err))
			continue
		}
		if err != nil {
			return n, err
		}
		if changed {
			n++
		}
	}
	return n, nil
}

// AddSlot lets a master key open all volume keys that open now, and tells how many records had no slot for it.
func (v *Volumes) AddSlot(ctx context.Context, key keys.MasterKey) (n int, err error) {
	if err := v.ready(); err != nil {
		return 0, err
	}
	return v.changeAll(ctx, func(next *keys.Record, k *keys.VolumeKey) (bool, error) {
		return !hasSlot(next, key.ID()), next.AddSlot(ctx, k, key)
	})
}

// AddRecovery makes a code that opens all volume keys that open now. It is to be shown once and kept nowhere.
func (v *Volumes) AddRecovery(ctx context.Context) (code string, err error) {
	if err := v.ready(); err != nil {
		return "", err
	}
	if code, err = keys.NewRecoveryCode(); err != nil {
		return "", err
	}
	added := make(map[string]bool)
	_, err = v.changeAll(ctx, func(next *keys.Record, k *keys.VolumeKey) (bool, error) {
		if slices.ContainsFunc(next.Slots, func(s keys.Slot) bool { return added[s.Key] }) {
			return false, nil
		}
		err := next.AddRecoveryCode(k, code)
		if err == nil {
			added[next.Slots[len(next.Slots)-1].Key] = true
		}
		return true, err
	})
	if err != nil {
		return "", err
	}
	return code, nil
}

// RemoveSlot takes a slot out of all records, and tells how many had it. It is refused with keys.ErrLastSlot where no other
// slot remains, with ErrLockout where only recovery codes do, unless force is set, and with ErrWrongKey where a record has it that does
// not open. keys.ErrNoSlot says that no record has it.
func (v *Volumes) RemoveSlot(ctx context.Context, keyID string, force bool) (n int, err error) {
	if err := v.ready(); err != nil {
		return 0, err
	}
	do := func(next *keys.Record, _ *keys.VolumeKey) (bool, error) {
		if !hasSlot(next, keyID) {
			return false, nil
		}
		if err := next.RemoveSlot(keyID); err != nil {
			return false, fmt.Errorf("volume %s, epoch %d: %w", next.ID, next.Epoch, err)
		}
		if !force && !slices.ContainsFunc(next.Slots, func(s keys.Slot) bool { return s.Type != "recovery" }) {
			return false, fmt.Errorf("volume %s, epoch %d: only the recovery code would open it: %w", next.ID, next.Epoch, ErrLockout)
		}
		return true, nil
	}
	// All or nothing, as far as that can be known beforehand.
	there := false
	for _, e := range v.entries {
		switch has := e.record != nil && hasSlot(e.record, keyID); {
		case has && e.secret == nil && (v.retired[e.id] || !v.tied(e)):
		case has && e.secret == nil:
			return 0, e.whyNot()
		case has && v.retired[e.id]:
			there = true
		case has:
			there = true
			if _, err := do(e.record.Next(), e.secret); err != nil {
				return 0, err
			}
		}
	}
	if !there {
		return 0, fmt.Errorf("%s: %w", keyID, keys.ErrNoSlot)
	}
	return v.changeAll(ctx, do)
}

func hasSlot(r *keys.Record, keyID string) bool {
	return slices.ContainsFunc(r.Slots, func(s keys.Slot) bool { return s.Key == keyID })
}

// AddHost lets a host write that cannot read, and returns what it needs for that. master is the key under whose public half it wraps
// content keys for the SDKs.
func (v *Volumes) AddHost(ctx context.Context, key *keys.HostKey, master *keys.RSA) (*keys.Bundle, error) {
	if err := v.ready(); err != nil {
		return nil, err
	}
	writer := v.writer()
	_, err := v.change(ctx, writer.id, func(next *keys.Record, _ *keys.VolumeKey) (bool, error) {
		if _, there := next.Host(key.Host().ID); there {
			return false, nil
		}
		return true, next.AddHost(key.Host())
	})
	if err != nil {
		return nil, err
	}
	e := v.find(writer.id)
	return keys.NewBundle(e.record.Volume(), e.record.Revision, master, key)
}

// RetireHost takes away a host's right to go on writing, in all records that open, and tells how many had it. What it wrote stays
// readable, and what somebody signs with its key later, too: ForgetHost is for a key that was stolen. keys.ErrNoHost when no record has it.
func (v *Volumes) RetireHost(ctx context.Context, id keys.HostID) (n int, err error) {
	now := time.Now()
	return v.endHost(ctx, id, func(next *keys.Record, h keys.Host) (bool, error) { return h.Retired == 0, next.RetireHost(id, now) })
}

// ForgetHost takes a host out of all records that open, and tells how many had it. What it wrote is not authentic any more.
// keys.ErrNoHost when no record has it.
func (v *Volumes) ForgetHost(ctx context.Context, id keys.HostID) (n int, err error) {
	return v.endHost(ctx, id, func(next *keys.Record, _ keys.Host) (bool, error) { return true, next.RemoveHost(id) })
}

// endHost makes a change where a record has the host.
func (v *Volumes) endHost(ctx context.Context, id keys.HostID, do func(next *keys.Record, h keys.Host) (bool, error)) (n int, err error) {
	if err := v.ready(); err != nil {
		return 0, err
	}
	there := false
	n, err = v.changeAll(ctx, func(next *keys.Record, _ *keys.VolumeKey) (bool, error) {
		h, ok := next.Host(id)
		if !ok {
			return false, nil
		}
		there = true
		return do(next, h)
	})
	if !there && err == nil {
		err = fmt.Errorf("host %s: %w", id, keys.ErrNoHost)
	}
	return n, err
}
