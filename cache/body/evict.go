package body

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Evict removes at least n bytes of content that the bucket has, the least recently used first, and returns how many it
// freed; fewer when there is not so much. What is open goes last.
func (s *Store) Evict(ctx context.Context, n int64) (int64, error) {
	before := s.space.used.Load()
	_, err := s.evict(ctx, n)
	return max(before-s.space.used.Load(), 0), err
}

// candidate is a file or segment that may be evicted.
type candidate struct {
	used    int64
	file    uint64 // 0: a segment
	ino     index.Ino
	seg     uint32
	partial *remote
}

// evict frees at least n bytes if it can. waiting reports whether more could go once uploads are done.
func (s *Store) evict(ctx context.Context, n int64) (waiting bool, err error) {
	s.evicting.Lock()
	defer s.evicting.Unlock()
	s.finishDrops()
	if err := s.reap(); err != nil {
		return false, err
	}
	target := s.space.used.Load() - n
	for _, evenOpen := range []bool{false, true} {
		for _, c := range s.candidates() {
			if s.space.used.Load() <= target {
				return waiting, nil
			}
			if err := ctx.Err(); err != nil {
				return waiting, err
			}
			w, err := s.evictCandidate(ctx, c, evenOpen, target)
			if err != nil {
				return waiting, err
			}
			waiting = waiting || w
		}
	}
	return waiting, nil
}

func (s *Store) evictCandidate(ctx context.Context, c candidate, evenOpen bool, target int64) (waiting bool, err error) {
	switch {
	case c.partial != nil:
		s.evictPartial(c, evenOpen, s.space.used.Load()-target)
		return false, nil
	case c.file != 0:
		v, err := s.evictBody(c.ino, evenOpen)
		if err != nil || v == kept {
			return false, err
		}
		return v == uploading, s.reap()
	}
	return s.evictSegment(ctx, c.seg, evenOpen)
}

// evictPartial throws fetched chunks away: all of a file that nobody has open, at least n bytes of one that is.
func (s *Store) evictPartial(c candidate, evenOpen bool, n int64) {
	if s.inUse(c.ino) {
		if evenOpen {
			c.partial.giveBack(n)
		}
		return
	}
	b := s.acquire(c.ino)
	defer s.release(b)
	if !b.mu.TryLock() {
		return
	}
	defer b.mu.Unlock()
	if b.away != c.partial || !c.partial.quiet() {
		return
	}
	b.away = nil
	c.partial.cancel()
	s.removeFile(c.partial.file)
}

// inUse reports whether handles are open on the inode.
func (s *Store) inUse(ino index.Ino) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bodies[ino]
	return b != nil && b.pins > 0
}

// candidates lists what may be evicted, least recently used first.
func (s *Store) candidates() []candidate {
	var cs []candidate
	s.segs.mu.Lock()
	for _, g := range s.segs.all {
		if g.busy == 0 {
			cs = append(cs, candidate{used: g.used, seg: g.id})
		}
	}
	s.segs.mu.Unlock()
	s.fileMu.Lock()
	for id, f := range s.owned {
		cs = append(cs, candidate{used: f.used, file: id, ino: f.ino, partial: f.remote})
	}
	s.fileMu.Unlock()
	slices.SortFunc(cs, func(a, b candidate) int { return cmp.Compare(a.used, b.used) })
	return cs
}

// verdict is what came of the attempt to evict one body.
type verdict int

const (
	evicted   verdict = iota
	kept              // open, or not sealed
	uploading         // sealed, but the bucket does not have it yet
)

var errKeep = errors.New("body stays")

// evictBody removes the content of one inode from the cache if the bucket has it (CONVERGENCE R9: its home is known, and the
// note that the bytes are gone is durable before they go).
func (s *Store) evictBody(ino index.Ino, evenOpen bool) (verdict, error) {
	b := s.acquire(ino)
	defer s.release(b)
	if !evenOpen && s.pinned(b) {
		return kept, nil
	}
	if changes, readers := s.wantedHere(b); changes {
		return kept, nil // whoever waits for room may be the one who needs it
	} else if readers || !b.mu.TryLock() {
		return uploading, nil
	}
	defer b.mu.Unlock()
	in, err := s.currentLocked(b)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrStale) {
		return kept, nil
	}
	if err != nil {
		return kept, err
	}
	if !in.Sealed || b.base == nil || b.busy != nil {
		return kept, nil
	}
	row := b.base.rowCopy()
	if row.gen != in.Gen || row.size == 0 || !row.local() {
		return kept, nil
	}
	s.mu.Lock()
	refs := b.base.refs
	s.mu.Unlock()
	if refs > 0 {
		return uploading, nil
	}
	e := b.editLocked(in)
	e.row.file, e.row.pieces, e.row.stage = 0, nil, nil
	e.sealed = true
	e.inode = func(in *index.Inode) { in.CachedGen = 0 }
	e.check = func(tx *index.Tx) error {
		h, ok, err := findHome(tx, ino, in.Gen)
		if err == nil && (!ok || !h.settled) {
			err = errKeep
		}
		return err
	}
	err = s.commitLocked(b, e)
	if errors.Is(err, errKeep) {
		if in.Unlinked {
			return kept, nil // it is never uploaded
		}
		return uploading, nil
	}
	return evicted, err
}

// inosIn lists the inodes that own pieces of a segment.
func (s *Store) inosIn(seg uint32) ([]index.Ino, error) {
	var inos []index.Ino
	prefix := binary.BigEndian.AppendUint32(nil, seg)
	err := s.db.View(func(tx *index.Tx) error {
		return tx.ScanRaw(tablePieces, prefix, func(key, value []byte) bool {
			if ino, _, err := decodePieceRow(key, value); err == nil {
				inos = append(inos, index.Ino(ino))
			}
			return true
		})
	})
	slices.Sort(inos)
	return slices.Compact(inos), err
}

// evictSegment evicts the bodies of one segment and removes it when nothing is left; what stays is moved by the collector.
func (s *Store) evictSegment(ctx context.Context, id uint32, evenOpen bool) (waiting bool, err error) {
	inos, err := s.inosIn(id)
	if err != nil {
		return false, err
	}
	gone := 0
	for _, ino := range inos {
		v, err := s.evictBody(ino, evenOpen)
		if err != nil {
			return waiting, err
		}
		waiting = waiting || v == uploading
		if v == evicted {
			gone++
		}
	}
	if gone == 0 && len(inos) > 0 {
		return waiting, nil
	}
	s.segs.closeActive(id)
	if err := s.reap(); err != nil {
		return waiting, err
	}
	if g, ok := s.segs.state(id); ok && g.live > 0 && g.live < g.end/2 {
		if err := s.compact(ctx, id); err != nil {
			return waiting, err
		}
	}
	_, err = s.segs.remove(id)
	return waiting, err
}
