package body

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// stepSize is the unit in which large contents are moved.
const stepSize = 1 << 20

// Write writes p at off. When it returns nil, the bytes and the inode (Size, Mtime, Ctime, ChangedAt; a new Gen and Sealed =
// false at the first change of a sealed generation) survive the death of the process. Errors: ErrNoSpace, ErrStale,
// ErrDamaged, ErrNotFound, ErrTooLarge, the context's; the content is then as before. While the cache is full of
// what must be uploaded first, it waits.
func (s *Store) Write(ctx context.Context, ino index.Ino, off int64, p []byte) error {
	if err := s.checkWrite(off, int64(len(p))); err != nil || len(p) == 0 {
		return err
	}
	return s.change(ctx, ino, int64(len(p)), func(b *body, in index.Inode) error {
		return s.writeLocked(b, in, off, p)
	})
}

// checkRange returns the end of a range, or why it cannot be.
func (s *Store) checkRange(off, n int64) (end int64, err error) {
	if off < 0 || n < 0 || off > MaxSize-n {
		return 0, fmt.Errorf("%d bytes at %d: %w", n, off, ErrTooLarge)
	}
	if off+n > s.o.Limit {
		return 0, fmt.Errorf("file of %d bytes in a cache of %d: %w", off+n, s.o.Limit, ErrNoSpace)
	}
	return off + n, nil
}

// checkWrite refuses what can never be written. A file that grows from front to back may become larger than the cache.
func (s *Store) checkWrite(off, n int64) error {
	if off < 0 || n < 0 || off > MaxSize-n {
		return fmt.Errorf("%d bytes at %d: %w", n, off, ErrTooLarge)
	}
	if off+n > s.largest() {
		return fmt.Errorf("file of %d bytes in a cache of %d: %w", off+n, s.o.Limit, ErrNoSpace)
	}
	return nil
}

// change runs fn with the body's lock held for writing, the whole content here and room for n bytes.
func (s *Store) change(ctx context.Context, ino index.Ino, n int64, fn func(*body, index.Inode) error) error {
	if err := s.ctx.Err(); err != nil {
		return ErrClosed
	}
	b := s.acquire(ino)
	defer s.release(b)
	var c *claim
	defer func() { c.end() }()
	for {
		if c == nil {
			if err := s.room(ctx, n); err != nil {
				return err
			}
		}
		in, err := s.changeLock(ctx, b)
		if err != nil {
			return err
		}
		here := b.hereLocked(in)
		if here && (c != nil || !in.Sealed || in.Size == 0 || !s.pressed()) {
			again, err := s.changeLocked(ctx, b, in, n, fn)
			if again {
				continue
			}
			return err
		}
		b.mu.Unlock()
		switch {
		case c == nil: // a content that is changed stays here until it is uploaded, so it takes room from those who wait for some
			c, err = s.claim(ctx, b, n)
		case !here:
			err = s.fetch(ctx, b)
		}
		if err != nil {
			return err
		}
	}
}

// changeLocked runs the change of n bytes, ends the lock, and reports whether the change is to be tried again, because a full disk has got room.
func (s *Store) changeLocked(ctx context.Context, b *body, in index.Inode, n int64, fn func(*body, index.Inode) error) (again bool, err error) {
	if in.Sealed && !s.counts(in.Origin) {
		b.mu.Unlock()
		return false, fmt.Errorf("inode %d: change a part of it: %w: %w", b.ino, ErrUntrusted, object.ErrRetired)
	}
	err = s.withDisk(n, func() error { return fn(b, in) })
	b.mu.Unlock()
	s.noteDisk(err)
	full := diskFull{}
	return errors.As(err, &full) && s.givesWay(ctx, n), err
}

// counts reports whether content that came from the bucket still counts. If not, what is made of it would pass for ours.
func (s *Store) counts(origin index.ID) bool {
	return origin == (index.ID{}) || s.o.Counts == nil || s.o.Counts(origin)
}

