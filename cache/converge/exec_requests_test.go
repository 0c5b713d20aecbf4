package converge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/oss"
)

// TestOneRequest: what a program does to a new file before it is quiet is one PUT.
func TestOneRequest(t *testing.T) {
	r := newRig(t, Options{Settle: 100 * time.Millisecond})
	r.create(".f.1", "text")
	r.chmod(".f.1", 0o600)
	r.rename(".f.1", "f")
	r.create("gone", "text")
	r.unlink("gone")
	r.calm()
	if got := r.store.requests(); !slices.Equal(got, []string{"put f"}) {
		t.Errorf("got %v", got)
	}
}

func TestRequestsOfManyFiles(t *testing.T) {
	r := newRig(t, Options{})
	const dirs, files = 10, 40
	for d := range dirs {
		r.mkdir(fmt.Sprintf("d%d/", d))
		for f := range files {
			r.create(fmt.Sprintf("d%d/f%d", d, f), "text")
		}
	}
	r.sync("")
	r.converged()
	if got := len(r.store.requests()); got != dirs*(files+1) {
		t.Errorf("got %d requests, want %d", got, dirs*(files+1))
	}
	r.store.forget()
	r.chmod("d1/f1", 0o600)
	r.unlink("d1/f2")
	r.rename("d1/f3", "d2/new")
	r.sync("")
	r.converged()
	got := r.store.requests()
	slices.Sort(got)
	if want := []string{"copy d1/f3 d2/new", "delete d1/f2", "delete d1/f3", "tag d1/f1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRetry(t *testing.T) {
	r := newRig(t, Options{Late: time.Minute})
	r.store.setFault(firstPuts(2, fault{refuse: object.ErrUnavailable}))
	r.uploadedAlready(1, func(int) string { return "a" })
	begin := time.Now()
	r.rewrite("a", "text")
	r.until("it is there", func() bool { return r.store.attempts("put a") == 3 })
	if took := time.Since(begin); took < firstPause/2+firstPause {
		t.Errorf("three attempts within %v", took)
	}
	r.sync("")
	r.until("the counts are right", func() bool { // the worker ends a moment after Sync
		stats, err := r.c.Stats()
		return err == nil && stats.Retries == 2 && stats.Errors == 2 && len(stats.Failures) == 0 && stats.PendingFiles == 0
	})
}

// firstPuts lets a fault meet the first n PUTs of each key.
func firstPuts(n int, f fault) func(string, int) fault {
	return func(request string, attempt int) fault {
		if strings.HasPrefix(request, "put") && attempt <= n {
			return f
		}
		return fault{}
	}
}

// TestLostAnswer: the look before a repetition finds that the first attempt was executed, so it counts at once.
func TestLostAnswer(t *testing.T) {
	r := newRig(t, Options{Late: time.Hour})
	r.uploadedAlready(1, func(int) string { return "a" })
	r.store.setFault(firstPuts(1, fault{lose: true}))
	r.rewrite("a", "text")
	r.sync("")
	stats, err := r.c.Stats()
	if err != nil || stats.Retries != 0 || len(stats.Failures) != 0 || r.store.attempts("put a") != 1 || len(r.imports()) != 0 {
		t.Errorf("got %+v, %v, requests %v, imports %v", stats, err, r.store.requests(), r.imports())
	}
}

// errRefused is an answer that proves that nothing happened.
var errRefused = fmt.Errorf("put: %w", errors.Join(object.ErrDenied, &oss.Error{Op: "PutObject", Status: 403, Code: "AccessDenied", RequestID: "1"}))

// TestRefusedAndChanged: a refused request closes its key no longer. Sync would wait for the fence otherwise, far longer than the test's
// patience.
func TestRefusedAndChanged(t *testing.T) {
	for _, known := range []bool{false, true} {
		r := newRig(t, Options{Late: time.Hour})
		if known {
			r.uploadedAlready(1, func(int) string { return "a" })
		}
		r.store.setFault(firstPuts(1, fault{refuse: errRefused}))
		r.rewriteOrCreate("a", "text", known)
		r.until("it was refused", func() bool { s, err := r.c.Stats(); return err == nil && s.Errors == 1 })
		r.rewrite("a", "other")
		r.sync("")
		r.calm() // what was to be parked meanwhile is forgotten, too
		r.store.forget()
		r.rewrite("a", "more")
		r.until("it was refused again", func() bool { s, err := r.c.Stats(); return err == nil && s.Errors == 2 })
		r.unlink("a")
		r.sync("")
		r.calm()
	}
}

// TestOthersBeforeRepetition: while the bucket refuses, or is out of reach, somebody else writes the file. The repetition does not write
// over that.
func TestOthersBeforeRepetition(t *testing.T) {
	for name, f := range map[string]error{"refused": errRefused, "unavailable": object.ErrUnavailable} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{Late: time.Second})
			r.uploadedAlready(1, func(int) string { return "a" })
			r.store.setFault(func(request string, n int) fault { // with the store locked
				if request != "put a" || n > 1 {
					return fault{}
				}
				r.store.objects["a"] = fakeObject{object.Info{Key: "a", Size: 5, ETag: "theirs", Upload: object.NewID()}, "their"}
				return fault{refuse: f}
			})
			r.rewrite("a", "other")
			r.until("it is imported", func() bool { return slices.Equal(r.imports(), []string{"a"}) })
			if got := r.store.count("put a"); got != 0 {
				t.Errorf("their version was overwritten: %v", r.store.requests())
			}
		})
	}
}

