package converge

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var simTime = flag.Duration("sim", 3*time.Second, "how long the random simulation runs")

// event is one step of a run. What it does depends on the state, so that any part of a list of events is a run, too.
type event struct{ kind, a, b uint16 }

// mode chooses what happens in a run besides calls, work and lost answers.
type mode struct{ power, outside, refusals bool }

var simNames = []string{"a", "b", "c", "d/a", "d/b", "e/a", "d", "e"}

type step struct {
	weight int
	name   string
	do     func(w *world, a, b string, n int)
}

var steps = []step{
	{10, "create", func(w *world, a, _ string, _ int) { w.create(a) }},
	{5, "begin", func(w *world, a, _ string, _ int) { w.beginWrite(a) }},
	{5, "end", func(w *world, a, _ string, _ int) { w.endWrite(a) }},
	{4, "rewrite", func(w *world, a, _ string, _ int) { w.beginWrite(a); w.endWrite(a) }},
	{2, "fsync", func(w *world, a, _ string, _ int) {
		if i, ok := w.file(a); ok {
			w.fsync(i.Ino)
		}
	}},
	{8, "mv", func(w *world, a, b string, _ int) { w.rename(a, b) }},
	{4, "exchange", func(w *world, a, b string, _ int) { w.exchange(a, b) }},
	{5, "rm", func(w *world, a, _ string, _ int) { w.unlink(a) }},
	{2, "mkdir", func(w *world, _, _ string, n int) { w.mkdir([]string{"d", "e"}[n%2]) }},
	{1, "rmdir", func(w *world, _, _ string, n int) { w.rmdir([]string{"d", "e"}[n%2]) }},
	{3, "chmod", func(w *world, a, _ string, _ int) { w.chmod(a) }},
	{1, "setxattr", func(w *world, a, _ string, _ int) { w.setXattr(a) }},
	{2, "open", func(w *world, a, _ string, _ int) { w.openFile(a) }},
	{1, "closeall", func(w *world, _, _ string, _ int) { w.closeFiles() }},
	{8, "evict", func(w *world, a, _ string, _ int) { w.evict(a) }},
	{2, "fetch", func(w *world, a, _ string, _ int) {
		if i, ok := w.file(a); ok {
			w.fetch(i.Ino)
		}
	}},
	{30, "work", func(w *world, _, _ string, n int) {
		if keys := w.keys(); len(keys) > 0 {
			w.work(keys[n%len(keys)])
		}
	}},
	{25, "execute", func(w *world, _, _ string, n int) {
		if len(w.requests) > 0 {
			w.execute(w.requests[n%len(w.requests)])
		}
	}},
	{18, "answer", func(w *world, _, _ string, n int) {
		if len(w.requests) > 0 {
			w.answer(w.requests[n%len(w.requests)])
		}
	}},
	{4, "lose", func(w *world, _, _ string, n int) {
		if len(w.requests) > 0 {
			w.lose(w.requests[n%len(w.requests)])
		}
	}},
	{3, "refuse", func(w *world, _, _ string, n int) {
		if len(w.requests) > 0 {
			w.refuse(w.requests[n%len(w.requests)])
		}
	}},
	{2, "forbid", func(w *world, a, _ string, _ int) {
		if w.refusals {
			w.forbid(a)
		}
	}},
	{10, "tick", func(w *world, _, _ string, n int) { w.now += int64(n % 12) }},
	{1, "crash", func(w *world, _, _ string, n int) { w.crash(w.powerCuts && n%2 == 0) }},
	{2, "sync", func(w *world, _, _ string, _ int) { w.sync() }},
	{3, "outside", func(w *world, a, _ string, n int) {
		if w.outsiders {
			w.outside(a, n%3 == 0)
		}
	}},
	{1, "implicit", func(w *world, _, _ string, n int) { w.implicit([]string{"d", "e"}[n%2]) }},
}

var stepTable = func() (table []int) {
	for n, s := range steps {
		for range s.weight {
			table = append(table, n)
		}
	}
	return table
}()

// implicit lets a directory exist without a marker, as an import of d/x makes it.
func (w *world) implicit(name string) {
	w.mkdir(name)
	if i, ok := w.file(name + "/"); ok && i.AttrVer == 1 {
		if _, recorded := w.idx.objects[name+"/"]; !recorded && len(w.requests) == 0 && len(w.idx.pends) == 0 {
			i.Marker = false
			w.idx.inodes[i.Ino] = i
		}
	}
}

func (e event) String() string {
	s := steps[stepTable[int(e.kind)%len(stepTable)]]
	return fmt.Sprintf("%s(%s,%s,%d)", s.name, simNames[int(e.a)%len(simNames)], simNames[int(e.b)%len(simNames)], e.b)
}

func (e event) apply(w *world) {
	s := steps[stepTable[int(e.kind)%len(stepTable)]]
	s.do(w, simNames[int(e.a)%len(simNames)], simNames[int(e.b)%len(simNames)], int(e.b))
}

// play runs events and then lets everything come to rest; it returns what went wrong.
func play(events []event, without rule, m mode) string {
	w := newWorld(without)
	w.powerCuts, w.outsiders, w.refusals = m.power, m.outside, m.refusals
	for _, e := range events {
		e.apply(w)
		w.check()
		if w.failure != "" {
			return w.failure
		}
	}
	w.drain()
	return w.failure
}

// shrink removes events as long as the run still fails.
func shrink(events []event, without rule, m mode) []event {
	for size := len(events) / 2; size > 0; {
		removed := false
		for at := 0; at+size <= len(events); {
			rest := slices.Concat(events[:at], events[at+size:])
			if play(rest, without, m) != "" {
				events, removed = rest, true
			} else {
				at += size
			}
		}
		if !removed {
			size /= 2
		}
	}
	return events
}

func randomEvents(seed uint64) []event {
	r := rand.New(rand.NewPCG(seed, 7))
	longest := 60
	if seed%16 == 0 {
		longest = 400
	}
	events := make([]event, 20+r.IntN(longest))
	for n := range events {
		events[n] = event{uint16(r.Uint32()), uint16(r.Uint32()), uint16(r.Uint32())}
	}
	return events
}

func modeOf(seed uint64) mode {
	return mode{power: seed%4 == 1, outside: seed%4 == 2, refusals: seed%4 == 3}
}

func story(events []event, without rule, m mode) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "\n  %s", e)
	}
	return play(events, without, m) + b.String()
}

// TestSimulation runs random interleavings of calls, work, late, doubled and lost requests, crashes, power cuts and other writers.
// A failure is shrunk; -sim=10m runs it longer.
func TestSimulation(t *testing.T) {
	end := time.Now().Add(*simTime)
	if testing.Short() {
		end = time.Now().Add(time.Second)
	}
	first := uint64(time.Now().UnixNano())
	runs := 0
	for seed := first; time.Now().Before(end); seed++ {
		events, m := randomEvents(seed), modeOf(seed)
		if play(events, noRule, m) != "" {
			events = shrink(events, noRule, m)
			t.Fatalf("seed %d, %+v: %s", seed, m, story(events, noRule, m))
		}
		runs++
	}
	t.Logf("%d runs", runs)
	if runs < 100 {
		t.Errorf("only %d runs", runs)
	}
}
