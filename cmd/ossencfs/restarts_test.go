package main

import (
	"testing"
	"time"
)

// TestRestarts: who dies at once, again and again, is given up; who answered for a while is not, unless too often; starts that fail
// in order are tried for minutes.
func TestRestarts(t *testing.T) {
	begin := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		end   func(r *restarts, now time.Time) (time.Duration, bool)
		every time.Duration
		most  int // ends until it is given up
	}{
		"at once":             {func(r *restarts, now time.Time) (time.Duration, bool) { return r.died(now, false) }, time.Second, hastyMost + 1},
		"after a while":       {func(r *restarts, now time.Time) (time.Duration, bool) { return r.died(now, true) }, time.Second, deathsMost + 1},
		"now and then":        {func(r *restarts, now time.Time) (time.Duration, bool) { return r.died(now, true) }, time.Minute, 1000},
		"failing":             {func(r *restarts, now time.Time) (time.Duration, bool) { return r.failed(now) }, 10 * time.Second, 31},
		"failing, then alive": {failThenDie(), 10 * time.Second, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			var r restarts
			n := 1
			for ; n < 1000; n++ {
				pause, again := c.end(&r, begin.Add(time.Duration(n)*c.every))
				if pause < 0 || pause > pauseMost {
					t.Fatalf("end %d: a pause of %v, want at most %v", n, pause, pauseMost)
				}
				if !again {
					break
				}
			}
			if n != c.most {
				t.Errorf("given up at end %d, want %d", n, c.most)
			}
		})
	}
}

// failThenDie fails four times in order, then lives for a while, and so on, with a minute for each.
func failThenDie() func(r *restarts, now time.Time) (time.Duration, bool) {
	n := 0
	return func(r *restarts, now time.Time) (time.Duration, bool) {
		now = now.Add(time.Duration(n) * 50 * time.Second)
		if n++; n%5 == 0 {
			return r.died(now, true)
		}
		return r.failed(now)
	}
}
