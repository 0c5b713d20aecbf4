package cache_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// locking locks what it replaces.
var locking = testenv.Options{NoMount: true, Cache: cache.Options{Locks: true, LateLimit: time.Second}}

// TestLockRequests: a lock costs two requests, and only where something is replaced or removed.
func TestLockRequests(t *testing.T) {
	env := testenv.New(t, locking)
	for _, c := range []struct {
		name   string
		change func()
		want   map[string]int
	}{
		{"create", func() { store(t, env, "f", "one") }, map[string]int{"PutObject": 1}},
		{"overwrite", func() { store(t, env, "f", "two") }, map[string]int{"PutObject": 2, "HeadObject": 1, "DeleteObject": 1}},
		{"another", func() { store(t, env, "g", "three") }, map[string]int{"PutObject": 1}},
		{"rename over", func() {
			if err := env.Cache.Rename(t.Context(), cache.Root, "g", cache.Root, "f", cache.RenameReplace); err != nil {
				t.Fatal(err)
			}
		}, map[string]int{"PutObject": 2, "HeadObject": 3, "CopyObject": 1, "DeleteObject": 3}},
		{"remove", func() {
			if err := env.Cache.Unlink(t.Context(), cache.Root, "f"); err != nil {
				t.Fatal(err)
			}
		}, map[string]int{"PutObject": 1, "HeadObject": 1, "DeleteObject": 2}},
	} {
		c.change()
		env.Server.ResetRequests()
		env.Sync()
		testenv.Eventually(t, "the requests", func() bool { return env.Requests()["DeleteObject"] >= c.want["DeleteObject"] }) // the last is not waited for
		got := env.Requests()
		delete(got, "ListObjectsV2")
		delete(got, "GetObjectTagging")
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestLockOfAnother: what another host has locked waits.
func TestLockOfAnother(t *testing.T) {
	env := testenv.New(t, locking)
	store(t, env, "f", "one")
	env.Sync()
	theirs, err := env.Store.TakeLock(t.Context(), "f", 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	store(t, env, "f", "two")
	env.Server.ResetRequests()
	synced := make(chan struct{})
	go func() { defer close(synced); env.Sync() }()
	testenv.Eventually(t, "two attempts", func() bool { return env.Requests()["PutObject"] >= 2 })
	select {
	case <-synced:
		t.Error("the lock was not waited for")
	default:
	}
	if err := env.Store.ReleaseLock(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	<-synced
}

// TestLockIsKept: the lock of a request without an answer is held until its outcome is certain.
func TestLockIsKept(t *testing.T) {
	env := testenv.New(t, locking)
	store(t, env, "f", "one")
	env.Sync()
	store(t, env, "f", "two")
	env.Server.AddFault(emulator.Fault{Operation: "PutObject", Key: "f", LateBy: 500 * time.Millisecond, Count: 1})
	env.Server.ResetRequests()
	env.Sync()
	testenv.Eventually(t, "the lock is given back", func() bool { return env.Requests()["DeleteObject"] == 1 })
	if got, err := content(t, env.Cache, "f"); err != nil || got != "two" {
		t.Errorf("got %q, %v", got, err)
	}
	theirs, err := env.Store.TakeLock(t.Context(), "f", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Store.ReleaseLock(t.Context(), theirs); err != nil {
		t.Error(err)
	}
}

// TestNoLocksWithVersioning: it is said, and what is written over comes back as always.
func TestNoLocksWithVersioning(t *testing.T) {
	o := versioned
	o.Cache.Locks = true
	env := testenv.New(t, o)
	store(t, env, "f", "one")
	env.Sync()
	store(t, env, "f", "two")
	env.Sync()
	store(t, env, "f", "three")
	env.Server.ResetRequests()
	env.Sync()
	if got := env.Requests(); got["PutObject"] != 1 || got["DeleteObject"] != 0 {
		t.Errorf("got %v, want no lock", got)
	}
	if !strings.Contains(env.Log(), "the bucket has versioning: there are no locks") {
		t.Errorf("the log does not say so:\n%s", env.Log())
	}
}

// TestExclusiveRequests: where nobody else writes, an overwrite, a rename and a removal cost a look less each.
func TestExclusiveRequests(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		env := testenv.New(t, testenv.Options{NoMount: true, Cache: cache.Options{Exclusive: exclusive}})
		store(t, env, "f", "one")
		env.Sync()
		env.Server.ResetRequests()
		store(t, env, "f", "two")
		env.Sync()
		if err := env.Cache.Rename(t.Context(), cache.Root, "f", cache.Root, "g", cache.RenameReplace); err != nil {
			t.Fatal(err)
		}
		env.Sync()
		if err := env.Cache.Unlink(t.Context(), cache.Root, "g"); err != nil {
			t.Fatal(err)
		}
		env.Sync()
		want := map[bool]int{false: 4, true: 1}[exclusive] // one is that of the copy at its source
		if got := env.Requests(); got["HeadObject"] != want || got["PutObject"] != 1 || got["CopyObject"] != 1 || got["DeleteObject"] != 2 {
			t.Errorf("exclusive %v: got %v, want %d looks", exclusive, got, want)
		}
	}
}
