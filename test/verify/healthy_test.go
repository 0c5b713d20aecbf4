package verify

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/ossencfs/ossencfs/object"
)

// TestHealthyBucket: a bucket with nothing wrong in it has no findings, and objects with boxes cost no operation of the master key.
// OSSENCFS_VERIFY_OBJECTS sets the number of objects: 10000 in the long form.
func TestHealthyBucket(t *testing.T) {
	n := 1000
	if text := os.Getenv("OSSENCFS_VERIFY_OBJECTS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		must(t, err)
	}
	w := newWorld(t)
	w.fill(t)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range n {
		g.Go(func() error {
			w.put(t, fmt.Sprintf("dir%d/sub/file%d", i%17, i), pattern(i%5000, byte(i)), object.Attr{})
			return nil
		})
	}
	must(t, g.Wait())
	for _, deep := range []bool{false, true} {
		before := w.master.PrivateOps()
		w.server.ResetRequests()
		r := verify(t, w.store, object.VerifyOptions{Deep: deep})
		wantFindings(t, r)
		if r.Objects < int64(n) || deep == (r.Bytes == 0) {
			t.Errorf("deep %v: %d objects, %d bytes", deep, r.Objects, r.Bytes)
		}
		if ops := w.master.PrivateOps() - before; ops > 1 { // the record's slot
			t.Errorf("deep %v: %d operations of the master key", deep, ops)
		}
		each := map[bool]string{false: "HeadObject", true: "GetObject"}[deep]
		if got := w.server.Requests()[each]; int64(got) > r.Objects+5 {
			t.Errorf("deep %v: %d times %s for %d objects", deep, got, each, r.Objects)
		}
	}
	if text := readAll(t, w.open(t, object.Options{ReadOnly: true}), "f"); len(text) != 300_000 {
		t.Errorf("f has %d bytes", len(text))
	}
}
