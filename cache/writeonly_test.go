package cache_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// writeOnly is a reader and a host that can only write, to the same bucket. The reader wrote hosts/a/old and other/old.
func writeOnly(t *testing.T) (reader, host *testenv.Env) {
	t.Helper()
	reader = testenv.New(t, impatient)
	for _, key := range []string{"hosts/a/old", "other/old"} {
		put(t, reader, key, "written by the reader")
	}
	o := reader.WriteOnly(reader.Bundle("hosts/a/"))
	o.Cache.MetaTTL, o.Cache.Settle = time.Millisecond, time.Minute // uploads happen at Sync
	return reader, testenv.New(t, o)
}

// at finds a path or ends the test.
func at(t *testing.T, env *testenv.Env, path string) cache.Stat {
	t.Helper()
	st, err := walk(t.Context(), env.Cache, path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return st
}

// denied reports whether programs see EACCES.
func denied(err error) bool {
	return errors.Is(err, cache.ErrAccess) || errors.Is(err, cache.ErrWriteOnly)
}

// create makes a file with content.
func create(t *testing.T, env *testenv.Env, dir, name, text string) cache.Stat {
	t.Helper()
	c, ctx := env.Cache, t.Context()
	st, err := c.Create(ctx, at(t, env, dir).Ino, name, cache.New{Mode: 0o640}, cache.OpenMode{Write: true})
	if err == nil {
		err = c.Write(ctx, st.Ino, 0, []byte(text), nil)
	}
	if err == nil {
		err = c.Release(ctx, st.Ino, true)
	}
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	return st
}

// TestWriteOnlyOutside: what a host may not write is refused at once, with EACCES.
func TestWriteOnlyOutside(t *testing.T) {
	_, host := writeOnly(t)
	c, ctx := host.Cache, t.Context()
	other, old, a := at(t, host, "other").Ino, at(t, host, "other/old").Ino, at(t, host, "hosts/a").Ino
	mine := create(t, host, "hosts/a", "mine", "x").Ino
	for name, do := range map[string]func() error{
		"create": func() error {
			_, err := c.Create(ctx, other, "new", cache.New{Mode: 0o600}, cache.OpenMode{Write: true})
			return err
		},
		"mkdir":    func() error { _, err := c.Mkdir(ctx, cache.Root, "dir", cache.New{Mode: 0o700}); return err },
		"symlink":  func() error { _, err := c.Symlink(ctx, other, "link", "x", cache.New{}); return err },
		"mknod":    func() error { _, err := c.Mknod(ctx, other, "pipe", cache.New{Mode: unix.S_IFIFO}); return err },
		"unlink":   func() error { return c.Unlink(ctx, other, "old") },
		"rmdir":    func() error { return c.Rmdir(ctx, cache.Root, "other") },
		"open":     func() error { return c.Open(ctx, old, cache.OpenMode{Write: true}) },
		"truncate": func() error { return c.Open(ctx, old, cache.OpenMode{Write: true, Truncate: true}) },
		"chmod": func() error {
			_, err := c.SetAttr(ctx, old, cache.Change{Set: cache.SetMode, Mode: 0o600})
			return err
		},
		"size":         func() error { _, err := c.SetAttr(ctx, old, cache.Change{Set: cache.SetSize}); return err },
		"setxattr":     func() error { return c.SetXattr(ctx, old, "user.a", nil, cache.XattrAny) },
		"rename there": func() error { return c.Rename(ctx, a, "mine", other, "mine", cache.RenameReplace) },
		"rename away":  func() error { return c.Rename(ctx, other, "old", a, "taken", cache.RenameReplace) },
		"link there": func() error {
			st, err := c.Tmpfile(ctx, other, cache.New{Mode: 0o600}, cache.OpenMode{Write: true})
			if err == nil {
				_, err = c.Link(ctx, st.Ino, other, "linked")
			}
			return err
		},
		"whiteout": func() error {
			return c.RenameWhiteout(ctx, other, "old", a, "taken", cache.RenameReplace, cache.New{})
		},
		"exchange":     func() error { return c.Rename(ctx, a, "mine", other, "old", cache.RenameExchange) },
		"root's xattr": func() error { return c.SetXattr(ctx, cache.Root, "user.a", nil, cache.XattrAny) },
	} {
		if err := do(); !errors.Is(err, cache.ErrAccess) {
			t.Errorf("%s: got %v, want ErrAccess", name, err)
		}
	}
	if _, err := c.SetAttr(ctx, old, cache.Change{Set: cache.SetAtime, Atime: 5}); err != nil {
		t.Errorf("atime, which stays here: got %v", err)
	}
	if err := c.SetXattr(ctx, mine, "user.a", []byte("b"), cache.XattrAny); err != nil {
		t.Errorf("xattr of a new file: got %v", err)
	}
}

// TestWriteOnlyForgets: a host reads what it wrote until the bucket has it; older files it can change and not read.
func TestWriteOnlyForgets(t *testing.T) {
	reader, host := writeOnly(t)
	c, ctx := host.Cache, t.Context()
	a := at(t, host, "hosts/a").Ino
	create(t, host, "hosts/a", "mine", "text")
	if _, err := c.Symlink(ctx, a, "link", "target", cache.New{}); err != nil {
		t.Fatal(err)
	}
	host.Sync()
	for _, name := range []string{"hosts/a/mine", "hosts/a/old"} {
		testenv.Eventually(t, name+" to be sealed", func() bool {
			_, err := content(t, c, name)
			return errors.Is(err, cache.ErrAccess) && errors.Is(err, cache.ErrWriteOnly)
		})
		if st := at(t, host, name); st.Size == 0 {
			t.Errorf("%s has no size: %+v", name, st)
		}
		if _, err := c.GetXattr(ctx, at(t, host, name).Ino, "user.a"); !errors.Is(err, cache.ErrAccess) {
			t.Errorf("%s: xattr: got %v, want ErrAccess", name, err)
		}
		if list, err := c.ListXattr(ctx, at(t, host, name).Ino); err != nil || len(list) != 0 {
			t.Errorf("%s: xattrs: got %q, %v, want none", name, list, err)
		}
	}
	link := at(t, host, "hosts/a/link").Ino
	testenv.Eventually(t, "the link to be sealed", func() bool {
		_, err := c.Readlink(ctx, link)
		return errors.Is(err, cache.ErrAccess)
	})
	if err := c.Rename(ctx, a, "old", a, "older", cache.RenameReplace); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetAttr(ctx, at(t, host, "hosts/a/older").Ino, cache.Change{Set: cache.SetMode, Mode: 0o604}); err != nil {
		t.Fatal(err)
	}
	host.Sync()
	testenv.Eventually(t, "the reader to see it", func() bool {
		got, err := content(t, reader.Cache, "hosts/a/older")
		return err == nil && got == "written by the reader" && at(t, reader, "hosts/a/older").Mode == unix.S_IFREG|0o604
	})
	if got, err := content(t, reader.Cache, "hosts/a/mine"); err != nil || got != "text" {
		t.Errorf("the reader gets %q, %v", got, err)
	}
	if got, err := reader.Cache.Readlink(ctx, at(t, reader, "hosts/a/link").Ino); err != nil || got != "target" {
		t.Errorf("the reader follows the link to %q, %v", got, err)
	}
	old := at(t, host, "hosts/a/older").Ino
	if err := c.Open(ctx, old, cache.OpenMode{Write: true}); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, 3, 21, 5000} {
		if err := c.Write(ctx, old, off, []byte("changed"), nil); !denied(err) {
			t.Errorf("write into an older file at %d: got %v, want ErrAccess", off, err)
		}
	}
	if _, err := c.SetAttr(ctx, old, cache.Change{Set: cache.SetSize, Size: 5}); !denied(err) {
		t.Errorf("cut an older file: got %v, want ErrAccess", err)
	}
	if err := c.Release(ctx, old, true); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(ctx, old, cache.OpenMode{Write: true, Truncate: true}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Write(ctx, old, 0, []byte("new"), nil), c.Release(ctx, old, true), c.Unlink(ctx, a, "mine")); err != nil {
		t.Fatal(err)
	}
	host.Sync()
	testenv.Eventually(t, "the reader to see the new content", func() bool {
		got, err := content(t, reader.Cache, "hosts/a/older")
		_, gone := walk(ctx, reader.Cache, "hosts/a/mine")
		return err == nil && got == "new" && errors.Is(gone, cache.ErrNotFound)
	})
}

