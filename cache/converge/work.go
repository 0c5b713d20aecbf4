package converge

import (
	"context"
	"errors"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// work is one worker: it takes due keys and does what their plan says.
func (c *Converger) work() {
	for {
		key, ok := c.queue.take(c.now)
		if !ok {
			return
		}
		c.handle(key)
	}
}

// maxSteps bounds the actions for one key before others get their turn.
const maxSteps = 16

// handle does what the plan of a key says until it has to wait.
func (c *Converger) handle(key string) {
	for range maxSteps {
		planned := c.queue.mark()
		a, err := c.plan(key)
		if err == nil && a.acts() {
			err = c.act(key, &a)
			if err == nil {
				continue
			}
		}
		switch {
		case errors.Is(err, errStopped), errors.Is(err, index.ErrClosed):
			c.queue.done(key)
		case err != nil:
			c.queue.put(key, c.failedLocally(key, err), nil, false, 0)
		case a.Kind == Nothing:
			c.settle(key)
		default:
			c.park(key, &a, planned)
		}
		return
	}
	c.queue.put(key, 0, nil, false, 0)
}

func (c *Converger) plan(key string) (a Action, err error) {
	f := c.facts()
	err = c.o.DB.View(func(tx *index.Tx) error {
		a, err = Plan(tx, key, f)
		return err
	})
	return a, err
}

// park puts a key aside until its plan can go on.
func (c *Converger) park(key string, a *Action, planned uint64) {
	at := a.At
	if safety := c.now() + int64(netSafety); at == 0 || at > safety && !a.Settle {
		at = safety
	}
	if c.urgent(key) {
		for _, other := range a.Keys {
			if other != key {
				c.makeUrgent(other)
			}
		}
	}
	c.queue.put(key, at, a.Keys, a.Order, planned)
}

// settle takes a key that needs nothing out of the durable queue.
func (c *Converger) settle(key string) {
	f := c.facts()
	var a Action
	err := c.o.DB.Update(func(tx *index.Tx) (err error) {
		if a, err = Plan(tx, key, f); err != nil || a.Kind != Nothing {
			return err
		}
		return tx.Dequeue(key)
	})
	switch {
	case err != nil && !errors.Is(err, index.ErrClosed):
		c.queue.put(key, c.failedLocally(key, err), nil, false, 0)
	case err == nil && a.Kind != Nothing:
		c.queue.put(key, 0, nil, false, 0)
	default:
		c.forget(key)
		c.queue.done(key)
		c.advanced()
	}
}

// forget drops what is only known in memory about a key.
func (c *Converger) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.retries, key)
	delete(c.since, key)
}

// advanced tells those who wait in Sync that something has reached the bucket.
func (c *Converger) advanced() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.moved)
	c.moved = make(chan struct{})
}

// act carries out one action.
func (c *Converger) act(key string, a *Action) error {
	select {
	case <-c.stop:
		return errStopped
	default:
	}
	switch a.Kind {
	case Forget:
		return c.forgetIntent(a.Pend.Key)
	case Look:
		return c.look(a.Pend)
	case Send:
		return c.send(key, a)
	case Resend:
		return c.resend(a.Pend)
	case Fetch:
		return c.o.Bodies.Fetch(c.ctx, a.Ino)
	case Seal:
		return c.o.Bodies.Seal(c.ctx, a.Ino)
	default:
		return nil
	}
}

// forgetIntent removes an intent that has served its time.
func (c *Converger) forgetIntent(key string) error {
	now := c.now()
	err := c.o.DB.Update(func(tx *index.Tx) error {
		p, ok, err := tx.Pend(key)
		if err != nil || !ok || !p.Answered || p.Fence > now {
			return err
		}
		return tx.DeletePend(key)
	})
	c.queue.changed(key)
	return err
}

// look asks what became of a request whose outcome is unknown (R4).
func (c *Converger) look(p index.Pend) error {
	ctx, cancel := context.WithTimeout(c.ctx, callTime)
	defer cancel()
	found, err := c.head(ctx, p.Key)
	if err != nil {
		return err
	}
	var f finding
	err = c.o.DB.Update(func(tx *index.Tx) error {
		now, ok, err := tx.Pend(p.Key)
		if err != nil || !ok || now.Upload != p.Upload || now.Answered {
			f = foundNotDone
			return err
		}
		p = now
		f, err = looked(tx, now, found)
		return err
	})
	if err != nil {
		return err
	}
	if f != foundDone && len(p.Multipart) > 0 {
		c.abort(ctx, p)
	}
	c.ended(p.Key, f == foundDone)
	if f == foundOther {
		return c.importKey(ctx, p.Key, found)
	}
	return nil
}

// abort frees the parts of an upload that will not be completed. When it fails the bucket's rule for old parts has to do it.
func (c *Converger) abort(ctx context.Context, p index.Pend) {
	if err := c.o.Store.AbortMultipart(ctx, p.Multipart); err != nil {
		c.log.Warn("parts of a given up upload may be left in the bucket", "key", p.Key, "error", err)
	}
}

// head looks at a key; nil means that nothing is there.
func (c *Converger) head(ctx context.Context, key string) (*object.Info, error) {
	info, err := c.o.Store.Head(ctx, key)
	switch {
	case errors.Is(err, object.ErrNotFound) && !errors.Is(err, object.ErrNoSuchBucket):
		return nil, nil //nolint:nilnil // nothing is there, which is an answer
	case err != nil:
		return nil, err
	}
	return &info, nil
}

// importKey hands over a key that others changed.
func (c *Converger) importKey(ctx context.Context, key string, found *object.Info) error {
	c.counts.conflicts.Add(1)
	c.log.Warn("an object was changed by somebody else", "key", key, "gone", found == nil)
	return c.o.Importer.Import(ctx, key, found)
}

// ended wakes what waits for a key, and for content when some has reached the bucket.
func (c *Converger) ended(key string, executed bool) {
	c.queue.changed(key)
	if executed {
		c.queue.arrived(c.now())
		c.o.Bodies.Wake()
		c.advanced()
	}
}

// failedLocally notes an error for status and returns when to try again.
func (c *Converger) failedLocally(key string, err error) int64 {
	if c.ctx.Err() != nil {
		return c.now() + int64(netSafety)
	}
	c.counts.errors.Add(1)
	at, tries := c.backoff(key, err)
	level := c.log.Warn
	if tries == 1 && object.Retryable(err) {
		level = c.log.Info
	}
	level("upload has to wait", "key", key, "error", err, "attempts", tries, "again", time.Duration(at-c.now()).Round(time.Millisecond))
	return at
}
