package object

import (
	"context"
	"errors"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// Retryable reports whether the same call may succeed later without any change: the bucket or KMS is out of reach, busy
// or damaged something on the way. A call that its own context cancelled is not retryable.
func Retryable(err error) bool {
	if errors.Is(err, keys.ErrKMSUnreachable) {
		return !errors.Is(err, context.Canceled)
	}
	return oss.Retryable(err)
}

// Outage reports whether an error is no word about the request at all, so that a reader may go on waiting.
func Outage(err error) bool { return oss.Outage(err) }

// RetryAfter is how long the server asked to wait before the next try; 0 when it did not say.
func RetryAfter(err error) time.Duration { return oss.RetryAfter(err) }

// NoEffect reports whether an error proves that this attempt did not and will not change the object: it failed before
// the one request that does, or OSS refused that request. See oss.NoEffect for what the latter does not prove.
func NoEffect(err error) bool {
	var before *beforeError
	return errors.As(err, &before) || oss.NoEffect(err)
}

// beforeError is a failure ahead of the request that changes the object: wrapping the key, or sending parts.
type beforeError struct{ err error }

func (e *beforeError) Error() string { return e.err.Error() }

func (e *beforeError) Unwrap() error { return e.err }

// before marks an error, if any, as one without effect.
func before(err error) error {
	if err == nil {
		return nil
	}
	return &beforeError{err}
}
