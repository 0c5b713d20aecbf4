package body

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// unsealedWait is how long a writer waits for room when all that fills the cache is files that are still being written.
const unsealedWait = 10 * time.Second

// A file that is being changed keeps its room for residence, or until it is left alone for as long as idleAfter: several that do not fit together would
// otherwise be sent and fetched for each call.
const (
	residence = 500 * time.Millisecond
	idleAfter = 100 * time.Millisecond
)

// roomPoll is how often a writer who waits looks whether uploads have made something evictable.
const roomPoll = 100 * time.Millisecond

// room waits until n bytes fit: clean content goes first, then uploads are hurried and awaited.
func (s *Store) room(ctx context.Context, n int64) error {
	if s.space.over(n+s.o.Limit/32) > 0 {
		s.kick()
	}
	return s.makeRoom(ctx, n, func() int64 { return s.space.over(n) }, func() bool { return s.granted.Load() > 0 || s.pressed() })
}

// reserve waits until n bytes fit and counts them as taken. There is one such caller at a time. Room that comes free meanwhile is kept for it,
// but not what was free before: that is for those who need little.
func (s *Store) reserve(ctx context.Context, n int64) error {
	s.reserving.Store(true)
	defer s.reserving.Store(false)
	got, spare := int64(0), max(-s.space.over(0), 0)
	missing := func() int64 {
		free := max(-s.space.over(0), 0)
		if spare = min(spare, free); got+free >= n {
			spare = 0
		}
		got += s.space.take(min(n-got, free-spare))
		return n - got
	}
	err := s.makeRoom(ctx, n, missing, func() bool { return s.granted.Load() > 0 })
	if err != nil {
		s.space.add(-got)
	}
	return err
}

// pressed reports whether somebody waits for room for a whole content.
func (s *Store) pressed() bool { return s.reserving.Load() }

// makeRoom waits until nothing of n bytes is missing. others reports whether others have taken room that they will give back.
func (s *Store) makeRoom(ctx context.Context, n int64, missing func() int64, others func() bool) error {
	if missing() <= 0 {
		return nil
	}
	deadline := time.Now().Add(unsealedWait)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := s.space.changed()
		waiting, err := s.evict(ctx, max(missing(), s.o.Limit/32))
		if err != nil {
			return err
		}
		need := missing()
		if need <= 0 {
			return nil
		}
		late := time.Now().After(deadline)
		waiting = s.pressOn(need, waiting, late) || others()
		if !waiting && late || n > s.o.Limit {
			return fmt.Errorf("%d bytes more in a cache of %d, all in use: %w", n, s.o.Limit, ErrNoSpace)
		}
		if s.o.Pressure != nil {
			s.o.Pressure()
		}
		timer.Reset(roomPoll)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return ErrClosed
		}
	}
}

// pressOn lets files that are being written go to the bucket, when uploads alone (waiting) make no room for n bytes, and reports whether room will come
// of anything.
func (s *Store) pressOn(n int64, waiting, late bool) bool {
	least := int64(0)
	if waiting && !late {
		least = s.o.Limit / 2 // what may well be smaller than the cache need not leave it: uploads will make room
	}
	uploads := s.stageAhead(least) || waiting
	if !uploads || late { // uploads that make no room may be refused
		return s.sealAhead(n, late && !uploads) || uploads
	}
	return true
}

// ahead makes room for n bytes as far as that needs no waiting.
func (s *Store) ahead(ctx context.Context, n int64) {
	if over := s.space.over(n); over > 0 {
		if _, err := s.evict(ctx, over); err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("cache: cannot evict", "error", err)
		}
	}
}

// sealAhead begins to seal files that programs have open, so that they can be uploaded and leave: the least recently changed first, until that
// makes room for n bytes, and those that are written from front to back only when streams, since they cannot go on like that afterwards. It reports
// whether room will come of it.
func (s *Store) sealAhead(n int64, streams bool) bool {
	if s.o.Pressure == nil || s.o.Forget { // what a write-only host has sent cannot be changed any more
		return false
	}
	if !s.sealing.CompareAndSwap(false, true) {
		return !s.unsealable.Load()
	}
	open, soon := s.sealable(n, streams)
	if len(open) == 0 || !s.begin() {
		s.sealing.Store(false)
		s.releaseAll(open)
		return soon
	}
	go func() {
		defer s.wg.Done()
		defer s.releaseAll(open)
		var failed error
		for _, b := range open {
			if err := s.seal(s.ctx, b, sealJob{}); err != nil && s.ctx.Err() == nil {
				s.o.Logger.Warn("cache: an open file cannot be made ready for upload; it is tried again", "inode", uint64(b.ino), "error", err)
				failed = err
			}
		}
		s.unsealable.Store(failed != nil)
		if failed != nil {
			s.pauseStaging()
		}
		s.sealing.Store(false)
		s.space.wake()
	}()
	return !s.unsealable.Load()
}

// sealable chooses for sealAhead, and reports whether there will be more soon. The caller releases the bodies.
func (s *Store) sealable(n int64, streams bool) (chosen []*body, soon bool) {
	type file struct {
		b       *body
		changed time.Time
		bytes   int64
	}
	now := time.Now()
	var files []file
	for _, b := range s.useAll() {
		f := file{b: b}
		if b.mu.TryRLock() {
			f.changed, f.bytes = b.changed, b.unsealedBytes(streams)
			if f.bytes > 0 && now.Sub(b.opened) < residence && now.Sub(b.changed) < idleAfter {
				f.bytes, soon = 0, true
			}
			b.mu.RUnlock()
		}
		if f.bytes > 0 {
			if in, err := s.inode(b.ino); err == nil && !in.Unlinked {
				files = append(files, f)
				continue
			}
		}
		s.release(b)
	}
	slices.SortFunc(files, func(x, y file) int { return x.changed.Compare(y.changed) })
	for _, f := range files {
		if n > 0 {
			chosen = append(chosen, f.b)
			n -= f.bytes
			continue
		}
		s.release(f.b)
	}
	return chosen, soon
}

// unsealedBytes is how much of what is here is changed content that can be sealed. body.mu is held.
func (b *body) unsealedBytes(streams bool) int64 {
	if !b.open || b.busy != nil || b.staged() || b.stream != nil && !streams {
		return 0
	}
	row := b.base.rowCopy()
	n := row.heldBytes()
	if b.log != nil {
		n += b.log.end
	}
	return n
}
