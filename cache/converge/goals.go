package converge

import (
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
)

// goal is what the bucket is to hold at a key before Sync returns. A later change of the file is not waited for.
type goal struct {
	ino          index.Ino // 0: nothing
	gen, attrVer uint64
	xattrVer     uint64
	bytes        int64
}

// met reports whether a row fulfils a goal. Versions only grow, so a newer one will do, and so will an inode that was made after
// mark: the name was given to it later.
func (g *goal) met(h *index.Object, recorded bool, mark index.Ino) bool {
	if g.ino == 0 {
		return !recorded || h.Ino > mark
	}
	return recorded && (h.Ino > mark || h.Ino == g.ino && h.Gen >= g.gen && h.AttrVer >= g.attrVer && h.XattrVer >= g.xattrVer)
}

// goalOf is what a key wants now, and whether the bucket is known to hold it.
func goalOf(tx *index.Tx, key string) (g goal, done bool, err error) {
	h, recorded, err := tx.Object(key)
	if err != nil {
		return g, false, err
	}
	p, pending, err := tx.Pend(key)
	if err != nil {
		return g, false, err
	}
	pending = pending && !p.Answered && !p.Void
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
	if wanted && i.IsDir() && !i.WantsMarker() && (!recorded || h.Ino != ino) {
		wanted = false
	}
	if !wanted {
		return g, !recorded && !pending, nil
	}
	g = goal{ino: ino, gen: i.Gen, attrVer: i.AttrVer, xattrVer: i.XattrVer}
	if !i.IsDir() && (!recorded || h.Ino != ino || h.Gen != i.Gen) {
		g.bytes = i.Size
	}
	return g, recorded && !pending && holds(&h, &i), nil
}

// atRisk reports whether a request whose outcome is not certain could still undo a goal that the rows say is met: what it leaves is
// no newer version of the same file, nor a file that was made later (R4). One that was answered leaves what the rows say.
func (g *goal) atRisk(tx *index.Tx, key string, mark index.Ino) (bool, error) {
	p, pending, err := tx.Pend(key)
	if err != nil || !pending || p.Answered || p.Void {
		return false, err
	}
	return p.Op == index.Delete || p.Ino != g.ino && p.Ino <= mark, nil
}

// eachGoal walks the queued keys at or below prefix that are not as they should be. A parking key that is needed is as it should be.
func eachGoal(tx *index.Tx, prefix string, fn func(key string, g goal)) error {
	var failed error
	err := tx.Queue(strings.TrimSuffix(prefix, "/"), "", func(key string) bool {
		if !below(key, prefix) {
			return true
		}
		g, done, err := goalOf(tx, key)
		if err == nil && !done && !(isParkKey(key) && parkNeeded(tx, key)) {
			fn(key, g)
		}
		failed = err
		return err == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// setGoals takes what is to be reached from the index.
func (c *Converger) setGoals(w *waiter) (total Progress, err error) {
	goals := map[string]goal{}
	// The number is used up, so that later inodes have larger ones.
	if err := c.o.DB.Update(func(tx *index.Tx) error { w.mark = tx.NextIno(); return nil }); err != nil {
		return total, err
	}
	err = c.o.DB.View(func(tx *index.Tx) error {
		return eachGoal(tx, w.prefix, func(key string, g goal) { goals[key] = g })
	})
	if err != nil {
		return total, err
	}
	for _, g := range goals {
		total.Files++
		total.Bytes += g.bytes
	}
	c.mu.Lock()
	w.goals, w.bytes = goals, total.Bytes
	w.hits = w.all() // what happened since the view was taken
	c.mu.Unlock()
	w.signal()
	for key := range goals {
		c.queue.soon(key, 0)
	}
	return total, nil
}

// setParked makes goals of parking keys that nobody needs any more: content was perhaps parked since Sync of everything began. It
// reports whether there are any.
func (c *Converger) setParked(w *waiter) (left bool, err error) {
	if w.prefix != "" {
		return false, nil
	}
	var keys []string
	err = c.o.DB.View(func(tx *index.Tx) error {
		return eachGoal(tx, strings.TrimSuffix(ParkPrefix, "/"), func(key string, _ goal) {
			if isParkKey(key) {
				keys = append(keys, key)
			}
		})
	})
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	for _, key := range keys {
		w.goals[key] = goal{}
	}
	c.mu.Unlock()
	for _, key := range keys {
		c.queue.soon(key, 0)
	}
	return len(keys) > 0, nil
}

// parkNeeded reports whether a parking key is, or may be, where the content of an inode is that has it nowhere else in the bucket.
func parkNeeded(tx *index.Tx, key string) bool {
	h, recorded, err := tx.Object(key)
	if err != nil || !recorded {
		return err != nil
	}
	i, ok, err := tx.Inode(h.Ino)
	if err != nil || !ok {
		return err != nil
	}
	at, linked := tx.Path(i.Ino)
	if !linked {
		return true
	}
	home, recorded, err := tx.Object(at)
	return err != nil || !recorded || !holds(&home, &i)
}

// all are the keys of all goals.
func (w *waiter) all() []string {
	keys := make([]string, 0, len(w.goals))
	for key := range w.goals {
		keys = append(keys, key)
	}
	return keys
}

func (c *Converger) takeHits(w *waiter) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	hits := w.hits
	w.hits = nil
	return hits
}

// check removes goals that are met, and those whose key is no longer wanted as it was.
func (c *Converger) check(w *waiter, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	changed := map[string]*goal{} // nil: met
	err := c.o.DB.View(func(tx *index.Tx) error {
		for _, key := range keys {
			g, ok := w.goals[key]
			if !ok {
				continue
			}
			h, recorded, err := tx.Object(key)
			if err != nil {
				return err
			}
			risk, err := g.atRisk(tx, key, w.mark)
			if err != nil {
				return err
			}
			if !risk && g.met(&h, recorded, w.mark) {
				changed[key] = nil
				continue
			}
			now, done, err := goalOf(tx, key)
			switch {
			case err != nil:
				return err
			case done:
				changed[key] = nil
			case now.ino != g.ino: // renamed or replaced meanwhile: the new state is what is left to reach
				changed[key] = &now
			}
		}
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, g := range changed {
		w.bytes -= w.goals[key].bytes
		if g == nil {
			delete(w.goals, key)
		} else {
			w.goals[key] = *g
			w.bytes += g.bytes
		}
	}
	return err
}
