package emulator

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// errDropped ends a handler whose connection a fault has reset.
var errDropped = errors.New("connection was reset by a fault")

// throttle splits work so that n bytes take n/rate seconds.
func throttle(ctx context.Context, rate int64, n int) bool {
	if rate <= 0 || n <= 0 {
		return true
	}
	return pause(ctx, time.Duration(float64(n)/float64(rate)*float64(time.Second)))
}

// quantum is how many bytes move between two waits of a throttle: those of 20 ms, at least one.
func quantum(rate int64) int { return int(max(rate/50, 1)) }

// faultReader is a request body under a fault.
type faultReader struct {
	r     io.Reader
	ctx   context.Context
	rate  int64
	limit int64 // reset after so many bytes; negative is never
	drop  func()
}

func (r *faultReader) Read(p []byte) (int, error) {
	if r.limit == 0 {
		r.drop()
		return 0, errDropped
	}
	if r.limit > 0 && int64(len(p)) > r.limit {
		p = p[:r.limit]
	}
	if r.rate > 0 {
		p = p[:min(len(p), quantum(r.rate))]
	}
	n, err := r.r.Read(p)
	if r.limit > 0 {
		r.limit -= int64(n)
	}
	if !throttle(r.ctx, r.rate, n) {
		return n, errDropped
	}
	return n, err
}

// faultWriter is a response under a fault. It hides the server's ReadFrom, so that every byte is seen.
type faultWriter struct {
	http.ResponseWriter
	ctx     context.Context
	rate    int64
	limit   int64 // reset after so many bytes; negative is never
	corrupt bool
	gentle  bool // drop ends the connection in order
	dropped bool

	wrongCRC bool
}

// Unwrap lets http.ResponseController reach the connection.
func (w *faultWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *faultWriter) drop() {
	if !w.dropped {
		w.dropped = true
		endConn(w.ResponseWriter, !w.gentle)
	}
}

// WriteHeader sends the status unless the connection is gone.
func (w *faultWriter) WriteHeader(status int) {
	if w.dropped {
		return
	}
	if w.wrongCRC && w.Header().Get("x-oss-hash-crc64ecma") != "" {
		w.Header().Set("x-oss-hash-crc64ecma", "1")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends body bytes as the fault wants them.
func (w *faultWriter) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		if w.dropped {
			return total, errDropped
		}
		if w.limit == 0 {
			w.drop()
			return total, errDropped
		}
		part := p
		if w.limit > 0 {
			part = part[:min(int64(len(part)), w.limit)]
		}
		if w.rate > 0 {
			part = part[:min(len(part), quantum(w.rate))]
		}
		n, err := w.send(part)
		total += n
		if err != nil {
			return total, err
		}
		p = p[n:]
	}
	return total, nil
}

func (w *faultWriter) send(part []byte) (int, error) {
	out := part
	if w.corrupt {
		out = bytes.Clone(part)
		out[0] ^= 0x01
		w.corrupt = false
	}
	n, err := w.ResponseWriter.Write(out)
	if w.limit > 0 {
		w.limit -= int64(n)
		if f, ok := w.ResponseWriter.(http.Flusher); ok && w.limit == 0 {
			f.Flush()
		}
	}
	if w.rate > 0 {
		if f, ok := w.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
	}
	if err == nil && !throttle(w.ctx, w.rate, n) {
		err = errDropped
	}
	return n, err
}

// silentWriter takes an answer that nobody will see.
type silentWriter struct{ h http.Header }

func newSilentWriter() *silentWriter { return &silentWriter{http.Header{}} }

func (w *silentWriter) Header() http.Header         { return w.h }
func (w *silentWriter) WriteHeader(int)             {}
func (w *silentWriter) Write(p []byte) (int, error) { return len(p), nil }

// bodyReader reads a stored body; it takes no references.
type bodyReader struct {
	rest body
	f    *os.File
	cur  io.Reader
}

func (r *bodyReader) Read(p []byte) (int, error) {
	for {
		if r.cur == nil {
			if len(r.rest) == 0 {
				return 0, io.EOF
			}
			if err := r.open(r.rest[0]); err != nil {
				return 0, err
			}
			r.rest = r.rest[1:]
		}
		n, err := r.cur.Read(p)
		if err == io.EOF {
			err = r.Close()
			if n == 0 && err == nil {
				continue
			}
		}
		return n, err
	}
}

func (r *bodyReader) open(e extent) error {
	if e.b.path == "" {
		var buf bytes.Buffer
		if err := e.copyTo(&buf); err != nil {
			return err
		}
		r.cur = &buf
		return nil
	}
	f, err := os.Open(e.b.path)
	if err != nil {
		return err
	}
	r.f, r.cur = f, io.NewSectionReader(f, e.off, e.n)
	return nil
}

// Close closes the file being read.
func (r *bodyReader) Close() error {
	r.cur = nil
	if r.f == nil {
		return nil
	}
	f := r.f
	r.f = nil
	return f.Close()
}
