package emulator

import "hash/crc64"

// crcTable is CRC-64/XZ, which OSS calls CRC-64 ECMA.
var crcTable = crc64.MakeTable(crc64.ECMA)

// crcCombine returns the CRC-64 of a‖b from the CRC-64 of each and the length of b in bytes, by raising the
// operator "append one zero bit" to the 8·n-th power over GF(2).
func crcCombine(a, b uint64, n int64) uint64 {
	if n <= 0 {
		return a
	}
	var op [64]uint64
	op[0] = crc64.ECMA
	for i := 1; i < 64; i++ {
		op[i] = 1 << (i - 1)
	}
	for range 3 { // one bit to eight bits
		op = gfSquare(op)
	}
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			a = gfApply(op, a)
		}
		if n > 1 {
			op = gfSquare(op)
		}
	}
	return a ^ b
}

func gfApply(m [64]uint64, v uint64) (sum uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 == 1 {
			sum ^= m[i]
		}
	}
	return sum
}

func gfSquare(m [64]uint64) (sq [64]uint64) {
	for i := range m {
		sq[i] = gfApply(m, m[i])
	}
	return sq
}