// TestDenied: a file is never dropped, and the status says why it is not there.
func TestDenied(t *testing.T) {
	r := newRig(t, Options{Late: time.Minute})
	r.store.setFault(func(string, int) fault { return fault{refuse: object.ErrCredentials} })
	r.create("a", "text")
	r.until("it was tried twice", func() bool { return r.store.attempts("put a") >= 2 })
	r.until("the status says so", func() bool { // the worker notes an attempt a moment after it
		stats, err := r.c.Stats()
		return err == nil && len(stats.Failures) == 1 && stats.Failures[0].Key == "a" && stats.Failures[0].Attempts >= 2 && stats.PendingFiles == 1 &&
			stats.PendingBytes == 4
	})
	r.store.setFault(nil)
	r.sync("") // the key stays closed for a minute, but the file is there
}

// TestCopySourceGone: somebody deletes the source of a copy, so the look at it tells the cache.
func TestCopySourceGone(t *testing.T) {
	r := newRig(t, Options{})
	r.uploadedAlready(1, func(int) string { return "a" })
	r.evict("a")
	r.store.mu.Lock()
	delete(r.store.objects, "a")
	r.store.mu.Unlock()
	r.rename("a", "b")
	r.until("the loss is known", func() bool { return slices.Contains(r.imports(), "a gone") })
	if got := r.store.count("put"); got != 0 {
		t.Errorf("%d PUT of bytes that nobody has", got)
	}
}

// lateCreation executes the first attempt to create "a" late, so that its repetition finds the name taken, by itself.
func lateCreation(request string, n int) fault {
	if request == "put a" && n == 1 {
		return fault{late: 20 * time.Millisecond}
	}
	return fault{}
}

// TestCreatedByItself: a creation that finds its name taken by itself counts at once. Otherwise Sync would wait for the fence, which is
// far longer than the test's patience, and status would show a failure until then.
func TestCreatedByItself(t *testing.T) {
	r := newRig(t, Options{Late: 10 * time.Minute})
	r.store.setFault(lateCreation)
	r.create("a", "text")
	r.sync("")
	stats, err := r.c.Stats()
	if err != nil || len(stats.Failures) != 0 || stats.PendingFiles != 0 {
		t.Errorf("got %+v, %v", stats, err)
	}
	if len(r.imports()) != 0 {
		t.Errorf("imported %v", r.imports())
	}
}

// TestClosedUntilFence: what was created by a late attempt is overwritten only when no attempt can be executed any more.
func TestClosedUntilFence(t *testing.T) {
	r := newRig(t, Options{Late: 1500 * time.Millisecond})
	r.store.setFault(lateCreation)
	begin := time.Now()
	r.create("a", "text")
	r.sync("")
	r.rewrite("a", "other")
	r.sync("")
	if took := time.Since(begin); took < 1500*time.Millisecond {
		t.Errorf("took %v: overwritten before the first attempt was out of the world", took)
	}
	r.calm()
	if len(r.imports()) != 0 {
		t.Errorf("imported %v", r.imports())
	}
}

