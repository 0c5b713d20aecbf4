package body

import (
	"context"
	"fmt"
)

// claim is what a change needs before it begins in a cache without room: space for all of the content, and that none of it is evicted again
// before the change is made. end must follow.
type claim struct {
	s *Store
	b *body
	r *remote // whose missing chunks have room; nil: none
	n int64   // bytes that have room beside those of r

	granted bool // it has all the room that it needs
}

// claim waits for room for the content of b, if it is not here, and for n bytes more. Callers come in turn: a content of many bytes would
// never find room beside writers who need little, and two that have room for a half would wait for each other.
func (s *Store) claim(ctx context.Context, b *body, n int64) (*claim, error) {
	if err := s.turn.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.turn.Release(1)
	c, missing, err := s.hold(b)
	if err != nil {
		return nil, err
	}
	need := min(missing+n, s.o.Limit)
	if err := s.reserve(ctx, need); err != nil {
		c.end()
		return nil, err
	}
	if c.r != nil {
		c.r.reserve(missing)
		need -= missing
	}
	c.n, c.granted = need, true
	s.granted.Add(1)
	return c, nil
}

// hold keeps the content of b here, what comes of it included, and returns how many bytes of it are missing that have no room.
func (s *Store) hold(b *body) (c *claim, missing int64, err error) {
	c = &claim{s: s, b: b}
	s.claimed(b, 1) // before the look: what is found here stays
	defer func() {
		if err != nil {
			c.end()
		}
	}()
	in, err := s.readLock(b)
	if err != nil {
		return c, 0, err
	}
	here := b.hereLocked(in)
	b.mu.RUnlock()
	switch {
	case here:
		return c, 0, nil
	case in.Size > s.o.Limit:
		return c, 0, tooLarge(in.Size, s.o.Limit)
	case in.Size <= chunkSize:
		return c, in.Size, nil
	}
	r, err := s.openRemote(b, in)
	if err != nil {
		return c, 0, err
	}
	c.r = r
	return c, r.claim(), nil
}

func tooLarge(size, limit int64) error {
	return fmt.Errorf("fetch %d bytes into a cache of %d: %w", size, limit, ErrNoSpace)
}

// end gives back what the claim has; nil has nothing.
func (c *claim) end() {
	if c == nil {
		return
	}
	c.s.claimed(c.b, -1)
	if c.r != nil {
		c.r.unclaim()
		c.r.done()
	}
	if c.granted {
		c.s.granted.Add(-1)
	}
	c.s.space.add(-c.n)
}

// claimed counts n more changes that need all of b here.
func (s *Store) claimed(b *body, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.claims += n
}

// keepHere counts n more readers who fetched all of b and are about to read it.
func (s *Store) keepHere(b *body, n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.readers += n
}

// wantedHere reports whether changes, or readers, need all of b here.
func (s *Store) wantedHere(b *body) (changes, readers bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return b.claims > 0, b.readers > 0
}

// claim counts somebody who needs all chunks, so that none is given back, and returns how many bytes are missing that have no room.
func (r *remote) claim() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.claims++
	missing := r.size - r.reserved
	for c := range r.have {
		_, n := r.span(c)
		missing -= n
	}
	return max(missing, 0)
}

// reserve notes that room for n bytes of chunks that are not here is counted.
func (r *remote) reserve(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved += n
}

// unclaim ends one claim. What no other needs of the room is given back.
func (r *remote) unclaim() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.claims--; r.claims > 0 {
		return
	}
	r.s.space.add(-r.reserved)
	r.reserved = 0
}

// fetchHeld fetches the content of b, none of which is given back meanwhile. It does not wait for room: those who could make some may wait for
// what the caller does.
func (s *Store) fetchHeld(ctx context.Context, b *body) error {
	s.claimed(b, 1)
	defer s.claimed(b, -1)
	return s.fetch(ctx, b)
}
