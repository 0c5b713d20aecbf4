package body

import (
	"context"

	"github.com/ossencfs/ossencfs/cache/index"
)

// maxExtents is how many extents a window may have before its content is written as one chunk.
const maxExtents = 48

// overwriteLocked writes p at off into the working copy, which is begun where there is none.
func (s *Store) overwriteLocked(b *body, in index.Inode, off int64, p []byte) error {
	e := b.editLocked(in)
	e.covers = spanned(off, min(off+int64(len(p)), b.rec.visible))
	if err := s.ensureLog(b, e); err != nil {
		return err
	}
	if e.base != nil && off < e.row.size {
		e.stream = nil
	}
	w := logWriter{s: s, log: e.log, buf: s.buffer(min(len(p), stepSize))[:0]}
	defer func() { s.recycle(w.buf) }()
	err := s.layLocked(b, e, &w, off, p)
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		e.log.give(w.made)
		s.undo(e, b.base.rowCopy(), b.rec.log)
		return err
	}
	e.inode = func(in *index.Inode) { in.Size = max(in.Size, off+int64(len(p))) }
	if err := s.commitLocked(b, e); err != nil {
		e.log.give(w.made)
		return err
	}
	return s.trimHeldLocked(b, max(in.Size, off+int64(len(p))))
}

// ensureLog gives e the log of a working copy.
func (s *Store) ensureLog(b *body, e *edit) error {
	if e.log != nil {
		return nil
	}
	key := newChunkKey()
	secret := s.db.SealSecret(labelCopy, key)
	id, d, err := s.newFile()
	if err != nil {
		return err
	}
	s.files.put(d)
	e.log, err = newChunkLog(b.ino, logRow{file: id, secret: secret}, key)
	return err
}

