package cache

import "sync"

// workers counts goroutines that Close waits for.
type workers struct {
	mu     sync.Mutex // guards closed, and wait against an Add after Wait
	closed bool
	wait   sync.WaitGroup
}

// run starts fn, unless the cache is being closed; it reports whether it did.
func (w *workers) run(fn func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.wait.Go(fn)
	return true
}

// close waits for all and starts no more.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wait.Wait()
}
