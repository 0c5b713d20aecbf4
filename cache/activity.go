package cache

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/ossencfs/ossencfs/object"
)

// activity knows which keys our own requests touched, so that a listing or HEAD that was answered while we wrote is not
// mistaken for a change by others.
type activity struct {
	mu       sync.Mutex        // guards the fields below
	clock    uint64            // counts ended requests
	inflight map[string]int    // requests under way by key
	ended    map[string]uint64 // clock at the end of a key's last request, kept while somebody watches
	watchers int
}

func newActivity() *activity {
	return &activity{inflight: make(map[string]int), ended: make(map[string]uint64)}
}

// begin notes a request for a key; the returned function notes its end.
func (a *activity) begin(key string) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inflight[key]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.inflight[key]--; a.inflight[key] == 0 {
			delete(a.inflight, key)
		}
		a.clock++
		if a.watchers > 0 {
			a.ended[key] = a.clock
		}
	}
}

// watch is one look at the bucket: it starts before the request is sent and stops when its answer is imported.
type watch struct {
	a     *activity
	since uint64
}

func (a *activity) watch() *watch {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers++
	return &watch{a: a, since: a.clock}
}

func (w *watch) stop() {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	if w.a.watchers--; w.a.watchers == 0 {
		clear(w.a.ended)
	}
}

// touched reports whether a request of ours for the key was under way at any moment since the watch began.
func (w *watch) touched(key string) bool {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	return w.a.inflight[key] > 0 || w.a.ended[key] > w.since
}

// touchedUnder is touched for any key that begins with prefix.
func (w *watch) touchedUnder(prefix string) bool {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	for key := range w.a.inflight {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	for key, at := range w.a.ended {
		if at > w.since && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// trackedBucket is the bucket as converge sees it: every change is noted in the activity, and small ones give way to
// programs.
type trackedBucket struct {
	Bucket
	activity *activity
	gate     *gate
	refused  func(key, etag string, cause error) // told when content turns out not to be ours
	doubt    func(*object.Info) error            // notes which attributes of an object are not to be signed
}

// Get passes on, and notes an object whose content is refused.
func (t *trackedBucket) Get(ctx context.Context, r object.GetRequest) (*object.Download, error) {
	d, err := t.Bucket.Get(ctx, r)
	if err != nil {
		t.refused(r.Key, r.ETag, err)
		return nil, err
	}
	d.Body = &judgedBody{ReadCloser: d.Body, refused: func(err error) { t.refused(r.Key, r.ETag, err) }}
	return d, nil
}

// judgedBody notes what is found out while a body is read.
type judgedBody struct {
	io.ReadCloser
	refused func(error)
}

// Read implements io.Reader.
func (b *judgedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.refused(err)
	}
	return n, err
}

// Put notes and passes on.
func (t *trackedBucket) Put(ctx context.Context, r object.PutRequest) (object.Info, error) {
	if r.Sealed.Size() <= gateBody {
		t.gate.pass(ctx)
	}
	defer t.activity.begin(r.Key)()
	return t.Bucket.Put(ctx, r)
}

// Copy notes and passes on. A file that was only listed when it was moved takes along the attributes its object has.
func (t *trackedBucket) Copy(ctx context.Context, r object.CopyRequest) (object.Info, error) {
	t.gate.pass(ctx)
	defer t.activity.begin(r.Dst)()
	if r.Attr.Mode == 0 {
		info, err := t.Bucket.Head(ctx, r.Src)
		if err == nil {
			err = t.doubt(&info)
		}
		if err != nil {
			return object.Info{}, err
		}
		r.Attr, r.Generation, r.Unproven = info.Attr, info.Generation, info.Unproven
	}
	return t.Bucket.Copy(ctx, r)
}

// SetAttr notes and passes on.
func (t *trackedBucket) SetAttr(ctx context.Context, r object.TagRequest) error {
	t.gate.pass(ctx)
	defer t.activity.begin(r.Key)()
	return t.Bucket.SetAttr(ctx, r)
}

// Remove notes and passes on.
func (t *trackedBucket) Remove(ctx context.Context, key string) (version string, err error) {
	t.gate.pass(ctx)
	defer t.activity.begin(key)()
	return t.Bucket.Remove(ctx, key)
}
