package converge

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/cache/killpoint"
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
	sealed := false
	for range maxSteps {
		planned := c.queue.mark(key)
		a, seq, err := c.plan(key)
		if err == nil && !sealed && c.unsealed(key, &a) {
			sealed = true
			err = c.sealNow(key)
			a.Kind = Seal
		} else if err == nil && a.acts() {
			var settled bool
			if settled, err = c.act(key, &a); settled && err == nil {
				c.settled(key)
				return
			}
		}
		switch {
		case errors.Is(err, errStopped), errors.Is(err, index.ErrClosed):
			c.queue.done(key)
			return
		case errors.Is(err, errBusy):
			c.queue.put(key, &waiting{at: c.now() + int64(netSafety), keys: []string{c.bulky.key, c.large.key}, planned: planned})
			return
		case err != nil && a.Kind != Seal && c.moot(key, &a): // the file was removed or written meanwhile
		case err != nil:
			c.queue.put(key, &waiting{at: c.failedLocally(key, err)})
			return
		case a.Kind == Nothing:
			c.settle(key)
			return
		case a.Kind == Wait:
			c.park(key, c.waitingFor(key, &a, seq, planned))
			return
		}
	}
	c.queue.put(key, &waiting{})
}

// moot reports whether an action that failed is not what the key needs any more.
func (c *Converger) moot(key string, failed *Action) bool {
	if !failed.acts() {
		return false
	}
	now, _, err := c.plan(key)
	return err == nil && (now.Kind != failed.Kind || now.Ino != failed.Ino || now.Kind == Send && !now.sameEffect(&failed.Pend) || now.Kind == Resend && now.Pend.Upload != failed.Pend.Upload)
}

// plan plans one key. With a wait for the order comes the number of the state that is held back.
func (c *Converger) plan(key string) (a Action, seq uint64, err error) {
	f := c.facts()
	c.counts.plans.Add(1)
	err = c.o.DB.View(func(tx *index.Tx) error {
		if a, err = Plan(tx, key, f); err == nil && (a.Order || a.Publish) {
			p := &planner{v: tx, f: f}
			seq, err = p.heldBack(key), p.err
		}
		return err
	})
	return a, seq, err
}

// heldBack is the number of the state that a key is to have, as the order rule sees it. It decides only when the key is looked at
// again.
func (p *planner) heldBack(key string) uint64 {
	if w, wanted := p.wanter(key); wanted && !w.IsDir() {
		return p.since(&w)
	}
	h, _ := p.object(key)
	s := h.GoneSeq
	if v, exists := p.inode(h.Ino); exists && !v.Unlinked {
		s = max(s, p.since(&v))
	}
	if s == 0 {
		return math.MaxUint64
	}
	return s
}

// waitingFor says how a key waits.
func (c *Converger) waitingFor(key string, a *Action, seq, planned uint64) *waiting {
	w := &waiting{at: a.At, keys: a.Keys, order: a.Order, publish: a.Publish, seq: seq, quiet: a.Settle || a.Open, planned: planned}
	if safety := c.now() + int64(netSafety); w.at == 0 || w.at > safety && !a.Settle {
		w.at = safety
	}
	w.restart = isUnsealed(key, a)
	return w
}

// isUnsealed reports whether a key waits for nothing but its content being complete.
func isUnsealed(key string, a *Action) bool {
	return a.Kind == Wait && a.At == 0 && !a.Order && !a.Publish && len(a.Keys) == 1 && a.Keys[0] == key
}

// unsealed is isUnsealed for a key that somebody waits for in Sync.
func (c *Converger) unsealed(key string, a *Action) bool {
	return isUnsealed(key, a) && c.isGoal(key)
}

// sealNow seals content that Sync waits for although it is still being written.
func (c *Converger) sealNow(key string) error {
	var i index.Inode
	found := false
	err := c.o.DB.View(func(tx *index.Tx) error {
		ino, ok, err := tx.Resolve(key)
		if err == nil && ok {
			i, found, err = tx.Inode(ino)
		}
		return err
	})
	if err != nil || !found || i.Sealed || i.IsDir() {
		return err
	}
	return c.o.Bodies.Seal(c.ctx, i.Ino)
}

// park puts a key aside until its plan can go on. What an urgent key waits for is urgent, too.
func (c *Converger) park(key string, w *waiting) {
	if c.urgent(key) {
		if w.restart {
			w.at = min(w.at, c.now()+int64(sealAgain))
		}
		for _, other := range w.keys {
			if other != key {
				c.makeUrgent(other)
			}
		}
		if w.order || w.publish {
			c.hurryOlder()
		}
	}
	c.queue.put(key, w)
}

// settle takes a key that needs nothing out of the durable queue.
func (c *Converger) settle(key string) {
	f := c.facts()
	killpoint.At(killpoint.Settling)
	var a Action
	err := c.o.DB.Update(func(tx *index.Tx) (err error) {
		if a, err = Plan(tx, key, f); err != nil || a.Kind != Nothing {
			return err
		}
		return tx.Dequeue(key)
	})
	switch {
	case err != nil && !errors.Is(err, index.ErrClosed):
		c.queue.put(key, &waiting{at: c.failedLocally(key, err)})
	case err == nil && a.Kind != Nothing:
		c.queue.put(key, &waiting{})
	default:
		c.settled(key)
	}
}

