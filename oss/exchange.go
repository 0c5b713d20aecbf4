package oss

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errStalled is the cause with which a watchdog ends an attempt.
var errStalled = errors.New("deadline of the request exceeded")

// exchange is the state of one attempt. It rides in the context from the call, through the SDK, which builds and
// signs the request, to exchanger, which attaches the body and watches over the transfer.
type exchange struct {
	body        *sendBody     // nil: nothing to send
	bodyTimeout time.Duration // longest pause of a transfer
	callTimeout time.Duration // longest wait for an answer
	cancel      context.CancelCauseFunc
	timer       *time.Timer
	phase       atomic.Value // string: what the timer waits for
	sent        atomic.Bool  // the request was handed to the network
}

type exchangeKey struct{}

// newExchange starts the watchdog of an attempt.
func newExchange(ctx context.Context, body *sendBody, call, transfer time.Duration) (context.Context, *exchange) {
	x := &exchange{body: body, bodyTimeout: transfer, callTimeout: call}
	ctx, x.cancel = context.WithCancelCause(ctx)
	x.phase.Store("an answer")
	x.timer = time.AfterFunc(call, func() {
		x.cancel(fmt.Errorf("%w waiting for %s", errStalled, x.phase.Load()))
	})
	return context.WithValue(ctx, exchangeKey{}, x), x
}

// await restarts the watchdog for a new phase.
func (x *exchange) await(phase string, d time.Duration) {
	if x.phase.Load() != phase {
		x.phase.Store(phase)
	}
	x.timer.Reset(d)
}

// end releases the attempt: no timer runs, its connection is free or closed, and the body to send is let go.
func (x *exchange) end() {
	x.cancel(nil)
	if x.body != nil {
		x.body.waitClosed()
	}
	x.timer.Stop()
}

// exchanger is the http.RoundTripper under the SDK.
type exchanger struct{ next http.RoundTripper }

// RoundTrip sends one request of the SDK with the body and under the watchdog of its exchange.
func (e exchanger) RoundTrip(req *http.Request) (*http.Response, error) {
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, errors.New("oss: request outside of an exchange")
	}
	if x.body != nil {
		req = req.Clone(req.Context())
		x.body.open(x)
		req.Body, req.GetBody, req.ContentLength = x.body, x.body.again, x.body.size
	}
	x.sent.Store(true)
	resp, err := e.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		x.await("the end of an error document", x.callTimeout)
		resp.Body = &limitedBody{Reader: io.LimitReader(resp.Body, maxErrorBody), Closer: resp.Body}
		return resp, nil
	}
	x.timer.Stop()
	return resp, nil
}

// limitedBody is a body that ends early.
type limitedBody struct {
	io.Reader
	io.Closer
}

// sendBody feeds a request body of exactly size bytes to the transport, which may read it in its own goroutine and
// close it late; waitClosed makes sure that the caller's reader is no longer in use.
type sendBody struct {
	src   io.Reader
	size  int64
	start int64 // offset of src to rewind to
	seek  io.Seeker
	sum   *crcHash // nil when nothing is to be computed

	mu     sync.Mutex // guards the fields below
	x      *exchange
	remain int64
	err    error // why src failed
	active chan struct{}
}

// newSendBody wraps r. A reader that can seek is rewound to where it stands now for each further attempt.
func newSendBody(r io.Reader, size int64, withCRC bool) *sendBody {
	b := &sendBody{src: r, size: size}
	if s, ok := r.(io.Seeker); ok {
		if at, err := s.Seek(0, io.SeekCurrent); err == nil {
			b.start, b.seek = at, s
		}
	}
	if withCRC {
		b.sum = newCRC()
	}
	return b
}

// rewind prepares the next attempt; false when the reader cannot go back.
func (b *sendBody) rewind() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seek == nil || b.err != nil {
		return false
	}
	_, err := b.seek.Seek(b.start, io.SeekStart)
	return err == nil
}

// open begins an attempt.
func (b *sendBody) open(x *exchange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.x, b.remain, b.active = x, b.size, make(chan struct{})
	if b.sum != nil {
		b.sum.Reset()
	}
}

// again serves http.Request.GetBody: the transport calls it after it has closed a body of which nothing was sent.
func (b *sendBody) again() (io.ReadCloser, error) {
	if !b.rewind() {
		return nil, errors.New("body cannot be sent again")
	}
	b.open(b.x)
	return b, nil
}

// Read implements io.Reader. A source that is shorter or longer than size is an error before the last byte is
// handed out, so that OSS never sees a complete request.
func (b *sendBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	if b.remain == 0 {
		return 0, io.EOF
	}
	b.x.timer.Stop() // the caller's reader may be slow; only the network is watched
	n, err := b.src.Read(p[:min(int64(len(p)), b.remain)])
	if int64(n) == b.remain {
		err = b.probe()
	} else if err == io.EOF {
		err = fmt.Errorf("%d bytes missing of %d: %w", b.remain-int64(n), b.size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		b.err = err
		return 0, err
	}
	b.remain -= int64(n)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	if b.remain == 0 {
		b.x.await("an answer", b.x.bodyTimeout+b.x.callTimeout)
	} else {
		b.x.await("the upload to move on", b.x.bodyTimeout)
	}
	return n, nil
}

// probe checks that the source ends here.
func (b *sendBody) probe() error {
	var one [1]byte
	for range 8 {
		n, err := b.src.Read(one[:])
		switch {
		case n > 0:
			return fmt.Errorf("more than the %d bytes announced", b.size)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// Close implements io.Closer for the transport.
func (b *sendBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.active:
	default:
		close(b.active)
	}
	return nil
}

// waitClosed returns when the transport has let go of the body. The transport closes it on every path.
func (b *sendBody) waitClosed() {
	b.mu.Lock()
	active := b.active
	b.mu.Unlock()
	if active != nil {
		<-active
	}
}

// failure is the error of the caller's reader, if it had one.
func (b *sendBody) failure() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// moved is how many bytes the attempt took from the reader.
func (b *sendBody) moved() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size - b.remain
}

// crc is the checksum of what the last attempt sent.
func (b *sendBody) crc() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sum.sum
}
