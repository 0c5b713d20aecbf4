package main

import "time"

// Limits of starting the daemon again.
const (
	// hastyMost is how many daemons in a row may die before they were steady, and deathsMost how many at all within deathWindow: a
	// request that kills every daemon must not go on for ever.
	hastyMost   = 8
	deathsMost  = 250
	deathWindow = time.Hour
	// failingMost is how long starts may fail in order, for example because the network is away, while callers wait.
	failingMost = 5 * time.Minute
	pauseFirst  = 50 * time.Millisecond
	pauseMost   = 5 * time.Second
)

// restarts decides whether a daemon follows one that ended without being told to, and after what pause.
type restarts struct {
	hasty   int
	deaths  []time.Time
	failing time.Time // since when starts fail; zero: the last one did not
}

// died is for a daemon that crashed or was killed. steady says that it had answered for a while.
func (r *restarts) died(now time.Time, steady bool) (pause time.Duration, again bool) {
	r.failing = time.Time{}
	if steady {
		r.hasty = 0
	}
	r.hasty++
	for len(r.deaths) > 0 && now.Sub(r.deaths[0]) > deathWindow {
		r.deaths = r.deaths[1:]
	}
	r.deaths = append(r.deaths, now)
	return backoff(r.hasty), r.hasty <= hastyMost && len(r.deaths) <= deathsMost
}

// failed is for one that could not begin and said why.
func (r *restarts) failed(now time.Time) (pause time.Duration, again bool) {
	if r.failing.IsZero() {
		r.failing = now
	}
	r.hasty++
	return backoff(r.hasty), now.Sub(r.failing) < failingMost
}

// backoff is the pause after n ends in a row: none after the first.
func backoff(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	return min(pauseFirst<<min(n-2, 10), pauseMost)
}