// settled ends the work on a key that is out of the durable queue.
func (c *Converger) settled(key string) {
	c.recovered(key)
	c.queue.done(key)
	c.contentMoved() // a file that was removed before it was sent is not waited for any more
	c.advanced(key)
}

// contentMoved lets those go on that wait for content which has reached the bucket, or is gone.
func (c *Converger) contentMoved() {
	if !c.queue.arrived() {
		return
	}
	c.front.Lock()
	defer c.front.Unlock()
	front, key, gone := uint64(math.MaxUint64), "", ""
	err := c.o.DB.View(func(tx *index.Tx) error {
		p := &planner{v: tx, f: c.facts()}
		if seq, first, ok := p.firstUnsent(0); ok {
			front = seq
			key, _ = tx.Path(first.Ino)
		}
		if h, seq, ok := p.firstGone(0); ok {
			front, gone = min(front, seq), h.Key
		}
		return p.err
	})
	if err == nil {
		c.queue.release(front, key, gone)
	}
}

// act carries out one action. settled says that the key is out of the durable queue then.
func (c *Converger) act(key string, a *Action) (settled bool, err error) {
	if c.isStopped() {
		return false, errStopped
	}
	switch a.Kind {
	case Forget:
		return false, c.forgetIntent(&a.Pend)
	case Look:
		return false, c.look(a.Pend)
	case Send, Resend:
		return c.send(key, a)
	case Fetch:
		return false, c.o.Bodies.Fetch(c.ctx, a.Ino)
	case Seal:
		return false, c.o.Bodies.Seal(c.ctx, a.Ino)
	default:
		return false, nil
	}
}

// forgetIntent removes an intent that has served its time, or one without effect that is no longer wanted.
func (c *Converger) forgetIntent(old *index.Pend) error {
	now := c.now()
	forgotten := false
	err := c.o.DB.Update(func(tx *index.Tx) error {
		p, ok, err := tx.Pend(old.Key)
		if err != nil || !ok || p.Upload != old.Upload || !p.Void && (!p.Answered || p.Fence > now) {
			return err
		}
		forgotten = true
		return tx.DeletePend(p.Key)
	})
	if forgotten && err == nil && len(old.Multipart) > 0 {
		ctx, cancel := context.WithTimeout(c.ctx, callTime)
		defer cancel()
		c.abort(ctx, old)
	}
	c.unlock(old.Key)
	c.queue.changed(old.Key)
	return err
}

// look asks what became of a request whose outcome is unknown (R4).
func (c *Converger) look(p index.Pend) error {
	ctx, cancel := context.WithTimeout(c.ctx, callTime)
	defer cancel()
	found, err := c.head(ctx, p.Key)
	if p.IfAbsent && errors.Is(err, errAlien) {
		return err // it has no place before that is gone
	}
	if err = ignoreAlien(err); err != nil {
		return err
	}
	killpoint.At(killpoint.Looked)
	if err := c.uncoverUnknown(&p, found); err != nil {
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
	if f == foundOther && len(p.Multipart) > 0 {
		c.abort(ctx, &p)
	}
	c.abortBegun(ctx, p.Key)
	c.unlock(p.Key)
	c.recovered(p.Key)
	c.ended(p, f == foundDone)
	if f == foundOther {
		return c.importKey(ctx, p.Key, found)
	}
	return nil
}

// abort frees the parts of an upload that will not be completed. When it fails the bucket's rule for old parts has to do it.
func (c *Converger) abort(ctx context.Context, p *index.Pend) {
	if err := c.o.Store.AbortMultipart(ctx, p.Multipart); err != nil {
		c.log.Warn("parts of a given up upload may be left in the bucket", "key", p.Key, "error", err)
	}
}

// errAlien says that a key holds what is no object as a program could have made it, which is never shown: a symbolic link of OSS's own.
var errAlien = object.ErrSymlink

// ignoreAlien takes what is not shown for nothing: of an object that was there nothing is left.
func ignoreAlien(err error) error {
	if errors.Is(err, errAlien) {
		return nil
	}
	return err
}

// head looks at a key; nil means that nothing is there, or errAlien.
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

// checkSource looks at the source of a copy that was refused: somebody may have changed or deleted it.
func (c *Converger) checkSource(src string) error {
	_, _, err := c.verify(src)
	return err
}

// ended wakes what waits for the key of a request, and for content when some has reached the bucket.
func (c *Converger) ended(p index.Pend, executed bool) {
	c.queue.changed(p.Key)
	if executed {
		c.contentMoved()
		c.o.Bodies.Sent(p.Ino)
		c.advanced(p.Key)
	}
}

// failedLocally notes an error for status and returns when to try again.
func (c *Converger) failedLocally(key string, err error) int64 {
	if c.ctx.Err() != nil {
		return c.now() + int64(netSafety)
	}
	c.counts.errors.Add(1)
	at, tries, first := c.backoff(key, err)
	if first {
		c.contentMoved() // nobody waits for it any more
	}
	level := c.log.Warn
	if tries == 1 && object.Retryable(err) || errors.Is(err, object.ErrLocked) {
		level = c.log.Info
	}
	level("upload has to wait", "key", key, "error", err, "attempts", tries, "again", time.Duration(at-c.now()).Round(time.Millisecond))
	return at
}