// layLocked writes p as chunks, one for each window it touches, and maps them.
func (s *Store) layLocked(b *body, e *edit, w *logWriter, off int64, p []byte) error {
	e.windows = map[int64][]extent{}
	for len(p) > 0 {
		win, at := off/windowSize, uint32(off%windowSize)
		n := min(len(p), windowSize-int(at))
		c, err := w.add(p[:n])
		if err != nil {
			return err
		}
		ext, freed := put(b.over[win], extent{off: at, n: uint32(n), chunk: c})
		if len(ext) > maxExtents {
			if ext, freed, err = s.squashLocked(b, w, win, at, p[:n]); err != nil {
				return err
			}
			freed = append(freed, c)
		}
		e.windows[win] = ext
		e.freed = append(e.freed, freed...)
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// squashLocked writes what a window shows, with p laid over it, as one chunk.
func (s *Store) squashLocked(b *body, w *logWriter, win int64, at uint32, p []byte) (ext []extent, freed []chunk, err error) {
	old := b.over[win]
	from, to := at, at+uint32(len(p))
	for _, e := range old {
		from, to = min(from, e.off), max(to, e.end())
	}
	buf := s.buffer(int(to - from))
	defer s.recycle(buf)
	if err := s.readLocked(b, buf, win*windowSize+int64(from)); err != nil {
		return nil, nil, err
	}
	copy(buf[at-from:], p)
	c, err := w.add(buf)
	if err != nil {
		return nil, nil, err
	}
	_, freed = cut(old, 0, windowSize)
	return []extent{{off: from, n: to - from, chunk: c}}, freed, nil
}

// logWriter gathers chunks whose slots follow each other, so that they are written together.
type logWriter struct {
	s    *Store
	log  *chunkLog
	buf  []byte
	at   int64 // slot of the first byte of buf
	made []chunk
}

// add seals plain as a chunk. Its bytes are in the log after flush.
func (w *logWriter) add(plain []byte) (chunk, error) {
	if len(w.buf)+len(plain)+16 > stepSize {
		if err := w.flush(); err != nil {
			return chunk{}, err
		}
	}
	if cap(w.buf)-len(w.buf) < len(plain)+16 {
		if err := w.flush(); err != nil {
			return chunk{}, err
		}
		if cap(w.buf) < len(plain)+16 {
			w.buf = make([]byte, 0, len(plain)+16)
		}
	}
	n := len(w.buf)
	c, buf := w.log.seal(w.buf, plain)
	w.made = append(w.made, c)
	if n == 0 {
		w.at = c.slot
	} else if c.slot != w.at+int64(n) {
		w.buf = buf[:n]
		if err := w.flush(); err != nil {
			return c, err
		}
		w.buf, w.at = append(w.buf, buf[n:]...), c.slot
		return c, nil
	}
	w.buf = buf
	if pad := int(slotSize(c.size)) - len(plain); pad > 0 {
		return c, w.flush() // the next slot does not follow directly
	}
	return c, nil
}

func (w *logWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	err := w.s.fileWrite(w.log.row.file, w.buf, w.at)
	w.buf = w.buf[:0]
	return err
}

// cover removes [from, to) from the overlay in e.
func (e *edit) cover(over overlay, from, to int64) {
	for w := from / windowSize; w*windowSize < to && len(over) > 0; w++ {
		ext := over[w]
		if len(ext) == 0 {
			continue
		}
		start := w * windowSize
		kept, freed := cut(ext, uint32(max(from-start, 0)), uint32(min(to-start, windowSize)))
		e.setWindow(w, kept)
		e.freed = append(e.freed, freed...)
	}
}

func (e *edit) setWindow(w int64, ext []extent) {
	if e.windows == nil {
		e.windows = map[int64][]extent{}
	}
	e.windows[w] = ext
}

// emptyAfter reports whether nothing is left of the overlay once e is applied.
func (b *body) emptyAfter(e *edit) bool {
	for w := range b.over {
		if ext, changed := e.windows[w]; !changed || len(ext) > 0 {
			return false
		}
	}
	for _, ext := range e.windows {
		if len(ext) > 0 {
			return false
		}
	}
	return true
}

// trimHeldLocked makes a barrier when too many freed slots wait for one, so that the log does not grow without bound.
func (s *Store) trimHeldLocked(b *body, size int64) error {
	if b.log == nil || b.log.heldN < mostHeld(size) {
		return nil
	}
	if err := s.db.Sync(); err != nil {
		return err
	}
	_, ended := s.db.Rounds()
	b.log.ripen(ended)
	return nil
}

// Truncate makes the file size bytes long; what it grows by reads as zeros and takes no space until the file is sealed.
// Durability and errors are those of Write. A size that is the present one changes nothing.
func (s *Store) Truncate(ctx context.Context, ino index.Ino, size int64) error {
	if _, err := s.checkRange(size, 0); err != nil {
		return err
	}
	if size == 0 {
		return s.clear(ctx, ino)
	}
	return s.change(ctx, ino, 0, func(b *body, in index.Inode) error {
		if in.Size == size {
			return nil
		}
		if b.staged() {
			return errNotFront
		}
		e := b.editLocked(in)
		e.inode = func(in *index.Inode) { in.Size = size }
		if size < in.Size {
			b.shrink(e, size)
		}
		return s.commitLocked(b, e)
	})
}

// shrink cuts the content in e to size.
func (b *body) shrink(e *edit, size int64) {
	if size < e.row.size {
		e.stream = nil
	}
	e.rec.visible = min(e.rec.visible, size)
	for _, w := range b.over.windowsFrom(size) {
		start := w * windowSize
		kept, freed := cut(b.over[w], uint32(max(size-start, 0)), windowSize)
		e.setWindow(w, kept)
		e.freed = append(e.freed, freed...)
	}
	if e.log != nil && b.emptyAfter(e) {
		e.log, e.freed = nil, nil
	}
}

// clear empties the file. What it held is not fetched for that.
func (s *Store) clear(ctx context.Context, ino index.Ino) error {
	b := s.acquire(ino)
	defer s.release(b)
	in, err := s.changeLock(ctx, b)
	if err != nil {
		return err
	}
	defer b.mu.Unlock()
	if in.Size == 0 {
		return nil
	}
	e := &edit{rec: record{gen: in.Gen}, resetWindows: true}
	e.inode = func(in *index.Inode) { in.Size = 0 }
	if err := s.commitLocked(b, e); err != nil {
		return err
	}
	if b.away != nil {
		s.dropRemote(b)
	}
	return nil
}
