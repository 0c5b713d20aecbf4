package cipher

import (
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

// tagBlock is the number of bytes that are tagged at once: a stream that grows needs no more buffer than that.
const tagBlock = 64 << 10

// leafHead is the length of what stands before the block tags in the input of a leaf's tag.
const leafHead = 4 + 8 + 8

// lastNonce is the block number in the nonce of a leaf's tag; blocks count from 0 to 15.
const lastNonce = 1<<32 - 1

// leafMAC computes the tags of leaves, one after the other, by GMAC of AES-256:
//
//	block tag b = GMAC( nonce = u64(i) u32(b), bytes of the block )          ; blocks of 64 KiB of leaf i
//	leaf tag    = GMAC( nonce = u64(i) u32(2^32-1), "leaf" u64(i) u64(length of the leaf) block tags )
//
// INVARIANT: under one MAC key no nonce is used for two inputs whose tags leave the package, since two of them give away
// the key of the hash. A generation is tagged once, front to back, under a key of its own; what is computed to verify is
// compared and never shown.
type leafMAC struct {
	aead   stdcipher.AEAD
	nonce  [12]byte
	input  []byte // of the leaf's tag
	length uint64 // bytes of the leaf so far
}

// newLeafMAC sets up the MAC under a key.
func newLeafMAC(key *[MACKeySize]byte) (*leafMAC, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	aead, err := stdcipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up GCM: %w", err)
	}
	return &leafMAC{aead: aead, input: make([]byte, 0, leafHead+LeafSize/tagBlock*TagSize)}, nil
}

// begin begins leaf i.
func (m *leafMAC) begin(i int64) {
	binary.BigEndian.PutUint64(m.nonce[:8], uint64(i)) //nolint:gosec // never negative
	m.input = append(m.input[:0], "leaf"...)
	m.input = append(m.input, m.nonce[:8]...)
	m.input = append(m.input, make([]byte, 8)...)
	m.length = 0
}

// block adds the next block; all but the last have tagBlock bytes.
func (m *leafMAC) block(p []byte) {
	binary.BigEndian.PutUint32(m.nonce[8:], uint32(m.length/tagBlock)) //nolint:gosec // at most 15
	m.length += uint64(len(p))
	m.input = m.aead.Seal(m.input, m.nonce[:], nil, p)
}

// whole reports whether the leaf can take no further block.
func (m *leafMAC) whole() bool { return m.length == LeafSize }

// end appends the leaf's tag.
func (m *leafMAC) end(tags []byte) []byte {
	binary.BigEndian.PutUint64(m.input[leafHead-8:], m.length)
	binary.BigEndian.PutUint32(m.nonce[8:], lastNonce)
	return m.aead.Seal(tags, m.nonce[:], nil, m.input)
}

// tagger computes the tags of one generation's ciphertext while it is written. It is not safe for concurrent use.
type tagger struct {
	key    [MACKeySize]byte
	mac    *leafMAC
	size   int64
	buf    []byte // begin of a block that is not whole
	leaves []byte // tags of the leaves that are
	open   bool   // a leaf has begun and not ended
}

// newTagger draws a MAC key.
func newTagger() (*tagger, error) {
	t := &tagger{}
	if _, err := rand.Read(t.key[:]); err != nil {
		return nil, fmt.Errorf("draw MAC key: %w", err)
	}
	var err error
	t.mac, err = newLeafMAC(&t.key)
	return t, err
}

// write takes the bytes that follow. Blocks that p holds whole are not copied.
func (t *tagger) write(p []byte) {
	t.size += int64(len(p))
	for len(p) > 0 {
		if len(t.buf) == 0 && len(p) >= tagBlock {
			t.block(p[:tagBlock])
			p = p[tagBlock:]
			continue
		}
		n := min(len(p), tagBlock-len(t.buf))
		t.grow(n)
		t.buf, p = append(t.buf, p[:n]...), p[n:]
		if len(t.buf) == tagBlock {
			t.block(t.buf)
			t.buf = t.buf[:0]
		}
	}
}

// grow makes room for n bytes in the buffer: exactly n at first, since most files come in one write.
func (t *tagger) grow(n int) {
	if need := len(t.buf) + n; need > cap(t.buf) {
		buf := make([]byte, len(t.buf), min(max(need, 2*cap(t.buf)), tagBlock))
		copy(buf, t.buf)
		t.buf = buf
	}
}

// block takes one block, and ends the leaf with it when that is whole.
func (t *tagger) block(p []byte) {
	if !t.open {
		t.mac.begin(int64(len(t.leaves) / TagSize))
		t.open = true
	}
	t.mac.block(p)
	if t.mac.whole() {
		t.end()
	}
}

// end ends a leaf.
func (t *tagger) end() {
	t.leaves = t.mac.end(t.leaves)
	t.open = false
}

// finish returns the tags of all that was written. Nothing is written afterwards, or a nonce would be used twice.
func (t *tagger) finish() *Tags {
	if len(t.buf) > 0 {
		t.block(t.buf)
	}
	if t.open {
		t.end()
	}
	tags, err := tagsOfLeaves(&t.key, t.size, t.leaves)
	if err != nil {
		panic("cipher: tagger miscounted: " + err.Error())
	}
	t.buf, t.mac = nil, nil
	clear(t.key[:])
	return tags
}
