package body

import (
	"fmt"
	"sync"

	"github.com/ossencfs/ossencfs/object"
)

// base is a run of ciphertext in memory's view. Uploads hold references, so that its bytes stay until the last is done even
// when the file has gone on to another base.
type base struct {
	key *object.ContentKey

	mu     sync.RWMutex // guards row and sealed; collection of segments moves pieces
	row    baseRow
	sealed *object.Sealed // nil: a stream, or fetched and without digests

	refs   int         // uploads that read it; guarded by Store.mu
	doomed *retirement // set when it is no longer current and waits for refs; guarded by Store.mu
}

// rowCopy returns the base's row.
func (a *base) rowCopy() baseRow {
	if a == nil {
		return baseRow{}
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.row
}

// readSealed fills p with ciphertext from off.
func (s *Store) readSealed(a *base, p []byte, off int64) error {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if !a.row.local() {
		return ErrNotFound
	}
	if off < 0 || off > a.row.size-int64(len(p)) {
		return fmt.Errorf("read %d bytes at %d of %d: %w", len(p), off, a.row.size, ErrDamaged)
	}
	if off < a.row.stored() && len(p) > 0 {
		return errStaged
	}
	if a.row.file != 0 {
		return s.fileRead(a.row.file, p, off)
	}
	for _, pc := range a.row.pieces {
		if len(p) == 0 {
			break
		}
		if off >= int64(pc.n) {
			off -= int64(pc.n)
			continue
		}
		n := min(int64(len(p)), int64(pc.n)-off)
		if err := s.segs.readAt(pc, p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], 0
	}
	return nil
}

// readPlain fills p with plaintext from off of a base.
func (s *Store) readPlain(a *base, p []byte, off int64) error {
	if err := s.readSealed(a, p, off); err != nil {
		return err
	}
	a.key.XORKeyStreamAt(p, p, off)
	return nil
}

func (s *Store) fileRead(id uint64, p []byte, off int64) error {
	d, err := s.files.get(id)
	if err != nil {
		return err
	}
	defer s.files.put(d)
	return d.readAt(p, off)
}

func (s *Store) fileWrite(id uint64, p []byte, off int64) error {
	d, err := s.files.get(id)
	if err != nil {
		return err
	}
	defer s.files.put(d)
	return d.writeAt(p, off)
}

// touchBase marks a base as used, for eviction.
func (s *Store) touchBase(a *base) {
	row := a.rowCopy()
	if row.file != 0 {
		s.touchFile(row.file)
		return
	}
	for _, p := range row.pieces {
		s.segs.touch(p.seg)
	}
}
