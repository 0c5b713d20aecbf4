package oss

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
)

func TestEmulatedFaults(t *testing.T) {
	s := emulated(t, emulator.Options{})
	cfg := emulatedConfig(s)
	b := bucketUnderTest{opened(t, cfg), "faults/"}
	big := strings.Repeat("0123456789", 20_000)
	b.put(t, "big", big, PutOptions{})
	putBig := func() error {
		_, err := b.Put(t.Context(), b.prefix+"new", strings.NewReader(big), int64(len(big)), PutOptions{})
		return err
	}
	getBig := func() error {
		got, _, err := b.read(t, "big", GetOptions{})
		if err == nil && got != big {
			t.Error("damaged bytes without an error")
		}
		return err
	}
	head := func() error { _, err := b.Head(t.Context(), b.prefix+"big"); return err }
	for _, tt := range []struct {
		name  string
		fault emulator.Fault
		call  func() error
		want  error
		op    string
		count int // requests of op
	}{
		{"burst of 503 on a read", emulator.Fault{Operation: "HeadObject", Status: 503, Code: "TotalQpsLimitExceeded", Count: 3}, head, nil, "HeadObject", 4},
		{"burst of 500 on a read", emulator.Fault{Operation: "GetObject", Status: 500, Code: "InternalError", Count: 2}, getBig, nil, "GetObject", 3},
		{"throttled for a while", emulator.Fault{Operation: "HeadObject", Status: 503, Code: "TotalQpsLimitExceeded", QosDelayMs: 200, Count: 1}, head, nil, "HeadObject", 2},
		{"500 on a write", emulator.Fault{Operation: "PutObject", Status: 500, Code: "InternalError"}, putBig, ErrUnavailable, "PutObject", 1},
		{"lost answer of a write", emulator.Fault{Operation: "PutObject", LoseResponse: true}, putBig, ErrUnavailable, "PutObject", 1},
		{"reset in mid-upload", emulator.Fault{Operation: "PutObject", ResetAfterBytes: 50_000}, putBig, ErrUnavailable, "PutObject", 1},
		{"damaged on the way in", emulator.Fault{Operation: "GetObject", CorruptBody: true}, getBig, ErrBadDigest, "GetObject", 1},
		{"lost answer of a copy", emulator.Fault{Operation: "CopyObject", LoseResponse: true}, func() error {
			_, err := b.Copy(t.Context(), b.prefix+"big", b.prefix+"copy", CopyOptions{})
			return err
		}, ErrUnavailable, "CopyObject", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.ResetRequests()
			s.AddFault(tt.fault)
			defer s.ClearFaults()
			if err := tt.call(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if n := s.Requests()[tt.op]; n != tt.count {
				t.Errorf("got %d requests, want %d: %v", n, tt.count, s.Requests())
			}
		})
	}
	t.Run("reset in mid-download", func(t *testing.T) {
		s.AddFault(emulator.Fault{Operation: "GetObject", ResetAfterBytes: 50_000})
		defer s.ClearFaults()
		if err := getBig(); !Retryable(err) || !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want a retryable error", err)
		}
	})
}

func TestEmulatedClockSkew(t *testing.T) {
	s := emulated(t, emulator.Options{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }})
	for _, version := range []SignVersion{SignV4, SignV1} {
		cfg := emulatedConfig(s)
		cfg.SignVersion = version
		b := bucketUnderTest{opened(t, cfg), string(version) + "/"}
		s.ResetRequests()
		for range 2 {
			b.put(t, "k", "text", PutOptions{})
		}
		if n := s.Requests()["PutObject"]; n != 3 {
			t.Errorf("%s: %d requests, want one refused and two right", version, n)
		}
	}
}

// Many calls at once share connections, credentials and the clock; run with -race.
func TestConcurrentCalls(t *testing.T) {
	s := emulated(t, emulator.Options{})
	cfg := emulatedConfig(s)
	cfg.Credentials = &rotating{key: Credentials{ID: s.AccessKeyID(), Secret: s.AccessKeySecret()}}
	c := opened(t, cfg)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			key, data := fmt.Sprint("k", i), bytes.Repeat([]byte{byte(i)}, 10_000)
			for range 4 {
				if _, err := c.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), PutOptions{}); err != nil {
					t.Error(err)
					return
				}
				body, _, err := c.Get(t.Context(), key, GetOptions{Off: 100, Len: 500})
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(body)
				_ = body.Close()
				if err != nil || !bytes.Equal(got, data[100:600]) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkHead(b *testing.B) {
	s, err := emulator.Start(emulator.Options{Buckets: []string{"bucket"}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c, err := Open(emulatedConfig(s))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.Put(b.Context(), "k", nil, 0, PutOptions{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Head(b.Context(), "k"); err != nil {
			b.Fatal(err)
		}
	}
}
