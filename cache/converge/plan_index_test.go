package converge

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// indexWorld runs the planner on the true index, led by its queue alone, against a bucket where everything succeeds. The simulation
// uses maps instead and looks at all keys; this shows that both mean the same.
type indexWorld struct {
	t     *testing.T
	db    *index.DB
	store map[string]string // key to "inode.generation.attributes"
}

func (w *indexWorld) update(fn func(tx *index.Tx) error) {
	w.t.Helper()
	if err := w.db.Update(fn); err != nil && !errors.Is(err, index.ErrInvalid) {
		w.t.Fatal(err)
	}
}

// leave numbers the moment when a key loses its inode, as package cache does.
func leave(tx *index.Tx, ino index.Ino) error {
	key, ok := tx.Path(ino)
	if !ok {
		return nil
	}
	o, ok, err := tx.Object(key)
	if err != nil || !ok {
		return err
	}
	if o.GoneSeq, err = tx.NextSeq(); err != nil {
		return err
	}
	return tx.PutObject(o)
}

// arrive gives an inode a name.
func arrive(tx *index.Tx, i index.Inode, parent index.Ino, name string) error {
	seq, err := tx.NextSeq()
	if err != nil {
		return err
	}
	i.Parent, i.Name, i.PathSeq = parent, name, seq
	if err := tx.PutInode(i); err != nil || i.IsDir() {
		return err
	}
	rows, err := tx.ObjectsOf(i.Ino)
	for _, o := range rows {
		if o.Gen == i.Gen {
			return err
		}
	}
	return errors.Join(err, tx.SetUnsent(i.Ino, seq))
}

// change is one random call of a program.
func (w *indexWorld) change(r *rand.Rand) {
	names := []string{"a", "b", "c"}
	w.update(func(tx *index.Tx) error {
		dir, parent := []string{"", "d/", "e/"}[r.IntN(3)], index.Root
		if ino, ok, err := tx.Resolve(dir); err != nil || !ok {
			return errors.Join(err, arrive(tx, index.Inode{Ino: tx.NextIno(), Mode: dirMode, Gen: tx.NextGen(), Sealed: true, Marker: true, AttrVer: 1},
				index.Root, dir[:1]))
		} else if dir != "" {
			parent = ino
		}
		name := names[r.IntN(len(names))]
		ino, exists, err := tx.Child(parent, name)
		if err != nil {
			return err
		}
		if !exists {
			return arrive(tx, index.Inode{Ino: tx.NextIno(), Mode: fileMode, Gen: tx.NextGen(), Size: 1, Sealed: true, AttrVer: 1}, parent, name)
		}
		i, _, err := tx.Inode(ino)
		if err != nil {
			return err
		}
		switch r.IntN(6) {
		case 0:
			return errors.Join(leave(tx, ino), tx.DeleteInode(ino))
		case 1:
			i.AttrVer++
			return tx.PutInode(i)
		case 2:
			i.Gen = tx.NextGen()
			seq, err := tx.NextSeq()
			return errors.Join(err, tx.PutInode(i), tx.SetUnsent(ino, seq))
		case 3:
			return w.renameDir(tx)
		default:
			return w.rename(tx, i, parent, names[r.IntN(len(names))])
		}
	})
}

func (w *indexWorld) rename(tx *index.Tx, i index.Inode, parent index.Ino, to string) error {
	target, taken, err := tx.Child(parent, to)
	if err != nil || target == i.Ino {
		return err
	}
	if taken {
		if err := errors.Join(leave(tx, target), tx.DeleteInode(target)); err != nil {
			return err
		}
	}
	return errors.Join(leave(tx, i.Ino), arrive(tx, i, parent, to))
}

// renameDir exchanges the names of two directories, or moves one.
func (w *indexWorld) renameDir(tx *index.Tx) error {
	d, hasD, err := tx.Resolve("d/")
	if err != nil || !hasD {
		return err
	}
	e, hasE, err := tx.Resolve("e/")
	if err != nil {
		return err
	}
	i, _, err := tx.Inode(d)
	if err != nil {
		return err
	}
	if !hasE {
		return errors.Join(leave(tx, d), arrive(tx, i, index.Root, "e"))
	}
	j, _, err := tx.Inode(e)
	if err != nil {
		return err
	}
	i.Unlinked = true
	if err := errors.Join(leave(tx, d), leave(tx, e), tx.PutInode(i), arrive(tx, j, index.Root, "d")); err != nil {
		return err
	}
	i.Unlinked = false
	return arrive(tx, i, index.Root, "e")
}

