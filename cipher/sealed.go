package cipher

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sealed describes one finished sealing: its key, and size and digests of the ciphertext as they were computed while
// sealing. It cannot be changed and holds for those very bytes only.
type Sealed struct {
	key        *ContentKey
	size       int64
	crc        uint64
	md5        [16]byte
	generation [16]byte
}

// ContentKey opens the sealed bytes; it cannot seal others.
func (s *Sealed) ContentKey() *ContentKey { return s.key }

// Size is the number of bytes, of ciphertext and plaintext alike.
func (s *Sealed) Size() int64 { return s.size }

// CRC64 is the CRC-64/XZ of the ciphertext.
func (s *Sealed) CRC64() uint64 { return s.crc }

// MD5 is that of the ciphertext, for Content-MD5. It is not known of bodies larger than MaxMD5.
func (s *Sealed) MD5() (sum [16]byte, known bool) { return s.md5, s.size <= MaxMD5 }

// GenerationID is random and the same as long as the bytes are.
func (s *Sealed) GenerationID() [16]byte { return s.generation }

// String shows size and generation.
func (s *Sealed) String() string { return fmt.Sprintf("sealed %x of %d bytes", s.generation, s.size) }

// ErrBadRecord: UnmarshalSealed was given something else than Marshal wrote.
var ErrBadRecord = errors.New("damaged record of sealed content")

// The record is
//
//	version   1 byte, sealedVersion
//	size      8 bytes, big endian
//	crc       8 bytes, big endian
//	md5       16 bytes
//	generation 16 bytes
const (
	sealedVersion = 1
	sealedLen     = 1 + 8 + 8 + 16 + 16
)

// Marshal returns the record and, apart, the secret (SecretSize bytes) that the caller has to encrypt before storing it.
func (s *Sealed) Marshal() (record, secret []byte) {
	record = make([]byte, 0, sealedLen)
	record = append(record, sealedVersion)
	record = binary.BigEndian.AppendUint64(record, uint64(s.size)) //nolint:gosec // never negative
	record = binary.BigEndian.AppendUint64(record, s.crc)
	record = append(record, s.md5[:]...)
	record = append(record, s.generation[:]...)
	return record, s.key.MarshalSecret()
}

// UnmarshalSealed reads what Marshal wrote; ErrBadRecord otherwise.
func UnmarshalSealed(record, secret []byte) (*Sealed, error) {
	if len(record) != sealedLen || record[0] != sealedVersion || record[1]&0x80 != 0 {
		return nil, fmt.Errorf("%d bytes: %w", len(record), ErrBadRecord)
	}
	k, err := UnmarshalContentKey(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRecord, err)
	}
	s := &Sealed{
		key:  k,
		size: int64(binary.BigEndian.Uint64(record[1:])), //nolint:gosec // checked above
		crc:  binary.BigEndian.Uint64(record[9:]),
	}
	copy(s.md5[:], record[17:])
	copy(s.generation[:], record[33:])
	return s, nil
}
