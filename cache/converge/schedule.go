package converge

import (
	"container/heap"
	"strings"
	"sync"
	"time"
)

// schedule hands keys to workers: each key to one worker at a time, when it is due. The durable queue in the index is the truth;
// this is its shadow in memory.
type schedule struct {
	mu      sync.Mutex // guards the fields below
	keys    map[string]*slot
	due     dueHeap
	waiters map[string]map[string]struct{} // key → keys that wait for a change of it
	order   map[string]struct{}            // keys that wait for content of others to be in the bucket
	wake    chan struct{}                  // has a token when the earliest due time may have changed
	closed  bool

	// A key may change between a plan that waits for it and the call of put. Changes are numbered for that.
	epoch   uint64
	recent  map[string]uint64 // number of the last change of a key
	floor   uint64            // changes up to this number are no longer in recent
	arrival uint64            // number of the last arrival
}

// maxRecent bounds the memory of changes.
const maxRecent = 10_000

// slot is one key. It is in the heap unless a worker has it.
type slot struct {
	key   string
	at    int64 // due time; 0: now
	place int   // in the heap; -1: a worker has it
	again bool  // became due while a worker had it
	next  int64 // the due time for that
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
	return &schedule{keys: map[string]*slot{}, waiters: map[string]map[string]struct{}{}, order: map[string]struct{}{}, recent: map[string]uint64{},
		wake: make(chan struct{}, 1)}
}

// at makes a key due at a time, whatever was planned for it before.
func (s *schedule) at(key string, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(key, at, true)
}

// soon makes a key due not later than at; a key that is scheduled already keeps its time if that is earlier.
func (s *schedule) soon(key string, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(key, at, false)
}

func (s *schedule) setLocked(key string, at int64, exactly bool) {
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
		return
	case at < k.at || exactly && at != k.at:
		k.at = at
		heap.Fix(&s.due, k.place)
	default:
		return
	}
	if s.due[0] == k {
		s.signal()
	}
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
		if key != "" {
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
	k.again = false
	if len(s.due) > 0 && s.due[0].at <= now {
		s.signal()
	}
	return k.key, 0, true
}

// done takes a key back from a worker. It is forgotten unless it became due in the meantime.
func (s *schedule) done(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[key]; k != nil && !s.pushAgainLocked(k, k.next) {
		delete(s.keys, key)
	}
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

// mark is the number of the last change, for put.
func (s *schedule) mark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// put takes a key back from a worker that has to wait: until at, or until one of keys changes, or, with order, until content of
// others has reached the bucket. planned is the number of the last change before the plan was made.
func (s *schedule) put(key string, at int64, keys []string, order bool, planned uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[key]
	if k == nil || s.pushAgainLocked(k, at) {
		return
	}
	if s.missedLocked(keys, order, planned) {
		at = 0
	}
	for _, other := range keys {
		if other == key {
			continue
		}
		if s.waiters[other] == nil {
			s.waiters[other] = map[string]struct{}{}
		}
		s.waiters[other][key] = struct{}{}
	}
	if order {
		s.order[key] = struct{}{}
	}
	k.at = at
	heap.Push(&s.due, k)
	s.signal()
}

// missedLocked reports whether something that a key is to wait for happened since its plan was made.
func (s *schedule) missedLocked(keys []string, order bool, planned uint64) bool {
	if order && s.arrival > planned || len(keys) > 0 && planned < s.floor {
		return true
	}
	for _, key := range keys {
		if s.recent[key] > planned {
			return true
		}
	}
	return false
}

// changed makes the keys due that wait for a change of key.
func (s *schedule) changed(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	if len(s.recent) >= maxRecent {
		clear(s.recent)
		s.floor = s.epoch - 1
	}
	s.recent[key] = s.epoch
	waiting := s.waiters[key]
	if waiting == nil {
		return
	}
	delete(s.waiters, key)
	for other := range waiting {
		s.setLocked(other, 0, false)
	}
}

// arrived makes the keys due that wait for content of others. Where many wait they are looked at after a moment, so that a
// thousand uploads do not mean a thousand looks at each.
func (s *schedule) arrived(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.arrival = s.epoch
	at := now + int64(len(s.order))*int64(100*time.Microsecond)
	for key := range s.order {
		s.setLocked(key, at, false)
	}
	clear(s.order)
}

// hurry makes all keys due that begin with prefix.
func (s *schedule) hurry(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.keys {
		if strings.HasPrefix(key, prefix) {
			s.setLocked(key, 0, false)
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

// len is the number of keys.
func (s *schedule) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys)
}
