package index

import (
	"regexp"
	"testing"
)

// TestID: each index has an id of its own, which stays when it is opened again; one of a version before, which had none, draws one.
func TestID(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	id := d.ID()
	if !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(id) {
		t.Errorf("got the id %q", id)
	}
	if other := openTest(t, t.TempDir()).ID(); other == id {
		t.Errorf("two indexes have the id %q", id)
	}
	reopen := func() {
		t.Helper()
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = openTest(t, dir)
	}
	if reopen(); d.ID() != id {
		t.Errorf("opened again: %q, want %q", d.ID(), id)
	}
	mustUpdate(t, d, func(tx *Tx) error { return tx.remove(nameKey(tableMeta, idMeta)) })
	reopen()
	drawn := d.ID()
	if reopen(); len(drawn) != 32 || drawn == id || d.ID() != drawn {
		t.Errorf("an index without an id drew %q, and has %q when it is opened again", drawn, d.ID())
	}
}
