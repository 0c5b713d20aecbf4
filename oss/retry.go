package oss

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Delays between attempts: 100 ms, doubled each time, at most 5 s, of which a random half is taken off so that
// many workers do not return at one moment.
const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 5 * time.Second
)

// backoff is the wait before attempt number tries+2; asked is what the server wants at least.
func backoff(tries int, asked time.Duration) time.Duration {
	d := min(firstDelay<<min(tries, 10), lastDelay)
	d = d/2 + rand.N(d/2+1)
	if asked > 0 {
		d = max(d, asked+rand.N(asked/4+1))
	}
	return d
}

// wait sleeps for d, or less when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clock is the local clock shifted to the server's. The zero value follows the local clock.
type clock struct{ offset atomic.Int64 }

// now is the time to sign with.
func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// follow shifts the clock so that it shows the server's date now.
func (c *clock) follow(server time.Time) { c.offset.Store(int64(time.Until(server))) }
