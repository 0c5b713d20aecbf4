package object

import (
	"maps"

	"github.com/ossencfs/ossencfs/keys"
)

// verdict is what became of one object among the records that does not open. Running mounts look again and again: what somebody put there
// in thousands is read once.
type verdict struct {
	etag   string
	record *keys.Record // nil: it is not authentic, belongs elsewhere, counts for nothing, or is one of too many
	err    error
	by     string // with ErrUnvouched: the volume keys that could have vouched for it
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
	if v.verdicts == nil {
		v.verdicts = make(map[string]verdict)
	}
	if len(v.verdicts) >= maxVerdicts {
		n.record = nil
	}
	v.verdicts[key] = n
}

// keepVerdicts forgets what became of objects that are gone.
func (v *volume) keepVerdicts(list map[string]string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.DeleteFunc(v.verdicts, func(key string, _ verdict) bool { _, there := list[key]; return !there })
}
