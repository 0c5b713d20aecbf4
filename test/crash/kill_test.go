package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ossencfs/ossencfs/cache/killpoint"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// setting reads a number from the environment.
func setting(t testing.TB, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// seedOf is the seed of a run: a new one, or that of OSSENCFS_CRASH_SEED.
func seedOf(t testing.TB) uint64 {
	t.Helper()
	seed := setting(t, "OSSENCFS_CRASH_SEED", rand.Uint64N(1<<32))
	t.Logf("seed: OSSENCFS_CRASH_SEED=%d", seed)
	return seed
}

// mostCalls is when a load ends that was not killed by then. What is not in the bucket then goes there, and meets its end on the way.
const mostCalls = 400

// killing says how one round ends.
type killing struct {
	what  string
	calls int64          // after so many calls of the load
	env   []string       // at a point of the program
	step  *emulator.Step // at a moment of a request, the n-th time
	n     int
}

// requests that a kill waits for, with how often one of them may pass.
var requests = []struct {
	operation string
	most      int
}{
	{"PutObject", 60}, {"CopyObject", 12}, {"DeleteObject", 25}, {"PutObjectTagging", 6}, {"HeadObject", 25}, {"GetObject", 6},
	{"ListObjectsV2", 2}, {"GetObjectTagging", 6}, {"InitiateMultipartUpload", 3}, {"UploadPart", 6}, {"CompleteMultipartUpload", 3},
}

// often says how many times a point may be passed; it is few where it is rare.
var often = map[killpoint.Point]int{
	killpoint.BodyWritten: 300, killpoint.BodyCommitted: 300, killpoint.IndexApplied: 1200, killpoint.IndexLogged: 1200,
	killpoint.IndexSynced: 200, killpoint.BodySealed: 60, killpoint.Planned: 60, killpoint.Intended: 60, killpoint.Answered: 60,
	killpoint.Recorded: 60, killpoint.BodyBarrier: 12, killpoint.BodyFreed: 30, killpoint.Settling: 40, killpoint.Erased: 12,
}

// choose decides how a round ends.
func choose(random *rand.Rand) killing {
	switch random.IntN(3) {
	case 0:
		n := 1 + random.Int64N(mostCalls)
		return killing{what: fmt.Sprintf("after %d calls", n), calls: n}
	case 1:
		p := killpoint.Points[random.IntN(len(killpoint.Points))]
		at := fmt.Sprintf("%s:%d", p, 1+random.IntN(max(often[p], 3)))
		return killing{what: at, calls: mostCalls, env: []string{"OSSENCFS_TEST_KILL=" + at}}
	}
	r := requests[random.IntN(len(requests))]
	k := killing{calls: mostCalls, n: 1 + random.IntN(r.most), step: &emulator.Step{Operation: r.operation, Moment: emulator.Moment(random.IntN(2))}}
	k.what = fmt.Sprintf("%s %s %d", []string{"before", "after"}[k.step.Moment], r.operation, k.n)
	return k
}

// TestKillRounds kills the daemon in the middle of a mixed load, round after round over one cache and one bucket: after given numbers
// of calls, at each point of the program's state machine, before and after the n-th request of each kind. Each time it is mounted again
// and holds every call that was acknowledged, and of the calls under way all or nothing; now and then and at the end the bucket holds
// the same, and nothing else. OSSENCFS_CRASH_ROUNDS sets the number of rounds, OSSENCFS_CRASH_SEED repeats a run.
func TestKillRounds(t *testing.T) {
	rounds := int(setting(t, "OSSENCFS_CRASH_ROUNDS", 20))
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 0))
	w := procenv.New(t)
	w.Extra = crashOptions
	d := w.Mount(t)
	l := newLoad(t, w.Dir, 4)
	d.Crash(t)
	kills := map[string]int{}
	for round := range rounds {
		k := choose(random)
		name := fmt.Sprintf("round %d, killed %s", round, k.what)
		if killRound(t, w, l, k, seed, round, name) {
			kills[k.kind()]++
		} else {
			kills["after the load, since the moment did not come"]++
		}
		d := w.Mount(t)
		l.settle(t, name)
		if round%25 != 24 && round != rounds-1 {
			d.Crash(t)
			continue
		}
		w.Run(t, "sync", w.Dir)
		d.Unmount(t)
		checkBucket(t, w, l, name)
		if t.Failed() {
			t.Fatalf("the log of the daemons:\n%s", complaints(t, w))
		}
	}
	for _, kind := range slices.Sorted(keysOf(kills)) {
		t.Logf("%4d killed %s", kills[kind], kind)
	}
	t.Logf("%d rounds with seed %d", rounds, seed)
}

// kind names a killing without its number.
func (k *killing) kind() string {
	switch {
	case k.step != nil:
		return fmt.Sprintf("%s %s", []string{"before", "after"}[k.step.Moment], k.step.Operation)
	case len(k.env) > 0:
		name, _, _ := cutLast(k.what, ':')
		return "at " + name
	}
	return "after some calls"
}

// killRound mounts, runs the load and kills. It reports whether the chosen moment came.
func killRound(t *testing.T, w *procenv.World, l *load, k killing, seed uint64, round int, name string) (came bool) {
	t.Helper()
	var once, ended sync.Once
	d := w.Start(t, k.env)
	strike := func(chosen bool) { once.Do(func() { came = chosen; d.Strike() }) }
	stop := make(chan struct{})
	l.after = func(calls int64) {
		switch {
		case calls < k.calls:
		case k.step == nil && len(k.env) == 0:
			strike(true)
		default:
			ended.Do(func() { close(stop) })
		}
	}
	if k.step != nil {
		var mu sync.Mutex
		left := k.n
		w.Server.Watch(func(s emulator.Step) {
			if s.Operation != k.step.Operation || s.Moment != k.step.Moment {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				strike(true)
			}
		})
		defer w.Server.Watch(nil)
	}
	if !d.Ready(t) {
		d.Crash(t)
		return true // killed while it mounted
	}
	err := l.run(seed, round, stop)
	if err == nil {
		_, err = w.Try(t, "sync", w.Dir)
	}
	if err == nil {
		strike(false)
	}
	procenv.WaitFor(t, fmt.Sprintf("%s: the end of the daemon (the load ended with %v)", name, err), d.Ended)
	once.Do(func() { came = len(k.env) > 0 })
	d.Crash(t)
	return came
}

// complaints are the lines of the daemons' log that say more than that they mounted.
func complaints(t *testing.T, w *procenv.World) string {
	t.Helper()
	data, err := os.ReadFile(w.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, "input/output error") {
			continue // a disk without power
		}
		if strings.Contains(line, "level=") || strings.Contains(line, "error") || strings.Contains(line, "panic") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
