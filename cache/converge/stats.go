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
	Failures                    []Failure // newest first, at most maxFailures
}

// maxFailures bounds Stats.Failures.
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
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Flying = len(c.flying)
	for key, r := range c.retries {
		s.Failures = append(s.Failures, Failure{Key: key, Err: r.err, Attempts: r.tries, When: r.when})
	}
	sort.Slice(s.Failures, func(a, b int) bool { return s.Failures[a].When.After(s.Failures[b].When) })
	s.Failures = s.Failures[:min(len(s.Failures), maxFailures)]
	return s, err
}
