package cache

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Notice tells that the bucket held something that was not believed, or lost something.
type Notice struct {
	Kind  object.NoticeKind
	Path  string // below the mount point
	Error string // why, where there is more to say than the kind does
	When  time.Time
}

// keptNotices is how many different ones of each kind are kept for Status.
const keptNotices = 20

// notices counts by kind and keeps the last of each.
type notices struct {
	mu     sync.Mutex // guards the fields below
	counts map[object.NoticeKind]int64
	last   map[object.NoticeKind][]Notice // the newest at the end
}

func newNotices() *notices {
	return &notices{counts: make(map[object.NoticeKind]int64), last: make(map[object.NoticeKind][]Notice)}
}

// add counts a notice. One that is kept already is kept once.
func (n *notices) add(item Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counts[item.Kind]++
	list := slices.DeleteFunc(n.last[item.Kind], func(old Notice) bool { return old.Path == item.Path && old.Error == item.Error })
	if len(list) >= keptNotices {
		list = slices.Delete(list, 0, len(list)-keptNotices+1)
	}
	n.last[item.Kind] = append(list, item)
}

// state copies counts and notices, the newest first.
func (n *notices) state() (counts map[object.NoticeKind]int64, list []Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts = make(map[object.NoticeKind]int64, len(n.counts))
	for kind, count := range n.counts {
		counts[kind] = count
		list = append(list, n.last[kind]...)
	}
	slices.SortFunc(list, func(a, b Notice) int { return b.When.Compare(a.When) })
	return counts, list
}

// Noticed counts and logs what the bucket itself did not believe: it is for object.Options.Notice.
func (c *Cache) Noticed(n object.Notice) {
	c.notices.add(c.noticeOf(n))
	c.o.Logger.Warn("something in the bucket is not believed", "path", c.keyPath(n.Key), "kind", string(n.Kind), "error", n.Err)
}

func (c *Cache) noticeOf(n object.Notice) Notice {
	item := Notice{Kind: n.Kind, Path: c.keyPath(n.Key), When: time.Now()}
	if n.Err != nil {
		item.Error = n.Err.Error()
	}
	return item
}

// report passes on what the cache noticed itself. With several writers deletions are normal.
func (c *Cache) report(n object.Notice) {
	c.notices.add(c.noticeOf(n))
	level, text := slog.LevelWarn, "an older version of an object has come back"
	if n.Kind == object.NoticeLost {
		text = "a version that was written here is lost: somebody who had not seen it wrote over it at the same moment"
	}
	if n.Kind == object.NoticeVanished {
		text = "an object is gone that was not deleted here"
		if !c.o.Exclusive {
			level = slog.LevelInfo
		}
	}
	c.o.Logger.Log(c.background, level, text, "path", c.keyPath(n.Key))
	if c.o.Notice != nil {
		c.o.Notice(n)
	}
}

// news is what a transaction of an import has to tell once it is committed.
type news struct {
	kernel  []func(Kernel)
	reports []object.Notice
}

func (n *news) clear() { n.kernel, n.reports = n.kernel[:0], n.reports[:0] }

func (n *news) tell(fn func(Kernel)) { n.kernel = append(n.kernel, fn) }

func (n *news) report(kind object.NoticeKind, key string) {
	n.reports = append(n.reports, object.Notice{Kind: kind, Key: key})
}

// spread tells the kernel and reports.
func (c *Cache) spread(n *news) {
	for _, tell := range n.kernel {
		tell(c.kernel.get())
	}
	for _, r := range n.reports {
		c.report(r)
	}
}

// see records what others left under a key. An older version is reported.
func (c *Cache) see(tx *index.Tx, o index.Object, note *news) error {
	back, err := tx.SawObject(o)
	if back {
		note.report(object.NoticeRollback, o.Key)
	}
	return err
}

// vanished forgets an object that others took away. That a file has gone is reported, unless the same object was found under another
// key: then somebody moved it.
func (c *Cache) vanished(tx *index.Tx, o *index.Object, note *news) error {
	if !index.IsDirKey(o.Key) {
		moved, err := c.arrivals.moved(tx, o)
		if err != nil {
			return err
		}
		if !moved {
			note.report(object.NoticeVanished, o.Key)
		}
	}
	return tx.SawGone(o.Key)
}

// maxArrivals bounds the objects that are remembered as new.
const maxArrivals = 4096

// arrivals are the objects that were found new under a key. What was sealed under a key of its own has an ETag of its own, which it
// keeps when it is copied.
type arrivals struct {
	mu   sync.Mutex        // guards the fields below
	keys map[string]string // the last key by ETag
	etag []string          // in the order they came
}

func newArrivals() *arrivals { return &arrivals{keys: make(map[string]string)} }

func (a *arrivals) add(e *object.Entry) {
	if e.Size == 0 {
		return // all empty objects have one ETag
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.keys[e.ETag]; !known {
		if len(a.etag) >= maxArrivals {
			delete(a.keys, a.etag[0])
			a.etag = a.etag[1:]
		}
		a.etag = append(a.etag, e.ETag)
	}
	a.keys[e.ETag] = e.Key
}

// moved reports whether an object that is gone lies under another key.
func (a *arrivals) moved(tx *index.Tx, gone *index.Object) (bool, error) {
	a.mu.Lock()
	key, known := a.keys[gone.ETag]
	a.mu.Unlock()
	if !known || key == gone.Key || gone.Size == 0 {
		return false, nil
	}
	o, recorded, err := tx.Object(key)
	return recorded && o.ETag == gone.ETag && o.Size == gone.Size, err
}
