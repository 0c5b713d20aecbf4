package body

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// maxSegment is the size at which a segment is closed, unless the cache is so small that less is better (segmentSize).
const maxSegment = 256 << 20

// minSegment keeps segments from being pointlessly small in tiny caches.
const minSegment = 1 << 20

// segmentSize is a sixteenth of the limit within [minSegment, maxSegment].
func segmentSize(limit int64) int64 { return min(max(limit/16, minSegment), maxSegment) }

// piece is a reserved range of a segment.
type piece struct {
	seg uint32
	off int64
	cap uint32 // bytes reserved
	n   uint32 // bytes used
}

// segment is one append-only file of pieces. Fields are guarded by segments.mu.
type segment struct {
	id    uint32
	end   int64 // where the next piece goes
	live  int64 // bytes reserved by pieces that are in use
	used  int64 // clock of the last use, for eviction
	busy  int   // pieces reserved by transactions that are under way
	stuck int64 // live bytes when the last compaction or eviction could not empty it; 0: not tried
}

// segments hands out pieces and counts what is live. Reads and writes of pieces take no common lock.
type segments struct {
	dir   string
	size  int64
	files *files
	space *space

	mu     sync.Mutex // guards the fields below
	all    map[uint32]*segment
	active *segment
	last   uint32
}

func openSegments(dir string, size int64, sp *space) *segments {
	s := &segments{dir: dir, size: size, space: sp, all: map[uint32]*segment{}}
	s.files = newFiles(func(id uint64) string { return filepath.Join(dir, fmt.Sprintf("%08x", id)) })
	return s
}

// load registers a piece the index knows, at Open.
func (s *segments) load(p piece) {
	g := s.all[p.seg]
	if g == nil {
		g = &segment{id: p.seg}
		s.all[p.seg] = g
		s.last = max(s.last, p.seg)
	}
	g.live += int64(p.cap)
	g.end = max(g.end, p.off+int64(p.cap))
}

// removeUnknown deletes the segments without live pieces and counts the space of the others. It returns those that are gone.
func (s *segments) removeUnknown() (missing []uint32, err error) {
	found := map[uint32]bool{}
	err = listNumbered(s.dir, 8, func(id uint64, path string, info os.FileInfo) error {
		s.last = max(s.last, uint32(id))
		g := s.all[uint32(id)]
		if g == nil {
			return os.Remove(path)
		}
		found[g.id] = true
		g.end = max(g.end, info.Size())
		s.space.add(g.end)
		return nil
	})
	for id := range s.all {
		if !found[id] {
			s.all[id].end = 0
			missing = append(missing, id)
		}
	}
	return missing, err
}

// reserve takes n bytes of the active segment. settle must follow, once the piece is recorded in the index or given up.
func (s *segments) reserve(n uint32) (piece, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == nil || s.active.end+int64(n) > s.size {
		if err := s.rollLocked(); err != nil {
			return piece{}, err
		}
	}
	g := s.active
	p := piece{seg: g.id, off: g.end, cap: n}
	g.end += int64(n)
	g.live += int64(n)
	g.busy++
	g.used = s.space.tick()
	s.space.add(int64(n))
	return p, nil
}

func (s *segments) rollLocked() error {
	id := s.last + 1
	d, err := s.files.create(uint64(id))
	if err != nil {
		return fmt.Errorf("new segment: %w", err)
	}
	s.files.put(d)
	s.last = id
	s.active = &segment{id: id}
	s.all[id] = s.active
	return nil
}

// settle ends a reservation.
func (s *segments) settle(p piece) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.all[p.seg]; g != nil {
		g.busy--
	}
}

// free says that nothing refers to n bytes of the segment any more. It reports whether the segment is worth a visit of the
// collector.
func (s *segments) free(p piece) (visit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.all[p.seg]
	if g == nil {
		return false
	}
	g.live -= int64(p.cap)
	g.stuck = 0
	return s.wastefulLocked(g)
}

func (s *segments) wastefulLocked(g *segment) bool {
	return g != s.active && g.busy == 0 && (g.live == 0 || g.live < g.end/2 && g.stuck != g.live)
}

// wasteful lists the closed segments of which less than half is live, emptiest first.
func (s *segments) wasteful() []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var w []*segment
	for _, g := range s.all {
		if s.wastefulLocked(g) {
			w = append(w, g)
		}
	}
	slices.SortFunc(w, func(a, b *segment) int { return cmp.Compare(a.live, b.live) })
	return w
}

// closeActive closes the active segment if it is g, so that it can be emptied.
func (s *segments) closeActive(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active != nil && s.active.id == id {
		s.active = nil
	}
}

// closeEmpty closes the active segment if it has pieces, of which none is in use.
func (s *segments) closeEmpty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.active; g != nil && g.end > 0 && g.live == 0 && g.busy == 0 {
		s.active = nil
	}
}

// remove deletes a segment in which nothing is live. It reports whether it did.
func (s *segments) remove(id uint32) (bool, error) {
	s.mu.Lock()
	g := s.all[id]
	if g == nil || g.live > 0 || g.busy > 0 || g == s.active {
		s.mu.Unlock()
		return false, nil
	}
	delete(s.all, id)
	s.mu.Unlock()
	err := s.files.remove(uint64(id))
	s.space.add(-g.end)
	return true, err
}

// touch marks the segment as used, for eviction.
func (s *segments) touch(id uint32) {
	now := s.space.tick()
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.all[id]; g != nil {
		g.used = now
	}
}

// state returns a copy of the segment's counters.
func (s *segments) state(id uint32) (segment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.all[id]; g != nil {
		return *g, true
	}
	return segment{}, false
}

func (s *segments) setStuck(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.all[id]; g != nil {
		g.stuck = g.live
	}
}

func (s *segments) writeAt(p piece, data []byte, at int64) error {
	d, err := s.files.get(uint64(p.seg))
	if err != nil {
		return err
	}
	defer s.files.put(d)
	return d.writeAt(data, p.off+at)
}

func (s *segments) readAt(p piece, data []byte, at int64) error {
	d, err := s.files.get(uint64(p.seg))
	if err != nil {
		return err
	}
	defer s.files.put(d)
	return d.readAt(data, p.off+at)
}

// Row 'S': who owns a range of a segment.
func pieceKey(p piece) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 12), p.seg)
	return binary.BigEndian.AppendUint64(b, uint64(p.off))
}

func pieceValue(ino uint64, p piece) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 12), ino)
	return binary.BigEndian.AppendUint32(b, p.cap)
}

func decodePieceRow(key, value []byte) (ino uint64, p piece, err error) {
	if len(key) != 12 || len(value) != 12 {
		return 0, piece{}, fmt.Errorf("piece: %w", errRow)
	}
	be := binary.BigEndian
	p = piece{seg: be.Uint32(key), off: int64(be.Uint64(key[4:])), cap: be.Uint32(value[8:])}
	if p.off < 0 {
		return 0, piece{}, fmt.Errorf("piece: %w", errRow)
	}
	return be.Uint64(value), p, nil
}
