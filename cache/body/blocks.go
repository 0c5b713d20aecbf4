package body

import (
	"math/bits"

	"github.com/ossencfs/ossencfs/cache/index"
)

// blockSize is the unit in which holes are counted, as disks give room to files.
const blockSize = 4 << 10

// roundUp is the number of bytes of whole blocks that n bytes take.
func roundUp(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// spanned is the number of bytes of the blocks that [from, to) touches.
func spanned(from, to int64) int64 {
	if from >= to {
		return 0
	}
	return roundUp(to) - from/blockSize*blockSize
}

// holes keeps count of the blocks of a body that hold no data. A change counts the windows that it touches, no others. What is not known for sure is data:
// programs that read st_blocks leave out what they take for holes.
type holes struct {
	beyond int64 // bytes of blocks with data that the overlay adds to those of the base, or takes away; negative when it has more holes
	below  int64 // bytes of holes that the base had when it was sealed, and that no change since can have filled
}

// after is the count after an edit, of an inode as it was before.
func (h holes) after(b *body, e *edit, before *index.Inode) holes {
	if before.Sealed {
		h.below = before.Holes - (roundUp(b.rec.visible) - b.rec.visible/blockSize*blockSize) // what comes behind may be in its last block
	}
	if e.resetWindows {
		h.beyond = 0
	}
	for w, ext := range e.windows {
		if !e.resetWindows {
			h.beyond -= added(b.over[w], w, b.rec.visible)
		}
		h.beyond += added(ext, w, e.rec.visible)
	}
	h.below -= e.covers
	if e.rec.visible < b.rec.visible {
		h.below -= spanned(e.rec.visible, b.rec.visible)
	}
	h.below = max(h.below, 0)
	return h
}

// bytes is how many bytes of a content of size bytes are holes, of whose base visible bytes count.
func (h holes) bytes(size, visible int64) int64 {
	return min(max(roundUp(size)-roundUp(visible)-h.beyond, 0)+h.below, roundUp(size))
}

// added is how many bytes of blocks with data the extents of window w add to those of a base of which visible bytes count.
func added(ext []extent, w, visible int64) int64 {
	if len(ext) == 0 {
		return 0
	}
	base := blocksOf(0, min(max(visible-w*windowSize, 0), windowSize))
	data := base
	for _, e := range ext {
		if e.hole {
			data &^= blocksWithin(int64(e.off), int64(e.end()))
		}
	}
	for _, e := range ext {
		if !e.hole {
			data |= blocksOf(int64(e.off), int64(e.end()))
		}
	}
	return int64(bits.OnesCount16(data)-bits.OnesCount16(base)) * blockSize
}

// blocksOf are the blocks of a window that [from, to) touches, blocksWithin those that it covers. A bit stands for a block.
func blocksOf(from, to int64) uint16 {
	if from >= to {
		return 0
	}
	return upTo((to+blockSize-1)/blockSize) &^ upTo(from/blockSize)
}

func blocksWithin(from, to int64) uint16 {
	return upTo(to/blockSize) &^ upTo((from+blockSize-1)/blockSize)
}

// upTo are the first n blocks of a window.
func upTo(n int64) uint16 { return uint16(1<<n - 1) }