// rest works the queue off.
func (w *indexWorld) rest() {
	w.t.Helper()
	f := &Facts{
		Now: 1, Open: func(index.Ino) bool { return false }, Flying: func(string) bool { return false },
		Refused: func(string) bool { return false }, RetryAt: func(string) int64 { return 0 }, Since: func(string) int64 { return 0 }, Urgent: func(string) bool { return true },
		Exclusive: true,
	}
	for range 200 {
		w.walk()
		var keys []string
		w.update(func(tx *index.Tx) error {
			return tx.Queue("", "", func(key string) bool { keys = append(keys, key); return true })
		})
		if len(keys) == 0 {
			return
		}
		for _, key := range keys {
			w.update(func(tx *index.Tx) error { return w.step(tx, key, f) })
		}
	}
	w.t.Fatal("the queue does not become empty")
}

// walk queues what is below moved directories.
func (w *indexWorld) walk() {
	w.update(func(tx *index.Tx) error {
		var dirs []index.Ino
		if err := tx.Subtrees(func(ino index.Ino, _ []byte) bool { dirs = append(dirs, ino); return true }); err != nil {
			return err
		}
		for _, dir := range dirs {
			tree := &treeWalk{tx: tx}
			if err := tree.resume(subtree{ino: dir}); err != nil {
				return err
			}
			for {
				ended, err := tree.next()
				if err != nil {
					return err
				}
				if ended {
					break
				}
			}
			if err := tx.ClearSubtree(dir); err != nil {
				return err
			}
		}
		return nil
	})
}

// step does what the plan of a key says, and the request succeeds.
func (w *indexWorld) step(tx *index.Tx, key string, f *Facts) error {
	a, err := Plan(tx, key, f)
	if err != nil || a.Kind == Wait {
		return err
	}
	if a.Kind == Nothing {
		return tx.Dequeue(key)
	}
	if a.Kind != Send {
		return fmt.Errorf("%s of %q where nothing fails", a.Kind, key)
	}
	p, err := begin(tx, a.Pend, f.Now, false)
	if err != nil {
		return err
	}
	content := fmt.Sprintf("%d.%d", p.Ino, p.Gen)
	switch p.Op {
	case index.Delete:
		delete(w.store, p.Key)
	case index.Copy:
		if src, _, _ := tx.Object(p.Src); fmt.Sprintf("%d.%d.%d", src.Ino, src.Gen, src.AttrVer) != w.store[p.Src] || src.Gen != p.Gen {
			return fmt.Errorf("copy of %q, which holds %s", p.Src, w.store[p.Src])
		}
		fallthrough
	default:
		w.store[p.Key] = fmt.Sprintf("%s.%d", content, p.AttrVer)
	}
	return answered(tx, p, object.Info{Size: 1}, f.Now)
}

// compare checks that the bucket is the tree.
func (w *indexWorld) compare() {
	w.t.Helper()
	err := w.db.View(func(tx *index.Tx) error {
		want := map[string]string{}
		err := tx.Inodes(func(i index.Inode) bool {
			if key, ok := tx.Path(i.Ino); ok && key != "" {
				want[key] = fmt.Sprintf("%d.%d.%d", i.Ino, i.Gen, i.AttrVer)
			}
			return true
		})
		for key, content := range want {
			if w.store[key] != content {
				w.t.Errorf("%q holds %q, want %q", key, w.store[key], content)
			}
		}
		if len(w.store) != len(want) {
			w.t.Errorf("bucket %v, want %v", w.store, want)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestPlanOnIndex(t *testing.T) {
	db, err := index.Open(t.TempDir(), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &indexWorld{t: t, db: db, store: map[string]string{}}
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		for range 1 + r.IntN(12) {
			w.change(r)
		}
		w.makeCached()
		w.rest()
		w.compare()
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

// makeCached puts all content into the local cache: a PUT needs it.
func (w *indexWorld) makeCached() {
	w.update(func(tx *index.Tx) error {
		var all []index.Inode
		if err := tx.Inodes(func(i index.Inode) bool { all = append(all, i); return true }); err != nil {
			return err
		}
		for _, i := range all {
			if i.CachedGen != i.Gen && !i.IsDir() {
				i.CachedGen = i.Gen
				if err := tx.PutInode(i); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
