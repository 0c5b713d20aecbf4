package converge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

func TestSyncPrefix(t *testing.T) {
	for prefix, want := range map[string][]string{
		"d/f": {"put d/f"}, "d": {"put d/", "put d/f", "put d/g"}, "d/": {"put d/", "put d/f", "put d/g"}, "x": nil,
		"": {"put d/", "put d/f", "put d/g", "put dd"},
	} {
		r := newRig(t, Options{Settle: time.Hour})
		r.mkdir("d/")
		r.create("d/f", "text")
		r.create("d/g", "text")
		r.create("dd", "text")
		var last Progress
		if err := r.c.Sync(t.Context(), prefix, func(p Progress) { last = p }); err != nil {
			t.Fatal(err)
		}
		got := r.store.requests()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", prefix, got, want)
		}
		if last.Files != int64(len(want)) || last.FilesLeft != 0 || last.BytesLeft != 0 {
			t.Errorf("%q: got progress %+v", prefix, last)
		}
	}
}

// TestSyncTakesOthersAlong: what the order rule puts first does not wait for quiet either.
func TestSyncTakesOthersAlong(t *testing.T) {
	r := newRig(t, Options{Settle: time.Hour})
	r.uploadedAlready(1, func(int) string { return "old" })
	for n := range 50 {
		r.create(fmt.Sprintf("new%02d", n), "text")
	}
	r.unlink("old")
	r.create("later", "text")
	r.sync("old")
	if r.store.count("put new") != 50 || r.store.count("delete old") != 1 {
		t.Errorf("got %v", r.store.requests())
	}
}

// TestSyncOpenFile: content that is being written is sealed as it is.
func TestSyncOpenFile(t *testing.T) {
	r := newRig(t, Options{})
	r.create("a", "text")
	r.change("a", func(tx *index.Tx, i *index.Inode) error {
		i.Gen, i.Sealed = tx.NextGen(), false
		r.bodies.put(i.Gen, "text")
		return nil
	})
	r.sync("a")
	if r.bodies.seals == 0 {
		t.Error("nothing was sealed")
	}
	r.calm()
}

// TestSyncEnds: Sync waits for what was there when it was called, whatever goes on meanwhile.
func TestSyncEnds(t *testing.T) {
	for name, step := range map[string]func(r *rig, n int){
		"written again":   func(r *rig, n int) { r.rewrite("a", fmt.Sprintf("text %d", n)) },
		"replaced":        func(r *rig, n int) { r.create("tmp", fmt.Sprintf("text %d", n)); r.rename("tmp", "a") },
		"removed":         func(r *rig, _ int) { r.unlink("a"); r.create("a", "text") },
		"attributes":      func(r *rig, n int) { r.chmod("a", uint32(n)&0o777) }, //nolint:gosec // small
		"others are made": func(r *rig, n int) { r.create(fmt.Sprintf("other%d", n), "text") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{Exclusive: true})
			r.create("a", "text")
			stop := make(chan struct{})
			var wait sync.WaitGroup
			wait.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(3 * time.Millisecond):
						step(r, n)
					}
				}
			})
			for range 3 {
				r.sync("")
			}
			close(stop)
			wait.Wait()
			r.calm()
		})
	}
}

// TestSyncWaitsForTheUnknown: a request that may still be executed is nothing that Sync can be done with, even when the rows say
// that the bucket is as it should be. Whoever throws the cache away afterwards has lost the intent, too.
func TestSyncWaitsForTheUnknown(t *testing.T) {
	for _, test := range []struct {
		name, late string
		before     func(r *rig)
		after      func(r *rig)
		want       []string
	}{
		{"made and removed", "put a", func(r *rig) { r.create("a", "text") }, func(r *rig) { r.unlink("a") }, nil},
		{"directory replaced by a file", "put a/", func(r *rig) { r.mkdir("a/") },
			func(r *rig) { r.unlink("a/"); r.create("a", "text") }, []string{"a"}},
		{"renamed and back", "delete a", func(r *rig) { r.uploadedAlready(1, func(int) string { return "a" }); r.rename("a", "b") },
			func(r *rig) { r.rename("b", "a") }, []string{"a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, Options{Late: 600 * time.Millisecond})
			r.store.setFault(func(request string, _ int) fault {
				if request == test.late {
					return fault{late: 300 * time.Millisecond}
				}
				return fault{}
			})
			test.before(r)
			ctx, cancel := context.WithCancel(t.Context())
			var first sync.WaitGroup
			first.Go(func() { _ = r.c.Sync(ctx, "", nil) }) // only so that nothing waits for quiet
			r.until("it was tried", func() bool { return r.store.attempts(test.late) > 0 })
			cancel()
			first.Wait()
			test.after(r)
			r.sync("")
			r.stop()
			r.store.late.Wait()
			var got []string
			for key := range r.store.objects {
				got = append(got, key)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q in the bucket, want %q", got, test.want)
			}
		})
	}
}

