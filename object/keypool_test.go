package object

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// kmsCalls counts what the emulator's KMS was asked for since the last reset.
func kmsCalls(s *emulator.Server) int {
	n := s.Requests()
	return n["Encrypt"] + n["Decrypt"] + n["GenerateDataKey"]
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// sealedFrom is request with the bucket's own sealing.
func sealedFrom(t *testing.T, b *Bucket, key string, text []byte) PutRequest {
	t.Helper()
	s, err := b.NewSealing()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(text))
	if err := s.Seal(out, text); err != nil {
		t.Fatal(err)
	}
	return PutRequest{Key: key, Body: bytes.NewReader(out), Sealed: s.Finish(), Upload: NewID(), Attr: Attr{Mode: ModeRegular | 0o644}}
}

// state is the numbers of a pool.
func (p *keyPool) state() (ready, workers, unused, wraps, order int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready), p.workers, p.unused, len(p.wraps), len(p.order)
}

// TestKMSEconomy counts the calls of KMS for written and read files: at most 3 for each one written with both dialects, 2 with one,
// and those of keys that wait; none for reading.
func TestKMSEconomy(t *testing.T) {
	const files = 60
	for _, tt := range []struct {
		dialect string
		each    int
	}{{"both", 3}, {"current", 2}, {"legacy", 2}} {
		t.Run(tt.dialect, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			o := Options{Connection: connection(s), Dialect: tt.dialect, Keyring: keys.NewKeyring(masterKMS(t, s))}
			b := opened(t, o)
			s.ResetRequests()
			text := random(2<<20 + 3) // two parts and more, in some
			for n := range files {
				size := n
				if n%20 == 0 {
					size = len(text)
				}
				put(t, b, sealedFrom(t, b, fmt.Sprint(n), text[:size]))
			}
			until(t, "the pool to rest", func() bool { _, workers, _, _, _ := b.pool.state(); return workers == 0 })
			ready, _, unused, wraps, order := b.pool.state()
			calls := kmsCalls(s)
			if most := tt.each * (files + ready); calls > most || ready > files/poolShare {
				t.Errorf("%d calls for %d files, want at most %d; %d keys wait", calls, files, most, ready)
			}
			if s.Requests()["GenerateDataKey"] == 0 || unused != 0 || wraps != order || order > poolWraps {
				t.Errorf("the pool was not used: %v, unused %d, %d wraps, %d in order", s.Requests(), unused, wraps, order)
			}
			reader := opened(t, o)
			s.ResetRequests()
			for n := range files {
				size := n
				if n%20 == 0 {
					size = len(text)
				}
				wantText(t, reader, fmt.Sprint(n), string(text[:size]))
			}
			if n := kmsCalls(s); n != 0 {
				t.Errorf("%d calls for reading", n)
			}
			// The envelopes that were prepared open what they belong to.
			for _, key := range []string{"0", "20", "59"} {
				got, err := b.oss.Head(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				info, p, err := reader.describe(t.Context(), key, key, got)
				if err != nil || info.State != StateAuthentic {
					t.Fatalf("%s: %v, %v", key, info.State, err)
				}
				if k, err := reader.openContent(t.Context(), got.Meta); err != nil || !k.Equal(p.box.Key) {
					t.Errorf("%s: envelope and box hold different keys, or %v", key, err)
				}
			}
		})
	}
}

