package body

import (
	"bytes"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/cache/killpoint"
	"github.com/ossencfs/ossencfs/object"
)

// edit is what one call changes of a body: prepared outside the index, written in one transaction, applied to memory after.
type edit struct {
	rec    record // new record, without base
	base   *base  // new base; the same pointer with a new row where only the row changes
	row    baseRow
	stream *object.Sealing
	log    *chunkLog

	windows      map[int64][]extent // changed windows; an empty slice removes one
	resetWindows bool               // remove all windows first
	freed        []chunk            // slots of the log that the change no longer needs
	reserved     []piece            // pieces to settle once the transaction is over

	check   func(tx *index.Tx) error // may refuse the change
	noInode bool                     // leave the inode's row alone
	inode   func(in *index.Inode)    // further changes of the inode
	then    func(tx *index.Tx) error // further rows
	covers  int64                    // bytes of blocks of the base that are written over, or become holes
	holes   holes                    // of the content afterwards
	digests *object.Sealed           // becomes the base's sealed
	sealed  bool                     // the change completes a seal: the generation stays
}

// editLocked begins an edit that changes nothing.
func (b *body) editLocked(in index.Inode) *edit {
	e := &edit{rec: b.rec, base: b.base, row: b.base.rowCopy(), stream: b.stream, log: b.log, holes: b.holes}
	e.rec.gen = in.Gen
	return e
}

// commitLocked writes e in one transaction and applies it. When it fails, memory and index are as before, except that a
// stream which has moved on is given up by its caller.
func (s *Store) commitLocked(b *body, e *edit) error {
	old := b.base.rowCopy()
	oldLog := b.rec.log
	gen := e.rec.gen
	killpoint.At(killpoint.BodyWritten)
	err := s.db.Update(func(tx *index.Tx) error {
		if e.check != nil {
			if err := e.check(tx); err != nil {
				return err
			}
		}
		if !e.noInode {
			in, err := mustInode(tx, b.ino)
			if err != nil {
				return err
			}
			if err := s.changeInode(tx, b, e, &in); err != nil {
				return err
			}
			gen = in.Gen
		}
		e.rec.gen = gen
		if err := e.writeRows(tx, b, old, oldLog); err != nil {
			return err
		}
		if e.then != nil {
			return e.then(tx)
		}
		return nil
	})
	for _, p := range e.reserved {
		s.segs.settle(p)
	}
	if err != nil {
		s.undo(e, old, oldLog)
		return err
	}
	killpoint.At(killpoint.BodyCommitted)
	s.applyLocked(b, e, old, oldLog)
	return nil
}

// changeInode gives the inode a new generation where the sealed one ends, and the times of a change.
func (s *Store) changeInode(tx *index.Tx, b *body, e *edit, in *index.Inode) error {
	before := *in
	if !e.sealed {
		if in.Sealed || in.Gen == 0 {
			in.Gen = tx.NextGen()
			in.Sealed, in.CachedGen, in.Origin = false, 0, index.ID{}
		}
		now := time.Now().UnixNano()
		in.Mtime, in.Ctime, in.ChangedAt = now, now, now
		in.Prove(s.o.UID, s.o.GID, now)
	}
	if e.inode != nil {
		e.inode(in)
	}
	if !e.sealed { // sealed, the content has the holes that it had
		e.holes = b.holes.after(b, e, &before)
		in.Holes = e.holes.bytes(in.Size, e.rec.visible)
	}
	return tx.PutInode(*in)
}

// writeRows writes the record, the windows and the rows of pieces and files that the change adds or removes.
func (e *edit) writeRows(tx *index.Tx, b *body, old baseRow, oldLog logRow) error {
	rec := e.rec
	rec.base, rec.log = e.row, logRow{}
	if e.log != nil {
		rec.log = e.log.row
	}
	if err := putRecord(tx, b.ino, rec); err != nil {
		return err
	}
	if e.resetWindows {
		for w := range b.over {
			if err := tx.DeleteRaw(tableWindows, windowKey(b.ino, w)); err != nil {
				return err
			}
		}
	}
	for w, ext := range e.windows {
		var err error
		if len(ext) == 0 {
			err = tx.DeleteRaw(tableWindows, windowKey(b.ino, w))
		} else {
			err = tx.PutRaw(tableWindows, windowKey(b.ino, w), encodeWindow(ext))
		}
		if err != nil {
			return err
		}
	}
	if err := moveRows(tx, b.ino, old, e.row); err != nil {
		return err
	}
	if err := moveFile(tx, b.ino, oldLog.file, rec.log.file); err != nil {
		return err
	}
	if e.noInode {
		return nil
	}
	if e.sealed {
		return tx.DeleteRaw(tableOpen, inoKey(b.ino))
	}
	if b.open {
		return nil
	}
	return tx.PutRaw(tableOpen, inoKey(b.ino), nil)
}

