package cache

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

const (
	// firstListWait bounds the wait for a directory that was never listed.
	firstListWait = 60 * time.Second
	// refreshWait bounds the wait for a newer listing of a directory that is known; afterwards the known one is shown
	// and the new one imported when it comes.
	refreshWait = 2 * time.Second
	// refreshPause is how long a directory whose listing failed is not asked for again, when an older one is there.
	refreshPause = 10 * time.Second
	// refreshShare limits the time spent listing a large directory to one part in so many.
	refreshShare = 20
)

// refresher runs at most one listing per directory at a time, on behalf of everybody who waits for it.
type refresher struct {
	ctx  context.Context // ends with the cache
	work *workers

	mu      sync.Mutex // guards the fields below
	running map[Ino]*listing
	pause   map[Ino]time.Time // not before then: after a failure, or after a listing that took long
}

// listing is one under way; err holds once done is closed. slow is set when somebody waited for it long enough.
type listing struct {
	done chan struct{}
	err  error
	slow atomic.Bool
}

func newRefresher(ctx context.Context, work *workers) *refresher {
	return &refresher{ctx: ctx, work: work, running: make(map[Ino]*listing), pause: make(map[Ino]time.Time)}
}

// paused reports whether a directory should not be asked for yet.
func (r *refresher) paused(dir Ino) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, ok := r.pause[dir]
	if ok && time.Now().After(until) {
		delete(r.pause, dir)
		ok = false
	}
	return ok
}

// join starts a listing of the directory, or finds the one under way.
func (r *refresher) join(dir Ino, list func(context.Context, Ino) error) *listing {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.running[dir]; ok {
		return l
	}
	l := &listing{done: make(chan struct{})}
	r.running[dir] = l
	started := r.work.run(func() {
		begun := time.Now()
		l.err = list(r.ctx, dir)
		took := time.Since(begun)
		r.mu.Lock()
		delete(r.running, dir)
		if l.err != nil {
			r.pause[dir] = time.Now().Add(refreshPause)
		} else if rest := took * refreshShare; rest > refreshPause {
			r.pause[dir] = time.Now().Add(rest)
		}
		r.mu.Unlock()
		close(l.done)
	})
	if !started {
		delete(r.running, dir)
		l.err = context.Canceled
		close(l.done)
	}
	return l
}

// fresh makes sure that the entries of a directory are known, and not older than MetaTTL as far as the bucket can be
// reached.
func (c *Cache) fresh(ctx context.Context, dir Ino) error {
	i, err := c.inode(dir)
	if err != nil {
		return err
	}
	if !isDir(&i) {
		return ErrNotDir
	}
	if i.Unlinked || i.Complete && c.age(&i) < c.o.MetaTTL {
		return nil
	}
	if i.Complete {
		return c.refresh(ctx, dir)
	}
	return c.firstList(ctx, dir)
}

// refresh asks for a newer listing and waits for it a little. Without one, what is known is shown.
func (c *Cache) refresh(ctx context.Context, dir Ino) error {
	if c.refresher.paused(dir) {
		return nil
	}
	l := c.refresher.join(dir, c.list)
	if l.slow.Load() {
		return nil
	}
	timer := time.NewTimer(refreshWait)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
		l.slow.Store(true)
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// firstList waits for the listing of a directory whose entries are not known.
func (c *Cache) firstList(ctx context.Context, dir Ino) error {
	l := c.refresher.join(dir, c.list)
	timer := time.NewTimer(c.o.ListWait)
	defer timer.Stop()
	select {
	case <-l.done:
		if l.err != nil {
			return fmt.Errorf("list directory: %w", l.err)
		}
		return nil
	case <-timer.C:
		return fmt.Errorf("list directory: %w", context.DeadlineExceeded)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// age is how long ago a directory was listed; a clock that went back counts as long ago.
func (c *Cache) age(i *index.Inode) time.Duration {
	age := time.Duration(now() - i.ListedAt)
	if age < 0 {
		return c.o.MetaTTL
	}
	return age
}

// knowTree lists a directory and everything below it that was never listed, and learns all attributes.
func (c *Cache) knowTree(ctx context.Context, dir Ino) error {
	i, err := c.inode(dir)
	if err != nil {
		return err
	}
	if !i.Complete {
		if err := c.firstList(ctx, dir); err != nil {
			return err
		}
	}
	if err := c.prefetch(ctx, dir); err != nil {
		return err
	}
	for _, sub := range c.subdirs(dir) {
		if err := c.knowTree(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

// subdirs are the directories directly below one.
func (c *Cache) subdirs(dir Ino) []Ino {
	var subs []Ino
	err := c.db.View(func(tx *index.Tx) error {
		return tx.Children(dir, "", func(_ string, ino Ino) bool {
			if i, ok, err := tx.Inode(ino); err == nil && ok && isDir(&i) {
				subs = append(subs, ino)
			}
			return true
		})
	})
	if err != nil {
		c.o.Logger.Error("read directory from the index", "path", c.PathOf(dir), "error", err)
	}
	return subs
}
