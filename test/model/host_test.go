package model_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/model"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// lateLimit is the longest life of a request in these tests, lateBy how late the emulator executes one.
const (
	lateLimit = 2 * time.Second
	lateBy    = 100 * time.Millisecond
)

// mountHost is a mount in this process, and a second one for changes from outside.
type mountHost struct {
	tb    testing.TB
	env   *testenv.Env
	other *testenv.Env
	o     testenv.Options
}

func newMountHost(tb testing.TB, o testenv.Options) *mountHost {
	o.Cache.LateLimit, o.Cache.Settle, o.Cache.Host = lateLimit, time.Millisecond, "model"
	return &mountHost{tb: tb, env: testenv.New(tb, o), o: o}
}

// Root implements model.Host.
func (h *mountHost) Root() string { return h.env.Dir }

// Event implements model.Host. A failure of the environment ends the test.
func (h *mountHost) Event(s model.Step) error {
	switch s.Op {
	case model.OpSync:
		h.env.Sync()
	case model.OpRemount:
		h.env.Server.ClearFaults()
		h.env.Remount()
	case model.OpCrash, model.OpKill:
		h.env.Server.ClearFaults()
		h.env.RemountNow()
	case model.OpDrop:
		h.env.Server.ClearFaults()
		h.env.DropCache()
	case model.OpFault:
		addFault(h.env.Server, s)
	case model.OpTried:
		h.tried(s.Name)
	case model.OpOutside:
		return h.outside(s)
	default:
		return fmt.Errorf("there is no event %q", s.Op)
	}
	return nil
}

// addFault puts a few failures in force.
func addFault(server *emulator.Server, s model.Step) {
	faults := []emulator.Fault{
		{Status: 503}, {Status: 500}, {LoseResponse: true}, {ResetAfterBytes: -1}, {ResetAfterBytes: 100}, {LateBy: lateBy},
	}
	f := faults[int(s.Mode)%len(faults)]
	f.Operation, f.Count = s.Name, int(s.Size)
	server.AddFault(f)
}

// tried lets everything be sent until one more request of a kind has come.
func (h *mountHost) tried(operation string) {
	before := h.env.Requests()[operation]
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = h.env.Cache.Sync(ctx, "", nil) }) // it is not to succeed
	testenv.Eventually(h.tb, "a request "+operation, func() bool { return h.env.Requests()[operation] > before })
	cancel()
	wait.Wait()
}

// outside changes a file by the second mount and waits until the first one shows it.
func (h *mountHost) outside(s model.Step) error {
	h.env.Server.ClearFaults()
	h.env.Sync()
	if h.other == nil {
		o := h.o
		o.Share, o.Cache.MetaTTL = h.env, time.Millisecond
		h.other = testenv.New(h.tb, o)
	}
	want := model.Content(s)
	dir := filepath.Dir(h.other.Path(s.Path))
	if dir != h.other.Dir {
		testenv.Eventually(h.tb, "the directory in the second mount", func() bool { _, err := os.Stat(dir); return err == nil })
	}
	if err := os.WriteFile(h.other.Path(s.Path), want, 0o644); err != nil {
		return fmt.Errorf("write by the second mount: %w", err)
	}
	h.other.Sync()
	testenv.Eventually(h.tb, "the change of "+s.Path+" by the second mount", func() bool {
		got, err := os.ReadFile(h.env.Path(s.Path))
		return err == nil && bytes.Equal(got, want)
	})
	return nil
}

// attempt runs a test body apart from the test, so that a shrinker can let it fail. Everything it made is removed.
func attempt(t *testing.T, body func(testing.TB)) error {
	t.Helper()
	q := &quiet{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer q.clean()
		body(q)
	}()
	<-done
	if !q.Failed() {
		return nil
	}
	return errors.New(strings.Join(q.lines, "\n"))
}

// quiet is a testing.TB that keeps what is said and fails alone.
type quiet struct {
	testing.TB
	mu      sync.Mutex // guards the fields below
	lines   []string
	failed  bool
	cleanup []func()
}

func (q *quiet) say(failed bool, text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = q.failed || failed
	q.lines = append(q.lines, text)
}

func (q *quiet) clean() {
	for {
		q.mu.Lock()
		n := len(q.cleanup)
		if n == 0 {
			q.mu.Unlock()
			return
		}
		last := q.cleanup[n-1]
		q.cleanup = q.cleanup[:n-1]
		q.mu.Unlock()
		last()
	}
}

func (q *quiet) Helper()                   {}
func (q *quiet) Log(a ...any)              { q.say(false, fmt.Sprint(a...)) }
func (q *quiet) Logf(f string, a ...any)   { q.say(false, fmt.Sprintf(f, a...)) }
func (q *quiet) Error(a ...any)            { q.say(true, fmt.Sprint(a...)) }
func (q *quiet) Errorf(f string, a ...any) { q.say(true, fmt.Sprintf(f, a...)) }
func (q *quiet) Fail()                     { q.say(true, "failed") }
func (q *quiet) FailNow()                  { q.Fail(); runtime.Goexit() }
func (q *quiet) Fatal(a ...any)            { q.Error(a...); runtime.Goexit() }
func (q *quiet) Fatalf(f string, a ...any) { q.Errorf(f, a...); runtime.Goexit() }

// Failed reports whether anything went wrong.
func (q *quiet) Failed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

// Cleanup adds what is done at the end of the attempt.
func (q *quiet) Cleanup(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cleanup = append(q.cleanup, f)
}

// TempDir is a folder that goes with the attempt.
func (q *quiet) TempDir() string {
	dir, err := os.MkdirTemp("", "model-")
	if err != nil {
		q.Fatal(err)
	}
	q.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			q.Error(err)
		}
	})
	return dir
}
