package object

import (
	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// Types of the rooms below that the rooms above need; fs and cache do not import those themselves.
type (
	// Attempt is one exchange with the service; see Connection.OnRequest.
	Attempt = oss.Attempt
	// ContentKey is the key and IV of one generation of content.
	ContentKey = cipher.ContentKey
	// Sealing seals one body from front to back under a fresh key.
	Sealing = cipher.Sealing
	// Sealed is what there is to know of a finished sealed body.
	Sealed = cipher.Sealed
	// Intake takes the digests of ciphertext that was downloaded.
	Intake = cipher.Intake
)

// Kinds of failure of the bucket; see package oss for each.
var (
	ErrNotFound      = oss.ErrNotFound
	ErrNoSuchBucket  = oss.ErrNoSuchBucket
	ErrNoSuchUpload  = oss.ErrNoSuchUpload
	ErrExists        = oss.ErrExists
	ErrPrecondition  = oss.ErrPrecondition
	ErrDenied        = oss.ErrDenied
	ErrUnsupported   = oss.ErrUnsupported
	ErrCredentials   = oss.ErrCredentials
	ErrWrongEndpoint = oss.ErrWrongEndpoint
	ErrUnreachable   = oss.ErrUnreachable
	ErrThrottled     = oss.ErrThrottled
	ErrUnavailable   = oss.ErrUnavailable
	ErrBadDigest     = oss.ErrBadDigest
	ErrTruncated     = oss.ErrTruncated
	ErrInvalid       = oss.ErrInvalid
	ErrRange         = oss.ErrRange
	ErrImmutable     = oss.ErrImmutable
	ErrArchived      = oss.ErrArchived
	ErrQuota         = oss.ErrQuota
	ErrClock         = oss.ErrClock
	ErrBody          = oss.ErrBody
	ErrNoCredentials = oss.ErrNoCredentials
)

// Failures to open an object; see packages cipher and keys for each.
var (
	ErrCannotOpen = cipher.ErrCannotOpen
	ErrNoKey      = cipher.ErrNoKey
	ErrPublicOnly = keys.ErrPublicOnly

	ErrKMSDenied      = keys.ErrKMSDenied
	ErrKMSUnreachable = keys.ErrKMSUnreachable
)

// NewSealing begins a sealing under a fresh key and with a random generation id.
func NewSealing() (*Sealing, error) { return cipher.NewSealing() }

// NewIntake begins the intake of a downloaded body under its key, as a generation of its own.
func NewIntake(k *ContentKey) (*Intake, error) { return cipher.NewIntake(k) }

// ResumeIntake goes on with the digests of a generation of which a Sealing.Checkpoint describes the begin.
func ResumeIntake(generation [16]byte, leaves, secret []byte, crc uint64, size int64) (*Intake, error) {
	return cipher.ResumeIntake(generation, leaves, secret, crc, size)
}

// CombineCRC64 is the checksum of two ranges that follow each other; size is that of the second.
func CombineCRC64(first, second uint64, size int64) uint64 {
	return oss.CombineCRC64(first, second, size)
}

// SealedRecordSize is the size in bytes of the record of Sealed.Marshal for a content of size bytes.
func SealedRecordSize(size int64) int64 { return cipher.SealedRecordSize(size) }

// UnmarshalSealed reads what Sealed.Marshal wrote.
func UnmarshalSealed(record, secret []byte) (*Sealed, error) {
	return cipher.UnmarshalSealed(record, secret)
}

// NewContentKey draws a fresh content key.
func NewContentKey() (*ContentKey, error) { return cipher.NewContentKey() }

// UnmarshalContentKey reads what ContentKey.MarshalSecret wrote; the key opens and cannot seal.
func UnmarshalContentKey(secret []byte) (*ContentKey, error) {
	return cipher.UnmarshalContentKey(secret)
}

// CRC64 is the checksum that OSS computes of an object's bytes, continued from crc; begin with 0.
func CRC64(crc uint64, p []byte) uint64 { return oss.CRC64(crc, p) }
