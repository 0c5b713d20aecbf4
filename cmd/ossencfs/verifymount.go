package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/object"
)

// verifyEvent is a line of the answer to POST /verify: findings and progress, and at the end the report or an error.
type verifyEvent struct {
	Objects int64                `json:"objects,omitempty"` // more than before
	Bytes   int64                `json:"bytes,omitempty"`
	After   string               `json:"after,omitempty"` // everything up to this key is verified
	Finding *object.Finding      `json:"finding,omitempty"`
	Report  *object.VerifyReport `json:"report,omitempty"`
	Error   string               `json:"error,omitempty"` // with the report of what was done
	Code    int                  `json:"code,omitempty"`
	Hints   []string             `json:"hints,omitempty"`
}

// handleVerify verifies a part of the bucket with the mount's keys, index and cache.
func (s *session) handleVerify(w http.ResponseWriter, r *http.Request) {
	var o verifyOrder
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&o); err != nil {
		http.Error(w, "the request is not understood", http.StatusBadRequest)
		return
	}
	o.Path = cleanPath(o.Path)
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-s.server.Done():
			cancel(errMountEnded)
		case <-ctx.Done():
		}
	}()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := &verifyStream{w: w, cancel: cancel}
	options := o.options(verifyListener{found: func(f object.Finding) { out.send(verifyEvent{Finding: &f}) }, progress: out.progress,
		checkpoint: func(key string) { out.send(verifyEvent{After: key}) }})
	options.Memory = s.cache.Memory()
	report, err := s.bucket.Verify(ctx, options)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errMountEnded) {
		err = cause
	}
	last := verifyEvent{Report: &report}
	if err != nil {
		f := explain(err)
		last.Error, last.Code, last.Hints = f.Error(), f.code, f.hints
	}
	out.send(last)
}

var errMountEnded = errors.New("the mount has ended")

// verifyStream sends events.
type verifyStream struct {
	w      http.ResponseWriter
	cancel func(error)

	mu             sync.Mutex // guards the fields below, and the order of lines
	objects, bytes int64      // not told yet
	told           time.Time
}

// send writes a line. A client that is gone ends the verification.
func (s *verifyStream) send(e verifyEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendLocked(e)
}

func (s *verifyStream) sendLocked(e verifyEvent) {
	e.Objects, e.Bytes = s.objects, s.bytes
	s.objects, s.bytes, s.told = 0, 0, time.Now()
	if err := errors.Join(json.NewEncoder(s.w).Encode(e), http.NewResponseController(s.w).Flush()); err != nil {
		s.cancel(err)
	}
}

// progress collects what was done, and tells it now and then.
func (s *verifyStream) progress(objects, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects, s.bytes = s.objects+objects, s.bytes+bytes
	if time.Since(s.told) >= progressEvery {
		s.sendLocked(verifyEvent{})
	}
}

// verifier lets a mount verify.
func (r *record) verifier() verifier {
	return func(ctx context.Context, o verifyOrder, l verifyListener) (object.VerifyReport, error) {
		raw, err := json.Marshal(o)
		if err != nil {
			return object.VerifyReport{}, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://session/verify", bytes.NewReader(raw))
		if err != nil {
			return object.VerifyReport{}, err
		}
		resp, err := r.client().Do(req)
		if err != nil {
			return object.VerifyReport{}, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return object.VerifyReport{}, fmt.Errorf("verify %s: the mount answers %s", r.Mountpoint, resp.Status)
		}
		return r.follow(json.NewDecoder(resp.Body), l)
	}
}

// follow passes on the events of a verification.
func (r *record) follow(dec *json.Decoder, l verifyListener) (object.VerifyReport, error) {
	for {
		var e verifyEvent
		err := dec.Decode(&e)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return object.VerifyReport{}, fmt.Errorf("verify %s: the mount's process ended before it was done", r.Mountpoint)
		case err != nil:
			return object.VerifyReport{}, err
		}
		if e.Objects > 0 || e.Bytes > 0 {
			l.progress(e.Objects, e.Bytes)
		}
		switch {
		case e.Error != "" && e.Report != nil:
			return *e.Report, fail(e.Code, errors.New(e.Error), e.Hints...)
		case e.Report != nil:
			return *e.Report, nil
		case e.Finding != nil:
			l.found(*e.Finding)
		case e.After != "":
			l.checkpoint(e.After)
		}
	}
}
