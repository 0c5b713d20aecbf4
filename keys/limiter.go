package keys

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// defaultQPS is a share of the 750 to 1,000 calls a second that KMS grants an account.
const defaultQPS = 300

// How the rate follows what KMS says: it halves at most once in slowEvery, down to leastQPS, and grows by growBy of the
// configured rate at most once in growEvery.
const (
	leastQPS  = 1
	slowEvery = time.Second
	growEvery = time.Second
	growBy    = 0.05
)

// Limiter spaces the calls to KMS of one mount: a token bucket whose rate halves when KMS throttles and recovers slowly.
// NewLimiter makes it. It is safe for concurrent use.
type Limiter struct {
	full  float64 // configured calls a second
	waits atomic.Int64
	now   func() time.Time
	sleep func(ctx context.Context, d time.Duration) error

	mu     sync.Mutex // guards the fields below
	bucket *rate.Limiter
	since  time.Time // of the last change of the rate
}

// NewLimiter makes a limiter of so many calls a second (0: 300); a tenth of a second's calls may come at once.
func NewLimiter(qps float64) (*Limiter, error) {
	if qps == 0 {
		qps = defaultQPS
	}
	if !(qps >= leastQPS) || math.IsInf(qps, 0) {
		return nil, fmt.Errorf("%w: %v calls a second, at least %d are needed", ErrConfig, qps, leastQPS)
	}
	l := &Limiter{full: qps, now: time.Now, sleep: sleepFor}
	l.bucket = rate.NewLimiter(rate.Limit(qps), burstOf(qps))
	return l, nil
}

// burstOf is how many calls may come at once.
func burstOf(qps float64) int { return max(1, int(qps/10)) }

// sleepFor waits, or returns the context's error when that ends first.
func sleepFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Waits counts the calls that had to wait for their turn.
func (l *Limiter) Waits() int64 { return l.waits.Load() }

// Rate is the number of calls a second allowed at the moment.
func (l *Limiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.bucket.Limit())
}

// wait returns when the caller may call, or with the context's error. A turn that is given up goes to others.
func (l *Limiter) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := l.now()
	turn := l.bucket.ReserveN(now, 1)
	delay := turn.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	l.waits.Add(1)
	if err := l.sleep(ctx, delay); err != nil {
		turn.CancelAt(l.now())
		return err
	}
	return nil
}

// throttled halves the rate. Calls that were under way together count once.
func (l *Limiter) throttled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if qps := float64(l.bucket.Limit()); qps == l.full || now.Sub(l.since) >= slowEvery {
		l.setLocked(now, max(leastQPS, qps/2))
	}
}

// answered lets the rate recover.
func (l *Limiter) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if qps := float64(l.bucket.Limit()); qps < l.full && now.Sub(l.since) >= growEvery {
		l.setLocked(now, min(l.full, qps+growBy*l.full))
	}
}

// setLocked changes the rate.
func (l *Limiter) setLocked(now time.Time, qps float64) {
	l.bucket.SetLimitAt(now, rate.Limit(qps))
	l.bucket.SetBurstAt(now, burstOf(qps))
	l.since = now
}
