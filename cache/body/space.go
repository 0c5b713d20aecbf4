package body

import (
	"sync"
	"sync/atomic"
)

// space counts the bytes that the cache takes on the disk, and is the clock of uses.
type space struct {
	limit int64
	used  atomic.Int64
	clock atomic.Int64

	mu    sync.Mutex // guards freed
	freed chan struct{}
}

func newSpace(limit int64) *space { return &space{limit: limit, freed: make(chan struct{})} }

// add counts n bytes more, or less, and wakes those who wait for room when it is less.
func (s *space) add(n int64) {
	s.used.Add(n)
	if n < 0 {
		s.wake()
	}
}

// wake makes everybody who waits for room look again.
func (s *space) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.freed)
	s.freed = make(chan struct{})
}

// changed returns a channel that is closed at the next wake.
func (s *space) changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freed
}

// take counts n bytes more, or as many of them as fit, and returns how many.
func (s *space) take(n int64) int64 {
	for {
		used := s.used.Load()
		k := min(n, s.limit-used)
		if k <= 0 {
			return 0
		}
		if s.used.CompareAndSwap(used, used+k) {
			return k
		}
	}
}

func (s *space) tick() int64 { return s.clock.Add(1) }

// over says by how much n more bytes would exceed the limit; 0 or less: they fit.
func (s *space) over(n int64) int64 { return s.used.Load() + n - s.limit }
