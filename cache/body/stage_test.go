package body

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// FuzzDecodeStage: what is read is written again as it was, and nothing else is read.
func FuzzDecodeStage(f *testing.F) {
	g := &stage{Stage: object.Stage{ID: object.ID{1}, UploadID: "upload", PartSize: 2 << 20, Stored: 4 << 20}, generation: [16]byte{2}, crc: 3,
		leaves: bytes.Repeat([]byte{4}, 64)}
	f.Add(g.encode())
	f.Add((&stage{Stage: object.Stage{PartSize: 1 << 20}}).encode())
	f.Add([]byte{stageVersion})
	f.Fuzz(func(t *testing.T, row []byte) {
		g, err := decodeStage(row)
		if err != nil {
			if !errors.Is(err, errRow) {
				t.Errorf("got %v, want %v", err, errRow)
			}
			return
		}
		again, err := decodeStage(g.encode())
		if err != nil || again.Stage != g.Stage || again.crc != g.crc || again.generation != g.generation || !bytes.Equal(again.leaves, g.leaves) {
			t.Errorf("got %+v, %v, want %+v", again, err, g)
		}
	})
}
