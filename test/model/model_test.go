package model_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/model"
	"github.com/ossencfs/ossencfs/test/procenv"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestMain fixes the umask, which the model does not know.
func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	procenv.Main(m)
}

// world is a kind of mount with the sequences that suit it.
type world struct {
	name    string
	options testenv.Options
	profile model.Profile
}

// worlds are taken in turn. Faults that lose answers close keys for the late limit, so they are seldom.
var worlds = []world{
	{"plain", testenv.Options{}, model.Profile{MaxSize: 400 << 10, CompareEvery: 200, Events: map[model.Op]int{
		model.OpSync: 6, model.OpRemount: 4, model.OpCrash: 6, model.OpDrop: 3,
	}}},
	{"faults", testenv.Options{}, model.Profile{MaxSize: 200 << 10, CompareEvery: 200, Events: map[model.Op]int{
		model.OpSync: 1, model.OpRemount: 1, model.OpCrash: 6, model.OpDrop: 1, model.OpFault: 8,
	}}},
	// All that can be open fits into the small cache: Sync waits for the close of a file whose begin is stored ahead.
	{"small cache", testenv.Options{Cache: cache.Options{Limit: 16 << 20}}, model.Profile{MaxSize: 3 << 20, CompareEvery: 200,
		Events: map[model.Op]int{model.OpSync: 8, model.OpRemount: 3, model.OpCrash: 4, model.OpDrop: 2}}},
	{"outside", testenv.Options{Cache: cache.Options{MetaTTL: time.Millisecond}}, model.Profile{MaxSize: 100 << 10, CompareEvery: 200,
		Events: map[model.Op]int{model.OpSync: 6, model.OpRemount: 3, model.OpCrash: 3, model.OpDrop: 2, model.OpOutside: 12}}},
}

// number reads an integer of the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s is %q, no number of steps or seeds", name, text)
	}
	return n
}

const (
	// shortSteps is what always runs, in all worlds together.
	shortSteps = 2000
	// sequence is the most steps on one mount.
	sequence = 2500
	// shrinkTries bounds the search for a short case; OSSENCFS_MODEL_SHRINK is another bound.
	shrinkTries = 400
)

// TestModel makes random steps on a mount and in a model. OSSENCFS_MODEL_STEPS is their number, OSSENCFS_MODEL_SEED the first seed;
// a failure prints a case for cases_test.go.
func TestModel(t *testing.T) {
	steps, seed := number(t, "OSSENCFS_MODEL_STEPS", shortSteps), number(t, "OSSENCFS_MODEL_SEED", 1)
	each := min(max(steps/len(worlds), 1), sequence)
	for done := 0; done < steps; done += each {
		w := worlds[done/each%len(worlds)]
		t.Run(fmt.Sprintf("%s/%d", w.name, seed), func(t *testing.T) { random(t, w, uint64(seed), each) })
		if t.Failed() {
			return
		}
		seed++
	}
}

// random plays one sequence, and shrinks it when it fails.
func random(t *testing.T, w world, seed uint64, n int) {
	testenv.RequireFUSE(t)
	var steps []model.Step
	err := attempt(t, func(tb testing.TB) {
		g := model.NewGenerator(seed, w.profile)
		play(tb, w.options, func(r *model.Run) (model.Step, bool) {
			if len(steps) == n {
				return model.Step{}, false
			}
			steps = append(steps, g.Next(r))
			return steps[len(steps)-1], true
		})
	})
	if err == nil {
		return
	}
	t.Errorf("seed %d failed after %d steps: %v", seed, len(steps), err)
	last := err
	steps = model.Shrink(steps, number(t, "OSSENCFS_MODEL_SHRINK", shrinkTries), func(candidate []model.Step) bool {
		err := attempt(t, func(tb testing.TB) { play(tb, w.options, inOrder(candidate)) })
		if err != nil {
			last = err
		}
		return err != nil
	})
	t.Fatalf("%d steps are enough: %v\n%s", len(steps), last, model.GoCase(w.name+", seed "+strconv.FormatUint(seed, 10), steps))
}

// inOrder gives the steps of a case.
func inOrder(steps []model.Step) func(*model.Run) (model.Step, bool) {
	at := 0
	return func(*model.Run) (model.Step, bool) {
		if at == len(steps) {
			return model.Step{}, false
		}
		at++
		return steps[at-1], true
	}
}

// play makes steps until there are no more, then compares the tree as it is, and as the bucket alone has it, and the keys of the
// bucket with the names of the files.
func play(tb testing.TB, o testenv.Options, next func(*model.Run) (model.Step, bool)) {
	tb.Helper()
	host := newMountHost(tb, o)
	run := model.NewRun(host)
	defer run.CloseAll() // before the mount ends
	count := 0
	for s, more := next(run); more; s, more = next(run) {
		if err := run.Step(s); err != nil {
			tb.Fatalf("step %d, %#v: %v", count, s, err)
		}
		count++
	}
	for _, s := range []model.Step{{Op: model.OpCompare}, {Op: model.OpDrop}} {
		if err := run.Step(s); err != nil {
			tb.Fatalf("at the end, %s: %v", s.Op, err)
		}
	}
	host.env.Sync()
	if got, want := host.env.Keys(), run.Keys(); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		tb.Errorf("keys in the bucket: got %q, want %q", got, want)
	}
}