// withDisk runs a change of n bytes, unless the disk is so full that they would take what the index needs.
func (s *Store) withDisk(n int64, change func() error) error {
	if n > 0 && s.db.Full() {
		return diskFull{errFullDisk}
	}
	return change()
}

// givesWay frees room on a full disk by content that the bucket has, and reports whether there was any.
func (s *Store) givesWay(ctx context.Context, n int64) bool {
	freed, err := s.Evict(ctx, n+stepSize)
	return err == nil && freed > 0
}

func (s *Store) writeLocked(b *body, in index.Inode, off int64, p []byte) error {
	tail, err := s.tailLocked(b, off, p)
	if err != nil {
		return err
	}
	if tail == nil && (b.staged() || off+int64(len(p)) > s.o.Limit) {
		return fmt.Errorf("%d bytes at %d: %w", len(p), off, errNotFront)
	}
	if tail == nil {
		return s.overwriteLocked(b, in, off, p)
	}
	size := max(in.Size, off+int64(len(p)))
	if len(tail) == 0 { // the same bytes once more
		return nil
	}
	if err := s.appendLocked(b, in, tail, size); err != nil {
		return err
	}
	// The bytes are accepted. What had been written ahead of the stream can join it; when that fails, it stays where it is.
	if err := s.absorbLocked(b); err != nil {
		s.o.Logger.Warn("cache: written-ahead bytes stay in the working copy", "inode", b.ino, "error", err)
	}
	return nil
}

// staged reports whether the begin of the content is not here any more.
func (b *body) staged() bool { return b.base != nil && b.base.rowCopy().stage != nil }

// maxResent is how far a write may reach back over the end of a stream: the kernel's write-back cache sends the last page of
// a file again when it has grown.
const maxResent = 4096

// tailLocked decides whether a write continues the stream, and returns the part of p that does; nil: it does not. Bytes
// before the stream's end are accepted when they are those already there.
func (s *Store) tailLocked(b *body, off int64, p []byte) ([]byte, error) {
	hwm := b.base.rowCopy().size
	if b.base == nil || b.stream == nil && hwm == 0 {
		if off == 0 {
			return p, nil
		}
		return nil, nil
	}
	if b.stream == nil || off > hwm || hwm-off > maxResent || off+int64(len(p)) < hwm {
		return nil, nil
	}
	back := hwm - off
	if back == 0 {
		return p, nil
	}
	was := make([]byte, back)
	if err := s.readPlain(b.base, was, off); err != nil {
		return nil, err
	}
	if !bytes.Equal(was, p[:back]) {
		return nil, nil
	}
	return p[back:], nil
}

// appendLocked continues the stream with p, or begins it. The file has size bytes afterwards.
func (s *Store) appendLocked(b *body, in index.Inode, p []byte, size int64) error {
	e := b.editLocked(in)
	if e.base == nil || e.stream == nil { // nothing, or the sealed body of an empty file
		if err := s.newStream(e); err != nil {
			return err
		}
	}
	off := e.row.size
	buf := s.buffer(len(p))
	defer s.recycle(buf)
	// From here on the stream has moved: it is given up unless all of this becomes part of it.
	b.stream = nil
	err := e.stream.Seal(buf, p)
	if err == nil {
		err = s.place(e, buf, off)
	}
	if err != nil {
		s.unreserve(e)
		s.undo(e, b.base.rowCopy(), b.rec.log)
		return err
	}
	e.row.size = off + int64(len(p))
	e.rec.visible = e.row.size
	e.cover(b.over, off, e.row.size)
	if e.log != nil && b.emptyAfter(e) {
		e.log, e.freed = nil, nil
	}
	e.inode = func(in *index.Inode) { in.Size = size }
	return s.commitLocked(b, e)
}

// newStream gives e a fresh base that grows.
func (s *Store) newStream(e *edit) error {
	sealing, err := s.o.NewSealing()
	if err != nil {
		return err
	}
	s.adopt(e, sealing)
	return nil
}

