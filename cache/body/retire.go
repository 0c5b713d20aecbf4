package body

import (
	"context"
	"errors"
	"time"

	"github.com/ossencfs/ossencfs/cache/killpoint"
)

// retirement is what a committed change no longer uses.
type retirement struct {
	base   *base // all of it, once no upload reads it
	pieces []piece
	file   uint64
	log    uint64

	never bool // no transaction was committed that refers to it
}

func (r *retirement) empty() bool {
	return r.base == nil && len(r.pieces) == 0 && r.file == 0 && r.log == 0
}

// retire frees r behind a barrier, since the state that the last one made durable may refer to it, and not before the last upload has
// read it.
func (s *Store) retire(r *retirement) {
	if r.empty() {
		return
	}
	if r.base != nil {
		s.mu.Lock()
		if r.base.refs > 0 {
			r.base.doomed = r
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		row := r.base.rowCopy()
		r.pieces, r.file, r.base = append(r.pieces, row.pieces...), row.file, nil
	}
	if r.never {
		s.free(r)
		return
	}
	s.mu.Lock()
	s.retired = append(s.retired, r)
	s.mu.Unlock()
	s.kick()
}

// free gives the space of r back.
func (s *Store) free(r *retirement) {
	visit := false
	for _, p := range r.pieces {
		visit = s.segs.free(p) || visit
	}
	if len(r.pieces) > 0 {
		s.space.wake()
	}
	for _, id := range []uint64{r.file, r.log} {
		if id != 0 {
			s.removeFile(id)
		}
	}
	if visit {
		s.kick()
	}
}

// reap frees what waits for a barrier.
func (s *Store) reap() error {
	s.reaping.Lock()
	defer s.reaping.Unlock()
	s.mu.Lock()
	rs := s.retired
	s.retired = nil
	s.mu.Unlock()
	if len(rs) == 0 {
		return nil
	}
	if err := s.db.Sync(); err != nil {
		s.mu.Lock()
		s.retired = append(rs, s.retired...)
		s.mu.Unlock()
		return err
	}
	killpoint.At(killpoint.BodyBarrier)
	for _, r := range rs {
		s.free(r)
		killpoint.At(killpoint.BodyFreed)
	}
	return nil
}

// ignoreGone turns the absence of a file into success: what was removed meanwhile has been replaced in its turn.
func ignoreGone(err error) error {
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
}

// syncWritten makes all bytes durable that were written before the call; it is the index's OnBarrier.
func (s *Store) syncWritten() error {
	return errors.Join(s.segs.files.syncDirty(), s.files.syncDirty())
}

// kick makes the keeper look for work.
func (s *Store) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// Pauses of the keeper.
const (
	barrierEvery = 5 * time.Second // what programs did not fsync is durable after so long
	reapEvery    = time.Second     // between barriers for the sake of space, unless somebody waits for it
)

// keep is the goroutine that does what no caller waits for: it frees space behind barriers, collects segments, evicts ahead of need,
// and makes a barrier now and then.
func (s *Store) keep(ctx context.Context) {
	defer s.wg.Done()
	retry := time.NewTimer(0) // the first round, for what an earlier process left
	if !s.o.Forget {
		retry.Stop()
	}
	defer retry.Stop()
	tick := time.NewTicker(barrierEvery)
	defer tick.Stop()
	var reaped time.Time
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.tidyStages()
			if s.db.Behind() {
				s.tell(ctx, "make a barrier", s.db.Sync())
			}
			continue
		case <-again.C:
		case <-s.kicked:
		case <-retry.C:
		}
		s.finishDrops()
		s.tidyStages()
		if s.forgetSent(ctx, false) || s.idleNow() {
			retry.Reset(forgetRetry)
		}
		if wait := reapEvery - time.Since(reaped); wait > 0 && s.space.over(s.o.Limit/32) <= 0 {
			again.Reset(wait)
			continue
		}
		reaped = time.Now()
		s.tidy(ctx)
	}
}

// tidy frees space that nothing refers to.
func (s *Store) tidy(ctx context.Context) {
	if err := s.reap(); err != nil {
		s.tell(ctx, "free space", err)
		return
	}
	s.tell(ctx, "collect segments", s.collect(ctx))
	if over := s.space.over(s.o.Limit / 32); over > 0 {
		_, err := s.evict(ctx, over)
		s.tell(ctx, "evict", err)
	}
}

// tell logs what nobody else hears of.
func (s *Store) tell(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		s.o.Logger.Error("cache: cannot "+what, "error", err)
	}
}
