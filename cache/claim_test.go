package cache_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// claiming creates in the bucket first. Others' changes show late, so that only the bucket can know.
func claiming(versioned bool) testenv.Options {
	return testenv.Options{NoMount: true, Cache: cache.Options{CreateRemote: true, MetaTTL: time.Hour, LateLimit: time.Second},
		Emulator: func(e *emulator.Options) { e.Versioning = versioned }}
}

func createAlone(t *testing.T, c *cache.Cache, name string) error {
	st, err := c.Create(t.Context(), cache.Root, name, cache.New{Mode: 0o644}, cache.OpenMode{Write: true, Exclusive: true})
	if err == nil {
		err = c.Release(t.Context(), st.Ino, true)
	}
	return err
}

// kinds are the buckets that creations are tried in.
var kinds = map[string]bool{"unversioned": false, "versioned": true}

// TestExclusiveCreate: of two hosts that create one name at the same moment one is told that it is there.
func TestExclusiveCreate(t *testing.T) {
	for kind, versioned := range kinds {
		for what, create := range map[string]func(*cache.Cache, string) error{
			"file": func(c *cache.Cache, name string) error { return createAlone(t, c, name) },
			"directory": func(c *cache.Cache, name string) error {
				_, err := c.Mkdir(t.Context(), cache.Root, name, cache.New{Mode: 0o755})
				return err
			},
		} {
			t.Run(kind+" "+what, func(t *testing.T) {
				o := claiming(versioned)
				a := testenv.New(t, o)
				o.Share = a
				b := testenv.New(t, o)
				for n := range 20 {
					name := "lock-" + string(rune('a'+n))
					a.Server.AddFault(emulator.Fault{Operation: "PutObject", Barrier: 2, Count: 2})
					var made atomic.Int32
					var all sync.WaitGroup
					for _, env := range []*testenv.Env{a, b} {
						all.Go(func() {
							switch err := create(env.Cache, name); {
							case err == nil:
								made.Add(1)
							case !errors.Is(err, cache.ErrExist):
								t.Error(err)
							}
						})
					}
					all.Wait()
					if got := made.Load(); got != 1 {
						t.Errorf("%s: %d hosts have created it, want 1", name, got)
					}
					a.Server.ClearFaults()
				}
				if a.Cache.Status().Conflicts+b.Cache.Status().Conflicts != 0 {
					t.Error("a creation that was refused made a conflict")
				}
			})
		}
	}
}

// TestExclusiveCreateRequests: the file is one request at once, and nothing later as long as it stays empty.
func TestExclusiveCreateRequests(t *testing.T) {
	env := testenv.New(t, claiming(false))
	if err := createAlone(t, env.Cache, "first"); err != nil { // finds out that there is no versioning
		t.Fatal(err)
	}
	env.Server.ResetRequests()
	if err := createAlone(t, env.Cache, "f"); err != nil {
		t.Fatal(err)
	}
	if _, err := env.Cache.Mkdir(t.Context(), cache.Root, "d", cache.New{Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if got := env.Requests(); got["PutObject"] != 2 || len(got) != 1 {
		t.Errorf("got %v, want two PUTs", got)
	}
}

// TestExclusiveCreateAgain: a name whose earlier object is still to be moved away can be created again, as git does with index.lock.
func TestExclusiveCreateAgain(t *testing.T) {
	for kind, versioned := range kinds {
		t.Run(kind, func(t *testing.T) {
			env := testenv.New(t, claiming(versioned))
			for range 3 {
				if err := createAlone(t, env.Cache, "index.lock"); err != nil {
					t.Fatal(err)
				}
				store(t, env, "index.lock", "content")
				if err := env.Cache.Rename(t.Context(), cache.Root, "index.lock", cache.Root, "index", cache.RenameReplace); err != nil {
					t.Fatal(err)
				}
			}
			env.Sync()
			if got, err := content(t, env.Cache, "index"); err != nil || got != "content" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// TestExclusiveCreateUndone: without an answer the bucket is asked, and where it does not answer either the program gets an error.
func TestExclusiveCreateUndone(t *testing.T) {
	env := testenv.New(t, claiming(false))
	env.Server.AddFault(emulator.Fault{Operation: "PutObject", LoseResponse: true, Count: 1})
	if err := createAlone(t, env.Cache, "lost"); err != nil {
		t.Errorf("an answer that was lost: %v", err)
	}
	env.Server.AddFault(emulator.Fault{Operation: "PutObject", Status: 403, Code: "AccessDenied"})
	if err := createAlone(t, env.Cache, "denied"); err == nil {
		t.Error("a creation that was refused succeeded")
	}
	env.Server.ClearFaults()
	put(t, env, "theirs", "x")
	if err := createAlone(t, env.Cache, "theirs"); !errors.Is(err, cache.ErrExist) {
		t.Errorf("got %v, want %v", err, cache.ErrExist)
	}
	if got, err := content(t, env.Cache, "theirs"); err != nil || got != "x" {
		t.Errorf("got %q, %v, want what was found to be shown", got, err)
	}
	st, err := walk(t.Context(), env.Cache, "lost")
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		t.Errorf("got %+v, %v", st, err)
	}
}
