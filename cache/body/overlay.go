package body

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// windowSize is the unit in which the overlay is indexed and the largest plaintext of one chunk. No extent crosses a window.
const windowSize = 64 << 10

// chunk is one AEAD block in the log of a working copy.
type chunk struct {
	slot  int64  // offset of the ciphertext in the log
	size  uint32 // bytes of plaintext = bytes in the log; the tag is kept here, in the index
	id    uint64 // number of the chunk within the copy; part of the AAD
	nonce [12]byte
	tag   [16]byte
}

// extent maps [off, off+n) of a window to part of a chunk, or to zeros where hole is set.
type extent struct {
	off, n uint32
	hole   bool
	skip   uint32 // first byte used of the chunk's plaintext
	chunk  chunk
}

func (e extent) end() uint32 { return e.off + e.n }

// overlay maps window numbers to their extents, sorted and without overlap. Slices are replaced, never changed in place, so
// that a copy of the map is a snapshot.
type overlay map[int64][]extent

// cut returns the extents of a window without [from, to), and the chunks that are no longer used by any.
func cut(ext []extent, from, to uint32) (kept []extent, freed []chunk) {
	for _, e := range ext {
		if e.end() <= from || e.off >= to {
			kept = append(kept, e)
			continue
		}
		if e.off < from {
			l := e
			l.n = from - e.off
			kept = append(kept, l)
		}
		if e.end() > to {
			r := e
			r.off, r.n = to, e.end()-to
			if !e.hole {
				r.skip += to - e.off
			}
			kept = append(kept, r)
		}
	}
	for _, e := range ext {
		if e.hole || usesChunk(kept, e.chunk.id) || slices.Contains(freed, e.chunk) {
			continue
		}
		freed = append(freed, e.chunk)
	}
	return kept, freed
}

func usesChunk(ext []extent, id uint64) bool {
	return slices.ContainsFunc(ext, func(e extent) bool { return !e.hole && e.chunk.id == id })
}

// put returns the extents of a window with e laid over them, and the chunks that are no longer used.
func put(ext []extent, e extent) (now []extent, freed []chunk) {
	now, freed = cut(ext, e.off, e.end())
	i, _ := slices.BinarySearchFunc(now, e.off, func(x extent, off uint32) int { return int(int64(x.off) - int64(off)) })
	return slices.Insert(now, i, e), freed
}

// run is a part of a file that comes from one source.
type run struct {
	off, n int64
	ext    *extent // nil: base, or zeros beyond it
	within uint32  // first byte of the extent that is wanted
}

// runs calls fn for the parts of [off, off+n) in order. Neighbouring parts that are not in the overlay come as one.
func (o overlay) runs(off, n int64, fn func(run) error) error {
	end, gap := off+n, off
	flush := func(to int64) error {
		if gap >= to {
			return nil
		}
		r := run{off: gap, n: to - gap}
		gap = to
		return fn(r)
	}
	if len(o) == 0 {
		return flush(end)
	}
	for w := off / windowSize; w*windowSize < end; w++ {
		start := w * windowSize
		ext := o[w]
		for i := range ext {
			e := &ext[i]
			from, to := max(start+int64(e.off), off), min(start+int64(e.end()), end)
			if from >= to {
				continue
			}
			if err := flush(from); err != nil {
				return err
			}
			gap = to
			if err := fn(run{off: from, n: to - from, ext: e, within: uint32(from - start - int64(e.off))}); err != nil {
				return err
			}
		}
	}
	return flush(end)
}

// windowsFrom lists the windows that reach to or beyond off, in order.
func (o overlay) windowsFrom(off int64) []int64 {
	var ws []int64
	for w := range o {
		if (w+1)*windowSize > off {
			ws = append(ws, w)
		}
	}
	slices.Sort(ws)
	return ws
}

// Layout of a window's row: version(1), then per extent: kind(1: 0 data, 1 hole) off(4) n(4), for data skip(4) slot(8)
// size(4) id(8) nonce(12) tag(16). Integers are big-endian.
const (
	windowVersion = 1
	holeBytes     = 9
	dataBytes     = holeBytes + 4 + 8 + 4 + 8 + 12 + 16
)

var errRow = errors.New("malformed row in the index")

func encodeWindow(ext []extent) []byte {
	b := make([]byte, 1, 1+len(ext)*dataBytes)
	b[0] = windowVersion
	be := binary.BigEndian
	for _, e := range ext {
		kind := byte(0)
		if e.hole {
			kind = 1
		}
		b = append(b, kind)
		b = be.AppendUint32(b, e.off)
		b = be.AppendUint32(b, e.n)
		if e.hole {
			continue
		}
		b = be.AppendUint32(b, e.skip)
		b = be.AppendUint64(b, uint64(e.chunk.slot))
		b = be.AppendUint32(b, e.chunk.size)
		b = be.AppendUint64(b, e.chunk.id)
		b = append(b, e.chunk.nonce[:]...)
		b = append(b, e.chunk.tag[:]...)
	}
	return b
}

// decodeWindow parses a window's row and checks that its extents are sorted, within the window and within their chunks.
func decodeWindow(b []byte) ([]extent, error) {
	if len(b) == 0 || b[0] != windowVersion {
		return nil, fmt.Errorf("window: %w", errRow)
	}
	b = b[1:]
	be := binary.BigEndian
	var ext []extent
	last := uint32(0)
	for len(b) > 0 {
		if len(b) < holeBytes || b[0] > 1 {
			return nil, fmt.Errorf("window: %w", errRow)
		}
		e := extent{hole: b[0] == 1, off: be.Uint32(b[1:]), n: be.Uint32(b[5:])}
		if e.off < last || e.n == 0 || e.n > windowSize || e.off > windowSize-e.n {
			return nil, fmt.Errorf("window: extent %d+%d: %w", e.off, e.n, errRow)
		}
		last = e.end()
		if e.hole {
			ext, b = append(ext, e), b[holeBytes:]
			continue
		}
		if len(b) < dataBytes {
			return nil, fmt.Errorf("window: %w", errRow)
		}
		e.skip = be.Uint32(b[9:])
		c := &e.chunk
		c.slot, c.size, c.id = int64(be.Uint64(b[13:])), be.Uint32(b[21:]), be.Uint64(b[25:])
		copy(c.nonce[:], b[33:])
		copy(c.tag[:], b[45:])
		if c.size > windowSize || c.slot < 0 || e.n > c.size || e.skip > c.size-e.n {
			return nil, fmt.Errorf("window: chunk of %d: %w", c.size, errRow)
		}
		ext, b = append(ext, e), b[dataBytes:]
	}
	return ext, nil
}
