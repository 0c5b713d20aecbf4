package cache_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// trusting is impatient, and accepts what was never encrypted.
var trusting = testenv.Options{NoMount: true, Cache: impatient.Cache, Object: object.Options{Trust: object.Trust{AcceptForeign: []string{""}}}}

// raw writes a plain object under any key.
func raw(t *testing.T, env *testenv.Env, key, text string) {
	t.Helper()
	if err := env.Server.WriteObject(testenv.Bucket, key, http.Header{}, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// stored is the content of a plain object, "" when it is not there.
func stored(env *testenv.Env, key string) string {
	body, _, err := env.Server.ReadObject(testenv.Bucket, key)
	if err != nil {
		return ""
	}
	return string(body)
}

// isDir tells what a name is.
func isDir(t *testing.T, c *cache.Cache, path string) bool {
	t.Helper()
	st, err := walk(t.Context(), c, path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// TestFileAndDirectoryOfOneName: the directory is shown, whoever came first; the file is counted, stays in the bucket, and shows when the
// directory is gone.
func TestFileAndDirectoryOfOneName(t *testing.T) {
	for _, first := range []string{"file", "directory", "both"} {
		t.Run(first, func(t *testing.T) {
			env := testenv.New(t, trusting)
			if first != "directory" {
				raw(t, env, "d", "the file")
			}
			if first != "file" {
				raw(t, env, "d/x", "in d")
			}
			names(t, env.Cache, "")
			raw(t, env, "d", "the file")
			raw(t, env, "d-between", "") // on a later page than d and before d/
			raw(t, env, "d/x", "in d")
			testenv.Eventually(t, "the directory", func() bool {
				return slices.Contains(names(t, env.Cache, ""), "d-between") && isDir(t, env.Cache, "d")
			})
			if got, err := content(t, env.Cache, "d/x"); err != nil || got != "in d" {
				t.Errorf("got %q, %v", got, err)
			}
			testenv.Eventually(t, "the count", func() bool { names(t, env.Cache, ""); return env.Cache.Status().LeftOut == 1 })
			if log := env.Log(); strings.Count(log, "cannot be shown") != 1 {
				t.Errorf("got the log %s, want one line", log)
			}
			st, err := walk(t.Context(), env.Cache, "d")
			if err != nil {
				t.Fatal(err)
			}
			if err := env.Cache.Unlink(t.Context(), st.Ino, "x"); err != nil {
				t.Fatal(err)
			}
			if err := env.Cache.Rmdir(t.Context(), cache.Root, "d"); err != nil {
				t.Fatal(err)
			}
			env.Sync()
			testenv.Eventually(t, "the file", func() bool {
				return slices.Contains(names(t, env.Cache, ""), "d") && !isDir(t, env.Cache, "d")
			})
			if got, err := content(t, env.Cache, "d"); err != nil || got != "the file" {
				t.Errorf("got %q, %v", got, err)
			}
			testenv.Eventually(t, "no count", func() bool { names(t, env.Cache, ""); return env.Cache.Status().LeftOut == 0 })
		})
	}
}

// TestFileInThePlaceOfADirectory: a directory that others removed with all that was in it, and replaced by a file, does not hide the file
// until somebody looks into it, and what was made in it here stays.
func TestFileInThePlaceOfADirectory(t *testing.T) {
	for _, kept := range []bool{false, true} {
		env := testenv.New(t, trusting)
		inside := []string{"d/", "d/x", "d/e/f/y", "d/e/z"}
		for _, key := range inside {
			raw(t, env, key, "")
		}
		for _, dir := range []string{"", "d", "d/e", "d/e/f"} {
			names(t, env.Cache, dir)
		}
		if kept {
			e, err := walk(t.Context(), env.Cache, "d/e")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := env.Cache.Create(t.Context(), e.Ino, "new", cache.New{Mode: 0o600}, cache.OpenMode{Write: true}); err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range inside {
			if err := env.Server.RemoveObject(testenv.Bucket, key); err != nil {
				t.Fatal(err)
			}
		}
		raw(t, env, "d", "the file")
		raw(t, env, "later", "")
		testenv.Eventually(t, "a listing", func() bool { return slices.Contains(names(t, env.Cache, ""), "later") })
		if got := isDir(t, env.Cache, "d"); got != kept {
			t.Errorf("kept %v: is d a directory: got %v", kept, got)
		}
		if kept {
			if got := names(t, env.Cache, "d/e"); !slices.Equal(got, []string{"new"}) {
				t.Errorf("got %q, want what was made here", got)
			}
		}
	}
}

// TestDirectoryBesideNewFile: a file that is made here where others make a directory of its name stays until it is uploaded, and both are in the
// bucket afterwards.
func TestDirectoryBesideNewFile(t *testing.T) {
	env := testenv.New(t, trusting)
	st, err := env.Cache.Create(t.Context(), cache.Root, "d", cache.New{Mode: 0o600}, cache.OpenMode{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	raw(t, env, "d/x", "in d")
	raw(t, env, "later", "")
	testenv.Eventually(t, "a listing", func() bool { return slices.Contains(names(t, env.Cache, ""), "later") })
	if isDir(t, env.Cache, "d") {
		t.Fatal("a file being written has lost its name")
	}
	if err := env.Cache.Write(t.Context(), st.Ino, 0, []byte("ours"), nil); err != nil {
		t.Fatal(err)
	}
	if err := env.Cache.Release(t.Context(), st.Ino, true); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	testenv.Eventually(t, "the directory", func() bool { names(t, env.Cache, ""); return isDir(t, env.Cache, "d") })
	if got := stored(env, "d/x"); got != "in d" {
		t.Errorf("got %q in d/x", got)
	}
	if got, err := env.Store.Head(t.Context(), "d"); err != nil || got.Size != 4 {
		t.Errorf("got %+v, %v, want what was written here", got, err)
	}
}

// TestMarkerWithContent: content behind a directory's name is not written over by the directory's marker, and the mount comes to rest all the same.
func TestMarkerWithContent(t *testing.T) {
	env := testenv.New(t, trusting)
	raw(t, env, "d/", "hidden words")
	raw(t, env, "d/x", "in d")
	if got := names(t, env.Cache, "d"); !slices.Equal(got, []string{"x"}) {
		t.Fatalf("got %q", got)
	}
	if env.Cache.Status().LeftOut != 1 {
		t.Errorf("got %d objects left out, want 1", env.Cache.Status().LeftOut)
	}
	st, err := walk(t.Context(), env.Cache, "d")
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		t.Fatalf("got %+v, %v", st, err)
	}
	if _, err := env.Cache.SetAttr(t.Context(), st.Ino, cache.Change{Set: cache.SetMode, Mode: 0o700}); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if got := stored(env, "d/"); got != "hidden words" {
		t.Errorf("got %q, want the content as it was", got)
	}
	if st, err := walk(t.Context(), env.Cache, "d"); err != nil || st.Mode&0o777 != 0o700 {
		t.Errorf("got %+v, %v, want the mode that was set here", st, err)
	}
	if err := env.Cache.Unlink(t.Context(), st.Ino, "x"); err != nil {
		t.Fatal(err)
	}
	if err := env.Cache.Rename(t.Context(), cache.Root, "d", cache.Root, "e", cache.RenameReplace); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if got := env.Keys(); stored(env, "d/") != "hidden words" || !slices.Equal(got, []string{"d/", "e/"}) {
		t.Errorf("got keys %q, content %q", got, stored(env, "d/"))
	}
}

// TestRemoveMarkerWithContent: what cannot be seen is not deleted.
func TestRemoveMarkerWithContent(t *testing.T) {
	env := testenv.New(t, trusting)
	raw(t, env, "d/", "hidden words")
	names(t, env.Cache, "")
	if err := env.Cache.Rmdir(t.Context(), cache.Root, "d"); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if got := stored(env, "d/"); got != "hidden words" {
		t.Errorf("got %q, want the content as it was", got)
	}
}

// endlessBucket lists names without an end.
type endlessBucket struct {
	cache.Bucket
	page func(n int, r object.ListRequest) object.Page
	n    int
}

func (b *endlessBucket) List(_ context.Context, r object.ListRequest) (object.Page, error) {
	b.n++
	return b.page(b.n, r), nil
}

// TestListingWithoutEnd: a listing that brings no names is given up.
func TestListingWithoutEnd(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	b := &endlessBucket{Bucket: env.Store, page: func(n int, _ object.ListRequest) object.Page {
		return object.Page{Next: strings.Repeat("t", n%2+1)}
	}}
	c, err := cache.Open(t.Context(), cache.Options{Bucket: b, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(context.Background(), cache.CloseNow); err != nil {
			t.Error(err)
		}
	}()
	if _, err := c.OpenDir(t.Context(), cache.Root); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want an error at once", err)
	}
	if b.n > object.MaxEmptyPages+2 {
		t.Errorf("%d pages were asked for", b.n)
	}
}
