package cache_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// plant writes rights into the plain headers of an object, as the bucket's owner can.
func plant(t *testing.T, env *testenv.Env, key string) {
	t.Helper()
	must(t, env.Server.AlterObject(testenv.Bucket, key, func(h http.Header, body []byte) []byte {
		h.Set("X-Oss-Meta-Mode", "33279") // 0777
		h.Set("X-Oss-Meta-Uid", "99")
		h.Set("X-Oss-Meta-Gid", "98")
		return body
	}))
}

// TestHostSignsNothingPlanted: whatever a program does on a write-only host with a name that exists, readers see the attributes that key holders and
// the program set, and never those of plain headers that the bucket's owner wrote. A version that is stored as a whole gives nobody else a right.
func TestHostSignsNothingPlanted(t *testing.T) {
	const uid, gid, mode = 5, 6, 0o604
	type seen struct{ Mode, UID, GID uint32 }
	was := seen{mode, uid, gid}
	for name, tt := range map[string]struct {
		do   func(c *cache.Cache, dir, f, d cache.Ino) error
		path string
		want seen
	}{
		"touch": {func(c *cache.Cache, _, f, _ cache.Ino) error {
			_, err := c.SetAttr(t.Context(), f, cache.Change{Set: cache.SetMtime, Mtime: 42})
			return err
		}, "a/f", was},
		"chmod": {func(c *cache.Cache, _, f, _ cache.Ino) error {
			_, err := c.SetAttr(t.Context(), f, cache.Change{Set: cache.SetMode, Mode: 0o444})
			return err
		}, "a/f", seen{0o444, uid, gid}},
		"chown": {func(c *cache.Cache, _, f, _ cache.Ino) error {
			_, err := c.SetAttr(t.Context(), f, cache.Change{Set: cache.SetUID, UID: 7})
			return err
		}, "a/f", seen{mode, 7, gid}},
		"rename": {func(c *cache.Cache, dir, _, _ cache.Ino) error { return c.Rename(t.Context(), dir, "f", dir, "g", 0) }, "a/g", was},
		"rename and touch": {func(c *cache.Cache, dir, f, _ cache.Ino) error {
			_, err := c.SetAttr(t.Context(), f, cache.Change{Set: cache.SetMtime, Mtime: 42})
			return errors.Join(err, c.Rename(t.Context(), dir, "f", dir, "g", 0))
		}, "a/g", was},
		"rewrite": {func(c *cache.Cache, _, f, _ cache.Ino) error {
			return errors.Join(c.Open(t.Context(), f, cache.OpenMode{Write: true, Truncate: true}), c.Write(t.Context(), f, 0, []byte("new"), nil),
				c.Release(t.Context(), f, true))
		}, "a/f", seen{0o700, 0, 0}},
		"rewrite and chmod": {func(c *cache.Cache, _, f, _ cache.Ino) error {
			_, err := c.SetAttr(t.Context(), f, cache.Change{Set: cache.SetSize})
			_, mode := c.SetAttr(t.Context(), f, cache.Change{Set: cache.SetMode, Mode: 0o640})
			return errors.Join(err, mode)
		}, "a/f", seen{0o640, 0, 0}},
		"touch of a directory": {func(c *cache.Cache, _, _, d cache.Ino) error {
			_, err := c.SetAttr(t.Context(), d, cache.Change{Set: cache.SetMtime, Mtime: 42})
			return err
		}, "a/d", was},
		"chmod of a directory": {func(c *cache.Cache, _, _, d cache.Ino) error {
			_, err := c.SetAttr(t.Context(), d, cache.Change{Set: cache.SetMode, Mode: 0o711})
			return err
		}, "a/d", seen{0o711, uid, gid}},
		"all of a directory": {func(c *cache.Cache, _, _, d cache.Ino) error {
			_, err := c.SetAttr(t.Context(), d, cache.Change{Set: cache.SetMode | cache.SetUID | cache.SetGID | cache.SetMtime, Mode: 0o711, UID: 8, GID: 9, Mtime: 42})
			return err
		}, "a/d", seen{0o711, 8, 9}},
		"rename of a directory": {func(c *cache.Cache, dir, _, _ cache.Ino) error { return c.Rename(t.Context(), dir, "d", dir, "e", 0) }, "a/e", seen{0o700, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			reader := testenv.New(t, impatient)
			c := reader.Cache
			dir, err := c.Mkdir(t.Context(), cache.Root, "a", cache.New{Mode: 0o755})
			must(t, err)
			f := create(t, reader, "a", "f", "text")
			d, err := c.Mkdir(t.Context(), dir.Ino, "d", cache.New{Mode: 0o755})
			must(t, err)
			for _, ino := range []cache.Ino{f.Ino, d.Ino} {
				_, err := c.SetAttr(t.Context(), ino, cache.Change{Set: cache.SetMode | cache.SetUID | cache.SetGID, Mode: mode, UID: uid, GID: gid})
				must(t, err)
			}
			reader.Sync()
			plant(t, reader, "a/f")
			plant(t, reader, "a/d/")
			o := reader.WriteOnly(reader.Bundle(""))
			o.Cache.Settle = time.Minute
			host := testenv.New(t, o)
			if got := at(t, host, "a/f"); got.Mode != unix.S_IFREG|0o777 || got.UID != 99 {
				t.Fatalf("the host sees %+v: the test shows nothing", got)
			}
			must(t, tt.do(host.Cache, at(t, host, "a").Ino, at(t, host, "a/f").Ino, at(t, host, "a/d").Ino))
			shown := at(t, host, tt.path)
			host.Sync()
			o = impatient
			o.Share = reader
			fresh := testenv.New(t, o)
			got := at(t, fresh, tt.path)
			if (seen{got.Mode & 0o7777, got.UID, got.GID}) != tt.want {
				t.Errorf("a reader sees mode %o of %d:%d, want %o of %d:%d", got.Mode&0o7777, got.UID, got.GID, tt.want.Mode, tt.want.UID, tt.want.GID)
			}
			if again := at(t, host, tt.path); again.Mode != shown.Mode || again.UID != shown.UID || again.GID != shown.GID {
				t.Errorf("the host shows %+v before the upload, %+v after it", shown, again)
			}
		})
	}
}

