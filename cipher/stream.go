package cipher

import (
	stdcipher "crypto/cipher"
	"encoding/binary"
	"math/bits"
	"runtime"
	"sync"
)

// parallelPiece is the least number of bytes that is worth a goroutine of its own: about 0.1 ms of AES with hardware help.
const parallelPiece = 512 << 10

// XORKeyStreamAt encrypts or decrypts len(src) bytes, which stand at byte offset off of the content, into dst. dst may be
// src; otherwise they must not overlap. dst must be at least as long as src and off not negative, or it panics. Large
// buffers are split over the processors.
func (k *ContentKey) XORKeyStreamAt(dst, src []byte, off int64) {
	if off < 0 {
		panic("cipher: negative offset")
	}
	if len(dst) < len(src) {
		panic("cipher: output smaller than input")
	}
	dst = dst[:len(src)]
	pieces := min(len(src)/parallelPiece, runtime.GOMAXPROCS(0))
	if pieces < 2 {
		k.xor(dst, src, off)
		return
	}
	size := (len(src)/pieces + 15) &^ 15
	var wg sync.WaitGroup
	for from := size; from < len(src); from += size {
		to := min(from+size, len(src))
		wg.Go(func() { k.xor(dst[from:to], src[from:to], off+int64(from)) })
	}
	k.xor(dst[:size], src[:size], off)
	wg.Wait()
}

// xor does one piece.
func (k *ContentKey) xor(dst, src []byte, off int64) {
	if len(src) == 0 {
		return
	}
	counter := addCounter(k.iv, uint64(off/blockSize))
	stream := stdcipher.NewCTR(k.block, counter[:])
	if skip := off % blockSize; skip > 0 {
		var surplus [IVSize]byte
		stream.XORKeyStream(surplus[:skip], surplus[:skip])
	}
	stream.XORKeyStream(dst, src)
}

// addCounter adds n to a counter as a 128-bit big-endian number that wraps.
func addCounter(iv [IVSize]byte, n uint64) [IVSize]byte {
	low, carry := bits.Add64(binary.BigEndian.Uint64(iv[8:]), n, 0)
	high := binary.BigEndian.Uint64(iv[:8]) + carry
	binary.BigEndian.PutUint64(iv[:8], high)
	binary.BigEndian.PutUint64(iv[8:], low)
	return iv
}
