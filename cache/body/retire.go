package body

import (
	"context"
	"errors"
)

// retirement is what a committed change no longer uses.
type retirement struct {
	base   *base // all of it, once no upload reads it
	pieces []piece
	file   uint64
	log    uint64

	barrier bool     // an fsynced state refers to it: the index, and what replaces it, must be durable first
	files   []uint64 // what replaces it
	segs    []uint32
}

// syncRow adds the places of a base to what must be durable first.
func (r *retirement) syncRow(row baseRow) {
	if row.file != 0 {
		r.files = append(r.files, row.file)
	}
	for _, p := range row.pieces {
		r.segs = append(r.segs, p.seg)
	}
}

func (r *retirement) empty() bool {
	return r.base == nil && len(r.pieces) == 0 && r.file == 0 && r.log == 0
}

// retire frees r: at once, or behind a barrier, and not before the last upload has read it.
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
	if !r.barrier {
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

// reap frees what waits for a barrier: first what replaces it becomes durable, then the index, then it goes.
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
	if err := s.barrier(rs); err != nil {
		s.mu.Lock()
		s.retired = append(rs, s.retired...)
		s.mu.Unlock()
		return err
	}
	for _, r := range rs {
		s.free(r)
	}
	return nil
}

func (s *Store) barrier(rs []*retirement) error {
	segs, files := map[uint32]bool{}, map[uint64]bool{}
	for _, r := range rs {
		for _, id := range r.segs {
			segs[id] = true
		}
		for _, id := range r.files {
			files[id] = true
		}
	}
	for id := range segs {
		if err := ignoreGone(s.segs.sync(id)); err != nil {
			return err
		}
	}
	for id := range files {
		if err := ignoreGone(s.syncFile(id)); err != nil {
			return err
		}
	}
	return s.db.Sync()
}

// ignoreGone turns the absence of a file into success: what was removed meanwhile has been replaced in its turn.
func ignoreGone(err error) error {
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
}

func (s *Store) syncFile(id uint64) error {
	d, err := s.files.get(id)
	if err != nil {
		return err
	}
	defer s.files.put(d)
	return d.sync()
}

// kick makes the keeper look for work.
func (s *Store) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// keep is the goroutine that does what no caller waits for: it frees space behind barriers, collects segments and evicts
// ahead of need.
func (s *Store) keep(ctx context.Context) {
	defer s.wg.Done()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kicked:
		}
		s.finishDrops()
		if err := s.reap(); err != nil {
			s.o.Logger.Error("cache: cannot free space", "error", err)
			continue
		}
		if err := s.collect(ctx); err != nil && ctx.Err() == nil {
			s.o.Logger.Error("cache: cannot collect segments", "error", err)
		}
		if over := s.space.over(s.o.Limit / 32); over > 0 {
			if _, err := s.evict(ctx, over); err != nil && ctx.Err() == nil {
				s.o.Logger.Error("cache: cannot evict", "error", err)
			}
		}
	}
}