// putRecord writes the Body row; an empty record is no row.
func putRecord(tx *index.Tx, ino index.Ino, rec record) error {
	if len(rec.base.secret) == 0 && rec.log.file == 0 {
		return tx.DeleteBody(ino)
	}
	return tx.PutBody(ino, rec.encode())
}

// moveRows changes the owner rows from the pieces and file of one base to those of another, and a digest's own row.
func moveRows(tx *index.Tx, ino index.Ino, from, to baseRow) error {
	if err := moveDigest(tx, ino, from.digest, to.digest); err != nil {
		return err
	}
	if err := moveStage(tx, ino, from.stage, to.stage); err != nil {
		return err
	}
	for _, p := range from.pieces {
		if !holds(to.pieces, p) {
			if err := tx.DeleteRaw(tablePieces, pieceKey(p)); err != nil {
				return err
			}
		}
	}
	for _, p := range to.pieces {
		if !holds(from.pieces, p) {
			if err := tx.PutRaw(tablePieces, pieceKey(p), pieceValue(uint64(ino), p)); err != nil {
				return err
			}
		}
	}
	return moveFile(tx, ino, from.file, to.file)
}

// moveDigest changes the row of a digest that is too long for the record. Most edits leave it alone.
func moveDigest(tx *index.Tx, ino index.Ino, from, to []byte) error {
	switch {
	case bytes.Equal(from, to):
		return nil
	case len(to) > maxInline:
		return tx.PutRaw(tableDigests, inoKey(ino), to)
	case len(from) > maxInline:
		return tx.DeleteRaw(tableDigests, inoKey(ino))
	}
	return nil
}

func moveFile(tx *index.Tx, ino index.Ino, from, to uint64) error {
	if from == to {
		return nil
	}
	if from != 0 {
		if err := tx.DeleteRaw(tableFiles, fileKey(from)); err != nil {
			return err
		}
	}
	if to != 0 {
		return tx.PutRaw(tableFiles, fileKey(to), inoKey(ino))
	}
	return nil
}

// holds reports whether the range of p is among ps.
func holds(ps []piece, p piece) bool {
	for _, x := range ps {
		if x.seg == p.seg && x.off == p.off {
			return true
		}
	}
	return false
}

// applyLocked makes memory what the transaction has written and frees what is no longer used.
func (s *Store) applyLocked(b *body, e *edit, old baseRow, oldLog logRow) {
	before := b.base
	if b.rec.gen != e.rec.gen && !e.noInode { // others made that one
		s.followPin(b, e.rec.gen)
	}
	if !e.noInode {
		if b.changed = time.Now(); !b.open {
			b.opened = b.changed
		}
		b.open = !e.sealed
	}
	if b.holes = e.holes; e.sealed {
		b.holes = holes{}
	}
	b.version++
	b.rec = e.rec
	b.rec.log = logRow{}
	b.rec.base = baseRow{}
	if e.log != nil {
		b.rec.log = e.log.row
	}
	if e.base != nil {
		e.base.mu.Lock()
		e.base.row = e.row
		if e.digests != nil {
			e.base.sealed = e.digests
		}
		e.base.mu.Unlock()
		s.registerFile(e.row.file, b.ino, e.row.heldBytes())
	}
	b.base, b.stream, b.log = e.base, e.stream, e.log
	if e.resetWindows || b.over == nil {
		b.over = overlay{}
	}
	for w, ext := range e.windows {
		if len(ext) == 0 {
			delete(b.over, w)
		} else {
			b.over[w] = ext
		}
	}
	if e.log != nil {
		begun, ended := s.db.Rounds()
		e.log.hold(e.freed, begun)
		e.log.ripen(ended)
		s.registerFile(e.log.row.file, b.ino, e.log.end)
	}
	r := &retirement{}
	if oldLog.file != 0 && (e.log == nil || e.log.row.file != oldLog.file) {
		r.log = oldLog.file
	}
	if before != e.base && before != nil {
		r.base = before
	} else {
		r.pieces, r.file = leftOver(old, e.row)
	}
	s.noteStage(b.ino, old.stage, e.row.stage)
	s.retire(r)
}

// leftOver lists what one row of a base uses and the next does not.
func leftOver(old, now baseRow) (pieces []piece, file uint64) {
	for _, p := range old.pieces {
		if !holds(now.pieces, p) {
			pieces = append(pieces, p)
		}
	}
	if old.file != now.file {
		file = old.file
	}
	return pieces, file
}

// undo frees what an edit that failed had taken.
func (s *Store) undo(e *edit, old baseRow, oldLog logRow) {
	r := &retirement{never: true}
	r.pieces, r.file = leftOver(e.row, old)
	if e.log != nil && e.log.row.file != oldLog.file {
		r.log = e.log.row.file
	}
	s.retire(r)
}
