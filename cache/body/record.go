package body

import (
	"encoding/binary"
	"fmt"
)

// record is the Body row of one inode: what is known of its content beside what the inode says.
type record struct {
	gen     uint64 // inode generation this record belongs to
	visible int64  // bytes of the base that count; the rest of the file is overlay or zeros
	apart   bool   // the base's digest is in its own row and was not read yet
	staged  bool   // the base has a stage, which is in its own row and was not read yet
	base    baseRow
	log     logRow
}

// baseRow says where a base is and how it opens.
type baseRow struct {
	gen    uint64  // generation it is the sealed body of; 0: a stream, or nothing
	size   int64   // bytes of ciphertext
	secret []byte  // content key, with a digest also the key of the tags, sealed under the index's secret; empty: there is no base
	digest []byte  // public part of object.Sealed; empty: stream, or fetched from a foreign object
	file   uint64  // file that holds it; 0: pieces
	pieces []piece // ranges of segments that hold it, in order
	stage  *stage  // where its begin is instead; nil: here
}

// local reports whether the bytes are here. A base without bytes (size 0) always is.
func (b *baseRow) local() bool {
	return len(b.secret) > 0 && (b.file != 0 || len(b.pieces) > 0 || b.size == 0)
}

// logRow is the log of a working copy.
type logRow struct {
	file   uint64 // 0: there is none; never used again, so it names the copy in the AAD of its chunks
	secret []byte // key of its chunks, sealed under the index's secret
}

// Layout: version(1) flags(1) gen visible base.gen base.size base.file log.file (uvarints), then with
// uvarint lengths log.secret, base.secret, base.digest, and the number of pieces; per piece seg off cap n (uvarints).
// A digest of more than maxInline bytes is empty there, and the value of row 'D'.
const recordVersion = 1

const (
	flagsOfOld = 1 | 2 // set by earlier versions, and mean nothing
	flagApart  = 4     // the digest is a row of its own
	flagStaged = 8     // the base has a stage
	allFlags   = flagsOfOld | flagApart | flagStaged
)

// maxInline is the length up to which a digest is in the record. The digest of a large file has 16 bytes per MiB, and the record is
// written with each change of a working copy.
const maxInline = 1 << 10

// maxPieces bounds how many pieces a base may have; more is a malformed row.
const maxPieces = 64

// maxSecret bounds the length of a sealed key; more is a malformed row.
const maxSecret = 1 << 10

func (r *record) encode() []byte {
	b := make([]byte, 0, 128+len(r.base.secret)+min(len(r.base.digest), maxInline)+len(r.log.secret)+16*len(r.base.pieces))
	flags := byte(0)
	if r.staged || r.base.stage != nil {
		flags |= flagStaged
	}
	digest := r.base.digest
	if r.apart || len(digest) > maxInline {
		flags |= flagApart
		digest = nil
	}
	b = append(b, recordVersion, flags)
	for _, v := range []uint64{r.gen, uint64(r.visible), r.base.gen, uint64(r.base.size), r.base.file, r.log.file} {
		b = binary.AppendUvarint(b, v)
	}
	for _, s := range [][]byte{r.log.secret, r.base.secret, digest} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.base.pieces)))
	for _, p := range r.base.pieces {
		for _, v := range []uint64{uint64(p.seg), uint64(p.off), uint64(p.cap), uint64(p.n)} {
			b = binary.AppendUvarint(b, v)
		}
	}
	return b
}

// rowReader reads the parts of a row and remembers the first thing that was wrong.
type rowReader struct {
	b   []byte
	bad bool
}

func (r *rowReader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *rowReader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || v > limit {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *rowReader) blob(limit uint64) []byte {
	return append([]byte(nil), r.bytes(r.uvarint(limit))...)
}

// decodeRecord parses a Body row and checks that its parts fit together.
func decodeRecord(b []byte) (record, error) {
	rd := &rowReader{b: b}
	var r record
	head := rd.bytes(2)
	if rd.bad || head[0] != recordVersion || head[1]&^allFlags != 0 {
		return record{}, fmt.Errorf("body: %w", errRow)
	}
	r.apart = head[1]&flagApart != 0
	r.staged = head[1]&flagStaged != 0
	const any = ^uint64(0)
	r.gen, r.visible = rd.uvarint(any), int64(rd.uvarint(MaxSize))
	r.base.gen, r.base.size = rd.uvarint(any), int64(rd.uvarint(MaxSize))
	r.base.file, r.log.file = rd.uvarint(any), rd.uvarint(any)
	r.log.secret, r.base.secret = rd.blob(maxSecret), rd.blob(maxSecret)
	r.base.digest = rd.blob(maxInline)
	n := rd.uvarint(maxPieces)
	total := int64(0)
	for i := uint64(0); i < n && !rd.bad; i++ {
		p := piece{seg: uint32(rd.uvarint(1<<32 - 1)), off: int64(rd.uvarint(MaxSize)),
			cap: uint32(rd.uvarint(1 << 30)), n: uint32(rd.uvarint(1 << 30))}
		rd.bad = rd.bad || p.n > p.cap
		total += int64(p.n)
		r.base.pieces = append(r.base.pieces, p)
	}
	if rd.bad || len(rd.b) > 0 || r.apart && len(r.base.digest) > 0 || r.visible > r.base.size || n > 0 && (total != r.base.size || r.base.file != 0) {
		return record{}, fmt.Errorf("body: %w", errRow)
	}
	return r, nil
}
