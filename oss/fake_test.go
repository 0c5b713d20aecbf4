package oss

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fake is a server that a test scripts; it counts the requests it gets.
type fake struct {
	*httptest.Server
	requests atomic.Int64
	release  chan struct{} // closed at the end of the test: handlers that hold a request wait for it
}

// serve starts a scripted server; n counts requests from 1.
func serve(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, n int64)) *fake {
	t.Helper()
	f := &fake{release: make(chan struct{})}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-oss-request-id", "REQ")
		handle(w, r, f.requests.Add(1))
	}))
	t.Cleanup(func() {
		close(f.release)
		f.Close()
	})
	return f
}

// client opens a client on the fake with short deadlines.
func (f *fake) client(t *testing.T, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{Endpoint: f.URL, Region: "cn-test", Bucket: "bucket", Credentials: Static{ID: "id", Secret: "secret"},
		ConnectTimeout: 2 * time.Second, CallTimeout: 2 * time.Second, LongTimeout: 2 * time.Second, BodyTimeout: 2 * time.Second}
	if change != nil {
		change(&cfg)
	}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// refuse answers with an OSS error document.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>m</Message><RequestId>REQ</RequestId></Error>")
}

// drop ends the connection without an answer.
func drop(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// store accepts an upload and answers like OSS.
func store(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("ETag", `"ABC"`)
	w.Header().Set("x-oss-hash-crc64ecma", strconv.FormatUint(CRC64(0, body), 10))
}

func TestWritesAreSentOnce(t *testing.T) {
	writes := map[string]func(context.Context, *Client) error{
		"put": func(ctx context.Context, c *Client) error {
			_, err := c.Put(ctx, "k", strings.NewReader("abc"), 3, PutOptions{})
			return err
		},
		"empty put": func(ctx context.Context, c *Client) error {
			_, err := c.Put(ctx, "k", nil, 0, PutOptions{})
			return err
		},
		"copy":   func(ctx context.Context, c *Client) error { _, err := c.Copy(ctx, "a", "b", CopyOptions{}); return err },
		"delete": func(ctx context.Context, c *Client) error { return c.Delete(ctx, "k") },
		"batch":  func(ctx context.Context, c *Client) error { _, err := c.DeleteBatch(ctx, []string{"a"}); return err },
		"tag":    func(ctx context.Context, c *Client) error { return c.PutTagging(ctx, "k", map[string]string{"a": "b"}) },
		"init": func(ctx context.Context, c *Client) error {
			_, err := c.InitiateMultipart(ctx, "k", InitOptions{})
			return err
		},
		"abort": func(ctx context.Context, c *Client) error { return c.AbortMultipart(ctx, "k", "u") },
		"complete": func(ctx context.Context, c *Client) error {
			_, err := c.CompleteMultipart(ctx, "k", "u", []Part{{Number: 1, ETag: "E"}}, CompleteOptions{})
			return err
		},
	}
	answers := map[string]struct {
		answer func(http.ResponseWriter)
		want   error
	}{
		"lost": {drop, ErrUnavailable},
		"500":  {func(w http.ResponseWriter) { refuse(w, 500, "InternalError") }, ErrUnavailable},
		"503":  {func(w http.ResponseWriter) { refuse(w, 503, "ServiceUnavailable") }, ErrThrottled},
	}
	for op, write := range writes {
		for how, a := range answers {
			t.Run(op+"/"+how, func(t *testing.T) {
				f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
					_, _ = io.Copy(io.Discard, r.Body)
					a.answer(w)
				})
				err := write(t.Context(), f.client(t, nil))
				if !errors.Is(err, a.want) {
					t.Errorf("got %v, want %v", err, a.want)
				}
				if NoEffect(err) {
					t.Errorf("NoEffect(%v) = true, want false", err)
				}
				if n := f.requests.Load(); n != 1 {
					t.Errorf("got %d requests, want 1", n)
				}
			})
		}
	}
}

// A connection that OSS closed while it was idle must not turn a write into an unknown outcome when nothing was sent,
// and never into two executions.
func TestWriteOnConnectionClosedWhileIdle(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) { store(w, r) })
	c := f.client(t, nil)
	for i := range 3 {
		before := f.requests.Load()
		if _, err := c.Put(t.Context(), "k", strings.NewReader("abc"), 3, PutOptions{}); err != nil && i == 0 {
			t.Fatal(err)
		}
		if n := f.requests.Load() - before; n > 1 {
			t.Fatalf("put %d: executed %d times", i, n)
		}
		f.CloseClientConnections()
	}
}

func TestReadsAreRetried(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter)
	}{
		{"lost", drop},
		{"500", func(w http.ResponseWriter) { refuse(w, 500, "InternalError") }},
		{"503", func(w http.ResponseWriter) { refuse(w, 503, "TotalQpsLimitExceeded") }},
		{"429", func(w http.ResponseWriter) { refuse(w, 429, "QpsLimitExceeded") }},
		{"408", func(w http.ResponseWriter) { refuse(w, 408, "RequestTimeout") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
				if n <= 2 {
					tt.answer(w)
					return
				}
				w.Header().Set("Content-Length", "7")
			})
			info, err := f.client(t, nil).Head(t.Context(), "k")
			if err != nil || info.Size != 7 {
				t.Errorf("got %+v, %v, want size 7", info, err)
			}
		})
	}
}

func TestRetriesEnd(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) { refuse(w, 500, "InternalError") })
	c := f.client(t, func(cfg *Config) { cfg.Retries = 1 })
	_, err := c.Head(t.Context(), "k")
	if !errors.Is(err, ErrUnavailable) || f.requests.Load() != 2 {
		t.Errorf("got %v after %d requests, want ErrUnavailable after 2", err, f.requests.Load())
	}
}

func TestUploadPartIsRetried(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
		switch n {
		case 1:
			_, _ = io.Copy(io.Discard, r.Body)
			drop(w)
		case 2: // stored something else
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("x-oss-hash-crc64ecma", "1")
		default:
			store(w, r)
		}
	})
	p, err := f.client(t, nil).UploadPart(t.Context(), "k", "u", 1, strings.NewReader("abc"), 3, PartOptions{})
	if err != nil || p.CRC64 != CRC64(0, []byte("abc")) || p.ETag != "ABC" {
		t.Errorf("got %+v, %v", p, err)
	}
	if n := f.requests.Load(); n != 3 {
		t.Errorf("got %d requests, want 3", n)
	}
}

func TestWaitAskedByServerIsKept(t *testing.T) {
	var mu sync.Mutex
	var at []time.Time
	f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
		mu.Lock()
		at = append(at, time.Now())
		mu.Unlock()
		if n == 1 {
			w.Header().Set("x-oss-qos-delay-time", "400")
			refuse(w, 503, "ServiceUnavailable")
			return
		}
		w.Header().Set("Content-Length", "0")
	})
	if _, err := f.client(t, nil).Head(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if d := at[1].Sub(at[0]); d < 400*time.Millisecond {
		t.Errorf("second attempt after %v, want at least 400ms", d)
	}
}
