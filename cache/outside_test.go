package cache_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// put writes an object as another program with the same key does.
func put(t *testing.T, env *testenv.Env, key, text string) {
	t.Helper()
	attr := object.Attr{Mode: unix.S_IFREG | 0o640, UID: 7, GID: 8, Mtime: 99}
	if strings.HasSuffix(key, "/") {
		attr.Mode = unix.S_IFDIR | 0o750
	}
	sealing, err := object.NewSealing()
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, len(text))
	if err := sealing.Seal(body, []byte(text)); err != nil {
		t.Fatal(err)
	}
	_, err = env.Store.Put(t.Context(), object.PutRequest{Key: key, Body: bytes.NewReader(body), Sealed: sealing.Finish(), Attr: attr, Upload: object.NewID()})
	if err != nil {
		t.Fatal(err)
	}
}

// walk finds an inode by its path.
func walk(ctx context.Context, c *cache.Cache, path string) (cache.Stat, error) {
	st, err := c.GetAttr(ctx, cache.Root)
	for name := range strings.SplitSeq(path, "/") {
		if err == nil {
			st, _, err = c.Lookup(ctx, st.Ino, name)
		}
	}
	return st, err
}

// names lists a directory, sorted.
func names(t *testing.T, c *cache.Cache, path string) []string {
	t.Helper()
	ino := cache.Root
	if path != "" {
		st, err := walk(t.Context(), c, path)
		if err != nil {
			t.Fatal(err)
		}
		ino = st.Ino
	}
	d, err := c.OpenDir(t.Context(), ino)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var list []string
	err = d.Read(0, true, func(e cache.DirEntry) bool {
		if e.Name != "." && e.Name != ".." {
			list = append(list, e.Name)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// content reads a whole file.
func content(t *testing.T, c *cache.Cache, path string) (string, error) {
	t.Helper()
	st, err := walk(t.Context(), c, path)
	if err != nil {
		return "", err
	}
	if err := c.Open(t.Context(), st.Ino, cache.OpenMode{}); err != nil {
		return "", err
	}
	defer func() {
		if err := c.Release(t.Context(), st.Ino, false); err != nil {
			t.Error(err)
		}
	}()
	p := make([]byte, st.Size)
	n, err := c.Read(t.Context(), st.Ino, 0, p)
	return string(p[:n]), err
}

var impatient = testenv.Options{NoMount: true, Cache: cache.Options{MetaTTL: time.Millisecond, Host: "here"}}

// TestImport follows a bucket that others fill, change and empty.
func TestImport(t *testing.T) {
	env := testenv.New(t, impatient)
	put(t, env, "a-b", "first")
	put(t, env, "d/", "")
	put(t, env, "d/x", "in d")
	put(t, env, "implied/deep/y", "deep")
	if got, want := names(t, env.Cache, ""), []string{"a-b", "d", "implied"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	st, err := walk(t.Context(), env.Cache, "a-b")
	if err != nil || st.Mode != unix.S_IFREG|0o640 || st.UID != 7 || st.Mtime != 99 || st.Size != 5 {
		t.Errorf("got %+v, %v", st, err)
	}
	if dir, err := walk(t.Context(), env.Cache, "d"); err != nil || dir.Mode != unix.S_IFDIR|0o750 {
		t.Errorf("got %+v, %v", dir, err)
	}
	if got, err := content(t, env.Cache, "implied/deep/y"); err != nil || got != "deep" {
		t.Errorf("got %q, %v", got, err)
	}
	put(t, env, "a-b", "second, longer")
	testenv.Eventually(t, "the new version", func() bool {
		got, err := content(t, env.Cache, "a-b")
		return err == nil && got == "second, longer"
	})
	if again, err := walk(t.Context(), env.Cache, "a-b"); err != nil || again.Ino != st.Ino {
		t.Errorf("got inode %d, %v, want %d as before", again.Ino, err, st.Ino)
	}
	for _, key := range []string{"a-b", "d/x", "d/", "implied/deep/y"} {
		if err := env.Store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, "an empty root", func() bool {
		for _, dir := range []string{"implied/deep", "implied", "d"} {
			if st, err := walk(t.Context(), env.Cache, dir); err == nil {
				if d, err := env.Cache.OpenDir(t.Context(), st.Ino); err == nil {
					d.Close()
				}
			}
		}
		return len(names(t, env.Cache, "")) == 0
	})
}

// openNew makes a file that stays open; write replaces its begin.
func openNew(t *testing.T, env *testenv.Env, name string) (st cache.Stat, write func(text string)) {
	t.Helper()
	st, err := env.Cache.Create(t.Context(), cache.Root, name, cache.New{Mode: 0o644}, cache.OpenMode{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	return st, func(text string) {
		t.Helper()
		if err := env.Cache.Write(t.Context(), st.Ino, 0, []byte(text), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAttributesOfOthersMeetContent: a file that is rewritten here while others change its attributes is one file with both changes,
// or with our attributes where we changed them, too.
func TestAttributesOfOthersMeetContent(t *testing.T) {
	for _, ours := range []uint32{0, 0o604} {
		env := testenv.New(t, testenv.Options{NoMount: true})
		st, write := openNew(t, env, "f")
		write("old")
		env.Sync()
		info, err := env.Store.Head(t.Context(), "f")
		if err != nil {
			t.Fatal(err)
		}
		attr := info.Attr
		attr.Mode, attr.Xattrs = unix.S_IFREG|0o640, nil
		if err := env.Store.SetAttr(t.Context(), object.TagRequest{Key: "f", Attr: attr, Generation: info.Generation, Upload: object.NewID()}); err != nil {
			t.Fatal(err)
		}
		write("new")
		want := attr.Mode
		if ours != 0 {
			want = unix.S_IFREG | ours
			if _, err := env.Cache.SetAttr(t.Context(), st.Ino, cache.Change{Set: cache.SetMode, Mode: ours}); err != nil {
				t.Fatal(err)
			}
		}
		if err := env.Cache.Release(t.Context(), st.Ino, true); err != nil {
			t.Fatal(err)
		}
		env.Sync()
		if got := names(t, env.Cache, ""); !slices.Equal(got, []string{"f"}) {
			t.Errorf("got %q, want one file", got)
		}
		if got, err := content(t, env.Cache, "f"); err != nil || got != "new" {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := env.Store.Head(t.Context(), "f"); err != nil || got.Attr.Mode != want {
			t.Errorf("ours %o: got mode %o, %v, want %o", ours, got.Attr.Mode, err, want)
		}
	}
}

// TestAttributesComeAfterAWrite: what is written while the attributes of the version before are on their way is sent all the same.
func TestAttributesComeAfterAWrite(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	st, write := openNew(t, env, "f")
	write("old")
	env.Sync()
	if err := env.Cache.Doubt(st.Ino); err != nil {
		t.Fatal(err)
	}
	before := requestsOf(env)
	hold := env.Server.AddFault(emulator.Fault{Key: "f", Barrier: 2})
	asked := make(chan error, 1)
	go func() {
		_, err := env.Cache.GetAttr(t.Context(), st.Ino)
		asked <- err
	}()
	testenv.Eventually(t, "the question to be under way", func() bool { return requestsOf(env) > before })
	write("new")
	env.Server.RemoveFault(hold)
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	if err := env.Cache.Release(t.Context(), st.Ino, true); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	env.DropCache()
	if got, err := content(t, env.Cache, "f"); err != nil || got != "new" {
		t.Errorf("got %q, %v, want %q", got, err, "new")
	}
}

// requestsOf is how many the server got.
func requestsOf(env *testenv.Env) (n int) {
	for _, count := range env.Requests() {
		n += count
	}
	return n
}

// TestHeadsAreShared counts the requests for the attributes of a directory that many look at.
func TestHeadsAreShared(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	const files = 40
	for n := range files {
		put(t, env, "d/f"+strings.Repeat("i", n), "x")
	}
	env.Server.ResetRequests()
	var all sync.WaitGroup
	for range 4 {
		for _, name := range names(t, env.Cache, "d") {
			all.Go(func() {
				if _, err := walk(t.Context(), env.Cache, "d/"+name); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if got := env.Requests(); got["HeadObject"] > 1 || got["GetObject"] > files {
		t.Errorf("got %v, want at most one for each file and the directory", got)
	}
}

// TestMoveUnlisted moves a directory nobody has looked into: nothing may stay behind.
func TestMoveUnlisted(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	put(t, env, "d/e/f", "deep")
	put(t, env, "d/g", "flat")
	if err := env.Cache.Rename(t.Context(), cache.Root, "d", cache.Root, "moved", cache.RenameReplace); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if got, want := env.Keys(), []string{"moved/", "moved/e/", "moved/e/f", "moved/g"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	if got, err := content(t, env.Cache, "moved/e/f"); err != nil || got != "deep" {
		t.Errorf("got %q, %v", got, err)
	}
	if st, err := walk(t.Context(), env.Cache, "moved/g"); err != nil || st.UID != 7 || st.Mode != unix.S_IFREG|0o640 {
		t.Errorf("got %+v, %v, want the attributes of before", st, err)
	}
}

// TestMoveTooLong refuses a rename that would make a key below too long.
func TestMoveTooLong(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	put(t, env, "d/"+strings.Repeat(strings.Repeat("n", 200)+"/", 5)[:1000], "x")
	err := env.Cache.Rename(t.Context(), cache.Root, "d", cache.Root, strings.Repeat("l", 100), cache.RenameReplace)
	if !errors.Is(err, cache.ErrNameTooLong) {
		t.Errorf("got %v, want ErrNameTooLong", err)
	}
}

// TestFolderOfAnother refuses a cache folder that was made for another prefix.
func TestFolderOfAnother(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	env.Unmount()
	_, err := cache.Open(t.Context(), cache.Options{Bucket: elsewhere{env.Store}, Dir: env.CacheDir})
	if !errors.Is(err, cache.ErrForeignCache) {
		t.Errorf("got %v, want ErrForeignCache", err)
	}
}

// elsewhere is a bucket with another prefix.
type elsewhere struct{ *object.Bucket }

// Prefix implements cache.Bucket.
func (elsewhere) Prefix() string { return "elsewhere/" }
