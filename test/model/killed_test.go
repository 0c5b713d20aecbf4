package model_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/ossencfs/ossencfs/test/model"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// killedSteps is what always runs: each kill costs a second.
const killedSteps = 80

// processHost is a mount in a process of its own, which can be killed.
type processHost struct {
	t      *testing.T
	w      *procenv.World
	daemon *procenv.Daemon
}

// Root implements model.Host.
func (h *processHost) Root() string { return h.w.Dir }

// Event implements model.Host.
func (h *processHost) Event(s model.Step) error {
	switch s.Op {
	case model.OpSync:
		h.w.Server.ClearFaults()
		h.w.Run(h.t, "sync", h.w.Dir)
	case model.OpFault:
		addFault(h.w.Server, s)
	case model.OpKill, model.OpCrash:
		h.w.Server.ClearFaults()
		h.daemon.Kill(h.t)
		h.mount()
	case model.OpRemount, model.OpDrop:
		h.w.Server.ClearFaults()
		h.daemon.Unmount(h.t)
		if s.Op == model.OpDrop {
			if err := os.RemoveAll(h.w.Cache); err != nil {
				return err
			}
		}
		h.mount()
	default:
		return fmt.Errorf("there is no event %q", s.Op)
	}
	return nil
}

func (h *processHost) mount() {
	h.daemon = h.w.Mount(h.t, "--settle", "10ms", "--late-limit", "2s", "--cache-dir", h.w.Cache)
}

// TestKilledModel is TestModel with a daemon that is killed: every write that was acknowledged is there afterwards, open files without
// names are gone, and the bucket holds in the end what the model holds.
func TestKilledModel(t *testing.T) {
	steps, seed := max(number(t, "OSSENCFS_MODEL_STEPS", 0)/50, killedSteps), number(t, "OSSENCFS_MODEL_SEED", 1)
	profile := model.Profile{MaxSize: 200 << 10, CompareEvery: 100, Events: map[model.Op]int{
		model.OpSync: 3, model.OpKill: 12, model.OpDrop: 1, model.OpFault: 4,
	}}
	h := &processHost{t: t, w: procenv.New(t)}
	h.mount()
	run := model.NewRun(h)
	defer run.CloseAll()
	g := model.NewGenerator(uint64(seed), profile)
	var done []model.Step
	for range steps {
		s := g.Next(run)
		done = append(done, s)
		if err := run.Step(s); err != nil {
			log, _ := os.ReadFile(h.w.LogFile) // only shown
			t.Fatalf("seed %d, step %d, %#v: %v\n%s\n%s", seed, len(done)-1, s, err, model.GoCase("killed", done), log)
		}
	}
	for _, op := range []model.Op{model.OpCompare, model.OpDrop} {
		if err := run.Step(model.Step{Op: op}); err != nil {
			t.Fatalf("seed %d, at the end, %s: %v\n%s", seed, op, err, model.GoCase("killed", done))
		}
	}
	run.CloseAll()
	h.daemon.Unmount(t)
}