func TestSyncGivesUp(t *testing.T) {
	r := newRig(t, Options{Late: time.Minute})
	r.store.setFault(func(string, int) fault { return fault{refuse: object.ErrCredentials} })
	r.create("a", "text")
	ctx, cancel := context.WithCancel(t.Context())
	failing := false
	err := r.c.Sync(ctx, "", func(p Progress) {
		if p.Failing == 1 && errors.Is(p.LastError, object.ErrCredentials) {
			failing = true
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || !failing {
		t.Errorf("got %v, failing %v", err, failing)
	}
	cancel()
	done := make(chan error)
	go func() { done <- r.c.Drain(context.Background(), nil) }()
	r.until("it is waited for", func() bool { return r.c.syncing.Load() == 1 })
	if err := r.c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, errStopped) {
		t.Errorf("got %v", err)
	}
}

func TestPressure(t *testing.T) {
	r := newRig(t, Options{Settle: time.Hour})
	r.create("a", "text")
	r.uploadedAlready(1, func(int) string { return "b" })
	r.unlink("b")
	r.c.Pressure()
	r.create("c", "text")
	r.calm()
}

// TestClose: requests under way are given some time and taken up later.
func TestClose(t *testing.T) {
	r := newRig(t, Options{})
	release := r.holdFirst("put slow")
	defer release()
	r.create("slow", "text")
	r.until("it is under way", func() bool { return r.store.attempts("put slow") == 1 })
	r.c.grace = 20 * time.Millisecond
	r.stop()
	r.store.setFault(nil)
	r.stoppedIsQuiet()
	r.start()
	r.calm()
}

// stoppedIsQuiet checks that a stopped Converger can be stopped again and does not mind.
func (r *rig) stoppedIsQuiet() {
	r.t.Helper()
	if err := r.c.Close(); err != nil {
		r.t.Error(err)
	}
	r.c.Pressure()
	if err := r.c.Sync(context.Background(), "", nil); !errors.Is(err, index.ErrClosed) {
		r.t.Errorf("got %v", err)
	}
}

// TestQuietBeginsWithTheLastByte: a file that takes long to be written is not sent the moment it is complete, so that it can be
// renamed first.
func TestQuietBeginsWithTheLastByte(t *testing.T) {
	s := newSchedule()
	never := func(string) bool { return false }
	s.dirty([]string{"a"}, 100, 200, never)
	if key, _, _ := s.tryTake(200); key != "a" || s.since("a") != 100 {
		t.Fatalf("got %q, since %d", key, s.since("a"))
	}
	s.put("a", &waiting{at: 900, restart: true}) // it is still being written
	s.dirty([]string{"a"}, 500, 600, never)      // it is complete
	if got := s.since("a"); got != 500 {
		t.Errorf("got %d, want 500", got)
	}
	s.tryTake(600)
	s.done("a")
	if len(s.keys) != 0 || len(s.waiters) != 0 {
		t.Errorf("left: %v, %v", s.keys, s.waiters)
	}
}

func TestScheduleForgets(t *testing.T) {
	s := newSchedule()
	for n := range 100 {
		s.soon(fmt.Sprint(n), 0)
	}
	for n := range 100 {
		key, _, _ := s.tryTake(1)
		s.put(key, &waiting{at: 5, keys: []string{"x", key, "y"}, order: n%2 == 0, seq: uint64(n), planned: s.mark(key)}) //nolint:gosec // small
	}
	if len(s.order) != 50 || len(s.scouts) != maxScouts {
		t.Errorf("got %d in order, %d scouts", len(s.order), len(s.scouts))
	}
	s.release(10, "")
	for n := range 100 {
		key, _, ok := s.tryTake(5)
		if !ok || key == "" {
			t.Fatalf("got %d keys", n)
		}
		s.done(key)
	}
	if len(s.keys)+len(s.waiters)+len(s.order)+len(s.scouts)+len(s.due) != 0 {
		t.Errorf("left: %d keys, %d waiters, %d in order, %d scouts, %d due", len(s.keys), len(s.waiters), len(s.order), len(s.scouts), len(s.due))
	}
}

func TestBelow(t *testing.T) {
	for _, c := range []struct {
		key, prefix string
		want        bool
	}{
		{"a", "", true}, {"a", "a", true}, {"a/", "a", true}, {"a/b", "a", true}, {"a/b", "a/", true}, {"a/", "a/", true},
		{"ab", "a", false}, {"ab/c", "a/", false}, {"b", "a", false}, {"a", "a/", false},
	} {
		if got := below(c.key, c.prefix); got != c.want {
			t.Errorf("%q below %q: got %v", c.key, c.prefix, got)
		}
	}
}
