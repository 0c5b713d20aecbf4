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

// Failures of RetireEpoch. Test with errors.Is.
var (
	// ErrEpoch: there is no volume key of that epoch that could be retired, or restored.
	ErrEpoch = errors.New("no such epoch to retire")
	// ErrStillWritten: somebody may still write under the volume key.
	ErrStillWritten = errors.New("hosts may still write under the volume key")
)

// SettledEpoch is how old a volume key must be before those of earlier epochs are retired: mounts that were running when it was made have
// taken it up by then, with the clocks of two machines and a request under way allowed for.
const SettledEpoch = 2 * lookEvery

// Retiring are the volume keys of epochs up to a number, as far as they open and the key in use does not retire them: it may have been made
// while another one did, whose former holders could take that back some day. ErrEpoch when there are none, and when the epoch in use, or a later one,
// is meant; ErrUnbound where records are of format 1, which cannot say it; with settle ErrStillWritten when a write-only host of these keys was not
// retired, or when the key in use is younger than SettledEpoch.
func (v *Volumes) Retiring(epoch uint32, settle bool) ([]keys.VolumeID, error) {
	if err := v.ready(); err != nil {
		return nil, err
	}
	writer := v.writer()
	var list []keys.VolumeID
	for _, e := range v.opened() {
		if e.record.Epoch > epoch || slices.Contains(writer.record.Retired, e.id) {
			continue
		}
		list = append(list, e.id)
		for _, h := range e.record.Hosts {
			if h.Retired == 0 && settle && !v.retired[e.id] {
				return nil, fmt.Errorf("write-only host %s, %q, of volume key %s: %w", h.ID, h.Name, e.id, ErrStillWritten)
			}
		}
	}
	switch {
	case epoch >= writer.record.Epoch || len(list) == 0:
		return nil, fmt.Errorf("epoch %d, the one in use is %d: %w", epoch, writer.record.Epoch, ErrEpoch)
	case writer.record.Place.IsZero():
		return nil, fmt.Errorf("volume %s: %w", writer.id, ErrUnbound)
	case settle && time.Since(time.Unix(writer.record.Made, 0)) < SettledEpoch:
		return nil, fmt.Errorf("volume key %s was made less than %v ago: %w", writer.id, SettledEpoch, ErrStillWritten)
	}
	return list, nil
}

// Retire lets nothing count any more that was sealed or signed under these volume keys, which Retiring named. Nothing in the bucket may be
// needed that is: RewrapReport.Under tells. The others vouch for the key in use from then on: they may be connected through retired ones only.
func (v *Volumes) Retire(ctx context.Context, list []keys.VolumeID) error {
	_, err := v.change(ctx, v.writer().id, func(next *keys.Record, _ *keys.VolumeKey) (bool, error) {
		news, err := v.vouchFor(next)
		if err != nil {
			return false, err
		}
		for _, id := range list {
			if slices.Contains(next.Retired, id) {
				continue
			}
			if err := next.Retire(id); err != nil {
				return false, err
			}
			news = true
		}
		return news, nil
	})
	for n := 0; n < len(list) && err == nil; n++ {
		if !v.retired[list[n]] {
			err = fmt.Errorf("volume key %s never vouched for %s, which has room for no more, and is not retired by it: %w", list[n], v.writer().id, keys.ErrRecord)
		}
	}
	return err
}

// Retirement is a volume key that is retired, and which do it: their records say so.
type Retirement struct {
	ID    keys.VolumeID
	Epoch uint32
	By    []keys.VolumeID
}

// Restore takes back that the volume keys of an epoch were retired, and names those that count again and those that are retired still: others, and of
// this epoch those that a record retires which could not be changed. ErrEpoch when there are none of this epoch.
func (v *Volumes) Restore(ctx context.Context, epoch uint32) (again []keys.VolumeID, still []Retirement, err error) {
	if err := v.ready(); err != nil {
		return nil, nil, err
	}
	var list []keys.VolumeID
	for _, e := range v.opened() {
		if e.record.Epoch == epoch && v.retired[e.id] {
			list = append(list, e.id)
		}
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("epoch %d: %w", epoch, ErrEpoch)
	}
	_, err = v.changeAll(ctx, func(next *keys.Record, _ *keys.VolumeKey) (bool, error) {
		before := len(next.Retired)
		for _, id := range list {
			next.Restore(id)
		}
		return len(next.Retired) < before, nil
	})
	if err != nil {
		return nil, nil, err
	}
	again = slices.DeleteFunc(list, func(id keys.VolumeID) bool { return v.retired[id] })
	return again, v.retirements(), nil
}

// retirements lists what is retired, by epoch.
func (v *Volumes) retirements() (list []Retirement) {
	for _, e := range v.opened() {
		if !v.retired[e.id] {
			continue
		}
		r := Retirement{ID: e.id, Epoch: e.record.Epoch}
		for _, by := range v.opened() {
			if slices.Contains(by.record.Retired, e.id) {
				r.By = append(r.By, by.id)
			}
		}
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b Retirement) int { return cmp.Compare(a.Epoch, b.Epoch) })
	return list
}
