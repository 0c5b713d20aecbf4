package body

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Read fills p from off and returns how many bytes it got: fewer than len(p) only at the end of the file, and none
// behind it, which is no error: the kernel may know another end. What is not here is fetched from the bucket, within Options.ReadTimeout. Errors:
// ErrStale, ErrDamaged, ErrNotFound, the context's, the Remote's.
func (s *Store) Read(ctx context.Context, ino index.Ino, off int64, p []byte) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, ErrTooLarge)
	}
	if s.ctx.Err() != nil {
		return 0, ErrClosed
	}
	b := s.acquire(ino)
	defer s.release(b)
	kept := 0 // what was fetched as a whole stays until it is read
	defer func() { s.keepHere(b, -kept) }()
	for {
		in, err := s.openLock(b)
		if err != nil {
			return 0, err
		}
		if off >= in.Size {
			b.mu.RUnlock()
			return 0, nil
		}
		p = p[:min(int64(len(p)), in.Size-off)]
		if b.hereLocked(in) {
			err = s.readLocked(b, p, off)
			if err == nil && b.base != nil {
				s.touchBase(b.base)
			}
			b.mu.RUnlock()
			if err == nil {
				return len(p), nil
			}
			if errors.Is(err, errStaged) {
				err = s.awaitStaged(ctx, b, in)
			} else {
				s.keepHere(b, -kept)
				kept = 0
				err = s.refetch(b, err)
			}
			if err != nil {
				return 0, err
			}
			continue
		}
		b.mu.RUnlock()
		if kept == 0 {
			kept = 1
			s.keepHere(b, kept)
		}
		done, err := s.readAway(ctx, b, in, off, p)
		if err != nil {
			return 0, err
		}
		if done {
			return len(p), nil
		}
	}
}

// readLocked fills p with the plaintext at off: overlay over base over zeros. body.mu is held.
func (s *Store) readLocked(b *body, p []byte, off int64) error {
	return b.over.runs(off, int64(len(p)), func(r run) error {
		dst := p[r.off-off:][:r.n]
		if r.ext != nil {
			return s.readExtent(b, dst, r)
		}
		n := min(max(b.rec.visible-r.off, 0), r.n)
		if n > 0 {
			if err := s.readPlain(b.base, dst[:n], r.off); err != nil {
				return err
			}
		}
		clear(dst[n:])
		return nil
	})
}

// readExtent fills dst from an extent of the overlay.
func (s *Store) readExtent(b *body, dst []byte, r run) error {
	if r.ext.hole {
		clear(dst)
		return nil
	}
	c := r.ext.chunk
	buf := s.buffer(int(c.size) + 16)
	defer s.recycle(buf)
	if err := s.fileRead(b.log.row.file, buf[:c.size], c.slot); err != nil {
		return err
	}
	plain, err := b.log.open(c, buf[:c.size])
	if err != nil {
		return err
	}
	copy(dst, plain[r.ext.skip+r.within:])
	return nil
}

// buffer returns a slice of n bytes with arbitrary content; recycle takes it back.
func (s *Store) buffer(n int) []byte {
	if n > stepSize+16 {
		return make([]byte, n)
	}
	size := 64<<10 + 16
	pool := &s.small
	if n > size {
		size, pool = stepSize+16, &s.large
	}
	if p, ok := pool.Get().(*[]byte); ok {
		return (*p)[:n]
	}
	return make([]byte, n, size)
}

func (s *Store) recycle(p []byte) {
	switch cap(p) {
	case 64<<10 + 16:
		s.small.Put(&p)
	case stepSize + 16:
		s.large.Put(&p)
	}
}

// refetch handles bytes of the cache that cannot be had: where the bucket has the content the local copy is dropped and nil
// returned, so that the caller tries again; otherwise it is the error.
func (s *Store) refetch(b *body, err error) error {
	if errors.Is(err, ErrDamaged) {
		v, evictErr := s.evictBody(b.ino, true)
		if evictErr == nil && v == evicted {
			s.o.Logger.Warn("cache: damaged content is fetched again", "inode", uint64(b.ino), "error", err)
			return nil
		}
	}
	return fmt.Errorf("inode %d: %w", b.ino, err)
}
