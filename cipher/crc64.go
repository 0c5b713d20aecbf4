package cipher

import "hash/crc64"

// crcTable is that of CRC-64/XZ, which OSS calls ECMA.
var crcTable = crc64.MakeTable(crc64.ECMA)

// CRC64 continues a CRC-64/XZ (the check value of "123456789" is 0x995dc9bbdf1939fa), which OSS reports in
// x-oss-hash-crc64ecma. The CRC of nothing is 0.
func CRC64(crc uint64, p []byte) uint64 { return crc64.Update(crc, crcTable, p) }

// CRC64Combine returns the CRC of A followed by B, given the CRCs of both and the length of B in bytes, without
// reading either. It takes some 10 µs.
func CRC64Combine(a, b uint64, lenB int64) uint64 {
	if lenB <= 0 {
		return a
	}
	// Appending n zero bits multiplies the remainder of A by x^n; the rest is linear, and the pre- and post-conditioning
	// of the CRC cancel out. In reflected order the coefficient of x^i is bit 63-i.
	power, factor := uint64(1)<<63, uint64(1)<<(63-8) // x^0, x^8
	for n := uint64(lenB); n > 0; n >>= 1 {
		if n&1 == 1 {
			power = crcMultiply(power, factor)
		}
		factor = crcMultiply(factor, factor)
	}
	return crcMultiply(power, a) ^ b
}

// crcMultiply multiplies two polynomials over GF(2) modulo that of the CRC, in reflected order.
func crcMultiply(a, b uint64) uint64 {
	var product uint64
	for ; a != 0; a <<= 1 {
		if a>>63 == 1 {
			product ^= b
		}
		overflow := b & 1
		b = b>>1 ^ crc64.ECMA*overflow
	}
	return product
}
