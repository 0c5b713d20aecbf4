package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// call is a request of the kernel.
type call struct {
	context.Context
	id    uint64
	again bool
}

var _ cache.Request = call{}

func (c call) Request() (uint64, bool) { return c.id, c.again }
func (call) Caller() cache.Caller      { return nil }

// kernel remembers what it is told, and knows some inodes.
type kernel struct {
	cache *cache.Cache
	knows map[cache.Ino]bool
	// checks is set for a kernel that checks callers, and has not looked at what it forgot.
	checks bool

	mu     sync.Mutex // guards the field below
	forgot []cache.Ino
}

func (k *kernel) ForgetName(cache.Ino, string) {}

func (k *kernel) ForgetInode(ino cache.Ino) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgot = append(k.forgot, ino)
}

func (k *kernel) ForgetAttr(ino cache.Ino) { k.ForgetInode(ino) }

func (k *kernel) Outdated(ino cache.Ino) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.checks && slices.Contains(k.forgot, ino)
}

func (k *kernel) AskInode(ino cache.Ino) {
	if !k.knows[ino] {
		go k.cache.Forget(ino)
	}
}

func firstLife(t *testing.T) *testenv.Env {
	t.Helper()
	env := testenv.New(t, testenv.Options{NoMount: true, Cache: cache.Options{Life: 1, Settle: time.Hour}})
	env.Cache.SetKernel(&kernel{cache: env.Cache})
	return env
}

// looksOften is a life that sees changes by others at once.
const looksOften = 30

// nextLife opens the cache as the process after this one does. The kernel knows the given inodes.
func nextLife(t *testing.T, env *testenv.Env, life uint16, known ...cache.Ino) *kernel {
	t.Helper()
	if err := env.Cache.Close(t.Context(), cache.CloseHandOver); err != nil {
		t.Fatal(err)
	}
	o := cache.Options{Bucket: env.Store, Dir: env.CacheDir, Life: life, Settle: time.Hour}
	if life == looksOften {
		o.MetaTTL = time.Millisecond
	}
	c, err := cache.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	env.Cache = c
	k := &kernel{cache: c, knows: make(map[cache.Ino]bool)}
	for _, ino := range known {
		k.knows[ino] = true
	}
	c.SetKernel(k)
	return k
}

