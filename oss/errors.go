package oss

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Kinds of failure. An *Error matches exactly one of them with errors.Is.
var (
	// ErrNotFound says that the object does not exist (404 NoSuchKey).
	ErrNotFound = errors.New("object not found")
	// ErrNoSuchBucket says that the bucket does not exist (404 NoSuchBucket).
	ErrNoSuchBucket = errors.New("bucket not found")
	// ErrNoSuchUpload says that the multipart upload was aborted, completed or never begun (404 NoSuchUpload).
	ErrNoSuchUpload = errors.New("multipart upload not found")
	// ErrExists says that a call with ForbidOverwrite met an existing object (409 FileAlreadyExists).
	ErrExists = errors.New("object already exists")
	// ErrPrecondition says that an If-Match condition was not met (412, 304).
	ErrPrecondition = errors.New("precondition failed")
	// ErrDenied says that the identity is known and lacks the permission (403 AccessDenied and the like).
	ErrDenied = errors.New("access denied")
	// ErrCredentials says that OSS does not accept the access key, its signature or its token, after a refresh.
	ErrCredentials = errors.New("credentials refused")
	// ErrWrongEndpoint says that the bucket lives in another region, or that the server is not OSS.
	ErrWrongEndpoint = errors.New("wrong region or endpoint")
	// ErrUnreachable says that Check got no connection to the server at all (DNS, routing, refused, TLS).
	ErrUnreachable = errors.New("server unreachable")
	// ErrThrottled says that OSS asks for fewer requests (429, 503); RetryAfter may say for how long.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable says that there was no usable answer: 5xx, a network failure or a deadline.
	ErrUnavailable = errors.New("unavailable")
	// ErrBadDigest says that bytes changed on the way: an MD5 that OSS refused, or a CRC-64 that differs.
	ErrBadDigest = errors.New("checksum mismatch")
	// ErrTruncated says that a body had fewer or more bytes than announced.
	ErrTruncated = errors.New("body length mismatch")
	// ErrUnsupported says that the server does not know the request (501 NotImplemented, 405), or takes it for another one: it speaks the protocol
	// of OSS in part only.
	ErrUnsupported = errors.New("the server does not know this request of OSS")
	// ErrInvalid says that the request can never succeed as it is (400 and refusals before sending).
	ErrInvalid = errors.New("invalid request")
	// ErrRange says that a read began at or after the end of the object (416 InvalidRange).
	ErrRange = errors.New("range outside of the object")
	// ErrImmutable says that a retention policy (WORM) protects the object (403 FileImmutable).
	ErrImmutable = errors.New("object is protected by a retention policy")
	// ErrArchived says that the object must be restored before it can be read (403 InvalidObjectState).
	ErrArchived = errors.New("object is archived")
	// ErrQuota says that a limit on stored bytes or an unpaid account stops writes.
	ErrQuota = errors.New("quota exceeded")
	// ErrClock says that the clock differs from the server's by more than 15 minutes, even after a correction.
	ErrClock = errors.New("clock differs too much from the server's")
	// ErrBody says that the caller's reader failed or did not yield as many bytes as promised; nothing was stored.
	ErrBody = errors.New("cannot read the body to send")
)

// Error is what each call of this package returns on failure. Only the fields that were known are set.
type Error struct {
	Op        string // OSS operation, as "PutObject"
	Key       string // object key or prefix; empty for the bucket
	Status    int    // HTTP status; 0 when there was no answer
	Code      string // OSS error code, as "NoSuchKey"
	EC        string // OSS detailed error code, as "0026-00000001"
	RequestID string // names the request to Alibaba's support
	Message   string // the server's or our explanation
	Endpoint  string // endpoint the server told us to use, with ErrWrongEndpoint
	Err       error  // cause below, as a network error; may be nil

	kind   error         // one of the sentinels
	after  time.Duration // wait that the server asked for
	date   time.Time     // server's clock, for skew correction
	unsent bool          // no byte of the request reached the server
}

// Error says operation, key, kind and what the server said, without any secret. What the server said is cut and made printable: it goes
// into logs and to terminals.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "oss: %s", e.Op)
	if e.Key != "" {
		fmt.Fprintf(&b, " %q", e.Key)
	}
	fmt.Fprintf(&b, ": %v", e.kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (%d", e.Status)
		for _, s := range []string{e.Code, e.EC} {
			if s != "" {
				b.WriteString(" " + said(s, maxSaidCode))
			}
		}
		b.WriteString(")")
	}
	if e.Message != "" {
		b.WriteString(": " + said(e.Message, maxSaid))
	}
	if e.Endpoint != "" {
		fmt.Fprintf(&b, ": use endpoint %s", said(e.Endpoint, maxSaidCode))
	}
	if e.Err != nil {
		b.WriteString(": " + said(e.Err.Error(), maxSaid))
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " [request %s]", said(e.RequestID, maxSaidCode))
	}
	return b.String()
}

// Unwrap gives the kind and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.Err}
}

// Retryable reports whether the same call may succeed later without any change: throttling, server errors, network
// failures, deadlines of this package, damaged bodies. A call that its own context ended is not retryable.
func Retryable(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch e.kind {
	case ErrThrottled, ErrUnavailable, ErrBadDigest, ErrTruncated, ErrUnreachable, ErrClock:
		return true
	}
	return false
}

// Outage reports whether err is no word about the request at all: no connection, no answer in time, a server error or throttling.
func Outage(err error) bool {
	var e *Error
	if !errors.As(err, &e) || !Retryable(err) {
		return false
	}
	switch e.kind {
	case ErrThrottled, ErrUnavailable, ErrUnreachable:
		return e.Status == 0 || e.Status >= 400
	}
	return false
}

// codeDanglingLink is OSS's answer to a read through a symbolic link of its own whose target is missing (404).
const codeDanglingLink = "SymlinkTargetNotExist"

// DanglingLink reports whether an object was not found because it is a symbolic link of OSS's own to one that does not exist.
func DanglingLink(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == codeDanglingLink
}

// RetryAfter is how long the server asked to wait before the next try (x-oss-qos-delay-time, Retry-After); 0 when it
// did not say.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.after
	}
	return 0
}

// NoEffect reports whether err proves that the server did not execute the request: it was never sent, or OSS itself
// refused it. A 404 or 412 counts as such a proof only for a request that cannot have been doubled on the way; callers
// that fence unknown outcomes must not rely on it for writes.
func NoEffect(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch {
	case e.unsent:
		return true
	case e.Code == "" || e.RequestID == "":
		return false
	case e.Status == 503 || e.Status == 429:
		return e.kind == ErrThrottled && e.Code != "ServiceUnavailable"
	}
	return e.Status >= 400 && e.Status < 500 && e.Status != 408
}

// invalid builds the error of a request that is refused before it is sent.
func invalid(op, key, format string, args ...any) *Error {
	return &Error{Op: op, Key: key, Message: fmt.Sprintf(format, args...), kind: ErrInvalid, unsent: true}
}

// networkError classifies a failure of the HTTP exchange itself. cause is why the attempt's context ended, if it did.
func networkError(op, key string, err, cause error) *Error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // the URL repeats bucket and key
	}
	e := &Error{Op: op, Key: key, kind: ErrUnavailable, Err: err}
	if cause != nil {
		e.Err = cause
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		e.unsent = true
	}
	return e
}