// TestHostMovesWhatWasListed: files that a write-only host moved with their directory, and of which it knew no more than the name, keep the
// attributes that were sealed.
func TestHostMovesWhatWasListed(t *testing.T) {
	reader, host := writeOnly(t)
	_, err := reader.Cache.Mkdir(t.Context(), at(t, reader, "hosts/a").Ino, "d", cache.New{Mode: 0o755})
	must(t, err)
	f := create(t, reader, "hosts/a/d", "f", "text")
	_, err = reader.Cache.SetAttr(t.Context(), f.Ino, cache.Change{Set: cache.SetMode, Mode: 0o600})
	must(t, err)
	reader.Sync()
	plant(t, reader, "hosts/a/d/f")
	a := at(t, host, "hosts/a").Ino
	must(t, host.Cache.Rename(t.Context(), a, "d", a, "moved", cache.RenameReplace))
	host.Sync()
	o := impatient
	o.Share = reader
	if got := at(t, testenv.New(t, o), "hosts/a/moved/f"); got.Mode != unix.S_IFREG|0o600 || got.UID != 0 {
		t.Errorf("a reader sees %+v, want mode 600 of 0", got)
	}
}

// TestHostKnowsItsOwn: what a write-only host wrote in this cache it goes on knowing, whatever the plain headers say later, also after a restart.
func TestHostKnowsItsOwn(t *testing.T) {
	reader, host := writeOnly(t)
	create(t, host, "hosts/a", "mine", "text")
	host.Sync()
	plant(t, reader, "hosts/a/mine")
	host.Remount()
	testenv.Eventually(t, "the listing", func() bool {
		names(t, host.Cache, "hosts/a")
		return at(t, host, "hosts/a/mine").Mode == unix.S_IFREG|0o640
	})
	must(t, host.Cache.Doubt(at(t, host, "hosts/a/mine").Ino))
	st := at(t, host, "hosts/a/mine")
	if st.Mode != unix.S_IFREG|0o640 || st.UID != 0 {
		t.Errorf("the host shows %+v of its own file", st)
	}
	must(t, host.Cache.Open(t.Context(), st.Ino, cache.OpenMode{Write: true, Truncate: true}))
	must(t, host.Cache.Release(t.Context(), st.Ino, true))
	if got := at(t, host, "hosts/a/mine"); got.Mode != unix.S_IFREG|0o640 {
		t.Errorf("after it was emptied: %+v", got)
	}
}

