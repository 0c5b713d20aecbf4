package keys

import (
	"context"
	"errors"
	"testing"
)

// TestCopiedSlot: a holder of a volume key copies a slot into a record that he makes for another place. That it opened another record before is no
// proof that it is bound there.
func TestCopiedSlot(t *testing.T) {
	ctx := context.Background()
	elsewhere := here
	elsewhere.Bucket = "another"
	for name, at := range map[string]Place{"of another bucket": elsewhere, "of format 1": {}} {
		mine, v := loadRSA1(t), newVolume(t)
		genuine, forged := NewRecord(v, at), NewRecord(v, here)
		if err := genuine.AddSlot(ctx, v, mine); err != nil {
			t.Fatal(err)
		}
		forged.Slots, forged.Revision = genuine.Slots, 2
		genuine, forged = mustParse(t, mustMarshal(t, genuine, v)), mustParse(t, mustMarshal(t, forged, v))
		e, ring := new(Effort), NewKeyring(mine)
		for _, r := range []*Record{genuine, genuine} {
			if _, err := e.Open(ctx, r, ring, false); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if mine.ops.Load() != 1 {
			t.Errorf("%s: %d operations of the key for one slot", name, mine.ops.Load())
		}
		if _, err := e.Open(ctx, forged, ring, false); !errors.Is(err, ErrForged) || forged.Bound() {
			t.Errorf("%s: bound is %v, %v, want ErrForged", name, forged.Bound(), err)
		}
		if _, err := e.Open(ctx, genuine, ring, false); err != nil {
			t.Errorf("%s, after a forged one: %v", name, err)
		}
	}
}
