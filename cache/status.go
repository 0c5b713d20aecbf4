package cache

import (
	"time"

	"github.com/ossencfs/ossencfs/cache/converge"
)

// Status is the state of the cache and its uploads. Counts are since the start.
type Status struct {
	PendingFiles, PendingBytes  int64 // names that differ from the bucket, and bytes of content to send
	Requests                    int   // requests under way
	Puts, Copies, Deletes, Tags int64 // requests done
	SentBytes                   int64 // bytes of content sent, repetitions included
	Retries, Errors             int64
	Conflicts                   int64 // files of which both versions were kept
	Failures                    []Failure
	CacheUsed, CacheLimit       int64 // bytes on the local disk
	OpenFiles                   int   // inodes that are open
}

// Failure is a path whose last request failed; it is tried again for as long as it takes.
type Failure struct {
	Path     string
	Error    string
	Attempts int
	When     time.Time
}

// Status tells the present state, and after Close the last one.
func (c *Cache) Status() Status {
	if last := c.last.Load(); last != nil {
		return *last
	}
	stats, err := c.converge.Stats()
	if err != nil {
		c.o.Logger.Error("read the state of uploads", "error", err)
	}
	usage := c.bodies.Usage()
	return Status{
		PendingFiles: stats.PendingFiles, PendingBytes: stats.PendingBytes, Requests: stats.Flying,
		Puts: stats.Puts, Copies: stats.Copies, Deletes: stats.Deletes, Tags: stats.Tags, SentBytes: stats.SentBytes,
		Retries: stats.Retries, Errors: stats.Errors, Conflicts: c.conflicts.Load(), Failures: failuresOf(&stats),
		CacheUsed: usage.Used, CacheLimit: usage.Limit, OpenFiles: c.opens.len(),
	}
}

func failuresOf(stats *converge.Stats) []Failure {
	list := make([]Failure, 0, len(stats.Failures))
	for _, f := range stats.Failures {
		list = append(list, Failure{Path: "/" + f.Key, Error: f.Err.Error(), Attempts: f.Attempts, When: f.When})
	}
	return list
}
