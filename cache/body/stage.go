package body

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// stage is the begin of a stream that went to the bucket ahead of its end, because the cache is too small for it. A stage is never
// changed: one that has grown is another one. What is here is the rest, in the base's file behind a hole.
type stage struct {
	object.Stage
	generation [16]byte // of the stream
	crc        uint64   // of the bytes stored
	leaves     []byte   // their leaf tags
}

// errStaged says that bytes of a base are in the bucket and cannot be read there yet.
var errStaged = errors.New("stored ahead")

// ErrAway says that the bytes asked for have left the cache, since the file is larger, and can be read once it is closed and uploaded.
var ErrAway = errors.New("the begin of the file has left the cache and is not readable before it is uploaded")

// errNotFront says that only a file that is written from front to back can be larger than the cache.
var errNotFront = fmt.Errorf("a file larger than the cache can only be written from front to back: %w", ErrNoSpace)

// stored is how many bytes of the base are not here.
func (b *baseRow) stored() int64 {
	if b.stage == nil {
		return 0
	}
	return b.stage.Stored
}

// heldBytes is how many bytes of the base are here.
func (b *baseRow) heldBytes() int64 { return b.size - b.stored() }

// Layout: version(1) id(16) generation(16) crc(8), then uvarints part size and bytes stored, then with uvarint lengths upload id
// and leaf tags.
const (
	stageVersion = 1
	maxUploadID  = 1 << 10
	maxLeaves    = 16 * MaxSize / stepSize
)

func (g *stage) encode() []byte {
	b := append([]byte{stageVersion}, g.ID[:]...)
	b = append(b, g.generation[:]...)
	b = binary.BigEndian.AppendUint64(b, g.crc)
	b = binary.AppendUvarint(b, uint64(g.PartSize))
	b = binary.AppendUvarint(b, uint64(g.Stored))
	for _, s := range [][]byte{[]byte(g.UploadID), g.leaves} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

func decodeStage(row []byte) (*stage, error) {
	rd := &rowReader{b: row}
	g := &stage{}
	head := rd.bytes(41)
	if rd.bad || head[0] != stageVersion {
		return nil, fmt.Errorf("stage: %w", errRow)
	}
	copy(g.ID[:], head[1:])
	copy(g.generation[:], head[17:])
	g.crc = binary.BigEndian.Uint64(head[33:])
	g.PartSize, g.Stored = int64(rd.uvarint(MaxSize)), int64(rd.uvarint(MaxSize))
	g.UploadID, g.leaves = string(rd.blob(maxUploadID)), rd.blob(maxLeaves)
	if rd.bad || len(rd.b) > 0 || g.PartSize <= 0 || g.PartSize%stepSize != 0 || g.Stored%g.PartSize != 0 ||
		int64(len(g.leaves)) != g.Stored/stepSize*16 {
		return nil, fmt.Errorf("stage: %w", errRow)
	}
	return g, nil
}

// readStage reads the stage of a base that has one.
func readStage(tx *index.Tx, ino index.Ino) (*stage, error) {
	row, ok, err := tx.GetRaw(tableStages, inoKey(ino))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("inode %d: no stage: %w", ino, errRow)
	}
	return decodeStage(row)
}

// moveStage changes the row of a stage. One that is given up is listed, so that it goes from the bucket, too.
func moveStage(tx *index.Tx, ino index.Ino, from, to *stage) error {
	if from == to {
		return nil
	}
	if from != nil && (to == nil || to.ID != from.ID) {
		gone := *from
		gone.Stored, gone.leaves = 0, nil
		if err := tx.PutRaw(tableUnstaged, gone.ID[:], gone.encode()); err != nil {
			return err
		}
	}
	if to == nil {
		return tx.DeleteRaw(tableStages, inoKey(ino))
	}
	return tx.PutRaw(tableStages, inoKey(ino), to.encode())
}

// resumeLocked seals a staged base whose stream ended without its end: with the process, or by a failure of the disk. What is here of
// it was sealed already and is only read.
func (s *Store) resumeLocked(b *body, in index.Inode, job sealJob) error {
	row := b.base.rowCopy()
	if row.size != in.Size || len(b.over) > 0 {
		return fmt.Errorf("inode %d: seal: %w", b.ino, errNotFront)
	}
	secret, err := s.db.OpenSecret(labelContent, row.secret)
	if err != nil {
		return fmt.Errorf("content key: %w", err)
	}
	defer clear(secret)
	intake, err := object.ResumeIntake(row.stage.generation, row.stage.leaves, secret, row.stage.crc, row.stage.Stored)
	if err != nil {
		return fmt.Errorf("inode %d: seal: %w", b.ino, err)
	}
	buf := s.buffer(stepSize)
	defer s.recycle(buf)
	for off := row.stage.Stored; off < row.size; off += int64(len(buf)) {
		buf = buf[:min(int64(stepSize), row.size-off)]
		if err := s.readSealed(b.base, buf, off); err != nil {
			return fmt.Errorf("inode %d: seal at %d: %w", b.ino, off, err)
		}
		if _, err := intake.Write(buf); err != nil {
			return err
		}
	}
	return s.commitSealLocked(b, b.editLocked(in), intake.Finish(), job)
}
