package keys

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"
)

// clock is a clock that only sleepers move.
type clock struct {
	now    time.Time
	sleeps []time.Duration
	fail   error // answered to sleepers, who then do not sleep
}

// limiterAt makes a limiter that lives by the clock.
func limiterAt(t *testing.T, qps float64) (*Limiter, *clock) {
	t.Helper()
	l, err := NewLimiter(qps)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{now: time.Unix(1_000_000, 0)}
	l.now = func() time.Time { return c.now }
	l.sleep = func(_ context.Context, d time.Duration) error {
		if c.fail != nil {
			return c.fail
		}
		c.sleeps = append(c.sleeps, d)
		c.now = c.now.Add(d)
		return nil
	}
	return l, c
}

func TestLimiterSpacesCalls(t *testing.T) {
	l, c := limiterAt(t, 100)
	start := c.now
	for range 210 { // 10 at once, 200 at 100 a second
		if err := l.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := c.now.Sub(start).Round(time.Millisecond); took != 2*time.Second {
		t.Errorf("210 calls took %v, want 2s", took)
	}
	if l.Waits() != 200 || len(c.sleeps) != 200 {
		t.Errorf("counted %d waits, saw %d, want 200", l.Waits(), len(c.sleeps))
	}
}

func TestLimiterFollowsKMS(t *testing.T) {
	l, c := limiterAt(t, 100)
	rates := func(want float64, what string) {
		t.Helper()
		if got := l.Rate(); math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: rate %v, want %v", what, got, want)
		}
	}
	l.answered()
	rates(100, "an answer at full rate")
	l.throttled()
	l.throttled()
	l.answered()
	rates(50, "throttled twice at once")
	c.now = c.now.Add(slowEvery)
	l.throttled()
	rates(25, "throttled again")
	for range 20 {
		c.now = c.now.Add(slowEvery)
		l.throttled()
	}
	rates(leastQPS, "throttled for ever")
	c.now = c.now.Add(growEvery)
	l.answered()
	l.answered()
	rates(6, "recovers slowly")
	for range 100 {
		c.now = c.now.Add(growEvery)
		l.answered()
	}
	rates(100, "recovered")
}

func TestLimiterObeysContext(t *testing.T) {
	l, c := limiterAt(t, 1)
	if err := l.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.wait(gone); !errors.Is(err, context.Canceled) || l.Waits() != 0 {
		t.Errorf("ended before: got %v after %d waits, want context.Canceled", err, l.Waits())
	}
	for range 5 { // turns given up cost the next one nothing
		c.fail = context.DeadlineExceeded
		if err := l.wait(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended while waiting: got %v", err)
		}
	}
	c.fail = nil
	if err := l.wait(t.Context()); err != nil || len(c.sleeps) != 1 || c.sleeps[0] != time.Second {
		t.Errorf("next turn: got %v after %v, want 1s", err, c.sleeps)
	}
	if err := sleepFor(gone, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("sleep: got %v, want context.Canceled", err)
	}
	if err := sleepFor(t.Context(), time.Nanosecond); err != nil {
		t.Errorf("sleep: got %v", err)
	}
}

func TestNewLimiter(t *testing.T) {
	for _, qps := range []float64{-1, 0.5, math.NaN(), math.Inf(1)} {
		if l, err := NewLimiter(qps); !errors.Is(err, ErrConfig) || l != nil {
			t.Errorf("%v calls a second: got %v, want ErrConfig", qps, err)
		}
	}
	if l, err := NewLimiter(0); err != nil || l.Rate() != defaultQPS {
		t.Errorf("default: got %v, %v", l.Rate(), err)
	}
}

// TestKMSSharesALimiter: the keys of a mount call one KMS, whose limit is the account's.
func TestKMSSharesALimiter(t *testing.T) {
	s, ca := newKMSServer(t)
	l, c := limiterAt(t, 10) // one call at once
	share := func(c *KMSConfig) { c.Limiter = l }
	a, b := s.client(t, ca, share), s.client(t, ca, share)
	for range 3 {
		for _, k := range []*KMS{a, b} {
			if _, err := k.Wrap(t.Context(), KMSText, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if l.Waits() != 5 || a.Waits() != 5 || len(c.sleeps) != 5 {
		t.Errorf("%d waits for 6 calls, want 5", l.Waits())
	}
	s.refuse = []refusal{{429, "Rejected.Throttling", ""}, {400, "Throttling.User", ""}}
	if _, err := a.Wrap(t.Context(), KMSText, []byte("x")); err != nil || l.Rate() != 5 || a.Calls() != 6 {
		t.Errorf("throttled: got %v, rate %v after %d calls, want 5 after 6", err, l.Rate(), a.Calls())
	}
	s.refuse = []refusal{{403, "Forbidden.NoPermission", ""}}
	if _, err := b.Wrap(t.Context(), KMSText, []byte("x")); !errors.Is(err, ErrKMSDenied) || l.Rate() != 5 {
		t.Errorf("denied: got %v, rate %v, want 5", err, l.Rate())
	}
	c.fail = context.Canceled
	if _, err := b.Wrap(t.Context(), KMSText, []byte("x")); !errors.Is(err, ErrKMSUnreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: got %v", err)
	}
	own := s.client(t, ca, func(c *KMSConfig) { c.QPS = 42 })
	if own.limiter == l || own.limiter.Rate() != 42 {
		t.Errorf("own limiter has rate %v, want 42", own.limiter.Rate())
	}
	if _, err := NewKMS(KMSConfig{KeyID: "k", Region: "r", QPS: -1, Credentials: a.credentials}); !errors.Is(err, ErrConfig) {
		t.Errorf("negative rate: got %v, want ErrConfig", err)
	}
}
