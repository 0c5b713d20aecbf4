package oss

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// GetOptions refine Get. The zero value reads the whole object.
type GetOptions struct {
	Off     int64  // first byte
	Len     int64  // number of bytes; 0 or less: to the end of the object
	IfMatch string // ETag the object must have, or the call fails with ErrPrecondition
}

// Get opens an object, or a range of it, for reading. Fewer bytes than asked come back when the object ends; a range
// that begins at or behind the end fails with ErrRange. The reader fails with ErrTruncated when the body is not as
// long as announced and, for the whole object, with ErrBadDigest when its CRC is wrong; in that case it withholds
// the last bytes, so that no reader takes the object for complete. It must be closed; a body that stalls fails with
// ErrUnavailable. Opening is a read and is retried; the body is not.
func (c *Client) Get(ctx context.Context, key string, o GetOptions) (io.ReadCloser, Info, error) {
	const op = "GetObject"
	if err := checkKey(op, key); err != nil {
		return nil, Info{}, err
	}
	if o.Off < 0 {
		return nil, Info{}, invalid(op, key, "negative offset %d", o.Off)
	}
	h := make(map[string]string, 6)
	if o.IfMatch != "" {
		h["If-Match"] = `"` + unquote(o.IfMatch) + `"`
	}
	ranged := o.Off > 0 || o.Len > 0
	if ranged {
		// Without "standard" OSS answers a range beyond the end with the whole object and status 200.
		h["x-oss-range-behavior"] = "standard"
		h["Range"] = rangeHeader(o.Off, o.Len)
	}
	a, err := c.call(ctx, request{op: op, method: "GET", key: key, header: h, repeat: true})
	if err != nil {
		return nil, Info{}, err
	}
	info, err := a.info()
	var body *getBody
	if err == nil {
		body, err = a.openBody(&info, o, ranged)
	}
	if err != nil {
		_ = a.body.Close()
		a.done(0, err)
		return nil, Info{}, err
	}
	return body, info, nil
}

// rangeHeader asks for n bytes from off, or all from off.
func rangeHeader(off, n int64) string {
	if n <= 0 || off+n-1 < off {
		return fmt.Sprintf("bytes=%d-", off)
	}
	return fmt.Sprintf("bytes=%d-%d", off, off+n-1)
}

// openBody checks that the answer is the range asked for and sets info.Size to the size of the whole object.
func (a *answer) openBody(info *Info, o GetOptions, ranged bool) (*getBody, error) {
	length, err := a.length()
	if err != nil {
		return nil, a.fail(ErrTruncated, err)
	}
	if o.IfMatch != "" && info.ETag != unquote(o.IfMatch) {
		return nil, a.fail(ErrUnavailable, fmt.Errorf("asked for the ETag %s, got %q", unquote(o.IfMatch), info.ETag))
	}
	b := &getBody{a: a, remain: length, length: length}
	if a.status == http.StatusPartialContent {
		first, last, total, err := parseContentRange(a.header.Get("Content-Range"))
		if err != nil {
			return nil, a.fail(ErrTruncated, err)
		}
		info.Size = total
		want := total - o.Off
		if o.Len > 0 {
			want = min(want, o.Len)
		}
		if !ranged || first != o.Off || last-first+1 != length || length != want {
			return nil, a.fail(ErrTruncated, fmt.Errorf("asked for %s, got bytes %d-%d/%d of length %d",
				rangeHeader(o.Off, o.Len), first, last, total, length))
		}
		if length < total {
			return b, nil
		}
	} else {
		info.Size = length
		if ranged && (o.Off > 0 || o.Len > 0 && o.Len < length) {
			return nil, a.fail(ErrInvalid, errors.New("the server ignores ranges"))
		}
	}
	if info.HasCRC {
		b.sum, b.want = newCRC(), info.CRC64
	}
	return b, nil
}

// parseContentRange reads "bytes FIRST-LAST/TOTAL".
func parseContentRange(s string) (first, last, total int64, err error) {
	bad := fmt.Errorf("content range %.100q", s)
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, size, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, bad
	}
	for _, f := range []struct {
		text string
		to   *int64
	}{{from, &first}, {to, &last}, {size, &total}} {
		v, perr := strconv.ParseUint(f.text, 10, 63)
		if perr != nil {
			return 0, 0, 0, bad
		}
		*f.to = int64(v)
	}
	if first > last || last >= total || total > MaxObjectSize {
		return 0, 0, 0, bad
	}
	return first, last, total, nil
}

// getBody is the body of a GET: it watches progress, length and checksum.
type getBody struct {
	a      *answer
	length int64
	remain int64
	sum    *crcHash // nil: no checksum to verify
	want   uint64
	err    error // sticky; io.EOF after the last byte
	once   sync.Once

	moved int           // bytes since the watchdog was set
	left  time.Duration // of the watchdog's time
}

// Read implements io.Reader. It is not safe for concurrent use, like any reader.
func (b *getBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.watched(p)
	b.remain -= int64(n)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	switch {
	case b.remain < 0:
		err = b.a.fail(ErrTruncated, fmt.Errorf("body longer than %d bytes", b.length))
	case b.remain == 0 && b.sum != nil && b.sum.sum != b.want:
		err = b.a.fail(ErrBadDigest, fmt.Errorf("crc64 received %d, stored %d", b.sum.sum, b.want))
	case b.remain == 0:
		err = io.EOF
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		err = b.a.fail(ErrTruncated, fmt.Errorf("body ended after %d of %d bytes", b.length-b.remain, b.length))
	case err != nil:
		err = networkError(b.a.op, b.a.key, err, context.Cause(b.a.ctx))
	default:
		return n, nil
	}
	b.err = err
	if b.remain <= 0 && err != io.EOF {
		return 0, err
	}
	return n, err
}

// minProgress is how many bytes count as progress: a body may not live on single bytes. In the default 60 s it is about 1 KB/s.
const minProgress = 64 << 10

// watched reads under the watchdog, which counts the time inside of reads only: the caller may be slow.
func (b *getBody) watched(p []byte) (int, error) {
	if b.moved >= minProgress || b.left == 0 {
		b.moved, b.left = 0, b.a.x.bodyTimeout
	}
	begun := time.Now()
	b.a.x.await("the download to move on", b.left)
	n, err := b.a.body.Read(p)
	b.a.x.timer.Stop()
	b.moved += n
	b.left = max(b.left-time.Since(begun), 1)
	return n, err
}

// Close ends the exchange. The connection is kept when the body was read to its end.
func (b *getBody) Close() error {
	var err error
	b.once.Do(func() {
		if b.remain == 0 {
			// Reading the end of the stream lets the connection be used again.
			b.a.x.await("the end of the download", b.a.x.callTimeout)
			_, _ = io.CopyN(io.Discard, b.a.body, 1)
		}
		err = b.a.body.Close()
		failed := b.err
		if failed == io.EOF {
			failed = nil
		}
		b.a.done(b.length-max(b.remain, 0), failed)
		if b.err == nil || b.err == io.EOF {
			b.err = errClosed
		}
	})
	return err
}

var errClosed = errors.New("oss: read of a closed body")