// TestKMSDown checks that sealing neither waits nor fails while KMS is down, that uploads say so and go on afterwards, and that an
// upload which failed does not have its key wrapped twice.
func TestKMSDown(t *testing.T) {
	s := emulated(t, emulator.Options{})
	kms, err := keys.NewKMS(keys.KMSConfig{KeyID: s.KMSKeyID(), Region: s.Region(), Endpoint: s.KMSEndpoint(), Deadline: time.Second,
		Credentials: func(context.Context) (string, string, string, error) {
			return s.AccessKeyID(), s.AccessKeySecret(), "", nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kms.Close)
	b := opened(t, Options{Connection: connection(s), Keyring: keys.NewKeyring(kms)})
	put(t, b, sealedFrom(t, b, "before", []byte("text")))
	until(t, "the pool to rest", func() bool { _, workers, _, _, _ := b.pool.state(); return workers == 0 })
	for _, op := range []string{"Encrypt", "Decrypt", "GenerateDataKey"} {
		s.AddFault(emulator.Fault{Operation: op, Status: 503, Code: "ServiceUnavailable"})
	}
	var late []PutRequest
	for n := range 50 {
		r := sealedFrom(t, b, fmt.Sprint(n), []byte("text"))
		ready, _, _, _, _ := b.pool.state()
		if _, err := b.Put(t.Context(), r); err != nil {
			if !Retryable(err) || !NoEffect(err) {
				t.Fatalf("put without KMS: %v", err)
			}
			if late = append(late, r); len(late) == 3 {
				break
			}
		} else if n > 2*poolMost {
			t.Fatalf("KMS is not down, %d ready", ready)
		}
	}
	wantText(t, b, "before", "text")
	until(t, "the pool to give up", func() bool { _, workers, _, _, _ := b.pool.state(); return workers == 0 })
	s.ClearFaults()
	s.AddFault(emulator.Fault{Operation: "PutObject", Status: 500, Code: "InternalError", Count: 1})
	s.ResetRequests()
	for _, r := range late {
		if _, err := b.Put(t.Context(), r); err != nil {
			put(t, b, r)
		}
	}
	if n := kmsCalls(s); n != 3*len(late) {
		t.Errorf("%d calls for %d uploads, one of them in two attempts", n, len(late))
	}
	for _, r := range late {
		wantText(t, b, r.Key, "text")
	}
}

// TestKeyPool checks the bounds of the pool: nothing before the first use, no more than poolMost keys, no more than poolUnused for
// content that never comes, and nothing after close.
func TestKeyPool(t *testing.T) {
	var mu sync.Mutex
	made := 0
	p := newKeyPool(keys.NewKeyring(masterRSA(t, 0)), "")
	if _, ok := p.take(); ok || p.on() {
		t.Fatal("RSA keys are prepared, too")
	}
	p.prepare = func(context.Context) (*ContentKey, map[string]string, error) {
		mu.Lock()
		made++
		mu.Unlock()
		k, err := NewContentKey()
		return k, map[string]string{}, err
	}
	rest := func() {
		until(t, "the pool to rest", func() bool { _, workers, _, _, _ := p.state(); return workers == 0 })
	}
	taken := map[*ContentKey]bool{}
	for range 500 {
		if k, ok := p.take(); ok {
			if taken[k.key] {
				t.Fatal("one key twice")
			}
			taken[k.key] = true
			p.remember(NewID(), k)
		}
		rest()
		if ready, _, _, _, _ := p.state(); ready > poolMost {
			t.Fatalf("%d keys wait", ready)
		}
	}
	if made > poolUnused || len(taken) == 0 {
		t.Errorf("%d keys made and %d taken for nothing", made, len(taken))
	}
	for id := range p.wraps {
		p.uploaded(id)
	}
	rest()
	if ready, _, unused, wraps, order := p.state(); ready == 0 || unused != 0 || wraps != order {
		t.Errorf("after all uploads: %d ready, %d unused, %d wraps, %d in order", ready, unused, wraps, order)
	}
	for range poolWraps + 10 {
		p.remember(NewID(), preparedKey{key: new(ContentKey)})
	}
	if _, _, _, wraps, order := p.state(); wraps != poolWraps || order > poolWraps+poolMost {
		t.Errorf("%d wraps, %d in order", wraps, order)
	}
	p.close()
	before := made
	if _, ok := p.take(); ok {
		t.Error("a key after close")
	}
	rest()
	if made != before {
		t.Error("keys are made after close")
	}
}
