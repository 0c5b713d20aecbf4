package converge

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// retry is a key whose last request failed.
type retry struct {
	at      int64
	tries   int
	err     error
	refused error  // the last failure that concerns this key alone (object.RefusedHere), whatever failed since
	times   int    // how often in a row it was refused
	from    string // of a refused copy: what it would make free
	parked  string // where the content was sent, or was to be sent, instead
	when    time.Time
	told    bool // by fsync
}

// ErrNoRoom says that this machine has no room for what a request needs here: sealed content, or content from the bucket. It is what Bodies
// fail with then.
var ErrNoRoom = errors.New("no room on this machine")

// why is what somebody has to do something about; nil: nothing.
func (r *retry) why() error {
	if object.OutlookOf(r.err) == object.Passing && !errors.Is(r.err, ErrNoRoom) {
		return r.refused
	}
	return r.err
}

// hopeless reports whether an attempt will fail like the last ones did, for what is about this key.
func (r *retry) hopeless() bool {
	return r.refused != nil || errors.Is(r.err, ErrNoRoom) && r.times >= sureTries
}

// Refusal is why the bucket refuses what is to be sent to a key; nil when it does not. That the bucket is out of reach or busy is no
// refusal, nor that content changed while it was being sent. once answers each refusal one time, until something else has become of
// the key.
func (c *Converger) Refusal(key string, once bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, failed := c.retries[key]
	if !failed || once && r.told {
		return nil
	}
	why := r.why()
	if why != nil && once {
		r.told = true
		c.retries[key] = r
	}
	return why
}

// refusedHere reports whether the bucket refuses a key, and it alone: the order of others does not wait for what is to be sent there.
func (c *Converger) refusedHere(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retries[key].refused != nil
}

// whole reports whether a tag or a copy was refused for what the object is. Its content can still be stored anew.
func (c *Converger) whole(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	why := c.retries[key].refused
	return errors.Is(why, object.ErrTagRoom) || errors.Is(why, object.ErrInvalid)
}

// excused reports whether the order waits for nothing at a key: it is refused, or what frees it.
func (c *Converger) excused(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retries[key].refused != nil || c.retries[c.leaving[key]].refused != nil
}

// attempted notes what became of a failed request for a key: what a copy would free, and where content was sent instead.
func (c *Converger) attempted(key string, p *index.Pend) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, failed := c.retries[key]
	switch {
	case !failed:
		return
	case p.Key != key && isParkKey(p.Key):
		r.parked = p.Key
	case p.Key == key && p.Src != "":
		r.from = p.Src
		c.leaving[p.Src] = key
	}
	c.retries[key] = r
}

// Times between attempts for one key: doubled with each, with jitter; four times as long for what does not change by itself. The server's
// word counts when it asks for more.
const (
	firstPause   = 200 * time.Millisecond
	maxPause     = time.Minute
	firstRefused = 500 * time.Millisecond
	maxRefused   = 5 * time.Minute
)

// damagedFor is how often bytes must be damaged on their way before they are taken to be damaged where they are.
const damagedFor = 4

func isDamage(err error) bool {
	return errors.Is(err, object.ErrBadDigest) || errors.Is(err, object.ErrTruncated)
}

// backoff notes a failure and returns when the key may be tried again. first says that it is refused now, and was not before.
func (c *Converger) backoff(key string, err error) (at int64, tries int, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.retries[key]
	r.tries++
	r.err, r.when, r.times = err, time.Now(), r.times+1
	pause := min(maxPause, firstPause<<min(r.tries-1, 12))
	switch here := object.OutlookOf(err) == object.RefusedHere || isDamage(err) && r.tries >= damagedFor; {
	case errors.Is(err, ErrNoRoom): // it keeps its place in the order
	case !here:
		r.times = 0
	default:
		if first = r.refused == nil; first {
			c.refusing.Add(1)
		}
		r.refused = err
		pause = min(maxRefused, firstRefused<<min(2*(r.times-1), 12))
	}
	pause = pause/2 + rand.N(pause/2) //nolint:gosec // jitter
	pause = max(pause, object.RetryAfter(err))
	r.at = c.now() + int64(pause)
	c.retries[key] = r
	return r.at, r.tries, first
}

// recovered forgets the failures of a key: its request was executed after all, or is no longer wanted.
func (c *Converger) recovered(key string) {
	c.mu.Lock()
	r := c.retries[key]
	if r.refused != nil {
		c.refusing.Add(-1)
	}
	if c.leaving[r.from] == key {
		delete(c.leaving, r.from)
	}
	delete(c.retries, key)
	c.mu.Unlock()
	if r.parked != "" {
		c.queue.soon(r.parked, 0) // it need not be there any more
	}
}

// refusedAgain lets what was refused at or below a prefix be tried at once: somebody waits, who has perhaps done something about it.
func (c *Converger) refusedAgain(prefix string) {
	var keys []string
	c.mu.Lock()
	for key, r := range c.retries {
		if below(key, prefix) && r.why() != nil {
			r.at, r.tries, r.times = 0, 0, 0
			c.retries[key] = r
			keys = append(keys, key)
		}
	}
	c.mu.Unlock()
	for _, key := range keys {
		c.queue.soon(key, 0)
	}
}
