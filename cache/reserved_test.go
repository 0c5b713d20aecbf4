package cache_test

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// withReserved opens a cache in which a version that reserved the name in the root only has made d/.ossencfs with a file. With pending it
// is not uploaded until the fault that is returned is removed.
func withReserved(t *testing.T, pending bool) (env *testenv.Env, fault string) {
	t.Helper()
	env = testenv.New(t, impatient)
	if pending {
		fault = env.Server.AddFault(emulator.Fault{Operation: "PutObject", Key: "d/**", Code: "ServiceUnavailable"})
	}
	d, err := env.Cache.Mkdir(t.Context(), cache.Root, "d", cache.New{Mode: 0o755})
	must(t, err)
	old, err := env.Cache.Mkdir(t.Context(), d.Ino, "old", cache.New{Mode: 0o755})
	must(t, err)
	f, err := env.Cache.Create(t.Context(), old.Ino, "f", cache.New{Mode: 0o644}, cache.OpenMode{Write: true})
	must(t, err)
	must(t, env.Cache.Write(t.Context(), f.Ino, 0, []byte("kept"), nil))
	must(t, env.Cache.Release(t.Context(), f.Ino, true))
	must(t, env.Cache.GiveReservedName(old.Ino))
	if !pending {
		env.Sync()
	}
	return env, fault
}

// TestReservedNameOfAnOlderVersion: what a cache has below the root under the reserved name is neither lost nor shown for ever. It stays until the
// bucket has all of it; then it is left out, like what others put there, and still in the bucket.
func TestReservedNameOfAnOlderVersion(t *testing.T) {
	gone := func(t *testing.T, env *testenv.Env) {
		t.Helper()
		testenv.Eventually(t, "the name to go", func() bool { return !slices.Contains(names(t, env.Cache, "d"), object.ReservedName) })
		for _, key := range []string{"d/.ossencfs/", "d/.ossencfs/f"} {
			if _, _, err := env.Server.ReadObject(testenv.Bucket, key); err != nil {
				t.Errorf("%s is not in the bucket: %v", key, err)
			}
		}
		if got := env.Cache.Status(); got.LeftOut != 1 {
			t.Errorf("%d objects are left out, want one", got.LeftOut)
		}
		if n := env.Cache.Status().Notices[object.NoticeVanished]; n != 0 {
			t.Errorf("%d objects are reported as vanished", n)
		}
	}
	t.Run("uploaded", func(t *testing.T) {
		env, _ := withReserved(t, false)
		gone(t, env)
	})
	t.Run("pending", func(t *testing.T) {
		env, fault := withReserved(t, true)
		for range 3 {
			if got := names(t, env.Cache, "d"); !slices.Contains(got, object.ReservedName) {
				t.Fatalf("got %q before the upload", got)
			}
			if got, err := content(t, env.Cache, "d/.ossencfs/f"); err != nil || got != "kept" {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		env.Server.RemoveFault(fault)
		env.Sync()
		gone(t, env)
	})
	t.Run("renamed", func(t *testing.T) {
		env, fault := withReserved(t, true)
		d, err := walk(t.Context(), env.Cache, "d")
		must(t, err)
		must(t, env.Cache.Rename(t.Context(), d.Ino, object.ReservedName, d.Ino, "saved", 0))
		env.Server.RemoveFault(fault)
		env.Sync()
		if got, err := content(t, env.Cache, "d/saved/f"); err != nil || got != "kept" {
			t.Errorf("got %q, %v", got, err)
		}
		if got := env.Keys(); !slices.Equal(got, []string{"d/", "d/saved/", "d/saved/f"}) {
			t.Errorf("got keys %q", got)
		}
	})
}

// TestReservedName: no call makes the name, at any level.
func TestReservedName(t *testing.T) {
	env := testenv.New(t, impatient)
	c, ctx := env.Cache, t.Context()
	d, err := c.Mkdir(ctx, cache.Root, "d", cache.New{Mode: 0o755})
	must(t, err)
	_, err = c.Mknod(ctx, d.Ino, "f", cache.New{Mode: 0o644})
	must(t, err)
	for _, parent := range []cache.Ino{cache.Root, d.Ino} {
		const name = object.ReservedName
		for call, do := range map[string]func() error{
			"create": func() error {
				_, err := c.Create(ctx, parent, name, cache.New{Mode: 0o644}, cache.OpenMode{Write: true})
				return err
			},
			"mkdir":    func() error { _, err := c.Mkdir(ctx, parent, name, cache.New{Mode: 0o755}); return err },
			"mknod":    func() error { _, err := c.Mknod(ctx, parent, name, cache.New{Mode: unix.S_IFIFO}); return err },
			"symlink":  func() error { _, err := c.Symlink(ctx, parent, name, "t", cache.New{}); return err },
			"rename":   func() error { return c.Rename(ctx, d.Ino, "f", parent, name, 0) },
			"exchange": func() error { return c.Rename(ctx, d.Ino, "f", parent, name, cache.RenameExchange) },
		} {
			if err := do(); !errors.Is(err, cache.ErrAccess) {
				t.Errorf("%s in %d: got %v, want ErrAccess", call, parent, err)
			}
		}
		if _, _, err := c.Lookup(ctx, parent, name); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("lookup in %d: got %v, want ErrNotFound", parent, err)
		}
	}
}
