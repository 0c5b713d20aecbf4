package fs

import (
	"context"
	"sync"
	"time"
)

// interruptGrace is how long a waiting request goes on after the kernel reported a signal. Most signals (SIGCHLD,
// a timer, the Go runtime's preemption) do not end the process, and a program does not expect EINTR from a disk.
const interruptGrace = time.Second

// request is the context of one kernel request. It costs nothing until somebody waits on it.
type request struct {
	cancel <-chan struct{}

	// mu guards the fields below.
	mu      sync.Mutex
	done    chan struct{} // what waiters see; nil until asked for
	stop    chan struct{} // closed by finish
	watched chan struct{} // closed when the watcher has ended
	err     error
}

var _ context.Context = (*request)(nil)

// newRequest wraps the cancel channel of a kernel request; finish must be called before the handler returns.
func newRequest(cancel <-chan struct{}) *request {
	return &request{cancel: cancel}
}

// begin takes a kernel request up; finish must be called before the handler returns.
func (f *fileSystem) begin(cancel <-chan struct{}) *request {
	f.cache.Called()
	return newRequest(cancel)
}

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
	if stop == nil {
		return
	}
	close(stop)
	<-watched
}
