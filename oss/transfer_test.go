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
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

const content = "0123456789"

// sendObject answers a GET or HEAD of content with its true length and CRC.
func sendObject(w http.ResponseWriter) {
	w.Header().Set("ETag", `"E"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Header().Set("x-oss-hash-crc64ecma", strconv.FormatUint(CRC64(0, []byte(content)), 10))
}

func TestGetVerifiesBody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		opts   GetOptions
		want   string
		err    error
	}{
		{"whole", func(w http.ResponseWriter) {
			sendObject(w)
			_, _ = io.WriteString(w, content)
		}, GetOptions{}, content, nil},
		{"wrong crc", func(w http.ResponseWriter) {
			sendObject(w)
			_, _ = io.WriteString(w, "012345678X")
		}, GetOptions{}, "", ErrBadDigest},
		{"range", func(w http.ResponseWriter) {
			sendObject(w)
			w.Header().Set("Content-Length", "3")
			w.Header().Set("Content-Range", "bytes 2-4/10")
			w.WriteHeader(206)
			_, _ = io.WriteString(w, "234")
		}, GetOptions{Off: 2, Len: 3}, "234", nil},
		{"range cut at the end", func(w http.ResponseWriter) {
			sendObject(w)
			w.Header().Set("Content-Length", "2")
			w.Header().Set("Content-Range", "bytes 8-9/10")
			w.WriteHeader(206)
			_, _ = io.WriteString(w, "89")
		}, GetOptions{Off: 8, Len: 5}, "89", nil},
		{"range that is the whole is verified", func(w http.ResponseWriter) {
			sendObject(w)
			w.Header().Set("Content-Range", "bytes 0-9/10")
			w.WriteHeader(206)
			_, _ = io.WriteString(w, "012345678X")
		}, GetOptions{Len: 10}, "", ErrBadDigest},
		{"other range", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "3")
			w.Header().Set("Content-Range", "bytes 3-5/10")
			w.WriteHeader(206)
			_, _ = io.WriteString(w, "345")
		}, GetOptions{Off: 2, Len: 3}, "", ErrTruncated},
		{"shorter range", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "2")
			w.Header().Set("Content-Range", "bytes 2-3/10")
			w.WriteHeader(206)
			_, _ = io.WriteString(w, "23")
		}, GetOptions{Off: 2, Len: 3}, "", ErrTruncated},
		{"range ignored", func(w http.ResponseWriter) {
			sendObject(w)
			_, _ = io.WriteString(w, content)
		}, GetOptions{Off: 2, Len: 3}, "", ErrInvalid},
		{"no length", func(w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, content)
		}, GetOptions{}, "", ErrTruncated},
		{"empty", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "0")
			w.Header().Set("x-oss-hash-crc64ecma", "0")
		}, GetOptions{}, "", nil},
		{"416", func(w http.ResponseWriter) { refuse(w, 416, "InvalidRange") }, GetOptions{Off: 99}, "", ErrRange},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) { tt.answer(w) })
			body, info, err := f.client(t, nil).Get(t.Context(), "k", tt.opts)
			var got []byte
			if err == nil {
				defer body.Close()
				got = make([]byte, len(tt.want))
				if tt.err != nil {
					got = make([]byte, info.Size)
				}
				// ReadFull drops an error that comes with the last byte: it must come before.
				_, err = io.ReadFull(body, got)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if tt.err == nil && string(got) != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// rawAnswer writes bytes to the connection as they are and closes it.
func rawAnswer(w http.ResponseWriter, raw string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, raw)
	_ = conn.Close()
}

func TestGetBodyCutShort(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
		rawAnswer(w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
	})
	body, _, err := f.client(t, nil).Get(t.Context(), "k", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if !errors.Is(err, ErrTruncated) || !Retryable(err) || string(got) != "01234" {
		t.Errorf("got %q, %v, want 01234 and ErrTruncated", got, err)
	}
	if _, again := body.Read(make([]byte, 1)); again != err {
		t.Errorf("second read: got %v, want the same error", again)
	}
}

func TestHugeHeaderIsRefused(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
		w.Header().Set("x-oss-meta-a", strings.Repeat("x", 2*maxResponseHeader))
		w.Header().Set("Content-Length", "0")
	})
	_, err := f.client(t, func(c *Config) { c.Retries = -1 }).Head(t.Context(), "k")
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestStalls(t *testing.T) {
	short := func(c *Config) {
		c.CallTimeout, c.LongTimeout, c.BodyTimeout, c.Retries = 150*time.Millisecond, 150*time.Millisecond, 150*time.Millisecond, -1
	}
	t.Run("answer", func(t *testing.T) {
		var f *fake
		f = serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) { <-f.release })
		_, err := f.client(t, short).Head(t.Context(), "k")
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errStalled) || !Retryable(err) {
			t.Errorf("got %v, want a retryable ErrUnavailable", err)
		}
	})
	t.Run("download", func(t *testing.T) {
		var f *fake
		f = serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "01234")
			w.(http.Flusher).Flush()
			<-f.release
		})
		body, _, err := f.client(t, short).Get(t.Context(), "k", GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if _, err = io.ReadAll(body); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errStalled) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	})
	t.Run("upload", func(t *testing.T) {
		var f *fake
		f = serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) { <-f.release })
		const size = 64 << 20 // more than sockets buffer
		_, err := f.client(t, short).Put(t.Context(), "k", io.LimitReader(zeros{}, size), size, PutOptions{})
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errStalled) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	})
	t.Run("listing", func(t *testing.T) {
		var f *fake
		f = serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
			_, _ = io.WriteString(w, "<ListBucketResult>")
			w.(http.Flusher).Flush()
			<-f.release
		})
		if _, err := f.client(t, short).List(t.Context(), ListOptions{}); !errors.Is(err, errStalled) {
			t.Errorf("got %v, want a deadline", err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A transfer that moves slowly but steadily lives longer than each single deadline.
func TestSlowTransferIsNotCutOff(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)*minProgress/4))
		for i := range content {
			_, _ = io.WriteString(w, strings.Repeat(content[i:i+1], minProgress/4))
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(60 * time.Millisecond):
			}
		}
	})
	c := f.client(t, func(c *Config) { c.CallTimeout, c.BodyTimeout = 400*time.Millisecond, 400*time.Millisecond })
	body, _, err := c.Get(t.Context(), "k", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || len(got) != len(content)*minProgress/4 || !strings.HasSuffix(string(got), content[len(content)-1:]) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestContextEndsCalls(t *testing.T) {
	arrived := make(chan struct{})
	var f *fake
	f = serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
		if n == 1 {
			close(arrived)
		}
		<-f.release
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := f.client(t, nil).Head(ctx, "k")
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) || Retryable(err) {
		t.Errorf("got %v, want a cancelled, not retryable ErrUnavailable", err)
	}
	if n := f.requests.Load(); n != 1 {
		t.Errorf("got %d requests, want 1", n)
	}
}

func TestPutChecksItsBody(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, tt := range []struct {
		name string
		body io.Reader
		size int64
		opts PutOptions
		want error
	}{
		{"exact", strings.NewReader("abc"), 3, PutOptions{}, nil},
		{"not seekable", io.MultiReader(strings.NewReader("ab"), strings.NewReader("c")), 3, PutOptions{}, nil},
		{"byte by byte", iotest.OneByteReader(strings.NewReader("abc")), 3, PutOptions{}, nil},
		{"error with data", iotest.DataErrReader(strings.NewReader("abc")), 3, PutOptions{}, nil},
		{"empty", nil, 0, PutOptions{}, nil},
		{"empty reader", strings.NewReader(""), 0, PutOptions{}, nil},
		{"too short", strings.NewReader("abc"), 4, PutOptions{}, ErrBody},
		{"too long", strings.NewReader("abcd"), 3, PutOptions{}, ErrBody},
		{"not empty", strings.NewReader("a"), 0, PutOptions{}, ErrBody},
		{"failing", io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken)), 3, PutOptions{}, broken},
		{"expected crc", strings.NewReader("abc"), 3, PutOptions{CRC64: CRC64(0, []byte("abc")), HasCRC: true}, nil},
		{"other crc", strings.NewReader("abc"), 3, PutOptions{CRC64: 1, HasCRC: true}, ErrBadDigest},
		{"negative size", strings.NewReader("abc"), -1, PutOptions{}, ErrInvalid},
		{"too large", zeros{}, MaxPutSize + 1, PutOptions{}, ErrInvalid},
		{"metadata name", strings.NewReader("abc"), 3, PutOptions{Meta: map[string]string{"x-oss-meta-a_b": "1"}}, ErrInvalid},
		{"metadata prefix", strings.NewReader("abc"), 3, PutOptions{Meta: map[string]string{"x-oss-acl": "1"}}, ErrInvalid},
		{"metadata value", strings.NewReader("abc"), 3, PutOptions{Meta: map[string]string{"x-oss-meta-a": "1\r\nx: y"}}, ErrInvalid},
		{"metadata space", strings.NewReader("abc"), 3, PutOptions{Meta: map[string]string{"x-oss-meta-a": " 1"}}, ErrInvalid},
		{"metadata size", strings.NewReader("abc"), 3, PutOptions{Meta: map[string]string{"x-oss-meta-a": strings.Repeat("x", MaxMetaLen)}}, ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var complete atomic.Int64
			f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
				if r.ContentLength != tt.size || len(r.TransferEncoding) > 0 {
					t.Errorf("content length %d %v, want %d", r.ContentLength, r.TransferEncoding, tt.size)
				}
				if _, err := io.Copy(io.Discard, r.Body); err == nil {
					complete.Add(1)
				}
				w.Header().Set("ETag", `"E"`)
				w.Header().Set("x-oss-hash-crc64ecma", strconv.FormatUint(CRC64(0, []byte("abc")[:tt.size]), 10))
			})
			_, err := f.client(t, nil).Put(t.Context(), "k", tt.body, tt.size, tt.opts)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if errors.Is(err, ErrBody) && complete.Load() != 0 {
				t.Error("the server saw a complete request")
			}
		})
	}
}

// The server answers before it has read the body: the caller's reader must not be in use after Put.
func TestBodyIsReleasedOnEarlyAnswer(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request, _ int64) { refuse(w, 403, "AccessDenied") })
	r := &countingReader{}
	const size = 32 << 20
	if _, err := f.client(t, nil).Put(t.Context(), "k", r, size, PutOptions{}); err == nil {
		t.Fatal("Put succeeded")
	}
	r.done.Store(true)
	_ = f.client(t, nil).Delete(t.Context(), "k")
	if r.late.Load() {
		t.Error("the body was read after Put returned")
	}
}

type countingReader struct{ done, late atomic.Bool }

func (r *countingReader) Read(p []byte) (int, error) {
	if r.done.Load() {
		r.late.Store(true)
	}
	return len(p), nil
}

func TestClockFollowsServer(t *testing.T) {
	ahead := 3 * time.Hour
	f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
		at, err := time.Parse("20060102T150405Z", r.Header.Get("x-oss-date"))
		skew := time.Until(at.Add(-ahead)).Abs()
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		if err != nil || skew > 15*time.Minute {
			refuse(w, 403, "RequestTimeTooSkewed")
			return
		}
		store(w, r)
	})
	c := f.client(t, nil)
	for i := range 2 {
		if _, err := c.Put(t.Context(), "k", strings.NewReader("abc"), 3, PutOptions{}); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
	}
	if n := f.requests.Load(); n != 3 {
		t.Errorf("got %d requests, want 3: one refused, two right", n)
	}
	f2 := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) { refuse(w, 403, "RequestTimeTooSkewed") })
	if _, err := f2.client(t, nil).Put(t.Context(), "k", strings.NewReader("abc"), 3, PutOptions{}); !errors.Is(err, ErrClock) {
		t.Errorf("got %v, want ErrClock", err)
	}
	if n := f2.requests.Load(); n != 2 {
		t.Errorf("got %d requests, want 2", n)
	}
}

func TestOnRequestSeesEachAttempt(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	f := serve(t, func(w http.ResponseWriter, r *http.Request, n int64) {
		if n == 1 {
			refuse(w, 500, "InternalError")
			return
		}
		sendObject(w)
		_, _ = io.WriteString(w, content)
	})
	c := f.client(t, func(cfg *Config) {
		cfg.OnRequest = func(a Attempt) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprint(a.Op, a.Bytes, a.Err == nil, a.Took > 0, a.Key, a.Status))
		}
	})
	body, _, err := c.Get(t.Context(), "k", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(body)
	_ = body.Close()
	_ = body.Close()
	if got := fmt.Sprint(seen); got != "[GetObject0 false truek500 GetObject10 true truek200]" {
		t.Errorf("got %s", got)
	}
}
