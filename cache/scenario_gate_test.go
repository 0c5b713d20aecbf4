package cache_test

import (
	"strings"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// opNames are the words of scripts for the requests that change the bucket.
var opNames = map[string]string{"put": "PutObject", "copy": "CopyObject", "delete": "DeleteObject", "tag": "PutObjectTagging"}

func changesBucket(operation string) bool {
	for _, name := range opNames {
		if name == operation {
			return true
		}
	}
	return false
}

// ofVolume are the objects that belong to no file.
func ofVolume(key string) bool {
	return strings.HasPrefix(key, ".ossencfs/canary") || strings.HasPrefix(key, ".ossencfs/volume/")
}

// held is a request that the gate stopped.
type held struct {
	key     string
	since   time.Time
	lost    bool // the client was sent away: it is executed late
	execute chan struct{}
	after   chan struct{} // it was executed and waits
	answer  chan struct{}
	gone    chan struct{} // it is over
}

// gate stands at the door of the emulator and stops requests as a script asks for.
type gate struct {
	server *emulator.Server
	bound  time.Duration // what is held longer makes the run void: the emulator would break the assumption about L

	mu       sync.Mutex         // guards the fields below
	stops    map[[2]string]int  // operation and key of requests to stop
	lose     map[[2]string]bool // whose next one is lost
	held     map[string][]*held // by key, oldest first
	arrived  chan struct{}      // closed and made anew with every arrival
	count    int                // requests that change the bucket
	strike   func(n int, m emulator.Moment)
	started  map[string][]*held // being executed
	numbers  map[string][]int   // which request is being executed
	tooLong  bool
	disarmed bool
}

func newGate(server *emulator.Server, bound time.Duration) *gate {
	g := &gate{server: server, bound: bound, stops: map[[2]string]int{}, lose: map[[2]string]bool{}, held: map[string][]*held{},
		arrived: make(chan struct{}), started: map[string][]*held{}, numbers: map[string][]int{}}
	server.Watch(g.step)
	return g
}

// step is told by the emulator. Before: the request waits here for its execution; After: for its answer.
func (g *gate) step(s emulator.Step) {
	if !changesBucket(s.Operation) || s.Bucket != testenv.Bucket || ofVolume(s.Key) {
		return
	}
	if s.Moment == emulator.Before {
		g.before(s)
		return
	}
	g.mu.Lock()
	n, strike := 0, g.strike
	if list := g.numbers[s.Operation+s.Key]; len(list) > 0 {
		n, g.numbers[s.Operation+s.Key] = list[0], list[1:]
	}
	var h *held
	if list := g.started[s.Operation+s.Key]; len(list) > 0 {
		h, g.started[s.Operation+s.Key] = list[0], list[1:]
	}
	g.mu.Unlock()
	if h != nil {
		close(h.after)
		<-h.answer
		close(h.gone)
	}
	if strike != nil {
		strike(n, emulator.After)
	}
}

func (g *gate) before(s emulator.Step) {
	k := [2]string{s.Operation, s.Key}
	g.mu.Lock()
	g.count++
	n, strike := g.count, g.strike
	g.numbers[s.Operation+s.Key] = append(g.numbers[s.Operation+s.Key], n)
	var h *held
	if g.lose[k] || g.stops[k] > 0 && !g.disarmed {
		h = &held{key: s.Key, since: time.Now(), lost: g.lose[k], execute: make(chan struct{}), after: make(chan struct{}), answer: make(chan struct{}), gone: make(chan struct{})}
		delete(g.lose, k)
		g.held[s.Key] = append(g.held[s.Key], h)
		close(g.arrived)
		g.arrived = make(chan struct{})
	}
	g.mu.Unlock()
	if strike != nil {
		strike(n, emulator.Before)
	}
	if h == nil {
		return
	}
	<-h.execute
	g.mu.Lock()
	defer g.mu.Unlock()
	g.started[s.Operation+s.Key] = append(g.started[s.Operation+s.Key], h)
	g.tooLong = g.tooLong || time.Since(h.since) > g.bound
}

// arm says which requests are stopped from now on, and which is lost.
func (g *gate) arm(stops map[[2]string]int, lose *[2]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stops = stops
	if lose != nil && !g.disarmed && !g.lose[*lose] {
		g.lose[*lose] = true
		g.server.AddFault(emulator.Fault{Operation: lose[0], Key: lose[1], LateBy: time.Nanosecond, Count: 1})
	}
}

// disarm stops nothing any more; what was lost stays so.
func (g *gate) disarm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.disarmed, g.stops = true, nil
	clear(g.lose)
	g.server.ClearFaults()
}

// find returns a request that is held for a key, the newest that is lost or not; nil: there is none.
func (g *gate) find(key string, lost bool) *held {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n := len(g.held[key]) - 1; n >= 0; n-- {
		if h := g.held[key][n]; h.lost == lost {
			return h
		}
	}
	return nil
}

// wait waits until a request for a key is held; nil: it does not come.
func (g *gate) wait(key string, lost bool, give <-chan struct{}) *held {
	limit := time.After(testenv.Patience)
	for {
		g.mu.Lock()
		arrived := g.arrived
		g.mu.Unlock()
		if h := g.find(key, lost); h != nil {
			return h
		}
		select {
		case <-arrived:
		case <-give:
			return nil
		case <-limit:
			return nil
		}
	}
}

// run lets a held request be executed, and waits for that.
func (h *held) run() {
	select {
	case <-h.execute:
	default:
		close(h.execute)
	}
	<-h.after
}

// finish lets it go.
func (g *gate) finish(h *held) {
	h.run()
	close(h.answer)
	<-h.gone
	g.mu.Lock()
	defer g.mu.Unlock()
	for n, other := range g.held[h.key] {
		if other == h {
			g.held[h.key] = append(g.held[h.key][:n:n], g.held[h.key][n+1:]...)
			return
		}
	}
}

// finishAll lets all go, lost ones last, but for those of which keep says so.
func (g *gate) finishAll(keepLost bool) {
	for _, lost := range []bool{false, true} {
		if lost && keepLost {
			return
		}
		g.mu.Lock()
		var list []*held
		for _, hs := range g.held {
			for _, h := range hs {
				if h.lost == lost {
					list = append(list, h)
				}
			}
		}
		g.mu.Unlock()
		for _, h := range list {
			g.finish(h)
		}
	}
}
