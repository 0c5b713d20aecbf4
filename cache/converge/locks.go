package converge

import (
	"context"
	"errors"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// With Options.Locks a key is locked in the bucket before it is looked at and then overwritten or deleted, so that of two hosts with locks none
// comes between the look and the request of the other. A lock outlives every request that is sent under it by L: a request ends
// at the latest L before its lock does, and what takes long renews it. It is given back when the outcome of all that was sent under it is
// certain; a host that died leaves it to its end. What a request creates needs no lock, since it is sent on condition.

// lockLife is how long a lock counts: for the take, the look and the request, for what may be executed late, and for the DELETE that
// gives it back.
func lockLife(late time.Duration) time.Duration { return 3*callTime + 2*late }

// locked is a lock that is held.
type locked struct {
	lock  *object.Lock
	until int64 // its end, by Converger.now
}

// errLapsed says that a lock ends too soon for another request.
var errLapsed = errors.New("the lock for it has to end first")

// lockable reports whether a request is sent under a lock.
func (c *Converger) lockable(p *index.Pend) bool {
	return c.o.Locks && !c.noLocks.Load() && !p.IfAbsent && coverable(p)
}

// lock takes the lock for a request, or finds that an earlier attempt of it left it.
func (c *Converger) lock(p *index.Pend) error {
	if !c.lockable(p) {
		return nil
	}
	if have, left := c.held(p.Key); have != nil {
		if left < callTime {
			return errLapsed
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, callTime)
	defer cancel()
	life := lockLife(c.o.Late)
	until := c.now() + int64(life)
	taken, err := c.o.Store.TakeLock(ctx, p.Key, life)
	if errors.Is(err, object.ErrNoLocks) {
		if !c.noLocks.Swap(true) {
			c.log.Warn("the bucket has versioning: there are no locks, what is written over comes back instead")
		}
		return nil
	}
	if err != nil {
		return err
	}
	c.counts.locks.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.locks[p.Key] = &locked{lock: taken, until: until}
	return nil
}

// held is the lock of a key, or nil, and how long requests can still be sent under it.
func (c *Converger) held(key string) (have *locked, left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have = c.locks[key]; have != nil {
		left = time.Duration(have.until-c.now()) - c.o.Late
	}
	return have, left
}

// unlock gives the lock of a key back when nothing of its requests is uncertain any more.
func (c *Converger) unlock(key string) {
	if !c.o.Locks {
		return
	}
	uncertain := false
	err := c.o.DB.View(func(tx *index.Tx) error {
		p, pending, err := tx.Pend(key)
		uncertain = pending && !p.Void
		return err
	})
	if err != nil || uncertain {
		return
	}
	have, left := c.held(key)
	if have == nil {
		return
	}
	c.mu.Lock()
	delete(c.locks, key)
	c.mu.Unlock()
	if left < callTime {
		return // it ends by itself: a late DELETE could meet the lock of another host
	}
	ctx, cancel := context.WithTimeout(c.ctx, callTime)
	defer cancel()
	if err := c.o.Store.ReleaseLock(ctx, have.lock); err != nil {
		c.log.Info("a lock is left to its end", "key", key, "error", err)
	}
}

// underLock bounds a request by the lock it is sent under, and renews that meanwhile.
func (c *Converger) underLock(ctx context.Context, p *index.Pend) (context.Context, context.CancelFunc) {
	have, _ := c.held(p.Key)
	if have == nil || !c.lockable(p) {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.keep(ctx, p.Key, have)
		cancel()
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// keep renews a lock until the context ends, or until the lock ends too soon.
func (c *Converger) keep(ctx context.Context, key string, have *locked) {
	for {
		_, left := c.held(key)
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(left, callTime)):
		}
		if left <= callTime {
			return
		}
		until := c.now() + int64(lockLife(c.o.Late))
		renewCtx, cancel := context.WithTimeout(ctx, min(callTime, left-callTime))
		err := c.o.Store.RenewLock(renewCtx, have.lock)
		cancel()
		if err == nil {
			c.mu.Lock()
			have.until = until
			c.mu.Unlock()
		}
	}
}
