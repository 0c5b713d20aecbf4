package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossencfs/ossencfs/cache/converge"
)

const (
	// busyRate is the number of calls per second from which programs count as busy: a call costs some 0.1 ms of both cores
	// that a mount of small files has, so this is about a tenth of the machine.
	busyRate = 1000
	// gateTick is how often the gate looks whether programs are busy, and lets one request pass while they are.
	gateTick = 20 * time.Millisecond
	// gatePatience is how long in a row the gate lets requests wait; afterwards they compete with the programs until those
	// have been quiet or nothing is left to send.
	gatePatience = 30 * time.Second
	// gatePressure is how long the gate stays open after writers waited for room.
	gatePressure = time.Second
	// gateBody is the size up to which a body waits: larger ones cost bandwidth, small ones mostly computing (wrapping keys,
	// signatures), which programs that create files need at the same moment.
	gateBody = 1 << 20
)

// gate lets small requests that change the bucket give way to programs that use the mount: every burst of calls is
// followed by quiet, and uploads have time. It never closes: while programs are busy one request passes each gateTick, nothing
// waits while somebody waits for the bucket, and after gatePatience it is open in any case.
type gate struct {
	work  *workers
	calls atomic.Uint64 // of programs
	hurry atomic.Int32  // callers that wait for the bucket

	mu      sync.Mutex // guards the fields below
	queue   []chan struct{}
	running bool
	looked  time.Time // last look at calls
	seen    uint64    // calls then
	busy    bool      // what it showed
	since   time.Time // when requests began to wait in this burst; zero: none does
	open    time.Time // nothing waits until then
}

func newGate(work *workers) *gate { return &gate{work: work, looked: time.Now()} }

// called notes a call of a program.
func (g *gate) called() { g.calls.Add(1) }

// pressed opens the gate for a moment: writers wait for room.
func (g *gate) pressed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = time.Now().Add(gatePressure)
}

// pass waits for the turn of a request. It returns early when ctx ends; the request then fails by itself.
func (g *gate) pass(ctx context.Context) {
	turn := g.enter()
	if turn == nil {
		return
	}
	select {
	case <-turn:
	case <-ctx.Done():
	}
}

// enter returns what to wait for, or nil.
func (g *gate) enter() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := time.Now()
	if g.wideLocked(t) {
		return nil
	}
	if !g.running {
		if g.running = g.work.run(g.run); !g.running {
			return nil
		}
	}
	if g.since.IsZero() {
		g.since = t
	}
	turn := make(chan struct{})
	g.queue = append(g.queue, turn)
	return turn
}

// wideLocked reports whether requests need not wait.
func (g *gate) wideLocked(t time.Time) bool {
	if passed := t.Sub(g.looked); passed >= gateTick {
		calls := g.calls.Load()
		g.busy = float64(calls-g.seen) > busyRate*passed.Seconds()
		g.looked, g.seen = t, calls
	}
	if !g.busy {
		g.since = time.Time{}
		return true
	}
	return g.hurry.Load() > 0 || t.Before(g.open) || !g.since.IsZero() && t.Sub(g.since) > gatePatience
}

// run lets requests pass until none waits.
func (g *gate) run() {
	tick := time.NewTicker(gateTick)
	defer tick.Stop()
	for t := range tick.C {
		if !g.release(t) {
			return
		}
	}
}

// release lets one request pass, or all when the gate is wide. It reports whether to go on.
func (g *gate) release(t time.Time) (more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(1, len(g.queue))
	if g.wideLocked(t) {
		n = len(g.queue)
	}
	for _, turn := range g.queue[:n] {
		close(turn)
	}
	g.queue = g.queue[n:]
	if len(g.queue) == 0 {
		g.queue, g.running = nil, false
	}
	return g.running
}

// hurried opens the gate for everybody who waits for the bucket.
type hurried struct {
	uploads
	gate *gate
}

// Sync is that of the uploads, with the gate open.
func (h hurried) Sync(ctx context.Context, prefix string, progress func(converge.Progress)) error {
	h.gate.hurry.Add(1)
	defer h.gate.hurry.Add(-1)
	return h.uploads.Sync(ctx, prefix, progress)
}

// Pressure is that of the uploads, with the gate open.
func (h hurried) Pressure() {
	h.gate.pressed()
	h.uploads.Pressure()
}

// Called tells that a program waits for an answer: small uploads give way to programs that ask for much.
func (c *Cache) Called() { c.gate.called() }
