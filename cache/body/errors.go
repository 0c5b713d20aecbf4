package body

import (
	"errors"
	"syscall"
)

// Errors of this package; test with errors.Is. Others (cancelled contexts, network errors of the Remote, errors of the disk)
// are passed through wrapped.
var (
	// ErrNoSpace says that the bytes do not fit: the file is larger than the cache limit, the cache is full of files that
	// cannot be uploaded yet, or the disk under it is full. What the file held before is intact.
	ErrNoSpace = errors.New("no space in the cache")
	// ErrStale says that the content which a caller opened is no longer to be had: its object was changed or removed by others.
	ErrStale = errors.New("content has changed in the bucket")
	// ErrUntrusted says that the object is refused: it was not written by a key holder of the volume, or was changed since.
	ErrUntrusted = errors.New("content is not authentic")
	// ErrDamaged says that bytes of the cache (or an object's) do not match their tag or checksum and no other copy exists.
	ErrDamaged = errors.New("content is damaged")
	// ErrNotFound says that no content with the asked inode and generation is in the cache.
	ErrNotFound = errors.New("content is not in the cache")
	// ErrTooLarge says that an offset or size is negative or beyond MaxSize.
	ErrTooLarge = errors.New("offset or size out of range")
	// ErrNoOffset says that a file has no data, or no hole, at or behind an offset.
	ErrNoOffset = errors.New("no such offset")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("cache is closed")
)

// MaxSize is the largest file size: 48.8 TiB, what OSS takes as one multipart object (10,000 parts of 5 GiB).
const MaxSize = 10_000 * 5 << 30

// errFullDisk says that the disk is full and what is left of it is for the index.
var errFullDisk = errors.New("the disk of the cache is full")

// diskFull is a failure of the disk that means that it is full; it is ErrNoSpace.
type diskFull struct{ err error }

// Error is the disk's.
func (d diskFull) Error() string { return ErrNoSpace.Error() + ": " + d.err.Error() }

// Unwrap is ErrNoSpace and the disk's error.
func (d diskFull) Unwrap() []error { return []error{ErrNoSpace, d.err} }

// diskError marks errors of the cache disk that mean "full" as ErrNoSpace.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return diskFull{err}
	}
	return err
}
