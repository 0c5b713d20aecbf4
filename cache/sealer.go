package cache

import (
	"context"
	"sync"
	"time"
)

const (
	// sealIdle is how long a file that is open and was fsynced must be quiet before it is sealed for upload.
	sealIdle = 5 * time.Second
	// sealLatest is when it is sealed although it is not quiet: deletions that came after the fsync wait for its upload.
	sealLatest = time.Minute
	// sealShare limits the time spent sealing a file that is written all the time to one part in so many.
	sealShare = 20
	// sealTick is how often the list is looked at while there is something in it.
	sealTick = time.Second
)

// sealer seals files that stay open after an fsync, such as a database's: what was fsynced must reach the bucket, and the close
// that would seal it may never come.
type sealer struct {
	seal func(context.Context, Ino) error
	fail func(Ino, error)
	stop context.CancelFunc
	kick chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards the field below
	pending map[Ino]synced
}

// synced is one file of the list.
type synced struct {
	first, last time.Time // fsyncs since the last seal
	notBefore   time.Time // the share of sealing
}

func newSealer(seal func(context.Context, Ino) error, fail func(Ino, error)) *sealer {
	ctx, stop := context.WithCancel(context.Background())
	s := &sealer{seal: seal, fail: fail, stop: stop, kick: make(chan struct{}, 1), done: make(chan struct{}), pending: make(map[Ino]synced)}
	go s.run(ctx)
	return s
}

// close ends the sealing under way and waits for it.
func (s *sealer) close() {
	s.stop()
	<-s.done
}

// synced notes an fsync of a file that is open for writing.
func (s *sealer) synced(ino Ino) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := time.Now()
	p := s.pending[ino]
	if p.first.IsZero() {
		p.first = t
	}
	p.last = t
	s.pending[ino] = p
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// closed takes a file off the list: its close has sealed it.
func (s *sealer) closed(ino Ino) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, ino)
}

// due takes one file whose time has come; more tells whether the list has any.
func (s *sealer) due(t time.Time) (ino Ino, ok, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.pending {
		if p.first.IsZero() {
			if t.After(p.notBefore) {
				delete(s.pending, i)
			}
			continue
		}
		more = true
		if t.Before(p.notBefore) || t.Sub(p.last) < sealIdle && t.Sub(p.first) < sealLatest {
			continue
		}
		p.first = time.Time{}
		s.pending[i] = p
		return i, true, true
	}
	return 0, false, more
}

// took notes how long a seal took, which puts the next one of the file off.
func (s *sealer) took(ino Ino, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.pending[ino]; ok {
		p.notBefore = time.Now().Add(d * sealShare)
		s.pending[ino] = p
	}
}

func (s *sealer) run(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(sealTick)
	defer tick.Stop()
	for {
		ino, ok, more := s.due(time.Now())
		if ok {
			begun := time.Now()
			if err := s.seal(ctx, ino); err != nil && ctx.Err() == nil {
				s.fail(ino, err)
			}
			s.took(ino, time.Since(begun))
			continue
		}
		wait := s.kick
		if more {
			wait = nil // the tick comes anyway
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wait:
		}
	}
}