// adopt makes e's base the stream of a sealing that has sealed nothing yet.
func (s *Store) adopt(e *edit, sealing *object.Sealing) {
	key := sealing.ContentKey()
	secret := s.sealKey(key)
	e.stream, e.base, e.row = sealing, &base{key: key}, baseRow{secret: secret}
	e.rec.visible = 0
}

// place writes ciphertext that continues e's base at off: into pieces while the base is small, into a file of its own above.
func (s *Store) place(e *edit, data []byte, off int64) error {
	total := off + int64(len(data))
	if e.row.file != 0 {
		return s.fileWrite(e.row.file, data, off)
	}
	if total > int64(s.o.SmallMax) {
		return s.moveOut(e, data, off)
	}
	e.row.pieces = append([]piece(nil), e.row.pieces...)
	for len(data) > 0 {
		var last *piece
		if n := len(e.row.pieces); n > 0 {
			last = &e.row.pieces[n-1]
		}
		if last == nil || last.n == last.cap {
			p, err := s.segs.reserve(pieceRoom(off, len(data), s.o.SmallMax))
			if err != nil {
				return err
			}
			e.reserved = append(e.reserved, p)
			e.row.pieces = append(e.row.pieces, p)
			continue
		}
		n := min(len(data), int(last.cap-last.n))
		if err := s.segs.writeAt(*last, data[:n], int64(last.n)); err != nil {
			return err
		}
		last.n += uint32(n)
		data, off = data[n:], off+int64(n)
	}
	return nil
}

// pieceRoom is how many bytes to reserve for n bytes at off of a growing small base: exactly n at first, since most files
// come in one write; as much again as there is and at least a page when it goes on, so that pieces stay few.
func pieceRoom(off int64, n, smallMax int) uint32 {
	if off == 0 {
		return uint32(n)
	}
	return uint32(max(n, min(max(int(off), 4096), smallMax-int(off))))
}

// moveOut moves a base that has become too large for segments to a file of its own and continues it with data.
func (s *Store) moveOut(e *edit, data []byte, off int64) error {
	id, d, err := s.newFile()
	if err != nil {
		return err
	}
	defer s.files.put(d)
	row := e.row
	e.row.file, e.row.pieces = id, nil
	if off > 0 {
		head := s.buffer(int(off))
		defer s.recycle(head)
		old := &base{row: row}
		if err := s.readSealed(old, head, 0); err != nil {
			return err
		}
		if err := d.writeAt(head, 0); err != nil {
			return err
		}
	}
	return d.writeAt(data, off)
}

// unreserve settles the pieces of an edit that is given up.
func (s *Store) unreserve(e *edit) {
	for _, p := range e.reserved {
		s.segs.settle(p)
	}
	e.reserved = nil
}

// absorbLocked lets what lies in the overlay right behind the stream's end join the stream.
func (s *Store) absorbLocked(b *body) error {
	for b.stream != nil && len(b.over) > 0 {
		end := b.base.rowCopy().size
		n := b.over.dataFrom(end, stepSize)
		if n == 0 {
			return nil
		}
		in, err := s.inode(b.ino)
		if err != nil {
			return err
		}
		buf := s.buffer(int(n))
		err = s.readLocked(b, buf, end)
		if err == nil {
			err = s.appendLocked(b, in, buf, in.Size)
		}
		s.recycle(buf)
		if err != nil {
			return err
		}
	}
	return nil
}

// dataFrom is how many bytes, at most limit, lie in the overlay from off on without a gap.
func (o overlay) dataFrom(off, limit int64) int64 {
	end := off
	for end-off < limit {
		from := end
		for _, e := range o[end/windowSize] {
			start := end / windowSize * windowSize
			if !e.hole && start+int64(e.off) <= end && start+int64(e.end()) > end {
				end = start + int64(e.end())
				break
			}
		}
		if end == from {
			break
		}
	}
	return min(end-off, limit)
}
