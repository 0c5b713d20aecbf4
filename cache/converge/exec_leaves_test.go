package converge

import (
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// TestLeavesAreRemoved: the leaf tags of a large file go when its object is replaced, after failures and a restart, too.
func TestLeavesAreRemoved(t *testing.T) {
	r := newRig(t, Options{Exclusive: true})
	r.create("a", "text")
	r.sync("")
	var generation index.ID
	r.update(func(tx *index.Tx) error {
		o, _, err := tx.Object("a")
		if err != nil {
			return err
		}
		generation = o.Generation
		o.Size = 200 << 20
		return tx.PutObject(o)
	})
	leaf := "leaf " + object.ID(generation).String()
	r.store.setFault(func(request string, n int) fault {
		if request == leaf && n == 1 {
			return fault{refuse: object.ErrUnavailable}
		}
		return fault{}
	})
	r.rewrite("a", "new")
	r.sync("")
	r.until("the first attempt has failed", func() bool { return r.store.attempts(leaf) == 1 })
	r.restart()
	r.until("they are gone", func() bool { return r.store.attempts(leaf) == 2 })
	r.until("they are forgotten", func() bool {
		var list []index.ID
		r.update(func(tx *index.Tx) (err error) {
			list, err = tx.UnusedLeaves(1)
			return err
		})
		return len(list) == 0
	})
}

// TestLostCopyOfRefused: what a refused object says is not believed, so a copy of one whose answer was lost is known by its bytes.
func TestLostCopyOfRefused(t *testing.T) {
	p := &index.Pend{Op: index.Copy, Upload: index.ID{1}, SrcETag: "e"}
	for name, c := range map[string]struct {
		found object.Info
		want  finding
	}{
		"executed":      {object.Info{ETag: "e", State: object.StateRefused}, foundDone},
		"other bytes":   {object.Info{ETag: "f", State: object.StateRefused}, foundOther},
		"of another":    {object.Info{ETag: "e", State: object.StateAuthentic, Upload: object.ID{2}}, foundOther},
		"ours, trusted": {object.Info{ETag: "e", State: object.StateAuthentic, Upload: object.ID{1}}, foundDone},
	} {
		if got := judge(p, &index.Object{}, false, &c.found); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