// TestHostCannotTakeAlong: a file whose attributes a key holder changed is not renamed by a write-only host, nor a directory with one in it:
// the change, which may have taken rights away, would be lost.
func TestHostCannotTakeAlong(t *testing.T) {
	reader, host := writeOnly(t)
	put(t, reader, "hosts/a/sub/old", "written by the reader")
	for _, name := range []string{"hosts/a/old", "hosts/a/sub/old"} {
		_, err := reader.Cache.SetAttr(t.Context(), at(t, reader, name).Ino, cache.Change{Set: cache.SetMode, Mode: 0o666}) // more rights: it is a tag
		must(t, err)
	}
	reader.Sync()
	c, ctx := host.Cache, t.Context()
	a := at(t, host, "hosts/a").Ino
	at(t, host, "hosts/a/old")
	at(t, host, "hosts/a/sub/old")
	for _, name := range []string{"old", "sub"} {
		if err := c.Rename(ctx, a, name, a, "new", cache.RenameReplace); !errors.Is(err, cache.ErrAccess) {
			t.Errorf("%s: got %v, want ErrAccess", name, err)
		}
	}
	if _, err := c.SetAttr(ctx, at(t, host, "hosts/a/old").Ino, cache.Change{Set: cache.SetMtime, Mtime: 42}); err != nil {
		t.Fatal(err)
	}
	host.Sync()
	o := impatient
	o.Share = reader
	if got := at(t, testenv.New(t, o), "hosts/a/old"); got.Mode != unix.S_IFREG|0o666 || got.Mtime != 42 {
		t.Errorf("a reader sees %+v, want mode 666 and the new time", got)
	}
}

// TestHostCacheOfBefore: a cache of a version that took planted attributes for true does not sign them either; what a program set there and is not
// in the bucket yet goes up.
func TestHostCacheOfBefore(t *testing.T) {
	reader, host := writeOnly(t)
	put(t, reader, "hosts/a/pending", "written by the reader")
	for _, name := range []string{"hosts/a/old", "hosts/a/pending"} {
		plant(t, reader, name)
	}
	old, pending := at(t, host, "hosts/a/old").Ino, at(t, host, "hosts/a/pending").Ino
	_, err := host.Cache.SetAttr(t.Context(), pending, cache.Change{Set: cache.SetMode | cache.SetUID | cache.SetGID | cache.SetMtime, Mode: 0o640, UID: 1, GID: 2, Mtime: 3})
	must(t, err)
	must(t, host.Cache.ForgetUnproven(old, pending))
	host.RemountNow()
	_, err = host.Cache.SetAttr(t.Context(), old, cache.Change{Set: cache.SetMtime, Mtime: 42})
	must(t, err)
	host.Sync()
	o := impatient
	o.Share = reader
	fresh := testenv.New(t, o)
	if got := at(t, fresh, "hosts/a/old"); got.Mode&0o777 == 0o777 || got.UID == 99 || got.Mtime != 42 {
		t.Errorf("a reader sees %+v: what was planted is signed", got)
	}
	if got := at(t, fresh, "hosts/a/pending"); got.Mode&0o777 != 0o640 || got.UID != 1 || got.Mtime != 3 {
		t.Errorf("a reader sees %+v, not what was set before", got)
	}
}

// TestClosedCacheOfBefore: a directory without a marker that a cache of before took for open shows no right of others after an upgrade.
func TestClosedCacheOfBefore(t *testing.T) {
	o := impatient
	o.Mount.AllowOther = true
	env := testenv.New(t, o)
	put(t, env, "d/f", "text")
	mine, err := env.Cache.Mkdir(t.Context(), cache.Root, "mine", cache.New{Mode: 0o755})
	must(t, err)
	d := at(t, env, "d")
	if d.Mode != unix.S_IFDIR|0o700 {
		t.Errorf("got mode %o, want 0700", d.Mode)
	}
	must(t, env.Cache.ForgetUnproven(d.Ino))
	if got := at(t, env, "d"); got.Mode&0o077 == 0 {
		t.Fatal("the cache is not one of before: the test shows nothing")
	}
	env.Remount()
	if got := at(t, env, "d"); got.Mode != unix.S_IFDIR|0o700 {
		t.Errorf("after the upgrade: got mode %o, want 0700", got.Mode)
	}
	if got := at(t, env, "mine"); got.Mode != unix.S_IFDIR|0o755 || got.Ino != mine.Ino {
		t.Errorf("a directory with a marker: got %+v", got)
	}
}