// TestAnswersOutliveTheirProcess: a call that was executed before a crash and comes again gets its first answer. A new one
// meets what is there.
func TestAnswersOutliveTheirProcess(t *testing.T) {
	env := firstLife(t)
	first := cache.OpenMode{Write: true, Exclusive: true}
	tmp, err := env.Cache.Tmpfile(t.Context(), cache.Root, cache.New{Mode: 0o600}, cache.OpenMode{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	calls := []struct {
		name string
		do   func(c *cache.Cache, ctx context.Context) error
		want error // of the same call under another number
	}{
		{"create", func(c *cache.Cache, ctx context.Context) error {
			_, err := c.Create(ctx, cache.Root, "created", cache.New{Mode: 0o600}, first)
			return err
		}, cache.ErrExist},
		{"mkdir", func(c *cache.Cache, ctx context.Context) error {
			_, err := c.Mkdir(ctx, cache.Root, "made", cache.New{Mode: 0o700})
			return err
		}, cache.ErrExist},
		{"mknod", func(c *cache.Cache, ctx context.Context) error {
			_, err := c.Mknod(ctx, cache.Root, "node", cache.New{Mode: unix.S_IFIFO | 0o600})
			return err
		}, cache.ErrExist},
		{"symlink", func(c *cache.Cache, ctx context.Context) error {
			_, err := c.Symlink(ctx, cache.Root, "link", "target", cache.New{})
			return err
		}, cache.ErrExist},
		{"unlink", func(c *cache.Cache, ctx context.Context) error { return c.Unlink(ctx, cache.Root, "file") }, cache.ErrNotFound},
		{"rmdir", func(c *cache.Cache, ctx context.Context) error { return c.Rmdir(ctx, cache.Root, "dir") }, cache.ErrNotFound},
		{"rename", func(c *cache.Cache, ctx context.Context) error {
			return c.Rename(ctx, cache.Root, "old", cache.Root, "new", cache.RenameNoReplace)
		}, cache.ErrNotFound},
		{"setxattr", func(c *cache.Cache, ctx context.Context) error {
			return c.SetXattr(ctx, cache.Root, "user.new", []byte("x"), cache.XattrCreate)
		}, cache.ErrAttrExists},
		{"removexattr", func(c *cache.Cache, ctx context.Context) error { return c.RemoveXattr(ctx, cache.Root, "user.old") }, cache.ErrNoAttr},
		{"link", func(c *cache.Cache, ctx context.Context) error {
			st, err := c.Link(ctx, tmp.Ino, cache.Root, "saved")
			if err == nil && (st.Ino != tmp.Ino || st.Nlink != 1) {
				err = fmt.Errorf("got inode %d with %d names, want %d with 1", st.Ino, st.Nlink, tmp.Ino)
			}
			return err
		}, cache.ErrNotPermitted},
		{"exchange", func(c *cache.Cache, ctx context.Context) error {
			return c.Rename(ctx, cache.Root, "x", cache.Root, "y", cache.RenameExchange)
		}, nil},
	}
	ctx := t.Context()
	for _, name := range []string{"file", "old", "x", "y"} {
		if _, err := env.Cache.Mknod(ctx, cache.Root, name, cache.New{Mode: unix.S_IFREG | 0o600}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := env.Cache.Mkdir(ctx, cache.Root, "dir", cache.New{Mode: 0o700}); err != nil {
		t.Fatal(err)
	}
	if err := env.Cache.SetXattr(ctx, cache.Root, "user.old", nil, cache.XattrAny); err != nil {
		t.Fatal(err)
	}
	x, err := walk(ctx, env.Cache, "x")
	if err != nil {
		t.Fatal(err)
	}
	for n, tc := range calls {
		if err := tc.do(env.Cache, call{ctx, uint64(2*n + 2), false}); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
	}
	for life := uint16(2); life < 4; life++ { // the second may die before its answer too
		nextLife(t, env, life)
		for n, tc := range calls {
			if err := tc.do(env.Cache, call{ctx, uint64(2*n + 2), true}); err != nil {
				t.Errorf("life %d: %s comes again: %v", life, tc.name, err)
			}
		}
		if got := env.Cache.Status().Replayed; got != int64(len(calls)) {
			t.Errorf("life %d: %d calls were answered from memory, want %d", life, got, len(calls))
		}
	}
	if y, err := walk(ctx, env.Cache, "y"); err != nil || y.Ino != x.Ino {
		t.Errorf("the names were swapped twice: y is %d, %v, want %d", y.Ino, err, x.Ino)
	}
	for n, tc := range calls {
		if err := tc.do(env.Cache, call{ctx, uint64(2*n + 1002), true}); !errors.Is(err, tc.want) {
			t.Errorf("%s that was never executed: %v, want %v", tc.name, err, tc.want)
		}
	}
	nextLife(t, env, 1) // another mount: its numbers begin anew
	if err := calls[0].do(env.Cache, call{ctx, 2, true}); !errors.Is(err, cache.ErrExist) {
		t.Errorf("create in another mount: %v, want %v", err, cache.ErrExist)
	}
}

// TestOpenFilesOutliveTheirProcess: what is open and has no name stays until the kernel forgets it; what the kernel forgot
// meanwhile goes; a file that others changed is stale for those who opened the old one, and only for them.
func TestOpenFilesOutliveTheirProcess(t *testing.T) {
	env := firstLife(t)
	ctx := t.Context()
	inos, handles := map[string]cache.Ino{}, map[string]uint64{}
	for _, name := range []string{"open", "forgotten", "changed"} {
		st, err := env.Cache.Create(ctx, cache.Root, name, cache.New{Mode: 0o600}, cache.OpenMode{Write: true})
		if err == nil {
			err = env.Cache.Write(ctx, st.Ino, 0, []byte(name), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		inos[name], handles[name] = st.Ino, env.Cache.Handle(st.Ino)
	}
	for _, name := range []string{"open", "forgotten"} {
		if err := env.Cache.Unlink(ctx, cache.Root, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := env.Cache.Sync(ctx, "", nil); err != nil {
		t.Fatal(err)
	}
	nextLife(t, env, 2, inos["open"], inos["changed"])
	buf := make([]byte, 10)
	if err := env.Cache.Resume(inos["open"], handles["open"], true); err != nil {
		t.Fatal(err)
	}
	if n, err := env.Cache.Read(ctx, inos["open"], 0, buf); err != nil || string(buf[:n]) != "open" {
		t.Errorf("unlinked and open: %q, %v", buf[:n], err)
	}
	testenv.Eventually(t, "the forgotten file to go", func() bool {
		_, err := env.Cache.GetAttr(ctx, inos["forgotten"])
		return err != nil
	})
	if err := env.Cache.ReleaseHandle(ctx, inos["changed"], handles["changed"], true); err != nil {
		t.Fatal(err)
	}
	if err := env.Cache.Sync(ctx, "", nil); err != nil {
		t.Fatal(err)
	}
	put(t, env, "changed", "by others")
	nextLife(t, env, looksOften, inos["open"], inos["changed"])
	testenv.Eventually(t, "the change to show", func() bool {
		d, err := env.Cache.OpenDir(ctx, cache.Root)
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
		st, err := env.Cache.GetAttr(ctx, inos["changed"])
		return err == nil && st.Size == int64(len("by others"))
	})
	if err := env.Cache.Resume(inos["changed"], handles["changed"], false); !errors.Is(err, cache.ErrStale) {
		t.Errorf("a file that others changed, under an old handle: %v, want %v", err, cache.ErrStale)
	}
	if err := env.Cache.Resume(inos["changed"], env.Cache.Handle(inos["changed"]), false); err != nil {
		t.Errorf("the same under a new handle: %v", err)
	}
	k := nextLife(t, env, looksOften+1, inos["open"], inos["changed"])
	if !slices.Contains(k.forgot, inos["changed"]) {
		t.Errorf("the kernel is not told again what others changed: %v", k.forgot)
	}
	if err := env.Cache.Resume(inos["changed"], handles["changed"], false); !errors.Is(err, cache.ErrStale) {
		t.Errorf("two lives later: %v, want %v", err, cache.ErrStale)
	}
	env.Cache.Forget(inos["open"])
	testenv.Eventually(t, "the closed file to go", func() bool {
		_, err := env.Cache.Read(ctx, inos["open"], 0, buf)
		return err != nil
	})
}

// TestDirectoryStreamsOutliveTheirProcess: a program that lists and removes what it was shown, as rm -r does, misses nothing over
// changes of the process, in small and in large directories.
func TestDirectoryStreamsOutliveTheirProcess(t *testing.T) {
	for _, tc := range []struct {
		name    string
		entries int
		step    int
	}{{"small", 300, 40}, {"large", 5000, 900}} {
		t.Run(tc.name, func(t *testing.T) {
			env := firstLife(t)
			ctx := t.Context()
			dir, err := env.Cache.Mkdir(ctx, cache.Root, "dir", cache.New{Mode: 0o700})
			if err != nil {
				t.Fatal(err)
			}
			for n := range tc.entries {
				name := fmt.Sprintf("%05d", n*7919%tc.entries) // numbers and names have another order
				if _, err := env.Cache.Mknod(ctx, dir.Ino, name, cache.New{Mode: unix.S_IFREG | 0o600}); err != nil {
					t.Fatal(err)
				}
			}
			d, err := env.Cache.OpenDir(ctx, dir.Ino)
			if err != nil {
				t.Fatal(err)
			}
			handle := env.Cache.HandleTag() | 1
			d.SetHandle(handle)
			off, seen, life := uint64(0), map[string]bool{}, uint16(1)
			for done := false; !done; life++ {
				var batch []string
				err := d.Read(off, true, func(e cache.DirEntry) bool {
					if len(batch) == tc.step {
						return false
					}
					batch, off = append(batch, e.Name), e.Off
					return true
				})
				if err != nil {
					t.Fatal(err)
				}
				done = len(batch) == 0
				for _, name := range batch {
					if name == "." || name == ".." {
						continue
					}
					if seen[name] {
						t.Errorf("%s was shown twice", name)
					}
					seen[name] = true
					if err := env.Cache.Unlink(ctx, dir.Ino, name); err != nil {
						t.Fatal(err)
					}
				}
				nextLife(t, env, life+1, dir.Ino)
				if d, err = env.Cache.ResumeDir(dir.Ino, handle); err != nil {
					t.Fatal(err)
				}
			}
			if len(seen) != tc.entries {
				t.Errorf("%d entries were shown, want %d", len(seen), tc.entries)
			}
			if err := env.Cache.Rmdir(ctx, cache.Root, "dir"); err != nil {
				t.Errorf("rmdir: %v", err)
			}
			d.Close()
		})
	}
}

// TestLaterLivesTellTheKernel: what changed modes and was not told before the process died is told by the next one. The kernel would go on
// for an hour to run a program as its owner, or to let everybody into a directory.
func TestLaterLivesTellTheKernel(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, env *testenv.Env) cache.Ino{
		"a program that a stranger wrote to": func(t *testing.T, env *testenv.Env) cache.Ino {
			st, err := env.Cache.Create(t.Context(), cache.Root, "program", cache.New{Mode: 0o4777}, cache.OpenMode{Write: true})
			if err == nil {
				err = errors.Join(env.Cache.Write(t.Context(), st.Ino, 0, []byte("x"), stranger{}), env.Cache.Release(t.Context(), st.Ino, true))
			}
			if err != nil {
				t.Fatal(err)
			}
			return st.Ino
		},
		"a directory that others closed": func(t *testing.T, env *testenv.Env) cache.Ino {
			put(t, env, "d/f", "x")
			testenv.Eventually(t, "the directory", func() bool { return len(names(t, env.Cache, "d")) == 1 })
			ino := at(t, env, "d").Ino
			put(t, env, "d/", "")
			testenv.Eventually(t, "its marker", func() bool {
				names(t, env.Cache, "d")
				return at(t, env, "d").Mode == unix.S_IFDIR|0o750
			})
			return ino
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := testenv.New(t, testenv.Options{NoMount: true, Cache: cache.Options{Life: 1, Settle: time.Hour, MetaTTL: time.Millisecond}})
			env.Cache.SetKernel(&kernel{cache: env.Cache})
			ino := change(t, env)
			if k := nextLife(t, env, 2); !slices.Contains(k.forgot, ino) {
				t.Errorf("told of %v, want %d among them", k.forgot, ino)
			}
		})
	}
}
