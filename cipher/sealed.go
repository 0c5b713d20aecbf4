package cipher

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sealed describes one finished sealing: its key, and size, digests and tags of the ciphertext as they were computed while
// sealing. It cannot be changed and holds for those very bytes only.
type Sealed struct {
	key        *ContentKey
	size       int64
	crc        uint64
	md5        [16]byte
	generation [16]byte
	tags       *Tags // of all leaves
}

// ContentKey opens the sealed bytes; it cannot seal others.
func (s *Sealed) ContentKey() *ContentKey { return s.key }

// Size is the number of bytes, of ciphertext and plaintext alike.
func (s *Sealed) Size() int64 { return s.size }

// CRC64 is the CRC-64/XZ of the ciphertext.
func (s *Sealed) CRC64() uint64 { return s.crc }

// MD5 is that of the ciphertext, for Content-MD5. It is not known of bodies larger than MaxMD5, and of those whose digests were resumed.
func (s *Sealed) MD5() (sum [16]byte, known bool) {
	return s.md5, s.size <= MaxMD5 && s.md5 != [16]byte{}
}

// GenerationID is random and the same as long as the bytes are.
func (s *Sealed) GenerationID() [16]byte { return s.generation }

// Tags authenticate the ciphertext; all leaf tags are known.
func (s *Sealed) Tags() *Tags { return s.tags }

// String shows size and generation.
func (s *Sealed) String() string { return fmt.Sprintf("sealed %x of %d bytes", s.generation, s.size) }

// ErrBadRecord: UnmarshalSealed was given something else than Marshal wrote.
var ErrBadRecord = errors.New("damaged record of sealed content")

// SealedSecretSize is the size in bytes of the secret of Sealed.Marshal: key, IV and MAC key.
const SealedSecretSize = SecretSize + MACKeySize

// The record is
//
//	version   1 byte, sealedVersion
//	size      8 bytes, big endian
//	crc       8 bytes, big endian
//	md5       16 bytes
//	generation 16 bytes
//	leaf tags 16 bytes per leaf
const (
	sealedVersion = 1
	sealedLen     = 1 + 8 + 8 + 16 + 16
)

// SealedRecordSize is the size in bytes of the record of a content of size bytes.
func SealedRecordSize(size int64) int64 { return sealedLen + leavesOf(size)*TagSize }

// Marshal returns the record and, apart, the secret (SealedSecretSize bytes) that the caller has to encrypt before storing it.
// They belong together.
func (s *Sealed) Marshal() (record, secret []byte) {
	record = make([]byte, 0, SealedRecordSize(s.size))
	record = append(record, sealedVersion)
	record = binary.BigEndian.AppendUint64(record, uint64(s.size)) //nolint:gosec // never negative
	record = binary.BigEndian.AppendUint64(record, s.crc)
	record = append(record, s.md5[:]...)
	record = append(record, s.generation[:]...)
	record = append(record, s.tags.MarshalLeaves()...)
	secret = make([]byte, 0, SealedSecretSize)
	secret = append(append(secret, s.key.key[:]...), s.key.iv[:]...)
	return record, append(secret, s.tags.mac[:]...)
}

// UnmarshalSealed reads what Marshal wrote; ErrBadRecord otherwise.
func UnmarshalSealed(record, secret []byte) (*Sealed, error) {
	if len(record) < sealedLen || record[0] != sealedVersion || record[1]&0x80 != 0 || len(secret) != SealedSecretSize {
		return nil, fmt.Errorf("%d and %d bytes: %w", len(record), len(secret), ErrBadRecord)
	}
	k, err := UnmarshalContentKey(secret[:SecretSize])
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
	mac := (*[MACKeySize]byte)(secret[SecretSize:])
	if s.tags, err = tagsOfLeaves(mac, s.size, bytes.Clone(record[sealedLen:])); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRecord, err)
	}
	return s, nil
}
