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
	"time"
)

// statusTimeout bounds a question for the status, so that a stuck mount does not stop the command.
const statusTimeout = 5 * time.Second

// client is an HTTP client of one session's control socket.
func (r *record) client(dir string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return r.dial(dir) },
	}}
}

// askStatus asks a session how it is.
func (r *record) askStatus(ctx context.Context, dir string) (mountStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://session/status", nil)
	if err != nil {
		return mountStatus{}, err
	}
	resp, err := r.client(dir).Do(req)
	if err != nil {
		return mountStatus{}, err
	}
	defer resp.Body.Close()
	var m mountStatus
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
		return mountStatus{}, fmt.Errorf("status of %s: %w", r.Mountpoint, err)
	}
	return m, nil
}

// order asks a session for something that takes time. tell gets its progress; the last event is returned.
func (r *record) order(ctx context.Context, dir, what string, body request, tell func(event)) (event, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return event{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://session/"+what, bytes.NewReader(raw))
	if err != nil {
		return event{}, err
	}
	resp, err := r.client(dir).Do(req)
	if err != nil {
		return event{}, err
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var e event
		err := dec.Decode(&e)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return event{}, fmt.Errorf("%s of %s: the mount's process ended before it was done", what, r.Mountpoint)
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

// tellUploads shows the progress of uploads. The bar's end is the largest amount that was ever pending.
func (c *call) tellUploads() (tell func(event), finish func()) {
	bar := c.newProgress(1, "uploading", false)
	most := int64(0)
	return func(e event) {
		most = max(most, e.PendingBytes)
		bar.set(most-e.PendingBytes, most, "uploading "+files(e.PendingFiles))
	}, bar.finish
}
