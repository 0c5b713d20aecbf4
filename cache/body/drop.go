package body

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/cache/killpoint"
	"github.com/ossencfs/ossencfs/object"
)

// Drop removes the content of an inode that is going: call it in the transaction that deletes the inode. The space is freed
// after the commit, once no upload reads it.
func (s *Store) Drop(tx *index.Tx, ino index.Ino) error {
	rec, ok, err := readRecord(tx, ino)
	if errors.Is(err, errRow) { // a malformed row goes, too; Open removes what it stood for
		rec, ok, err = record{}, true, errors.Join(tx.DeleteRaw(tableDigests, inoKey(ino)), tx.DeleteRaw(tableStages, inoKey(ino)))
	}
	if err != nil {
		return err
	}
	if ok {
		if err := moveRows(tx, ino, rec.base, baseRow{}); err != nil {
			return err
		}
		if err := moveFile(tx, ino, rec.log.file, 0); err != nil {
			return err
		}
		if err := tx.DeleteBody(ino); err != nil {
			return err
		}
	}
	_, open, err := tx.GetRaw(tableOpen, inoKey(ino))
	if err != nil {
		return err
	}
	if open { // only what is not sealed has windows
		if err := tx.DeleteRawPrefix(tableWindows, inoKey(ino)); err != nil {
			return err
		}
		if err := tx.DeleteRaw(tableOpen, inoKey(ino)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.dropped = append(s.dropped, drop{ino: ino, rec: rec})
	s.mu.Unlock()
	s.kick()
	return nil
}

// drop is a body whose rows a transaction removes.
type drop struct {
	ino index.Ino
	rec record
}

// finishDrops frees the bodies whose rows are gone. Whether a transaction was committed shows in the index: an empty Update
// waits for the one under way.
func (s *Store) finishDrops() {
	s.reaping.Lock()
	defer s.reaping.Unlock()
	s.mu.Lock()
	drops := s.dropped
	s.dropped = nil
	s.mu.Unlock()
	if len(drops) == 0 {
		return
	}
	gone := make([]bool, len(drops))
	err := s.db.Update(func(tx *index.Tx) error {
		for i, d := range drops {
			_, there, err := tx.Body(d.ino)
			if err != nil {
				return err
			}
			gone[i] = !there
		}
		return nil
	})
	if err != nil {
		s.o.Logger.Error("cache: cannot free what was deleted", "error", err)
		return // Open does it
	}
	killpoint.At(killpoint.Erased)
	for i, d := range drops {
		if gone[i] {
			s.forget(d)
		}
	}
}

// forget frees what a dropped body used, in memory and on the disk.
func (s *Store) forget(d drop) {
	b := s.acquire(d.ino)
	defer s.release(b)
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &retirement{log: d.rec.log.file, base: b.base}
	if b.base == nil {
		r.pieces, r.file = d.rec.base.pieces, d.rec.base.file
	}
	if b.away != nil {
		s.dropRemote(b)
	}
	b.rec, b.base, b.stream, b.over, b.log, b.loaded, b.open = record{}, nil, nil, nil, nil, false, false
	b.holes = holes{}
	s.noteStage(d.ino, d.rec.base.stage, nil)
	s.retire(r)
}

// WriteSmall seals data as the content of an inode that is made in the same transaction, a symbolic link for instance. It
// fills in Size, Gen, Sealed and CachedGen of in, which the caller then puts. When the transaction fails, Open frees the few
// bytes.
func (s *Store) WriteSmall(tx *index.Tx, in *index.Inode, data []byte) error {
	if len(data) > s.o.SmallMax {
		return fmt.Errorf("%d bytes at once: %w", len(data), ErrTooLarge)
	}
	sealing, err := s.o.NewSealing()
	if err != nil {
		return err
	}
	e := &edit{}
	s.adopt(e, sealing)
	buf := append([]byte(nil), data...)
	if err := sealing.Seal(buf, buf); err != nil {
		return err
	}
	if err := s.place(e, buf, 0); err != nil {
		s.unreserve(e)
		return err
	}
	defer s.unreserve(e)
	if in.Gen == 0 || in.Sealed {
		in.Gen = tx.NextGen()
	}
	in.Size, in.Holes, in.Sealed, in.CachedGen, in.Origin = int64(len(data)), 0, true, in.Gen, index.ID{}
	e.row.size, e.row.gen = in.Size, in.Gen
	s.describe(&e.row, sealing.Finish())
	if err := moveRows(tx, in.Ino, baseRow{}, e.row); err != nil {
		return err
	}
	return putRecord(tx, in.Ino, record{gen: in.Gen, visible: in.Size, base: e.row})
}

// digest computes the digests of content that was fetched from an object of others, so that it can be sent again as it is.
func (s *Store) digest(ctx context.Context, b *body, a *base, gen uint64) error {
	intake, err := object.NewIntake(a.key)
	if err != nil {
		return err
	}
	size := a.rowCopy().size
	buf := s.buffer(stepSize)
	defer s.recycle(buf)
	for off := int64(0); off < size; off += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf = buf[:min(int64(stepSize), size-off)]
		if err := s.readSealed(a, buf, off); err != nil {
			return err
		}
		if _, err := intake.Write(buf); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	in, err := s.currentLocked(b)
	if err != nil || b.base != a || in.Gen != gen || len(a.rowCopy().digest) > 0 {
		return err
	}
	e := b.editLocked(in)
	e.digests = intake.Finish()
	s.describe(&e.row, e.digests)
	e.noInode = true
	return s.commitLocked(b, e)
}
