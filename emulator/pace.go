package emulator

import (
	"context"
	"io"
	"sync"
	"time"
)

// pace is a line that all uploads share.
type pace struct {
	mu   sync.Mutex // guards the fields below
	rate int64      // bytes per second; 0: as fast as they come
	free time.Time  // when the line has taken what was sent so far
}

// SetUploadRate bounds how many bytes per second the server takes of all request bodies together, as a slow line does; 0: no bound.
func (s *Server) SetUploadRate(bytesPerSecond int64) {
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	s.pace.rate, s.pace.free = max(bytesPerSecond, 0), time.Time{}
}

// take waits until the line has taken n bytes more; false: ctx has ended.
func (p *pace) take(ctx context.Context, n int) bool {
	p.mu.Lock()
	if p.rate == 0 || n <= 0 {
		p.mu.Unlock()
		return true
	}
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	wait := p.free.Sub(now)
	p.mu.Unlock()
	return pause(ctx, wait)
}

// pacedReader is a request body on the line.
type pacedReader struct {
	r   io.Reader
	p   *pace
	ctx context.Context
}

// Read implements io.Reader.
func (r *pacedReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p[:min(len(p), 64<<10)])
	if !r.p.take(r.ctx, n) {
		return n, errDropped
	}
	return n, err
}
