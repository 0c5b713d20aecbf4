package body

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Allocate is fallocate with mode 0, or FALLOC_FL_KEEP_SIZE where keepSize is set: the file becomes at least off+n bytes
// long, unless keepSize. Space is not set aside: the bytes are in the cache and in the bucket only once they are written.
// ErrNoSpace: the range can never fit.
func (s *Store) Allocate(ctx context.Context, ino index.Ino, off, n int64, keepSize bool) error {
	end, err := s.checkRange(off, n)
	if err != nil || keepSize {
		return err
	}
	in, err := s.inode(ino)
	if err != nil || in.Size >= end {
		return err
	}
	return s.Truncate(ctx, ino, end)
}

// PunchHole makes [off, off+n) read as zeros; the size stays (FALLOC_FL_PUNCH_HOLE with FALLOC_FL_KEEP_SIZE).
func (s *Store) PunchHole(ctx context.Context, ino index.Ino, off, n int64) error {
	if off < 0 || n <= 0 {
		return fmt.Errorf("hole of %d bytes at %d: %w", n, off, ErrTooLarge)
	}
	return s.change(ctx, ino, 0, func(b *body, in index.Inode) error {
		end := in.Size
		if n < end-off {
			end = off + n
		}
		if off >= end {
			return nil
		}
		return s.punchLocked(b, in, off, end, in.Size)
	})
}

// ZeroRange makes [off, off+n) read as zeros and the file at least that long, unless keepSize (FALLOC_FL_ZERO_RANGE).
func (s *Store) ZeroRange(ctx context.Context, ino index.Ino, off, n int64, keepSize bool) error {
	if keepSize {
		return s.PunchHole(ctx, ino, off, n)
	}
	end, err := s.checkRange(off, n)
	if err != nil {
		return err
	}
	return s.change(ctx, ino, 0, func(b *body, in index.Inode) error {
		return s.punchLocked(b, in, off, min(end, max(in.Size, off)), max(in.Size, end))
	})
}

// punchLocked makes [off, end) zeros and the file size bytes long.
func (s *Store) punchLocked(b *body, in index.Inode, off, end, size int64) error {
	if b.staged() {
		return errNotFront
	}
	e := b.editLocked(in)
	e.covers = spanned(off, min(end, b.rec.visible))
	e.cover(b.over, off, end)
	if off < e.rec.visible {
		e.stream = nil
		if end >= e.rec.visible {
			e.rec.visible = off
		} else {
			e.hide(b.over, off, end)
		}
	}
	if e.log != nil && b.emptyAfter(e) {
		e.log, e.freed = nil, nil
	}
	e.inode = func(in *index.Inode) { in.Size = size }
	return s.commitLocked(b, e)
}

// hide lays holes over [off, end) of the base; the overlay is empty there.
func (e *edit) hide(over overlay, off, end int64) {
	for w := off / windowSize; w*windowSize < end; w++ {
		start := w * windowSize
		from, to := uint32(max(off-start, 0)), uint32(min(end-start, windowSize))
		ext, changed := e.windows[w]
		if !changed {
			ext = over[w]
		}
		now, _ := put(ext, extent{off: from, n: to - from, hole: true})
		e.setWindow(w, now)
	}
}

// SeekData is lseek with SEEK_DATA: the first offset from off on that may hold data. ErrNoOffset: there is none.
func (s *Store) SeekData(ctx context.Context, ino index.Ino, off int64) (int64, error) {
	return s.seek(ctx, ino, off, true)
}

// SeekHole is lseek with SEEK_HOLE: the first offset from off on that is in a hole; the end of the file is one. ErrNoOffset: off
// is at or behind the end.
func (s *Store) SeekHole(ctx context.Context, ino index.Ino, off int64) (int64, error) {
	return s.seek(ctx, ino, off, false)
}

func (s *Store) seek(ctx context.Context, ino index.Ino, off int64, data bool) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	b := s.acquire(ino)
	defer s.release(b)
	in, err := s.openLock(b)
	if err != nil {
		return 0, err
	}
	defer b.mu.RUnlock()
	if off < 0 || off >= in.Size {
		return 0, ErrNoOffset
	}
	visible := b.rec.visible
	if in.Sealed {
		visible = in.Size
	}
	found := int64(-1)
	errFound := errors.New("found")
	look := func(from, to int64, isData bool) error {
		if from < to && isData == data {
			found = from
			return errFound
		}
		return nil
	}
	_ = b.over.runs(off, in.Size-off, func(r run) error {
		if r.ext != nil {
			return look(r.off, r.off+r.n, !r.ext.hole)
		}
		edge := min(max(visible, r.off), r.off+r.n)
		if err := look(r.off, edge, true); err != nil {
			return err
		}
		return look(edge, r.off+r.n, false)
	})
	if found >= 0 {
		return found, nil
	}
	if data {
		return 0, ErrNoOffset
	}
	return in.Size, nil
}
