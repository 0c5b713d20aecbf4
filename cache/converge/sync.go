package converge

import (
	"context"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

// Progress is what Sync reports.
type Progress struct {
	Files, Bytes         int64 // keys that had to change when Sync began, and bytes of content among them
	FilesLeft, BytesLeft int64
	Failing              int   // keys of them whose last request failed
	LastError            error // of one of them; nil: none
}

// waiter is a running Sync. Keys at or below its prefix do not wait for quiet, nor do the keys that those wait for.
type waiter struct {
	prefix string
	mark   index.Ino // inodes with larger numbers were made after Sync began
	begun  time.Time
	wake   chan struct{} // has a token when hits are new, or a walk went on

	// Guarded by Converger.mu.
	extra   map[string]struct{} // keys that urgent ones wait for
	goals   map[string]goal     // what is not reached yet; changed by the goroutine of Sync only
	bytes   int64               // of content among them
	hits    []string            // goals at whose keys something happened
	hurried bool                // what the order rule puts before the goals is in extra
}

// urgent reports whether a key is not to wait for quiet.
func (c *Converger) urgent(key string) bool {
	if until := c.pressed.Load(); until > 0 && until > c.now() {
		return true
	}
	if c.syncing.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.syncs {
		if _, extra := w.extra[key]; extra || below(key, w.prefix) {
			return true
		}
	}
	return false
}

// below reports whether a key is prefix itself, as a file or as a directory, or below it.
func below(key, prefix string) bool {
	if prefix == "" || key == prefix {
		return true
	}
	prefix = strings.TrimSuffix(prefix, "/")
	return len(key) > len(prefix) && key[len(prefix)] == '/' && key[:len(prefix)] == prefix
}

// isGoal reports whether somebody in Sync waits for just this key.
func (c *Converger) isGoal(key string) bool {
	if c.syncing.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.syncs {
		if _, ok := w.goals[key]; ok {
			return true
		}
		if _, ok := w.extra[key]; ok {
			return true
		}
	}
	return false
}

// makeUrgent lets a key not wait for quiet, because an urgent one waits for it. It is looked at once for that: two keys that wait
// for each other must not wake each other for ever.
func (c *Converger) makeUrgent(key string) {
	added := false
	c.mu.Lock()
	for w := range c.syncs {
		if _, known := w.extra[key]; !known {
			w.extra[key] = struct{}{}
			added = true
		}
	}
	c.mu.Unlock()
	if added {
		c.queue.soon(key, 0)
	}
}

// hurryOlder makes all content urgent that is not in the bucket, once in each Sync: an urgent request waits for the order.
func (c *Converger) hurryOlder() {
	first := false
	c.mu.Lock()
	for w := range c.syncs {
		first = first || !w.hurried
		w.hurried = true
	}
	c.mu.Unlock()
	if !first {
		return
	}
	var keys []string
	err := c.o.DB.View(func(tx *index.Tx) error {
		return tx.Unsent(func(_ uint64, ino index.Ino) bool {
			if key, ok := tx.Path(ino); ok {
				keys = append(keys, key)
			}
			return true
		})
	})
	if err != nil {
		c.log.Warn("content that a sync waits for is not hurried", "error", err)
	}
	for _, key := range keys {
		c.makeUrgent(key)
	}
}

// advanced tells those who wait in Sync that something happened at a key.
func (c *Converger) advanced(key string) {
	if c.syncing.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.syncs {
		if _, ok := w.goals[key]; ok {
			w.hits = append(w.hits, key)
			w.signal()
		}
	}
}

// walked tells those who wait in Sync that a walk has ended.
func (c *Converger) walked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.syncs {
		w.signal()
	}
}

func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Sync returns when the bucket has what was committed at or below a key ("" is everything, "dir/" or "dir" a directory) when it
// was called, names and deletes included, and what the order rule puts before them. A newer state of the same name will do. Files
// that are being written are sealed as they are. It retries for as long as ctx lives, what was refused before at once, and ends with a
// *RefusedError when all that is left is refused by the bucket, or waits for that. progress, when set, is called now and then.
func (c *Converger) Sync(ctx context.Context, prefix string, progress func(Progress)) error {
	w := &waiter{prefix: prefix, extra: map[string]struct{}{}, wake: make(chan struct{}, 1), begun: time.Now()}
	c.join(w)
	defer c.part(w)
	if err := c.awaitWalks(ctx, w); err != nil {
		return err
	}
	total, err := c.setGoals(w)
	if err != nil {
		return err
	}
	c.refusedAgain(w.prefix)
	checked := time.Now()
	for hits := []string(nil); ; hits = c.takeHits(w) {
		if pause := recheck(len(w.goals)); time.Since(checked) >= pause {
			checked, hits = time.Now(), w.all()
		}
		if err := c.check(w, hits); err != nil {
			return err
		}
		if progress != nil {
			progress(c.left(total, w))
		}
		if len(w.goals) == 0 {
			if left, err := c.setParked(w); err != nil || !left {
				return err
			}
		}
		if err := c.refusedAll(w); err != nil {
			return err
		}
		if err := c.pause(ctx, w, recheck(len(w.goals))); err != nil {
			return err
		}
	}
}

// Drain is Sync of everything.
func (c *Converger) Drain(ctx context.Context, progress func(Progress)) error {
	return c.Sync(ctx, "", progress)
}

func (c *Converger) join(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.syncs[w] = struct{}{}
	c.syncing.Add(1)
}

func (c *Converger) part(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.syncs, w)
	c.syncing.Add(-1)
}

// recheck is how often all goals are looked at, besides each when something happens at its key: a name may be given up in a way
// that needs no request.
func recheck(goals int) time.Duration {
	return time.Second + time.Duration(goals)*time.Millisecond
}

// pause waits until something happens, and a little longer, so that many small uploads do not mean as many looks.
func (c *Converger) pause(ctx context.Context, w *waiter, longest time.Duration) error {
	const gather = 5 * time.Millisecond
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-w.wake:
		timer.Reset(gather)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.stop:
		return errStopped
	}
	return nil
}

// awaitWalks waits until everything below renamed directories is queued.
func (c *Converger) awaitWalks(ctx context.Context, w *waiter) error {
	for {
		walking, err := c.walking()
		if err != nil || !walking {
			return err
		}
		c.wakeWalker()
		if err := c.pause(ctx, w, walkEvery); err != nil {
			return err
		}
	}
}

// left describes what is still to be reached.
func (c *Converger) left(total Progress, w *waiter) Progress {
	p := total
	c.mu.Lock()
	defer c.mu.Unlock()
	p.FilesLeft, p.BytesLeft = int64(len(w.goals)), w.bytes
	for key, r := range c.retries {
		if _, ok := w.goals[key]; ok {
			p.Failing++
			p.LastError = r.err
		}
	}
	return p
}
