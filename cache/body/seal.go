package body

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/cache/killpoint"
	"github.com/ossencfs/ossencfs/object"
)

// errYield ends a seal that nobody waits for because a change came.
var errYield = errors.New("the content changes again")

// Seal makes the content complete: one base under a key of its own, ready for upload; Sealed = true and CachedGen = Gen of
// the inode, in one transaction. A file that was written front to back only needs its end; anything else is sealed whole
// under a fresh key, in steps of 1 MiB, while readers go on and writers wait. Of a sealed file nothing changes. When it
// fails, the content is as before and may be sealed again.
func (s *Store) Seal(ctx context.Context, ino index.Ino) error {
	return s.SealWith(ctx, ino, nil)
}

// SealWith is Seal with further changes in the transaction that completes the content. Without one, because nothing was to be
// sealed, then is not called.
func (s *Store) SealWith(ctx context.Context, ino index.Ino, then func(*index.Tx) error) error {
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	b := s.acquire(ino)
	defer s.release(b)
	return s.seal(ctx, b, sealJob{then: then})
}

// sealJob says how to seal.
type sealJob struct {
	background bool                  // gives way to changes with errYield
	then       func(*index.Tx) error // joins the transaction; may be nil
}

func (s *Store) seal(ctx context.Context, b *body, job sealJob) error {
	in, err := s.writeLock(ctx, b)
	if err != nil {
		return err
	}
	defer b.mu.Unlock()
	row := b.base.rowCopy()
	switch {
	case in.Sealed && (b.base != nil || in.Size > 0):
		return nil
	case b.stream != nil && row.size == in.Size && len(b.over) == 0:
		return s.finishLocked(b, in, job)
	case row.stage != nil:
		return s.resumeLocked(b, in, job)
	case in.Size <= int64(s.o.SmallMax):
		return s.sealSmallLocked(b, in, job)
	}
	return s.sealLargeLocked(ctx, b, in, job)
}

// finishLocked ends a stream that holds the whole content.
func (s *Store) finishLocked(b *body, in index.Inode, job sealJob) error {
	e := b.editLocked(in)
	sealed := b.stream.Finish()
	b.stream = nil
	return s.commitSealLocked(b, e, sealed, job)
}

// commitSealLocked makes e's base the sealed content of the inode's generation.
func (s *Store) commitSealLocked(b *body, e *edit, sealed *object.Sealed, job sealJob) error {
	e.stream, e.log, e.resetWindows, e.sealed = nil, nil, true, true
	e.digests, e.then = sealed, job.then
	e.row.gen = e.rec.gen
	s.describe(&e.row, sealed)
	e.rec.visible = e.row.size
	e.inode = func(in *index.Inode) {
		if in.Gen == 0 {
			in.Gen = e.rec.gen
		}
		in.Sealed, in.CachedGen = true, in.Gen
	}
	killpoint.At(killpoint.BodySealed)
	return s.commitLocked(b, e)
}

// sealSmallLocked seals a small file that is not a finished stream, or an empty one.
func (s *Store) sealSmallLocked(b *body, in index.Inode, job sealJob) error {
	buf := s.buffer(int(in.Size))
	defer s.recycle(buf)
	if err := s.readLocked(b, buf, 0); err != nil {
		return fmt.Errorf("inode %d: seal: %w", b.ino, err)
	}
	e := b.editLocked(in)
	if err := s.newStream(e); err != nil {
		return err
	}
	if err := e.stream.Seal(buf, buf); err != nil {
		return err
	}
	if len(buf) > 0 {
		p, err := s.segs.reserve(uint32(len(buf)))
		if err != nil {
			return err
		}
		e.reserved = []piece{p}
		p.n = p.cap
		e.row.pieces, e.row.size = []piece{p}, in.Size
		if err := s.segs.writeAt(p, buf, 0); err != nil {
			s.unreserve(e)
			s.undo(e, b.base.rowCopy(), b.rec.log)
			return err
		}
	}
	return s.commitSealLocked(b, e, e.stream.Finish(), job)
}

// sealLargeLocked seals a large file that is not a finished stream. body.mu is given up meanwhile: readers go on, changes
// wait for body.busy.
func (s *Store) sealLargeLocked(ctx context.Context, b *body, in index.Inode, job sealJob) error {
	e := b.editLocked(in)
	fresh := b.stream == nil || e.row.file == 0
	if fresh {
		if err := s.newStream(e); err != nil {
			return err
		}
		id, d, err := s.newFile()
		if err != nil {
			return err
		}
		s.files.put(d)
		e.row.file = id
	}
	from := e.row.size
	b.stream = nil // it moves on now: whatever happens, nobody else continues it
	b.busy, b.yield = make(chan struct{}), false
	b.mu.Unlock()
	err := s.sealAside(ctx, b, e, from, in.Size, job.background)
	b.mu.Lock()
	close(b.busy)
	b.busy = nil
	if err == nil {
		var now index.Inode
		if now, err = s.inode(b.ino); err == nil && now.Gen != in.Gen {
			err = fmt.Errorf("inode %d: seal: %w", b.ino, ErrStale)
		}
	}
	if err != nil {
		s.undo(e, b.base.rowCopy(), b.rec.log)
		return err
	}
	e.row.size = in.Size
	return s.commitSealLocked(b, e, e.stream.Finish(), job)
}

// sealAside is sealRange. Old and new content are both here meanwhile: what does not fit goes one after the other, so that the limit is exceeded by one
// content at most.
func (s *Store) sealAside(ctx context.Context, b *body, e *edit, from, to int64, background bool) error {
	s.ahead(ctx, to-from)
	if s.space.over(to-from) > 0 {
		if err := s.beyond.Acquire(ctx, 1); err != nil {
			return err
		}
		defer s.beyond.Release(1)
		s.ahead(ctx, to-from)
	}
	return s.sealRange(ctx, b, e, from, to, background)
}

// Fsync makes content and inode durable against a power cut, and with them all that was written before. Callers that come together
// share the work.
func (s *Store) Fsync(ctx context.Context, ino index.Ino) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := s.acquire(ino)
	defer s.release(b)
	if _, err := s.readLock(b); err != nil {
		return err
	}
	b.mu.RUnlock()
	return s.db.Sync()
}
