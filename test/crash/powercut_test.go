package crash

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/loopdisk"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// flush is what the kernel has written back by itself when the power goes: it may do so in any order.
type flush struct {
	what    string
	pattern []string // files of the cache folder that are on the disk in full
}

var flushes = []flush{
	{what: "nothing more"},
	{what: "the log of the index", pattern: []string{"index/db/*.log"}},
	{what: "the bytes", pattern: []string{"body/segments/*", "body/files/*/*"}},
	{what: "the segments", pattern: []string{"body/segments/*"}},
	{what: "all", pattern: []string{"index/db/*", "body/segments/*", "body/files/*/*"}},
}

// TestPowerCutRounds cuts the power of the disk that the cache lies on, in the middle of a mixed load, round after round. After each cut
// the file system is sound, the mount starts, what was fsynced is there, and everything else is as it was at some moment since. Now and
// then and at the end the bucket holds what the mount shows. OSSENCFS_POWER_ROUNDS sets the number of cuts, OSSENCFS_CRASH_SEED repeats
// a run.
func TestPowerCutRounds(t *testing.T) {
	rounds := int(setting(t, "OSSENCFS_POWER_ROUNDS", 5))
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 1))
	w := procenv.New(t)
	disk := loopdisk.New(t, w.Base, 256)
	w.Cache = filepath.Join(disk.Dir(), "cache")
	w.Extra = crashOptions
	d := w.Mount(t)
	l := newLoad(t, w.Dir, 4)
	l.history = true
	w.Run(t, "sync", w.Dir)
	d.Unmount(t)
	counts := map[string]int{}
	for round := range rounds {
		how := flushes[random.IntN(len(flushes))]
		calls := 1 + random.Int64N(mostCalls)
		name := fmt.Sprintf("cut %d, after %d calls, with %s on the disk", round, calls, how.what)
		d := w.Start(t, bootOf(round))
		if !d.Ready(t) {
			t.Fatalf("%s: the mount ended: %v\n%s", name, d.Wait(), complaints(t, w))
		}
		cutRound(t, w, d, l, disk, how, calls, seed, round)
		d.Kill(t)
		disk.Restore()
		counts[how.what]++
		d = w.Start(t, bootOf(round+1))
		if !d.Ready(t) {
			t.Fatalf("%s: the mount did not start: %v\n%s", name, d.Wait(), complaints(t, w))
		}
		l.settleCut(t, name)
		if round%25 == 24 || round == rounds-1 {
			w.Run(t, "sync", w.Dir)
			d.Unmount(t)
			checkBucket(t, w, l, name)
		} else {
			d.Kill(t)
		}
		if t.Failed() {
			t.Fatalf("the log of the daemons:\n%s", complaints(t, w))
		}
	}
	for what, n := range counts {
		t.Logf("%4d cuts with %s on the disk", n, what)
	}
	t.Logf("%d cuts with seed %d", rounds, seed)
}

// bootOf lets the program see another boot of the machine after each cut.
func bootOf(round int) []string { return []string{fmt.Sprintf("OSSENCFS_TEST_BOOT=boot %d", round)} }

// cutRound runs the load and cuts the power after so many calls. The workers end when their calls fail. The daemon does nothing after the
// cut: an fdatasync that is under way returns nil, and no request may follow from that.
func cutRound(t *testing.T, w *procenv.World, d *procenv.Daemon, l *load, disk *loopdisk.Disk, how flush, calls int64, seed uint64, round int) {
	t.Helper()
	var once sync.Once
	l.after = func(n int64) {
		if n < calls {
			return
		}
		once.Do(func() {
			defer d.Strike() // ends the calls under way
			if err := errors.Join(d.Freeze(), writeBack(w.Cache, how.pattern)); err != nil {
				t.Error(err)
			}
			l.dark.Store(true)
			if err := disk.Cut(); err != nil {
				t.Error(err)
			}
		})
	}
	if err := l.run(seed, round, make(chan struct{})); err == nil {
		t.Error("the load went on without a disk")
	}
}

// writeBack makes files durable, as the kernel's own write-back may.
func writeBack(cache string, patterns []string) error {
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join(cache, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return err
			}
			err = unix.Fsync(int(f.Fd()))
			f.Close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// settleCut compares each directory with what a power cut may leave.
func (l *load) settleCut(t *testing.T, when string) {
	t.Helper()
	for _, w := range l.workers {
		got, err := read(w.dir)
		if err != nil {
			t.Errorf("%s: %v", when, err)
			continue
		}
		if complaint := w.allowed(got); complaint != "" {
			t.Errorf("%s: %s: %s", when, filepath.Base(w.dir), complaint)
		}
		w.reset(got)
	}
}

// allowed reports why a directory is not as a power cut may leave it: its names and attributes are those of one moment since the last
// barrier, and each content is one that the file had since its own fsync.
func (w *worker) allowed(got *state) string {
	past := w.past
	if w.pending != nil {
		past = append(past, *w.pending)
	}
	barrier, content := 0, map[int]int{}
	for n, m := range w.past {
		if m.safe {
			barrier = n
		}
		if m.file != 0 {
			content[m.file] = n
		}
	}
	var best []string
	for n := len(past) - 1; n >= barrier; n-- {
		wrong := compare(got, past, n, content)
		if len(wrong) == 0 {
			return ""
		}
		if best == nil || len(wrong) < len(best) {
			best = append([]string{fmt.Sprintf("nearest is after %q, %d calls before the end and %d after the barrier", past[n].what, len(past)-1-n, n-barrier)}, wrong...)
		}
	}
	return strings.Join(best, "\n\t")
}

// compare lists where a directory differs from the n-th moment.
func compare(got *state, past []moment, n int, content map[int]int) (wrong []string) {
	want := past[n].state
	names := maps.Clone(got.names)
	maps.Copy(names, want.names)
	for name := range names {
		g, s := got.at(name), want.at(name)
		if g == nil || s == nil || g.kind != unix.S_IFREG {
			if !sameNode(g, s) {
				wrong = append(wrong, fmt.Sprintf("%s: got %v, want %v", name, g, s))
			}
			continue
		}
		same := *s
		same.data = g.data
		if !sameNode(g, &same) {
			wrong = append(wrong, fmt.Sprintf("%s: got %v, want %v", name, g, s))
			continue
		}
		if id := want.names[name]; !hadContent(past, id, content[id], g.data) {
			wrong = append(wrong, fmt.Sprintf("%s: got %v, which it never was since its fsync %d calls ago; now %v", name, g, len(past)-1-content[id], s))
		}
	}
	return wrong
}

// hadContent reports whether a node had a content since a moment, in the middle of a call that the kernel cuts included.
func hadContent(past []moment, id, since int, data []byte) bool {
	had := func(s *state) bool {
		n := s.nodes[id]
		return n != nil && bytes.Equal(n.data, data)
	}
	for n := since; n < len(past); n++ {
		if had(past[n].state) || n > since && past[n].part != nil && slices.ContainsFunc(past[n].between(past[n-1].state), had) {
			return true
		}
	}
	return false
}
