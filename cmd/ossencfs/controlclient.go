package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// statusTimeout bounds a question for the status, so that a stuck mount does not stop the command. A daemon that is started again
// answers within it, unless its network is away.
const statusTimeout = 5 * time.Second

// client is an HTTP client of one session's control socket.
func (r *record) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return r.dial() },
	}}
}

// again repeats a question whose daemon ended before it had answered: another one takes it from the same socket, or, when the whole
// mount has ended, errGone is returned. ctx bounds it.
func (r *record) again(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if err == nil || !cutOff(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(askAgain):
		}
	}
}

// askAgain is the pause between two such questions.
const askAgain = 20 * time.Millisecond

// cutOff reports whether the other side ended in the middle. The socket of a mount that has ended refuses connections, which is errGone.
func cutOff(err error) bool {
	return !errors.Is(err, errGone) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

// askStatus asks a session how it is.
func (r *record) askStatus(ctx context.Context) (m mountStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	err = r.again(ctx, func() error {
		m, err = r.askStatusOnce(ctx)
		return err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = errNoDaemon
	}
	return m, err
}

// errNoDaemon is what `status` shows while nobody answers.
var errNoDaemon = fmt.Errorf("no answer within %v; if its daemon is being started again, the log says why that takes long", statusTimeout)

func (r *record) askStatusOnce(ctx context.Context) (mountStatus, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://session/status", nil)
	if err != nil {
		return mountStatus{}, err
	}
	resp, err := r.client().Do(req)
	if err != nil {
		return mountStatus{}, err
	}
	defer resp.Body.Close()
	var m mountStatus
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(&m); err != nil {
		return mountStatus{}, fmt.Errorf("status of %s: %w", r.Mountpoint, err)
	}
	return m, nil
}

// maxStatus bounds a status in bytes; it lists failures.
const maxStatus = 64 << 20

// order asks a session for something that takes time, and that may be asked for again. tell gets its progress; the last event is
// returned.
func (r *record) order(ctx context.Context, what string, body request, tell func(event)) (e event, err error) {
	asked := false
	err = r.again(ctx, func() error {
		e, err = r.orderOnce(ctx, what, body, tell)
		asked = asked || cutOff(err)
		return err
	})
	if asked && errors.Is(err, errGone) {
		return event{}, fail(exitFailure, fmt.Errorf("%s of %s: the mount's processes ended before it was done", what, r.Mountpoint),
			"its log says why; the next mount with cache folder "+r.CacheDir+" uploads what is left")
	}
	return e, err
}

func (r *record) orderOnce(ctx context.Context, what string, body request, tell func(event)) (event, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return event{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://session/"+what, bytes.NewReader(raw))
	if err != nil {
		return event{}, err
	}
	resp, err := r.client().Do(req)
	if err != nil {
		return event{}, err
	}
	defer resp.Body.Close()
	return follow(resp.Body, tell)
}

// follow reads events until the last one, which it returns.
func follow(r io.Reader, tell func(event)) (event, error) {
	for dec := json.NewDecoder(r); ; {
		var e event
		err := dec.Decode(&e)
		switch {
		case err != nil:
			return event{}, err
		case e.Error != "":
			return e, fail(e.Code, errors.New(e.Error), e.Hints...)
		case e.Done:
			return e, nil
		}
		tell(e)
	}
}
