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
	extra  map[string]struct{} // guarded by Converger.mu
}

// urgent reports whether a key is not to wait for quiet.
func (c *Converger) urgent(key string) bool {
	if c.pressed.Load() > c.now() {
		return true
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
	dir := strings.TrimSuffix(prefix, "/") + "/"
	return prefix == "" || key == prefix || strings.HasPrefix(key, dir)
}

// makeUrgent lets a key not wait for quiet, because an urgent one waits for it.
func (c *Converger) makeUrgent(key string) {
	c.mu.Lock()
	for w := range c.syncs {
		w.extra[key] = struct{}{}
	}
	c.mu.Unlock()
	c.queue.soon(key, 0)
}

// goal is what the bucket is to hold at a key before Sync returns. A later change of the file is not waited for.
type goal struct {
	ino          index.Ino // 0: nothing
	gen, attrVer uint64
	xattrVer     uint64
	bytes        int64
}

// Sync returns when the bucket has what was committed at or below a key ("" is everything, "dir/" or "dir" a directory) when it
// was called, names and deletes included, and what the order rule puts before them. It retries for as long as ctx lives.
// progress, when set, is called now and then.
func (c *Converger) Sync(ctx context.Context, prefix string, progress func(Progress)) error {
	w := &waiter{prefix: prefix, extra: map[string]struct{}{}}
	c.mu.Lock()
	c.syncs[w] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.syncs, w)
		c.mu.Unlock()
	}()
	if err := c.awaitWalks(ctx); err != nil {
		return err
	}
	goals, err := c.goals(prefix)
	if err != nil {
		return err
	}
	total := Progress{Files: int64(len(goals))}
	for key, g := range goals {
		total.Bytes += g.bytes
		c.queue.soon(key, 0)
	}
	for {
		moved := c.movement()
		if err := c.reached(goals); err != nil {
			return err
		}
		if progress != nil {
			progress(c.left(total, goals))
		}
		if len(goals) == 0 {
			return nil
		}
		if err := c.pause(ctx, moved); err != nil {
			return err
		}
	}
}

// Drain is Sync of everything.
func (c *Converger) Drain(ctx context.Context, progress func(Progress)) error {
	return c.Sync(ctx, "", progress)
}

// movement is closed when something has reached the bucket.
func (c *Converger) movement() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved
}

// pause waits for movement, and a little longer, so that many small uploads do not mean as many looks.
func (c *Converger) pause(ctx context.Context, moved <-chan struct{}) error {
	const gather, longest = 5 * time.Millisecond, time.Second
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-moved:
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
func (c *Converger) awaitWalks(ctx context.Context) error {
	for {
		moved := c.movement()
		_, walking, err := c.firstSubtree()
		if err != nil || !walking {
			return err
		}
		c.wakeWalker()
		if err := c.pause(ctx, moved); err != nil {
			return err
		}
	}
}

// goals are the queued keys at or below prefix that are not as they should be.
func (c *Converger) goals(prefix string) (map[string]goal, error) {
	goals := map[string]goal{}
	err := c.o.DB.View(func(tx *index.Tx) error {
		var keys []string
		err := tx.Queue(strings.TrimSuffix(prefix, "/"), "", func(key string) bool {
			if below(key, prefix) {
				keys = append(keys, key)
			}
			return true
		})
		for _, key := range keys {
			if err != nil {
				return err
			}
			var g goal
			var done bool
			if g, done, err = goalOf(tx, key); err == nil && !done {
				goals[key] = g
			}
		}
		return err
	})
	return goals, err
}

// goalOf is what a key wants now, and whether the bucket is known to hold it.
func goalOf(tx *index.Tx, key string) (g goal, done bool, err error) {
	h, recorded, err := tx.Object(key)
	if err != nil {
		return g, false, err
	}
	ino, wanted, err := tx.Resolve(key)
	if err != nil {
		return g, false, err
	}
	var i index.Inode
	if wanted {
		if i, wanted, err = tx.Inode(ino); err != nil {
			return g, false, err
		}
	}
	if wanted && i.IsDir() && !i.Marker && (!recorded || h.Ino != ino) {
		wanted = false
	}
	if !wanted {
		return g, !recorded, nil
	}
	g = goal{ino: ino, gen: i.Gen, attrVer: i.AttrVer, xattrVer: i.XattrVer}
	if !i.IsDir() && (!recorded || h.Ino != ino || h.Gen != i.Gen) {
		g.bytes = i.Size
	}
	return g, g.met(&h, recorded) && (i.Sealed || i.IsDir()), nil
}

// met reports whether a row fulfils a goal. Versions only grow, so a newer one will do.
func (g *goal) met(h *index.Object, recorded bool) bool {
	if g.ino == 0 {
		return !recorded
	}
	return recorded && h.Ino == g.ino && h.Gen >= g.gen && h.AttrVer >= g.attrVer && h.XattrVer >= g.xattrVer
}

// reached removes the goals that are met, and those whose key is no longer wanted as it was.
func (c *Converger) reached(goals map[string]goal) error {
	return c.o.DB.View(func(tx *index.Tx) error {
		for key, g := range goals {
			h, recorded, err := tx.Object(key)
			if err != nil {
				return err
			}
			if g.met(&h, recorded) {
				delete(goals, key)
				continue
			}
			now, done, err := goalOf(tx, key)
			if err != nil {
				return err
			}
			switch {
			case done:
				delete(goals, key)
			case now.ino != g.ino:
				goals[key] = now // renamed or replaced meanwhile: the new state is what is left to reach
			}
		}
		return nil
	})
}

// left describes what is still to be reached.
func (c *Converger) left(total Progress, goals map[string]goal) Progress {
	p := total
	p.FilesLeft = int64(len(goals))
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, g := range goals {
		p.BytesLeft += g.bytes
		if r, failing := c.retries[key]; failing {
			p.Failing++
			p.LastError = r.err
		}
	}
	return p
}
