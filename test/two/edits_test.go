package two

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
)

// edits is how many edits each kind of bucket gets: OSSENCFS_TWO_EDITS=10000 is the long form.
func edits(t *testing.T) int {
	t.Helper()
	text := os.Getenv("OSSENCFS_TWO_EDITS")
	if text == "" {
		return 160
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// alternate makes edits of the same and of different files through both mounts: at the same moment, one after the other without a look
// in between, and in turns.
func (w *world) alternate(n int, together func(edit func())) {
	w.t.Helper()
	for round := 0; len(w.versions) < n; round++ {
		dir := w.block(round / 24)
		same := fmt.Sprintf("%s/same-%d", dir, round%3)
		switch round % 4 {
		case 0:
			together(func() { w.both(func(host int) { w.edit(host, same) }) })
		case 1:
			w.both(func(host int) { w.edit(host, fmt.Sprintf("%s/own-%s-%d", dir, hostNames[host], round%5)) })
			w.sync()
		case 2:
			for host := range w.hosts {
				w.edit(host, same)
				w.hosts[host].Sync()
			}
		case 3:
			for host := range w.hosts {
				w.edit((host+round)%2, same)
			}
			w.sync()
		}
	}
}

// TestTwoWriters is acceptance 7: what becomes of edits of the same and of different files through two mounts, of which some are held between
// the look and the write until both are there. Evicted: afterwards nobody has his version any more, so that nothing can bring it back.
func TestTwoWriters(t *testing.T) {
	var table strings.Builder
	for _, c := range []struct {
		name               string
		versioned, evicted bool
		mayLose            bool
		cache              cache.Options
	}{
		{name: "versioned", versioned: true},
		{name: "versioned, evicted", versioned: true, evicted: true},
		{name: "unversioned"},
		{name: "unversioned, evicted", evicted: true, mayLose: true},
		{name: "unversioned, evicted", evicted: true, cache: cache.Options{Locks: true}},
	} {
		locks := map[bool]string{true: "objects", false: "none"}[c.cache.Locks]
		t.Run(c.name+", locks "+locks, func(t *testing.T) {
			o := options(c.cache)
			o.Emulator = func(e *emulator.Options) { e.Versioning = c.versioned }
			w := newWorld(t, o)
			w.alternate(edits(t), func(edit func()) { w.collide(edit, c.evicted) })
			got := w.settle()
			fmt.Fprintf(&table, "%-24s %-8s %6d %6d %6d %6d %9d\n", c.name, locks, got.edits, got.copies, got.conflicts, got.lost, got.reported)
			t.Logf("requests: %v", got.requests)
			if int64(got.lost) != got.reported {
				t.Errorf("got %d lost and %d reported", got.lost, got.reported)
			}
			if (got.lost > 0) != c.mayLose {
				t.Errorf("got %d lost, want some: %v", got.lost, c.mayLose)
			}
		})
	}
	t.Logf("\n%-24s %-8s %6s %6s %6s %6s %9s\n%s", "bucket", "locks", "edits", "copies", "found", "lost", "reported", table.String())
}
