package body

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/ossencfs/ossencfs/cache/index"
)

// chunkLog is the log of one working copy: AEAD chunks in slots, mapped by the overlay. It is guarded by body.mu.
type chunkLog struct {
	row    logRow
	ino    index.Ino
	aead   cipher.AEAD
	end    int64  // where new slots begin
	nextID uint64 // number of the next chunk
	free   slotList
	held   []held // freed, but a durable state may still refer to them; in the order of their rounds
	heldN  int64
}

// held is a freed slot, and the last barrier that had begun by then: once a later one has ended, no durable state refers to it.
type held struct {
	chunk chunk
	round uint64
}

// Freed slots may wait for a barrier until they take as much as the file, within these bounds; then one is made for their sake.
const (
	minHeld = 4 << 20
	maxHeld = 64 << 20
)

// mostHeld is that bound for a file of size bytes.
func mostHeld(size int64) int64 { return min(max(size, minHeld), maxHeld) }

// newChunkKey makes a key for a log and its form at rest.
func newChunkKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: it ends the program instead
	return key
}

func newChunkLog(ino index.Ino, row logRow, key []byte) (*chunkLog, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key of a working copy: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("key of a working copy: %w", err)
	}
	return &chunkLog{row: row, ino: ino, aead: aead}, nil
}

// resume continues behind the chunks that the overlay refers to.
func (l *chunkLog) resume(o overlay) {
	for _, ext := range o {
		for _, e := range ext {
			if !e.hole {
				l.end = max(l.end, e.chunk.slot+int64(slotSize(e.chunk.size)))
				l.nextID = max(l.nextID, e.chunk.id+1)
			}
		}
	}
}

// aad binds a chunk to its inode, its copy and its number.
func (l *chunkLog) aad(id uint64) []byte {
	be := binary.BigEndian
	b := be.AppendUint64(make([]byte, 0, 24), uint64(l.ino))
	b = be.AppendUint64(b, l.row.file)
	return be.AppendUint64(b, id)
}

// seal encrypts plain as a new chunk in a slot of its own; it returns the ciphertext to write there, appended to dst.
func (l *chunkLog) seal(dst, plain []byte) (chunk, []byte) {
	c := chunk{size: uint32(len(plain)), id: l.nextID}
	l.nextID++
	var ok bool
	if c.slot, ok = l.free.take(slotSize(c.size)); !ok {
		c.slot = l.end
		l.end += int64(slotSize(c.size))
	}
	_, _ = rand.Read(c.nonce[:])
	n := len(dst)
	out := l.aead.Seal(dst, c.nonce[:], plain, l.aad(c.id))
	copy(c.tag[:], out[n+len(plain):])
	return c, out[:n+len(plain)]
}

// open decrypts a chunk in buf, which holds its ciphertext and has room for the tag.
func (l *chunkLog) open(c chunk, buf []byte) ([]byte, error) {
	plain, err := l.aead.Open(buf[:0], c.nonce[:], append(buf, c.tag[:]...), l.aad(c.id))
	if err != nil {
		return nil, fmt.Errorf("%w: chunk %d of the working copy of inode %d", ErrDamaged, c.id, l.ino)
	}
	return plain, nil
}

// hold gives slots back that wait for a barrier later than round, since the state that the last one made durable may refer to them.
func (l *chunkLog) hold(freed []chunk, round uint64) {
	for _, c := range freed {
		l.held = append(l.held, held{c, round})
		l.heldN += int64(slotSize(c.size))
	}
}

// ripen makes the held slots usable for which a barrier has ended since.
func (l *chunkLog) ripen(ended uint64) {
	n := 0
	for n < len(l.held) && l.held[n].round < ended {
		c := l.held[n].chunk
		l.heldN -= int64(slotSize(c.size))
		l.free.give(c.slot, slotSize(c.size))
		n++
	}
	if n > 0 {
		l.held = append(l.held[:0:0], l.held[n:]...)
	}
}

// give gives slots back that no state refers to.
func (l *chunkLog) give(freed []chunk) {
	for _, c := range freed {
		l.free.give(c.slot, slotSize(c.size))
	}
}

// slotUnit is the granularity of slots.
const slotUnit = 64

// slotSize is the room that a chunk of n bytes takes in the log.
func slotSize(n uint32) uint32 { return max((n+slotUnit-1)/slotUnit, 1) * slotUnit }

const slotClasses = windowSize/slotUnit + 1

// slotList keeps free slots by size.
type slotList struct {
	class [slotClasses][]int64
	some  [(slotClasses + 63) / 64]uint64 // which classes have slots
}

func (f *slotList) give(off int64, n uint32) {
	c := n / slotUnit
	f.class[c] = append(f.class[c], off)
	f.some[c/64] |= 1 << (c % 64)
}

// take returns a slot of n bytes, cut off the smallest free one that is large enough.
func (f *slotList) take(n uint32) (off int64, ok bool) {
	want := n / slotUnit
	for w := want / 64; w < uint32(len(f.some)); w++ {
		set := f.some[w]
		if w == want/64 {
			set &^= 1<<(want%64) - 1
		}
		if set == 0 {
			continue
		}
		c := w*64 + uint32(bits.TrailingZeros64(set))
		list := f.class[c]
		off = list[len(list)-1]
		f.class[c] = list[:len(list)-1]
		if len(list) == 1 {
			f.some[w] &^= 1 << (c % 64)
		}
		if c > want {
			f.give(off+int64(n), (c-want)*slotUnit)
		}
		return off, true
	}
	return 0, false
}
