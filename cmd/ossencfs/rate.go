package main

import (
	"sync"
	"time"
)

// rateWindow is the span of time over which a rate is taken.
const rateWindow = 5 * time.Second

// rate turns a count that only grows into a speed. It learns the count when it is asked, so the first answer is 0.
type rate struct {
	mu      sync.Mutex // mu guards the field below
	samples []sample   // the oldest first; one is older than the window, so that it is covered whole
}

// sample is the count at one time.
type sample struct {
	at    time.Time
	count int64
}

// per is the growth per second over the last seconds.
func (r *rate) per(now time.Time, count int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.samples) > 1 && now.Sub(r.samples[1].at) >= rateWindow {
		r.samples = r.samples[1:]
	}
	if n := len(r.samples); n == 0 || now.Sub(r.samples[n-1].at) >= rateWindow/50 {
		r.samples = append(r.samples, sample{at: now, count: count})
	}
	first := r.samples[0]
	span := now.Sub(first.at).Seconds()
	if span <= 0 {
		return 0
	}
	return int64(float64(count-first.count) / span)
}
