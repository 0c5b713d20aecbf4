package oss

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// request is one call before it is signed.
type request struct {
	op     string // OSS operation
	method string
	key    string // object key; empty: the bucket
	params map[string]any
	header map[string]string
	body   *sendBody
	long   bool // the server may work long before it answers
	repeat bool // a second execution has no further effect: the call may be retried
	quick  bool // somebody waits at a terminal: one retry only
	// finish, when set, ends a 2xx answer inside the attempt, so that its failure is the attempt's.
	finish func(*answer) error
}

// answer is a 2xx response. Its body must be closed; that ends the exchange.
type answer struct {
	header http.Header
	status int
	took   time.Duration // from the begin of the attempt to the header of the answer
	body   io.ReadCloser
	x      *exchange
	ctx    context.Context // of the exchange
	op     string
	key    string
	done   func(bytes int64, err error) // reports to OnRequest, once
}

// call runs attempts until one is answered or the rules of the package doc end it.
func (c *Client) call(ctx context.Context, r request) (*answer, error) {
	if admit := c.cfg.Admit; admit != nil {
		if err := admit(ctx); err != nil {
			return nil, err
		}
	}
	refreshed, reclocked := false, false
	for tries := 0; ; {
		used, err := c.creds.get(ctx)
		if err != nil {
			return nil, credentialError(r.op, r.key, err)
		}
		a, err := c.attempt(ctx, r)
		if err == nil {
			return a, nil
		}
		var e *Error
		if !errors.As(err, &e) || ctx.Err() != nil {
			return nil, err
		}
		switch {
		case e.kind == ErrCredentials && !refreshed:
			refreshed = true
			if fresh, ferr := c.creds.renew(ctx, used); ferr != nil || !r.body.rewind() || fresh.same(used) {
				return nil, err
			}
			continue
		case e.kind == ErrClock && !reclocked:
			reclocked = true
			if e.date.IsZero() || !r.body.rewind() {
				return nil, err
			}
			c.clock.follow(e.date)
			continue
		}
		if tries >= c.retries(r) || !Retryable(err) || !r.body.rewind() {
			return nil, err
		}
		if wait(ctx, backoff(tries, e.after)) != nil {
			return nil, err
		}
		tries++
	}
}

// retries is how many further attempts a call may make.
func (c *Client) retries(r request) int {
	switch {
	case !r.repeat:
		return 0
	case r.quick:
		return min(1, c.cfg.Retries)
	}
	return c.cfg.Retries
}

// attempt is one signed exchange.
func (c *Client) attempt(ctx context.Context, r request) (*answer, error) {
	limit := c.cfg.CallTimeout
	if r.long {
		limit = c.cfg.LongTimeout
	}
	begin := time.Now()
	xctx, x := newExchange(ctx, r.body, limit, c.cfg.BodyTimeout)
	told := Attempt{Op: r.op, Key: r.key}
	done := func(n int64, err error) {
		x.end()
		if hook := c.cfg.OnRequest; hook != nil {
			told.Bytes, told.Took, told.Err = n, time.Since(begin), err
			hook(told)
		}
	}
	resp, err := c.sdk.Conn.DoWithContext(xctx, r.method, c.cfg.Bucket, r.key, r.params, c.signedHeader(r.header), nil, 0, nil)
	if resp != nil {
		told.Status, told.RequestID = resp.StatusCode, resp.Headers.Get("x-oss-request-id")
	}
	if err == nil {
		a := &answer{header: resp.Headers, status: resp.StatusCode, took: time.Since(begin), body: resp.Body, x: x, ctx: xctx,
			op: r.op, key: r.key, done: done}
		if r.finish != nil {
			err = r.finish(a)
		}
		return a, err
	}
	err = c.failure(ctx, xctx, r, x, resp, err)
	done(r.body.moved(), err)
	return nil, err
}

// signedHeader adds the date, corrected by the server's clock, that the signature covers.
func (c *Client) signedHeader(h map[string]string) map[string]string {
	if h == nil {
		h = make(map[string]string, 2)
	}
	now := c.clock.now().UTC()
	h["Date"] = now.Format(http.TimeFormat)
	if c.cfg.SignVersion == SignV4 {
		h["x-oss-date"] = now.Format("20060102T150405Z")
	}
	return h
}

// failure explains an attempt that was not answered with 2xx.
func (c *Client) failure(ctx, xctx context.Context, r request, x *exchange, resp *sdk.Response, err error) error {
	if berr := r.body.failure(); berr != nil {
		return &Error{Op: r.op, Key: r.key, kind: ErrBody, Err: berr}
	}
	if resp != nil && resp.StatusCode != 0 {
		var body []byte
		if resp.Body != nil {
			body, _ = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		return answerError(r.op, r.key, resp.StatusCode, resp.Headers, body)
	}
	if ctx.Err() != nil {
		return networkError(r.op, r.key, err, context.Cause(ctx))
	}
	e := networkError(r.op, r.key, err, context.Cause(xctx))
	e.unsent = e.unsent || !x.sent.Load()
	return e
}

// document runs a call whose answer is XML.
func (c *Client) document(ctx context.Context, r request) (a *answer, doc []byte, err error) {
	r.finish = func(a *answer) error {
		doc, err = a.drain()
		return err
	}
	a, err = c.call(ctx, r)
	return a, doc, err
}

// drain reads a short document to its end and closes the answer.
func (a *answer) drain() ([]byte, error) {
	a.x.await("the rest of the answer", a.x.callTimeout)
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(a.body, maxDocument+1))
	if err == nil && n > maxDocument {
		err = fmt.Errorf("document of more than %d bytes", maxDocument)
	}
	if err != nil {
		err = networkError(a.op, a.key, err, context.Cause(a.ctx))
	}
	_ = a.body.Close()
	a.done(n, err)
	if err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// discard closes an answer whose body does not matter, reporting n bytes moved and the outcome.
func (a *answer) discard(n int64, outcome error) {
	a.x.await("the rest of the answer", a.x.callTimeout)
	_, _ = io.Copy(io.Discard, io.LimitReader(a.body, maxErrorBody))
	_ = a.body.Close()
	a.done(n, outcome)
}

// fail builds an error about a 2xx answer.
func (a *answer) fail(kind error, err error) *Error {
	return &Error{Op: a.op, Key: a.key, Status: a.status, RequestID: a.header.Get("x-oss-request-id"), kind: kind, Err: err}
}
