package body

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/ossencfs/ossencfs/test/membound"
)

func testRecords() []record {
	return []record{
		{},
		{gen: 7, visible: 5, base: baseRow{gen: 7, size: 5, secret: []byte("s"), digest: []byte("d"),
			pieces: []piece{{seg: 1, off: 99, cap: 10, n: 3}, {seg: 2, off: 1 << 40, cap: 2, n: 2}}}},
		{gen: 1 << 60, visible: 1, base: baseRow{size: 1 << 40, secret: []byte("x"), file: 1<<64 - 1},
			log: logRow{file: 5, secret: []byte("key")}},
		{gen: 8, visible: 1, apart: true, base: baseRow{gen: 8, size: 1 << 40, secret: []byte("x"), file: 9}},
		{gen: 9, visible: 1, staged: true, base: baseRow{gen: 9, size: 1 << 40, secret: []byte("x"), file: 9}},
	}
}

func TestRecordCodec(t *testing.T) {
	for _, r := range testRecords() {
		got, err := decodeRecord(r.encode())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.encode(), r.encode()) || got.gen != r.gen || got.base.file != r.base.file ||
			!reflect.DeepEqual(got.base.pieces, r.base.pieces) || got.apart != r.apart || got.staged != r.staged {
			t.Errorf("got %+v, want %+v", got, r)
		}
		for n := range r.encode() {
			if _, err := decodeRecord(r.encode()[:n]); !errors.Is(err, errRow) {
				t.Errorf("cut to %d bytes: %v", n, err)
			}
		}
	}
	long := testRecords()[2]
	long.base.digest = make([]byte, maxInline+1)
	if got, err := decodeRecord(long.encode()); err != nil || !got.apart || got.base.digest != nil || len(long.encode()) > 200 {
		t.Errorf("long digest: got %+v, %v, want it apart", got, err)
	}
	bad := testRecords()[1]
	bad.visible = 6
	if _, err := decodeRecord(bad.encode()); !errors.Is(err, errRow) {
		t.Errorf("more visible than there is: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range testRecords() {
		f.Add(r.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record
		var err error
		membound.Check(t, len(b), 200, func() { r, err = decodeRecord(b) })
		if err != nil {
			return
		}
		again, err := decodeRecord(r.encode())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}

func FuzzWindow(f *testing.F) {
	f.Add(encodeWindow(nil))
	f.Add(encodeWindow([]extent{{off: 1, n: 2, hole: true}, {off: 5, n: 10, skip: 1, chunk: chunk{slot: 64, size: 11, id: 3}}}))
	f.Add(binary.AppendUvarint([]byte{1}, 1<<40))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ext []extent
		var err error
		membound.Check(t, len(b), 200, func() { ext, err = decodeWindow(b) })
		if err != nil {
			return
		}
		if !bytes.Equal(encodeWindow(ext), b) {
			t.Errorf("%v is not what was decoded", ext)
		}
		for i, e := range ext {
			if e.end() > windowSize || i > 0 && e.off < ext[i-1].end() || !e.hole && e.skip+e.n > e.chunk.size {
				t.Errorf("extent %d of %v", i, ext)
			}
		}
	})
}

func FuzzPieceRow(f *testing.F) {
	p := piece{seg: 3, off: 77, cap: 5}
	f.Add(pieceKey(p), pieceValue(9, p))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		ino, p, err := decodePieceRow(key, value)
		if err == nil && (!bytes.Equal(pieceKey(p), key) || !bytes.Equal(pieceValue(ino, p), value)) {
			t.Errorf("%d %+v is not what was decoded", ino, p)
		}
	})
}

// The extents of a window against an array that says which chunk each byte comes from.
func TestWindowModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var ext []extent
		var shown [256]uint64
		live := map[uint64]bool{}
		for id := uint64(1); id < 40; id++ {
			off := uint32(r.IntN(255))
			n := uint32(1 + r.IntN(256-int(off)-1+1))
			n = min(n, 256-off)
			var freed []chunk
			fill := uint64(0)
			switch r.IntN(4) {
			case 0:
				ext, freed = cut(ext, off, off+n)
			default:
				ext, freed = put(ext, extent{off: off, n: n, chunk: chunk{id: id, size: n}})
				fill = id
				live[id] = true
			}
			for i := off; i < off+n; i++ {
				shown[i] = fill
			}
			for _, c := range freed {
				if !live[c.id] || slices.Contains(shown[:], c.id) {
					t.Fatalf("chunk %d freed while in use, or twice", c.id)
				}
				delete(live, c.id)
			}
			var got [256]uint64
			for i, e := range ext {
				if i > 0 && e.off < ext[i-1].end() {
					t.Fatalf("overlap: %+v", ext)
				}
				for k := range e.n {
					got[e.off+k] = e.chunk.id
				}
			}
			if got != shown {
				t.Fatalf("shown %v, want %v", got, shown)
			}
			for id := range live {
				if !slices.Contains(shown[:], id) {
					t.Fatalf("chunk %d is not used and was not freed", id)
				}
			}
			if back, err := decodeWindow(encodeWindow(ext)); err != nil || !reflect.DeepEqual(back, ext) && len(ext) > 0 {
				t.Fatalf("codec: %v, %v", back, err)
			}
		}
	}
}

// Slots that are handed out never overlap, whatever is given back in between.
func TestSlotList(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var f slotList
	end := int64(0)
	type slot struct {
		off int64
		n   uint32
	}
	var out []slot
	for range 5000 {
		if len(out) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(out))
			f.give(out[i].off, out[i].n)
			out = slices.Delete(out, i, i+1)
			continue
		}
		n := slotSize(uint32(1 + r.IntN(windowSize)))
		off, ok := f.take(n)
		if !ok {
			off = end
			end += int64(n)
		}
		for _, o := range out {
			if off < o.off+int64(o.n) && o.off < off+int64(n) {
				t.Fatalf("slot %d+%d overlaps %d+%d", off, n, o.off, o.n)
			}
		}
		out = append(out, slot{off, n})
	}
}