// TestCreatedByOthers: the name is taken by somebody else, which is told to the cache when our own request is out of the world.
func TestCreatedByOthers(t *testing.T) {
	r := newRig(t, Options{})
	r.store.objects["a"] = fakeObject{object.Info{Key: "a", Size: 5, ETag: "theirs", Upload: object.NewID()}, "their"}
	r.create("a", "text")
	r.until("it is imported", func() bool { return slices.Equal(r.imports(), []string{"a"}) })
	if got := r.store.requests(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// TestOverwriteLooksFirst is rule O.
func TestOverwriteLooksFirst(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		r := newRig(t, Options{Exclusive: exclusive})
		r.uploadedAlready(2, func(n int) string { return []string{"a", "b"}[n] })
		r.rewrite("a", "other")
		r.unlink("b")
		r.sync("")
		r.converged()
		if looked := r.store.attempts("head a")+r.store.attempts("head b") == 2; looked == exclusive {
			t.Errorf("exclusive %v: looked %v", exclusive, looked)
		}
	}
	r := newRig(t, Options{})
	r.uploadedAlready(1, func(int) string { return "a" })
	r.store.mu.Lock()
	r.store.objects["a"] = fakeObject{object.Info{Key: "a", Size: 5, ETag: "theirs", Upload: object.NewID()}, "their"}
	r.store.mu.Unlock()
	r.rewrite("a", "other")
	r.until("it is imported", func() bool { return slices.Equal(r.imports(), []string{"a"}) })
	if got := r.store.requests(); len(got) != 0 {
		t.Errorf("their version was overwritten: %v", got)
	}
}

// TestRestartUnknown: after a crash the outcome of a request is unknown. The same request may be sent again at once; another one has
// to wait.
func TestRestartUnknown(t *testing.T) {
	for _, executed := range []bool{true, false} {
		for _, changed := range []bool{true, false} {
			t.Run(fmt.Sprintf("executed %v changed %v", executed, changed), func(t *testing.T) {
				r := newRig(t, Options{Late: 300 * time.Millisecond})
				r.store.setFault(func(request string, _ int) fault {
					if strings.HasPrefix(request, "put") {
						return fault{lose: executed, refuse: refusal(!executed)}
					}
					return fault{}
				})
				r.create("a", "text")
				r.until("it was tried", func() bool { return r.store.attempts("put a") > 0 })
				r.stop()
				r.store.setFault(nil)
				r.store.forget()
				r.start()
				if changed {
					r.rewrite("a", "other")
				}
				r.sync("")
				r.calm()
				if changed && r.store.attempts("head a") == 0 {
					t.Error("nobody looked what became of the first request")
				}
				if len(r.imports()) != 0 {
					t.Errorf("imported %v", r.imports())
				}
			})
		}
	}
}

func refusal(yes bool) error {
	if yes {
		return object.ErrUnavailable
	}
	return nil
}

// TestMultipartState: a large upload goes on where it was, in the same run and in the next.
func TestMultipartState(t *testing.T) {
	r := newRig(t, Options{Late: time.Minute})
	r.store.large = 3
	r.store.setFault(func(string, int) fault { return fault{refuse: object.ErrUnavailable} })
	r.create("a", "text")
	r.until("it was tried", func() bool { return r.store.attempts("put a") == 2 })
	r.stop()
	r.store.setFault(nil)
	r.start()
	r.sync("")
	for n, state := range r.store.states["a"] {
		if want := "upload 1 of a"; n > 0 && state != want {
			t.Errorf("attempt %d began with %q, want %q", n+1, state, want)
		}
	}
	if r.store.aborted != 0 {
		t.Error("the parts were thrown away")
	}
}

// TestLargeUploads: large uploads are few at a time and do not keep the workers from small files.
func TestLargeUploads(t *testing.T) {
	r := newRig(t, Options{Workers: 1})
	hold := make(chan struct{})
	r.store.setFault(func(request string, _ int) fault {
		if strings.HasPrefix(request, "put large") {
			return fault{hold: hold}
		}
		return fault{}
	})
	body := r.bodies.put(0, strings.Repeat("x", largeBody+1))
	const large = 12
	r.update(func(tx *index.Tx) error {
		for n := range large {
			gen := tx.NextGen()
			r.bodies.share(gen, body)
			if err := r.add(tx, fmt.Sprintf("large%02d", n), gen, body.sealed.Size()); err != nil {
				return err
			}
		}
		return nil
	})
	r.until("large uploads are under way", func() bool { stats, _ := r.c.Stats(); return stats.Flying == largeUploads })
	for n := range 20 {
		r.create(fmt.Sprintf("small%d", n), "text")
	}
	r.until("small files have passed", func() bool { return r.store.count("put small") == 20 })
	r.until("no more than two large uploads are under way", func() bool { stats, _ := r.c.Stats(); return stats.Flying == largeUploads })
	close(hold)
	r.calm()
}

// TestRemovedWhileSent: content that is gone because its file was removed is no error.
func TestRemovedWhileSent(t *testing.T) {
	r := newRig(t, Options{})
	errGone := errors.New("content is not in the cache")
	var once sync.Once
	r.bodies.opens = func() (err error) {
		once.Do(func() {
			r.unlink("a")
			err = errGone
		})
		return err
	}
	r.create("a", "text")
	r.sync("")
	r.calm()
	if stats, err := r.c.Stats(); err != nil || stats.Errors != 0 {
		t.Errorf("%d errors, %v", stats.Errors, err)
	}
}
