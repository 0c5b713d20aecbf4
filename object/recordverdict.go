package object

import (
	"errors"
	"maps"
	"time"

	"github.com/ossencfs/ossencfs/keys"
)

// verdict is what became of one object among the records that does not open. Running mounts look again and again: what somebody put there
// in thousands is read once.
type verdict struct {
	etag   string
	record *keys.Record // nil: it is not authentic, belongs elsewhere, counts for nothing, or is one of too many
	err    error
	by     string // with ErrUnvouched: the volume keys that could have vouched for it
	told   bool   // with ErrUnvouched: it was reported
	when   time.Time
}

// stale reports whether it may be another one by now: what KMS denies it may permit later. What is wrong with the record itself stays so.
func (n verdict) stale() bool {
	return errors.Is(n.err, keys.ErrKMSDenied) && time.Since(n.when) >= lookEvery
}

// maxVerdicts is from how many on they hold no record: more keys than a volume has.
const maxVerdicts = 256

// verdict finds what became of an object before.
func (v *volume) verdict(key string) (verdict, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	found, ok := v.verdicts[key]
	return found, ok
}

// note remembers what became of an object.
func (v *volume) note(key string, n verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n.when = time.Now()
	if v.verdicts == nil {
		v.verdicts = make(map[string]verdict)
	}
	if len(v.verdicts) >= maxVerdicts {
		n.record = nil
	}
	v.verdicts[key] = n
}

// keepVerdicts forgets what became of objects that are gone.
func (v *volume) keepVerdicts(list map[string]listedRecord) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.DeleteFunc(v.verdicts, func(key string, _ verdict) bool { _, there := list[key]; return !there })
}

// effort is what may be spent in vain on records, which is renewed as often as they are read of our own accord.
func (v *volume) effort(now time.Time) *keys.Effort {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.spent == nil || now.Sub(v.spentSince) >= lookEvery {
		v.spent, v.spentSince = new(keys.Effort), now
	}
	return v.spent
}
