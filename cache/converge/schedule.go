package converge

import (
	"container/heap"
	"sync"
	"time"
)

// schedule hands keys to workers: each key to one worker at a time, when it is due. The durable queue in the index is the truth;
// this is its shadow in memory.
type schedule struct {
	mu     sync.Mutex // guards the fields below
	keys   map[string]*slot
	due    dueHeap
	wake   chan struct{} // has a token when the earliest due time may have changed
	closed bool

	waiters map[string]map[*slot]struct{} // key → who waits for a change of it
	order   orderHeap                     // who waits for content of others to be in the bucket
	publish orderHeap                     // who waits with a new name for content of others
	scouts  map[*slot]struct{}            // of those, the ones that look whenever the oldest content changes
	front   uint64                        // sequence number of the oldest content that was not in the bucket at the last release

	frontDir string // directory of that content

	// A key may change between a plan that waits for it and the call of put. Changes are numbered for that.
	epoch   uint64
	recent  map[string]uint64 // number of the last change of a key
	floor   uint64            // changes up to this number are no longer in recent
	arrival uint64            // number of the last arrival of content
}

const (
	// maxRecent bounds the memory of changes.
	maxRecent = 10_000
	// maxScouts is how many of those that wait for the order watch what they wait for.
	maxScouts = 4
)

// slot is one key. It is in the heap unless a worker has it.
type slot struct {
	key   string
	since int64 // when it was first seen to want something; see Facts.Since
	at    int64 // due time; 0: now
	place int   // in the heap; -1: a worker has it
	again bool  // became due while a worker had it
	next  int64 // the due time for that
	quiet bool  // waits for nothing but quiet
	wait  []string
	seq   uint64 // waits until all older content is in the bucket
	rank  int    // in the order heap, from 1; 0: not there

	publish bool   // it is in the heap of those that wait with a new name
	looked  uint64 // number of the last change when it began to wait there
}

type dueHeap []*slot

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	s := x.(*slot) //nolint:forcetypeassert // only slots are pushed
	s.place = len(*h)
	*h = append(*h, s)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	s.place = -1
	return s
}

func newSchedule() *schedule {
	return &schedule{keys: map[string]*slot{}, waiters: map[string]map[*slot]struct{}{}, scouts: map[*slot]struct{}{},
		recent: map[string]uint64{}, wake: make(chan struct{}, 1)}
}

// soon makes a key due not later than at; a key that is scheduled already keeps its time if that is earlier.
func (s *schedule) soon(key string, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.soonLocked(key, at)
}

func (s *schedule) soonLocked(key string, at int64) *slot {
	k, known := s.keys[key]
	switch {
	case !known:
		k = &slot{key: key, at: at}
		s.keys[key] = k
		heap.Push(&s.due, k)
	case k.place < 0:
		if !k.again || at < k.next {
			k.next = at
		}
		k.again = true
		return k
	case at < k.at:
		k.at = at
		heap.Fix(&s.due, k.place)
	default:
		return k
	}
	if s.due[0] == k {
		s.signal()
	}
	return k
}

// dirty makes keys due at a time, urgent ones at once, and whatever waits for them now. urgent is called with the schedule
// locked. It reports whether a key was among them that no worker has: then it was not our own doing.
func (s *schedule) dirty(keys []string, now, at int64, urgent func(key string) bool) (outside bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		due := at
		if urgent(key) {
			due = 0
		}
		k := s.soonLocked(key, due)
		if k.since == 0 {
			k.since, k.quiet = now, k.place >= 0
		}
		outside = outside || k.place >= 0
		s.changedLocked(key)
	}
	return outside
}

func (s *schedule) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take hands out the next due key. It waits for one, and returns false when the schedule is closed.
func (s *schedule) take(now func() int64) (string, bool) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		key, pause, ok := s.tryTake(now())
		if !ok {
			s.signal() // the other workers end as well
			return "", false
		}
		if pause == 0 {
			return key, true
		}
		timer.Reset(pause)
		select {
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// tryTake returns a due key, or how long to wait.
func (s *schedule) tryTake(now int64) (key string, pause time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", 0, false
	}
	if len(s.due) == 0 {
		return "", time.Hour, true
	}
	if first := s.due[0]; first.at > now {
		return "", time.Duration(first.at - now), true
	}
	k, _ := heap.Pop(&s.due).(*slot)
	s.stopWaitingLocked(k)
	k.again, k.quiet = false, false
	if k.since == 0 {
		k.since = now
	}
	if len(s.due) > 0 && s.due[0].at <= now {
		s.signal()
	}
	return k.key, 0, true
}

// mark is called by the worker that has a key, before it looks at the index: what made the key due until now will be seen by that
// look. It returns the number of the last change, for put.
func (s *schedule) mark(key string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[key]; k != nil {
		k.again = false
	}
	return s.epoch
}

// since is when a key was first seen to want something, 0 if it is not known.
func (s *schedule) since(key string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[key]; k != nil {
		return k.since
	}
	return 0
}

// done takes a key back from a worker. It is forgotten unless it became due in the meantime.
func (s *schedule) done(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[key]
	if k == nil {
		return
	}
	k.since = 0
	if !s.pushAgainLocked(k, k.next) {
		delete(s.keys, key)
	}
	s.keepScoutsLocked()
}

// pushAgainLocked returns a key to the heap that became due while a worker had it.
func (s *schedule) pushAgainLocked(k *slot, at int64) bool {
	if !k.again {
		return false
	}
	k.at = min(k.next, at)
	heap.Push(&s.due, k)
	s.signal()
	return true
}

// waiting is what a key waits for: the first of these things.
type waiting struct {
	at      int64
	keys    []string // a change of one of them
	order   bool     // that all content older than seq is in the bucket
	publish bool     // that what a new name may refer to is
	seq     uint64
	quiet   bool   // at is when it will have been quiet for long enough
	restart bool   // it is not even waiting for quiet yet: Facts.Since begins anew
	planned uint64 // what mark returned before the plan was made
}

// put takes a key back from a worker that has to wait.
func (s *schedule) put(key string, w *waiting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.keepScoutsLocked()
	k := s.keys[key]
	if k == nil {
		return
	}
	if w.restart {
		k.since = 0
	}
	if s.pushAgainLocked(k, w.at) {
		return
	}
	k.at, k.quiet = w.at, w.quiet
	if s.missedLocked(w) {
		k.at = 0
	}
	s.waitLocked(k, w)
	heap.Push(&s.due, k)
	s.signal()
}

// missedLocked reports whether something that a key is to wait for happened since its plan was made.
func (s *schedule) missedLocked(w *waiting) bool {
	if (w.order || w.publish) && s.arrival > w.planned || len(w.keys) > 0 && w.planned < s.floor {
		return true
	}
	for _, key := range w.keys {
		if s.recent[key] > w.planned {
			return true
		}
	}
	return false
}

// changed makes the keys due that wait for a change of key.
func (s *schedule) changed(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changedLocked(key)
}

func (s *schedule) changedLocked(key string) {
	s.epoch++
	if len(s.recent) >= maxRecent {
		clear(s.recent)
		s.floor = s.epoch - 1
	}
	s.recent[key] = s.epoch
	for k := range s.waiters[key] {
		s.soonLocked(k.key, 0)
	}
}

// hurry makes all keys due that wait for nothing but quiet.
func (s *schedule) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.quiet || k.place < 0 {
			s.soonLocked(k.key, 0)
		}
	}
}

// close ends all calls of take.
func (s *schedule) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.signal()
}
