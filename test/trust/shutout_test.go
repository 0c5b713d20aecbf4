package trust

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

// TestFormerHolderShutsOut: who holds an old volume key that is not retired can make its record anew without anybody's slot, at the last revision. That is said,
// and an exported record takes its place when that is asked for, whatever else he removed; then his key can be left and retired.
func TestFormerHolderShutsOut(t *testing.T) {
	for name, beside := range map[string]bool{"beside ours": true, "in the place of ours": false} {
		t.Run(name, func(t *testing.T) {
			e := rsaEstate(t)
			ctx := context.Background()
			o := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")}
			must(t, e.open(t, secondBucket, o).VerifyKey(ctx))
			export := got[[]byte](t)(e.volumes(t, secondBucket, o).Export())
			for _, k := range e.colleagueKeys {
				for _, key := range e.recordsOf(secondBucket, "") {
					if !strings.Contains(key, k.ID().String()) {
						continue
					}
					r := e.record(t, secondBucket, key).Next()
					r.Revision, r.Slots = 99_999_999, []keys.Slot{strangerSlot(t)}
					must(t, e.s.WriteObject(secondBucket, fmt.Sprintf("%s%s/99999999", volumeDir, k.ID()), nil, got[[]byte](t)(r.Marshal(k))))
					if !beside {
						must(t, e.s.RemoveObject(secondBucket, key))
					}
				}
			}
			if err := e.open(t, secondBucket, o).VerifyKey(ctx); !errors.Is(err, object.ErrShutOut) || !strings.Contains(err.Error(), "99999999") {
				t.Errorf("got %v, want ErrShutOut and the object", err)
			}
			if _, err := e.volumes(t, secondBucket, o).Import(ctx, export, false); !errors.Is(err, object.ErrShutOut) {
				t.Errorf("import: got %v, want ErrShutOut", err)
			}
			must(t, v2(e.volumes(t, secondBucket, o).Import(ctx, export, true)))
			b := e.open(t, secondBucket, o)
			must(t, b.VerifyKey(ctx))
			wantFile(t, b, "ours", name)
			e.retire(t, o)
		})
	}
}
