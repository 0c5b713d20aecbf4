package oss

import (
	"hash/crc64"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

var crcTable = crc64.MakeTable(crc64.ECMA)

// crcHash computes the CRC-64 that OSS reports.
type crcHash struct{ sum uint64 }

func newCRC() *crcHash { return &crcHash{} }

// Write adds bytes.
func (h *crcHash) Write(p []byte) { h.sum = crc64.Update(h.sum, crcTable, p) }

// Reset starts over.
func (h *crcHash) Reset() { h.sum = 0 }

// CRC64 is the checksum that OSS computes of an object's bytes (ECMA-182), continued from crc; begin with 0.
func CRC64(crc uint64, p []byte) uint64 { return crc64.Update(crc, crcTable, p) }

// CombineCRC64 is the checksum of two pieces in a row, from the checksums of each and the second's length in bytes.
func CombineCRC64(first, second uint64, secondLen int64) uint64 {
	return sdk.CRC64Combine(first, second, uint64(secondLen))
}
