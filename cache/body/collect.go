package body

import (
	"context"
	"errors"

	"github.com/ossencfs/ossencfs/cache/index"
)

// collect removes dead segments and empties those of which less than half is live.
func (s *Store) collect(ctx context.Context) error {
	for _, g := range s.segs.wasteful() {
		state, ok := s.segs.state(g.id)
		if !ok {
			continue
		}
		if state.live > 0 {
			if err := s.compact(ctx, g.id); err != nil {
				return err
			}
		}
		if removed, err := s.segs.remove(g.id); err != nil {
			return err
		} else if !removed {
			s.segs.setStuck(g.id)
		}
	}
	return nil
}

// compact moves the live pieces of a segment to the active one.
func (s *Store) compact(ctx context.Context, id uint32) error {
	inos, err := s.inosIn(id)
	if err != nil {
		return err
	}
	for _, ino := range inos {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.movePieces(ino, id); err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrStale) {
			return err
		}
	}
	return s.reap()
}

// movePieces copies the ciphertext of one small base out of a segment. The same bytes stay under the same key.
func (s *Store) movePieces(ino index.Ino, seg uint32) error {
	b := s.acquire(ino)
	defer s.release(b)
	b.mu.Lock()
	defer b.mu.Unlock()
	in, err := s.currentLocked(b)
	if err != nil || b.base == nil {
		return err
	}
	e := b.editLocked(in)
	inside := false
	for _, p := range e.row.pieces {
		inside = inside || p.seg == seg
	}
	if !inside || e.row.size == 0 {
		return nil
	}
	buf := s.buffer(int(e.row.size))
	defer s.recycle(buf)
	if err := s.readSealed(b.base, buf, 0); err != nil {
		return err
	}
	p, err := s.segs.reserve(uint32(len(buf)))
	if err != nil {
		return err
	}
	e.reserved = []piece{p}
	p.n = p.cap
	e.row.pieces, e.noInode = []piece{p}, true
	if err := s.segs.writeAt(p, buf, 0); err != nil {
		s.unreserve(e)
		s.undo(e, b.base.rowCopy(), b.rec.log)
		return err
	}
	return s.commitLocked(b, e)
}
