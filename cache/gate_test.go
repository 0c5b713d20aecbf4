package cache

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// storm is a program that calls more often than busyRate until the returned function is called.
func storm(g *gate) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			for range 3 {
				g.called()
			}
			<-tick.C
		}
	}()
	<-time.After(2 * gateTick) // by the clock of synctest: so much of the storm is seen at the next look
	return func() { cancel(); <-done }
}

// passAll sends n requests at once and returns how long they took to pass.
func passAll(ctx context.Context, g *gate, n int) time.Duration {
	begun := time.Now()
	done := make(chan struct{})
	for range n {
		go func() { g.pass(ctx); done <- struct{}{} }()
	}
	for range n {
		<-done
	}
	return time.Since(begun)
}

func TestGate(t *testing.T) {
	tests := map[string]struct {
		prepare  func(g *gate)
		busy     bool
		min, max time.Duration
	}{
		"nobody calls":            {max: 0},
		"programs are busy":       {busy: true, min: 9 * gateTick, max: 11 * gateTick},
		"somebody waits for them": {busy: true, prepare: func(g *gate) { g.hurry.Add(1) }},
		"writers wait for room":   {busy: true, prepare: func(g *gate) { g.pressed() }},
		"the cache is closing":    {busy: true, prepare: func(g *gate) { g.work.close() }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(new(workers))
				if tt.busy {
					defer storm(g)()
				}
				if tt.prepare != nil {
					tt.prepare(g)
				}
				if took := passAll(t.Context(), g, 10); took < tt.min || took > tt.max {
					t.Errorf("ten requests took %v, want %v to %v", took, tt.min, tt.max)
				}
				g.work.close()
			})
		})
	}
}

// TestGateOpens: what waits goes on at once when the programs are quiet, and in any case after gatePatience.
func TestGateOpens(t *testing.T) {
	const many = 4 * int(gatePatience/gateTick)
	t.Run("quiet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(new(workers))
			stop := storm(g)
			time.AfterFunc(time.Second, stop)
			if took := passAll(t.Context(), g, many); took > time.Second+3*gateTick {
				t.Errorf("took %v after one second of calls", took)
			}
			g.work.close()
		})
	})
	t.Run("patience", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(new(workers))
			defer storm(g)()
			if took := passAll(t.Context(), g, many); took < gatePatience || took > gatePatience+3*gateTick {
				t.Errorf("took %v, want %v", took, gatePatience)
			}
			if took := passAll(t.Context(), g, 10); took > 0 {
				t.Errorf("took %v although patience has ended", took)
			}
			g.work.close()
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(new(workers))
			defer storm(g)()
			ctx, cancel := context.WithTimeout(t.Context(), gateTick/2)
			defer cancel()
			if took := passAll(ctx, g, 10); took > gateTick {
				t.Errorf("took %v after the end of the context", took)
			}
			g.work.close()
		})
	})
}