// keyOf reads the wrapped key of a cache folder.
func keyOf(t *testing.T, env *testenv.Env, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(env.CacheDir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return raw
}

// TestWriteOnlyRekeys: when nothing is dirty any more the key of the cache folder is replaced, and not before.
func TestWriteOnlyRekeys(t *testing.T) {
	_, host := writeOnly(t)
	c, ctx := host.Cache, t.Context()
	first := keyOf(t, host, "key")
	held, err := c.Create(ctx, at(t, host, "hosts/a").Ino, "open", cache.New{Mode: 0o600}, cache.OpenMode{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(ctx, held.Ino, 0, []byte("being written"), nil); err != nil {
		t.Fatal(err)
	}
	create(t, host, "hosts/a", "closed", "text")
	host.RemountNow() // ends the mount without uploading: both files are needed
	if !bytes.Equal(keyOf(t, host, "key"), first) {
		t.Error("the key was replaced while files were not uploaded")
	}
	host.Sync()
	testenv.Eventually(t, "a new key", func() bool { return !bytes.Equal(keyOf(t, host, "key"), first) && keyOf(t, host, "key.next") == nil })
	second := keyOf(t, host, "key")
	create(t, host, "hosts/a", "later", "text")
	host.Remount()
	if third := keyOf(t, host, "key"); bytes.Equal(third, second) {
		t.Error("the key was not replaced at the end of the mount")
	}
	if st := at(t, host, "hosts/a/later"); st.Size != 4 {
		t.Errorf("after the new key: got %+v", st)
	}
}

// TestWriteOnlyRekeyCrash: a process that ends while the key is replaced leaves one that opens.
func TestWriteOnlyRekeyCrash(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, dir string, before []byte)
	}{
		{"before the index changed", func(t *testing.T, dir string, before []byte) {
			write(t, filepath.Join(dir, "key.next"), before) // of no index: it is one of before
		}},
		{"after the index changed", func(t *testing.T, dir string, before []byte) {
			now, err := os.ReadFile(filepath.Join(dir, "key"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "key.next"), now)
			write(t, filepath.Join(dir, "key"), before)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, host := writeOnly(t)
			before := keyOf(t, host, "key")
			create(t, host, "hosts/a", "f", "text")
			host.Unmount()
			right := keyOf(t, host, "key")
			if bytes.Equal(before, right) {
				t.Fatal("the key was not replaced: the test shows nothing")
			}
			tt.do(t, host.CacheDir, before)
			host.Remount() // fails the test when the cache cannot be opened
			if st := at(t, host, "hosts/a/f"); st.Size != 4 {
				t.Errorf("got %+v, want 4 bytes", st)
			}
			testenv.Eventually(t, "the next key to go", func() bool { return keyOf(t, host, "key.next") == nil })
		})
	}
}

// write replaces a file.
func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
