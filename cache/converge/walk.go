package converge

import (
	"errors"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

// After a directory was renamed everything below it wants other keys. The walker queues them, some hundred in a transaction, and
// keeps its place in the index.
const (
	walkStep  = 200
	walkEvery = time.Second
)

func (c *Converger) wakeWalker() {
	select {
	case c.walk <- struct{}{}:
	default:
	}
}

// walkAll queues what is below renamed directories until the converger is closed.
func (c *Converger) walkAll() {
	tick := time.NewTicker(walkEvery)
	defer tick.Stop()
	for {
		for {
			more, err := c.walkSome()
			if err != nil && !errors.Is(err, index.ErrClosed) {
				c.log.Error("walk a renamed directory", "error", err)
			}
			if !more || err != nil || c.isStopped() {
				break
			}
		}
		c.walked()
		select {
		case <-c.stop:
			return
		case <-c.walk:
		case <-tick.C:
		}
	}
}

func (c *Converger) isStopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// subtree is a renamed directory and how far its walk came.
type subtree struct {
	ino      index.Ino
	position string
}

// firstSubtree finds a renamed directory whose walk is not finished.
func firstSubtree(tx *index.Tx) (s subtree, ok bool, err error) {
	err = tx.Subtrees(func(ino index.Ino, position []byte) bool {
		s, ok = subtree{ino, string(position)}, true
		return false
	})
	return s, ok, err
}

// walking reports whether a walk is not finished.
func (c *Converger) walking() (ok bool, err error) {
	err = c.o.DB.View(func(tx *index.Tx) error {
		_, ok, err = firstSubtree(tx)
		return err
	})
	return ok, err
}

// walkSome takes one step of one walk. The position is read in the same transaction: another rename of the directory begins its
// walk anew, and must not be overwritten.
func (c *Converger) walkSome() (more bool, err error) {
	if more, err = c.walking(); err != nil || !more {
		return false, err
	}
	err = c.o.DB.Update(func(tx *index.Tx) error {
		s, ok, err := firstSubtree(tx)
		if err != nil || !ok {
			return err
		}
		w := &treeWalk{tx: tx}
		if err := w.resume(s); err != nil {
			return err
		}
		for range walkStep {
			ended, err := w.next()
			if err != nil {
				return err
			}
			if ended {
				return tx.ClearSubtree(s.ino)
			}
		}
		return tx.PutSubtree(s.ino, []byte(w.position()))
	})
	return true, err
}

// treeWalk is a walk in the order of names, directories before their entries.
type treeWalk struct {
	tx    *index.Tx
	stack []level
}

// level is a directory and its last entry that was visited.
type level struct {
	dir   index.Ino
	after string
}

// resume goes to a position: the names of the last visited entry's path, below the renamed directory.
func (w *treeWalk) resume(s subtree) error {
	w.stack = []level{{dir: s.ino}}
	if s.position == "" {
		return nil
	}
	for _, name := range strings.Split(s.position, "/") {
		top := &w.stack[len(w.stack)-1]
		top.after = name
		child, ok, err := w.tx.Child(top.dir, name)
		if err != nil || !ok {
			return err
		}
		i, ok, err := w.tx.Inode(child)
		if err != nil || !ok || !i.IsDir() {
			return err
		}
		w.stack = append(w.stack, level{dir: child})
	}
	return nil
}

// position is where resume can go on.
func (w *treeWalk) position() string {
	var names []string
	for _, l := range w.stack {
		if l.after != "" {
			names = append(names, l.after)
		}
	}
	return strings.Join(names, "/")
}

// next visits one entry.
func (w *treeWalk) next() (ended bool, err error) {
	for len(w.stack) > 0 {
		top := &w.stack[len(w.stack)-1]
		var child index.Ino
		found := false
		err := w.tx.Children(top.dir, top.after, func(name string, ino index.Ino) bool {
			top.after, child, found = name, ino, true
			return false
		})
		if err != nil {
			return false, err
		}
		if !found {
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		return false, w.visit(child)
	}
	return true, nil
}

// visit queues the keys of an inode: the one it wants and those it has.
func (w *treeWalk) visit(ino index.Ino) error {
	i, ok, err := w.tx.Inode(ino)
	if err != nil || !ok {
		return err
	}
	if key, linked := w.tx.Path(ino); linked {
		if err := w.tx.Enqueue(key); err != nil {
			return err
		}
	}
	rows, err := w.tx.ObjectsOf(ino)
	if err != nil {
		return err
	}
	for _, o := range rows {
		if err := w.tx.Enqueue(o.Key); err != nil {
			return err
		}
	}
	if !i.IsDir() {
		return nil
	}
	w.stack = append(w.stack, level{dir: ino})
	if i.WantsMarker() {
		return nil
	}
	i.Marker, i.Occupied = true, false // emptied on the way it would vanish from the bucket
	return w.tx.PutInode(i)
}
