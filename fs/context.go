package fs

import (
	"context"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/ossencfs/ossencfs/cache"
)

// interruptGrace is how long a waiting request goes on after the kernel reported a signal. Most signals (SIGCHLD,
// a timer, the Go runtime's preemption) do not end the process, and a program does not expect EINTR from a disk.
const interruptGrace = time.Second

// request is the context of one kernel request. It costs nothing until somebody waits on it.
type request struct {
	cancel <-chan struct{}
	gate   *sync.RWMutex // held for reading until finish; nil: none
	unique uint64        // of the kernel's request, when it changes names
	by     caller

	// mu guards the fields below.
	mu      sync.Mutex
	done    chan struct{} // what waiters see; nil until asked for
	stop    chan struct{} // closed by finish
	watched chan struct{} // closed when the watcher has ended
	err     error
}

var _ cache.Request = (*request)(nil)

// resent marks the number of a request that the kernel sends again.
const resent = 1 << 63

// newRequest wraps the cancel channel of a kernel request; finish must be called before the handler returns.
func newRequest(cancel <-chan struct{}) *request { return &request{cancel: cancel} }

// begin takes a kernel request up; finish must be called before the handler returns.
func (f *fileSystem) begin(cancel <-chan struct{}, h *fuse.InHeader) *request {
	f.gate.RLock()
	f.calls.Add(1)
	f.cache.Called()
	r := newRequest(cancel)
	r.gate = &f.gate
	r.by.id = h.Caller
	return r
}

// beginChange is begin for a request that must not be executed twice.
func (f *fileSystem) beginChange(cancel <-chan struct{}, h *fuse.InHeader) *request {
	r := f.begin(cancel, h)
	r.unique = h.Unique
	return r
}

// Request is the number of the request, and whether the kernel sent it before.
func (r *request) Request() (id uint64, again bool) { return r.unique &^ resent, r.unique&resent != 0 }

// Caller is on whose behalf the kernel asks.
func (r *request) Caller() cache.Caller { return &r.by }

// Deadline says that a kernel request has none of its own; the calls below set theirs.
func (r *request) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value carries nothing.
func (r *request) Value(any) any { return nil }

// Done is closed [interruptGrace] after the kernel interrupted the request.
func (r *request) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = make(chan struct{})
		r.stop = make(chan struct{})
		r.watched = make(chan struct{})
		go r.watch()
	}
	return r.done
}

// Err is context.Canceled once Done is closed.
func (r *request) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *request) watch() {
	defer close(r.watched)
	select {
	case <-r.cancel:
	case <-r.stop:
		return
	}
	grace := time.NewTimer(interruptGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-r.stop:
		return
	}
	r.mu.Lock()
	r.err = context.Canceled
	r.mu.Unlock()
	close(r.done)
}

// finish ends the watcher and waits for it: the cancel channel belongs to the next request afterwards.
func (r *request) finish() {
	r.mu.Lock()
	stop, watched := r.stop, r.watched
	r.mu.Unlock()
	if stop != nil {
		close(stop)
		<-watched
	}
	if r.gate != nil {
		r.gate.RUnlock()
	}
}
