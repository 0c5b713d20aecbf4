package converge

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// simObject is an object of the abstract store.
type simObject struct {
	content     uint64
	attr, xattr uint64
	upload      index.ID
	moves       uint64 // of a directory, that its times tell of
	etag        string
	outside     bool // written by somebody else
}

// simRequest is a request that was sent. Until its answer, or until expires when there is none, it may be executed, at most
// twice.
type simRequest struct {
	pend     index.Pend
	content  uint64
	moves    uint64
	executed int
	status   int // of the last execution
	lost     bool
	expires  int64
}

// world is one run: the index and what it would be after a power cut, the store, the requests, and what is true.
type world struct {
	idx, durable *simIndex
	open         map[index.Ino]int
	store        map[string]simObject
	requests     []*simRequest
	now          int64
	contents     uint64
	ids          uint64
	without      rule
	late         int64
	outsiders    bool
	refusals     bool
	powerCuts    bool // the tables of commits below know nothing of calls that a power cut took back

	commits    map[index.Ino][]simCommit // committed contents of each inode, oldest first
	superseded map[uint64]uint64         // content to the sequence number when the tree stopped to have it
	owner      map[uint64]index.Ino
	foreign    map[uint64]bool    // contents of outsiders that nobody may lose
	theirs     map[uint64]bool    // contents of outsiders
	inBucket   map[index.Ino]bool // directories that the bucket showed
	sent       map[index.Op]int
	forbidden  map[string]bool  // keys at which the store refuses every write
	refused    map[string]int64 // keys that it refused, and when to try again
	failure    string
}

type simCommit struct{ seq, content uint64 }

func newWorld(without rule) *world {
	w := &world{
		idx: newSimIndex(), open: map[index.Ino]int{}, store: map[string]simObject{}, without: without, late: 25, now: 1,
		commits: map[index.Ino][]simCommit{}, superseded: map[uint64]uint64{}, owner: map[uint64]index.Ino{},
		foreign: map[uint64]bool{}, theirs: map[uint64]bool{}, inBucket: map[index.Ino]bool{}, sent: map[index.Op]int{},
		forbidden: map[string]bool{}, refused: map[string]int64{},
	}
	w.durable = w.idx.clone()
	return w
}

func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

func (w *world) facts() *Facts {
	return &Facts{
		Cache: "me", Now: w.now, Open: func(ino index.Ino) bool { return w.open[ino] > 0 },
		Flying:  func(key string) bool { return w.flying(key) != nil },
		Refused: func(key string) bool { return w.refused[key] != 0 }, Refusing: len(w.refused) > 0, Excused: func(key string) bool { return w.refused[key] != 0 }, Whole: func(string) bool { return false }, RetryAt: func(key string) int64 { return w.refused[key] }, Since: func(string) int64 { return 0 }, Urgent: func(string) bool { return true },
		without: w.without,
	}
}

// flying finds the request for a key whose answer is awaited.
func (w *world) flying(key string) *simRequest {
	for _, r := range w.requests {
		if r.pend.Key == key && !r.lost {
			return r
		}
	}
	return nil
}

func (w *world) sync() { w.durable = w.idx.clone() }

// The converger.

// keys lists all keys that anything is known of.
func (w *world) keys() []string {
	set := map[string]bool{}
	for ino := range w.idx.inodes {
		if key, ok := w.idx.Path(ino); ok && key != "" {
			set[key] = true
		}
	}
	for key := range w.idx.objects {
		set[key] = true
	}
	for key := range w.idx.pends {
		set[key] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func (w *world) newID() (id index.ID) {
	w.ids++
	for n := range 8 {
		id[n] = byte(w.ids >> (8 * n))
	}
	return id
}

// work plans a key and does what the plan says; it reports whether there was anything to do.
func (w *world) work(key string) bool {
	a, err := Plan(w.idx, key, w.facts())
	if err != nil {
		w.fail("plan %q: %v", key, err)
		return false
	}
	switch a.Kind {
	case Forget:
		w.must(w.idx.DeletePend(key))
	case Look:
		w.look(a.Pend)
	case Send:
		w.send(a)
	case Resend:
		if a.Verify && !w.again(a.Pend) {
			return true
		}
		p, err := begin(w.idx, a.Pend, w.now+w.late, true)
		w.must(err)
		w.sync()
		w.launch(p)
	case Fetch:
		w.fetch(a.Ino)
	case Seal:
		w.close(a.Ino)
	default:
		return false
	}
	return true
}

func (w *world) must(err error) {
	if err != nil {
		w.fail("%v", err)
	}
}

func (w *world) send(a Action) {
	if a.Verify && !w.expected(a.Pend.Key) {
		w.importKey(a.Pend.Key)
		return
	}
	if w.flying(a.Pend.Key) != nil && w.without == noRule {
		w.fail("two requests for %q", a.Pend.Key)
	}
	a.Pend.Upload = w.newID()
	if a.Pend.Op == index.Put {
		if i := w.idx.inodes[a.Pend.Ino]; !i.IsDir() && (i.Gen != a.Pend.Gen || w.idx.bodies[i.Gen] == 0) {
			w.fail("PUT %q of inode %d generation %d without its bytes", a.Pend.Key, a.Pend.Ino, a.Pend.Gen)
			return
		}
	}
	p, err := begin(w.idx, a.Pend, w.now+w.late, false)
	w.must(err)
	w.sync()
	w.launch(p)
}

func (w *world) launch(p index.Pend) {
	w.sent[p.Op]++
	w.requests = append(w.requests, &simRequest{pend: p, content: w.idx.truth[p.Gen], moves: w.idx.moves[p.Ino]})
}

// expected is the look of rule O: is the object what is recorded?
func (w *world) expected(key string) bool {
	h, recorded := w.idx.objects[key]
	return unchanged(&h, recorded, w.head(key))
}

// again is the look before a repetition.
func (w *world) again(p index.Pend) bool {
	found := w.head(p.Key)
	f, err := rejudge(w.idx, &p, found)
	w.must(err)
	switch {
	case f == foundNotDone:
		return true
	case p.Void:
		w.must(w.idx.DeletePend(p.Key))
	default:
		w.must(rechecked(w.idx, p, f, found, w.now))
	}
	return false
}

func (w *world) head(key string) *object.Info {
	o, ok := w.store[key]
	if !ok {
		return nil
	}
	return &object.Info{Key: key, ETag: o.etag, Size: 1, Upload: object.ID(o.upload)}
}

func (w *world) look(p index.Pend) {
	f, err := looked(w.idx, p, w.head(p.Key))
	w.must(err)
	if f == foundOther {
		w.importKey(p.Key)
	}
}
