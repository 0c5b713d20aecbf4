package cache

import (
	"time"

	"github.com/ossencfs/ossencfs/cache/converge"
	"github.com/ossencfs/ossencfs/object"
)

// Status is the state of the cache and its uploads. Counts are since the start.
type Status struct {
	PendingFiles, PendingBytes  int64 // names that differ from the bucket, and bytes of content to send
	Requests                    int   // requests under way
	Puts, Copies, Deletes, Tags int64 // requests done
	SentBytes                   int64 // bytes of content sent, repetitions included
	Retries, Errors             int64
	Conflicts                   int64 // files of which both versions were kept
	LeftOut                     int   // objects in listed directories that cannot be shown
	Replayed                    int64 // calls that an earlier life executed and this one answered
	Refused                     int   // names that the bucket refuses, each by itself
	Failures                    []Failure
	Waiting                     int       // names that wait for others, by the order of requests
	Blocked                     []Blocked // some of them
	CacheID                     string    // names of this cache in the bucket have it; see docs/FORMAT.md, section 1
	CacheUsed, CacheLimit       int64     // bytes on the local disk
	OpenFiles                   int       // inodes that are open
	Disk                        string    // what is wrong with the local disk; empty: nothing
	Notices                     map[object.NoticeKind]int64
	LastNotices                 []Notice // the newest first, at most 20 of each kind
}

// Failure is a path whose last request failed; it is tried again for as long as it takes.
type Failure struct {
	Path     string
	Error    string
	Attempts int
	When     time.Time
	Refused  bool // the bucket refuses it by itself: others do not wait for it
}

// Blocked is a path that waits for another one to be in the bucket.
type Blocked struct {
	Path  string
	For   string
	Error string // why the last request for that one failed; empty: it has not
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
	counts, noticed := c.notices.state()
	return Status{
		PendingFiles: stats.PendingFiles, PendingBytes: stats.PendingBytes, Requests: stats.Flying,
		Puts: stats.Puts, Copies: stats.Copies, Deletes: stats.Deletes, Tags: stats.Tags, SentBytes: stats.SentBytes,
		Retries: stats.Retries, Errors: stats.Errors, Conflicts: c.conflicts.Load(), LeftOut: c.leftOut.count(), Replayed: c.replayed.Load(), Failures: failuresOf(&stats),
		Refused: stats.Refused, Waiting: stats.Waiting, Blocked: blockedOf(&stats),
		CacheID: c.db.ID(), CacheUsed: usage.Used, CacheLimit: usage.Limit, OpenFiles: c.opens.len(), Disk: c.diskTrouble(usage.Disk),
		Notices: counts, LastNotices: noticed,
	}
}

// diskTrouble says what is wrong with the disk of the cache, given what the bytes of files met last.
func (c *Cache) diskTrouble(last error) string {
	if err := c.db.Failure(); err != nil {
		return "failed, nothing can be changed until the next mount: " + err.Error()
	}
	if c.db.NoRoom() {
		return "full: no new files until there is room"
	}
	if last != nil {
		return last.Error()
	}
	return ""
}

func failuresOf(stats *converge.Stats) []Failure {
	list := make([]Failure, 0, len(stats.Failures))
	for _, f := range stats.Failures {
		list = append(list, Failure{Path: "/" + f.Key, Error: f.Err.Error(), Attempts: f.Attempts, When: f.When, Refused: f.Refused})
	}
	return list
}

func blockedOf(stats *converge.Stats) []Blocked {
	list := make([]Blocked, 0, len(stats.Blocked))
	for _, w := range stats.Blocked {
		wait := Blocked{Path: "/" + w.Key, For: "/" + w.For}
		if w.Err != nil {
			wait.Error = w.Err.Error()
		}
		list = append(list, wait)
	}
	return list
}
