package converge

import (
	"sort"
	"sync/atomic"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

// counters count since the start.
type counters struct {
	puts, copies, deletes, tags atomic.Int64
	bytes                       atomic.Int64 // of bodies sent, repetitions included
	retries, errors, conflicts  atomic.Int64
	unchecked                   atomic.Int64 // requests in a bucket with versioning after which the versions could not be listed
	plans, leaves, locks        atomic.Int64
}

func (n *counters) done(fl *flight) {
	switch fl.pend.Op {
	case index.Put:
		n.puts.Add(1)
	case index.Copy:
		n.copies.Add(1)
	case index.Delete:
		n.deletes.Add(1)
	case index.Tag:
		n.tags.Add(1)
	}
}

// Failure is a key whose last request failed. It is tried again for as long as it takes.
type Failure struct {
	Key      string
	Err      error
	Attempts int
	When     time.Time
	Refused  bool // the bucket refuses it by itself: others do not wait for it
}

// Blocked is a key that waits for another one.
type Blocked struct {
	Key string
	For string // the key
	Err error  // why the last request for that one failed; nil: it has not
}

// Stats is the state of convergence. Counts are since the start.
type Stats struct {
	PendingFiles, PendingBytes  int64 // keys that differ from the bucket, and bytes of content to send
	Flying                      int   // requests under way
	Puts, Copies, Deletes, Tags int64
	SentBytes                   int64
	Retries, Errors, Conflicts  int64
	Locks                       int64     // that were taken
	Unchecked                   int64     // requests in a bucket with versioning after which the versions could not be listed
	Refused                     int       // keys that the bucket refuses, each by itself
	Failures                    []Failure // the refused first, then the newest; at most maxFailures
	Waiting                     int       // keys that wait for others, by the order of requests
	Blocked                     []Blocked // some of them, at most maxFailures
}

// maxFailures bounds Stats.Failures and Stats.Blocked.
const maxFailures = 20

// Stats tells the present state.
func (c *Converger) Stats() (Stats, error) {
	s := Stats{
		Puts: c.counts.puts.Load(), Copies: c.counts.copies.Load(), Deletes: c.counts.deletes.Load(), Tags: c.counts.tags.Load(),
		SentBytes: c.counts.bytes.Load(), Retries: c.counts.retries.Load(), Errors: c.counts.errors.Load(), Conflicts: c.counts.conflicts.Load(), Unchecked: c.counts.unchecked.Load(),
		Locks: c.counts.locks.Load(),
	}
	err := c.o.DB.View(func(tx *index.Tx) error {
		return eachGoal(tx, "", func(_ string, g goal) {
			s.PendingFiles++
			s.PendingBytes += g.bytes
		})
	})
	if err == nil {
		s.Waiting, s.Blocked, err = c.blocked()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Flying, s.Refused = len(c.flying), int(c.refusing.Load())
	for key, r := range c.retries {
		if isParkKey(key) {
			continue // the file's own key tells
		}
		s.Failures = append(s.Failures, Failure{Key: key, Err: r.err, Attempts: r.tries, When: r.when, Refused: r.refused != nil})
	}
	sort.Slice(s.Failures, func(a, b int) bool {
		x, y := &s.Failures[a], &s.Failures[b]
		return x.Refused && !y.Refused || x.Refused == y.Refused && x.When.After(y.When)
	})
	s.Failures = s.Failures[:min(len(s.Failures), maxFailures)]
	return s, err
}

// blocked describes those that wait for the order of requests.
func (c *Converger) blocked() (total int, list []Blocked, err error) {
	total, keys := c.queue.ordered(maxFailures)
	for _, key := range keys {
		a, _, err := c.plan(key)
		if err != nil {
			return total, list, err
		}
		if a.Kind != Wait || len(a.Keys) == 0 || a.Keys[0] == key {
			continue
		}
		w := Blocked{Key: key, For: a.Keys[0]}
		if isParkKey(w.For) {
			w.For, w.Err = c.parkedFor(w.For)
		}
		c.mu.Lock()
		if r, failed := c.retries[w.For]; failed && w.Err == nil {
			w.Err = r.err
		}
		c.mu.Unlock()
		list = append(list, w)
	}
	return total, list, nil
}

// parkedFor is the key of the file that a parking key is for, and why it cannot be parked.
func (c *Converger) parkedFor(park string) (key string, why error) {
	key = park
	c.mu.Lock()
	why = c.retries[park].err
	c.mu.Unlock()
	err := c.o.DB.View(func(tx *index.Tx) error {
		p, pending, err := tx.Pend(park)
		if path, linked := tx.Path(p.Ino); err == nil && pending && linked {
			key = path
		}
		return err
	})
	if why == nil {
		why = err
	}
	return key, why
}
