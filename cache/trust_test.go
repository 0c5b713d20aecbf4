package cache_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// judge is a bucket that thinks of objects what a test wants.
type judge struct {
	*object.Bucket
	mu      sync.Mutex       // guards the fields below
	refused map[string]error // described, but not handed out
	unread  map[string]error // what a GET fails with
	broken  map[string]error // found out at the end of the content
	trust   object.Trust
	history object.History
}

func newJudge() *judge {
	return &judge{refused: make(map[string]error), unread: make(map[string]error), broken: make(map[string]error)}
}

// over is for testenv.Options.Bucket.
func (j *judge) over(b *object.Bucket) cache.Bucket {
	j.Bucket = b
	return j
}

func (j *judge) say(table map[string]error, key string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	table[key] = err
}

func (j *judge) of(table map[string]error, key string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return table[key]
}

// SetHistory implements cache.Bucket.
func (j *judge) SetHistory(h object.History) {
	j.history = h
	j.Bucket.SetHistory(h)
}

// Trust implements cache.Bucket.
func (j *judge) Trust() object.Trust { return j.trust }

// Head implements cache.Bucket.
func (j *judge) Head(ctx context.Context, key string) (object.Info, error) {
	info, err := j.Bucket.Head(ctx, key)
	switch why := j.of(j.refused, key); {
	case errors.Is(why, object.ErrWriteOnly):
		info.State = object.StateSealed
	case why != nil:
		info.State, info.Refusal = object.StateRefused, why
	}
	return info, err
}

// Get implements cache.Bucket.
func (j *judge) Get(ctx context.Context, r object.GetRequest) (*object.Download, error) {
	if why := j.of(j.refused, r.Key); why != nil {
		return nil, why
	}
	if err := j.of(j.unread, r.Key); err != nil {
		return nil, err
	}
	d, err := j.Bucket.Get(ctx, r)
	if why := j.of(j.broken, r.Key); err == nil && why != nil {
		d.Body = brokenBody{d.Body, why}
	}
	return d, err
}

// brokenBody ends with an error.
type brokenBody struct {
	io.ReadCloser
	err error
}

// Read implements io.Reader.
func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }

// writeFile makes or replaces a file and uploads it.
func writeFile(t *testing.T, env *testenv.Env, name, text string) cache.Ino {
	t.Helper()
	c := env.Cache
	st, err := openOver(t.Context(), c, name, 0o600)
	if err == nil {
		err = c.Write(t.Context(), st.Ino, 0, []byte(text), nil)
	}
	if err == nil {
		err = c.Release(t.Context(), st.Ino, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	env.Sync()
	return st.Ino
}

// openOver is open(2) with O_CREAT and O_TRUNC in the root, as the kernel puts it together.
func openOver(ctx context.Context, c *cache.Cache, name string, mode uint32) (cache.Stat, error) {
	st, _, err := c.Lookup(ctx, cache.Root, name)
	if errors.Is(err, cache.ErrNotFound) {
		return c.Create(ctx, cache.Root, name, cache.New{Mode: mode}, cache.OpenMode{Write: true})
	}
	if err == nil {
		err = c.Open(ctx, st.Ino, cache.OpenMode{Write: true, Truncate: true})
	}
	return st, err
}

// noticed waits until a notice of a kind has come for a path, and returns how many of the kind there were.
func noticed(t *testing.T, env *testenv.Env, kind object.NoticeKind, path string) int64 {
	t.Helper()
	var st cache.Status
	testenv.Eventually(t, string(kind)+" of "+path, func() bool {
		for _, name := range names(t, env.Cache, "") {
			_, _ = walk(t.Context(), env.Cache, name)
		}
		st = env.Cache.Status()
		return slices.ContainsFunc(st.LastNotices, func(n cache.Notice) bool { return n.Kind == kind && n.Path == path })
	})
	return st.Notices[kind]
}

// restore puts an object of the bucket as it was into the place of what is there now.
func restore(t *testing.T, env *testenv.Env, key string) func() {
	t.Helper()
	data, header, err := env.Server.ReadObject(testenv.Bucket, key)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := env.Server.WriteObject(testenv.Bucket, key, header, data); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRollback puts old versions back, of what this mount wrote and of what it saw, and what it deleted.
func TestRollback(t *testing.T) {
	var heard []object.Notice
	var mu sync.Mutex
	o := impatient
	o.Cache.Notice = func(n object.Notice) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, n)
	}
	env := testenv.New(t, o)
	writeFile(t, env, "f", "old")
	writeFile(t, env, "gone", "deleted here")
	oldF, oldGone := restore(t, env, "f"), restore(t, env, "gone")
	writeFile(t, env, "f", "new version")
	if err := env.Cache.Unlink(t.Context(), cache.Root, "gone"); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	for range 3 { // what is recorded again is no rollback
		names(t, env.Cache, "")
	}
	if got := env.Cache.Status().Notices[object.NoticeRollback]; got != 0 {
		t.Errorf("got %d notices before anybody did anything", got)
	}
	env.Remount() // what was superseded is remembered
	oldF()
	if got := noticed(t, env, object.NoticeRollback, "/f"); got != 1 {
		t.Errorf("got %d notices, want 1", got)
	}
	oldGone()
	if got := noticed(t, env, object.NoticeRollback, "/gone"); got != 2 {
		t.Errorf("got %d notices, want 2", got)
	}
	if got, err := content(t, env.Cache, "f"); err != nil || got != "old" {
		t.Errorf("got %q, %v: an old version is reported, not refused", got, err)
	}
	if !strings.Contains(env.Log(), `level=WARN msg="an older version of an object has come back" path=/f`) {
		t.Errorf("no line in the log:\n%s", env.Log())
	}
	mu.Lock()
	defer mu.Unlock()
	if len(heard) != 2 || heard[0].Key != "f" || heard[0].Kind != object.NoticeRollback {
		t.Errorf("heard %+v", heard)
	}
}

// TestRollbackGivesNoRights: an older tag, or none, an older marker and an older version do not give back the rights that this machine knows to be
// taken away, not after a restart nor by a rename either.
func TestRollbackGivesNoRights(t *testing.T) {
	o := impatient
	o.Mount.AllowOther = true
	env := testenv.New(t, o)
	_, err := env.Cache.Mkdir(t.Context(), cache.Root, "d", cache.New{Mode: 0o755})
	must(t, err)
	_, err = env.Cache.Mkdir(t.Context(), cache.Root, "gone", cache.New{Mode: 0o755})
	must(t, err)
	put(t, env, "gone/f", "text")
	files := []string{"small", "empty", "moved"} // of empty files attributes stay tags
	for _, name := range files {
		text := map[bool]string{true: "text"}[name == "small"]
		writeFile(t, env, name, text)
		_, err := env.Cache.SetAttr(t.Context(), at(t, env, name).Ino, cache.Change{Set: cache.SetMode, Mode: 0o644})
		must(t, err)
	}
	env.Sync()
	back := map[string]func(){}
	for _, key := range append(files, "d/", "gone/") {
		back[key] = restore(t, env, key)
		_, err := env.Cache.SetAttr(t.Context(), at(t, env, strings.TrimSuffix(key, "/")).Ino, cache.Change{Set: cache.SetMode, Mode: 0o600})
		must(t, err)
	}
	env.Sync()
	check := func(when string, paths ...string) {
		t.Helper()
		for _, path := range paths {
			if st := at(t, env, path); st.Mode&0o077 != 0 {
				t.Errorf("%s: %s has mode %o", when, path, st.Mode)
			}
		}
	}
	back["moved"]()
	must(t, env.Cache.Rename(t.Context(), cache.Root, "moved", cache.Root, "elsewhere", cache.RenameReplace))
	env.Sync()
	fresh := impatient
	fresh.Share = env
	if st := at(t, testenv.New(t, fresh), "elsewhere"); st.Mode&0o777 != 0o600 {
		t.Errorf("the rights of before are signed for the new name: mode %o", st.Mode)
	}
	for _, key := range []string{"gone/", "gone/f"} {
		must(t, env.Server.RemoveObject(testenv.Bucket, key))
	}
	testenv.Eventually(t, "the directory is gone", func() bool { return !slices.Contains(names(t, env.Cache, ""), "gone") })
	put(t, env, "gone/f", "text")
	for _, key := range []string{"small", "empty", "d/", "gone/"} {
		back[key]()
		path := strings.TrimSuffix(key, "/")
		names(t, env.Cache, "")
		must(t, env.Cache.Doubt(at(t, env, path).Ino)) // a listing does not tell two versions of one second apart
		at(t, env, path)
		if !slices.ContainsFunc(env.Cache.Status().LastNotices, func(n cache.Notice) bool { return n.Kind == object.NoticeRollback && n.Path == "/"+path }) {
			t.Errorf("%s: the older version is not reported", path)
		}
	}
	check("put back", "small", "empty", "d", "gone", "elsewhere")
	env.Remount()
	check("after a restart", "small", "empty", "d", "gone", "elsewhere")
}

// TestVanished takes objects away.
func TestVanished(t *testing.T) {
	for name, level := range map[string]string{"shared": "INFO", "exclusive": "WARN"} {
		t.Run(name, func(t *testing.T) {
			o := impatient
			o.Cache.Exclusive = name == "exclusive"
			env := testenv.New(t, o)
			for _, f := range []string{"lost", "moved", "deleted"} {
				writeFile(t, env, f, "text of "+f)
			}
			if err := env.Cache.Unlink(t.Context(), cache.Root, "deleted"); err != nil {
				t.Fatal(err)
			}
			env.Sync()
			env.Remount()
			data, header, err := env.Server.ReadObject(testenv.Bucket, "moved")
			if err == nil {
				err = errors.Join(env.Server.WriteObject(testenv.Bucket, "elsewhere", header, data), env.Server.RemoveObject(testenv.Bucket, "moved"),
					env.Server.RemoveObject(testenv.Bucket, "lost"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := noticed(t, env, object.NoticeVanished, "/lost"); got != 1 {
				t.Errorf("got %d notices, want 1: %+v", got, env.Cache.Status().LastNotices)
			}
			if want := "level=" + level + ` msg="an object is gone that was not deleted here" path=/lost`; !strings.Contains(env.Log(), want) {
				t.Errorf("no line %q in the log:\n%s", want, env.Log())
			}
		})
	}
}

// TestHistoryOfKeys: a key at which this mount knew an authentic object stays known until it removes the object itself.
func TestHistoryOfKeys(t *testing.T) {
	j := newJudge()
	o := impatient
	o.Bucket = j.over
	env := testenv.New(t, o)
	for _, f := range []string{"kept", "deleted", "replaced", "lost"} {
		writeFile(t, env, f, "text")
	}
	if err := env.Cache.Unlink(t.Context(), cache.Root, "deleted"); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if err := errors.Join(env.Server.RemoveObject(testenv.Bucket, "lost"), env.Server.WriteObject(testenv.Bucket, "replaced", nil, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the others' changes", func() bool {
		st, err := walk(t.Context(), env.Cache, "replaced")
		return err == nil && st.Size == 1 && !slices.Contains(names(t, env.Cache, ""), "lost")
	})
	for _, when := range []string{"before", "after"} {
		for key, want := range map[string]bool{"kept": true, "deleted": false, "replaced": true, "lost": true, "never": false} {
			if got := j.history.Boxed(key); got != want {
				t.Errorf("%s a remount, %s: got %v, want %v", when, key, got, want)
			}
		}
		env.Remount()
	}
}

// TestRefused: an object that is not believed shows as a plain file, and nothing of it is handed out.
func TestRefused(t *testing.T) {
	j := newJudge()
	o := impatient
	o.Bucket, o.Cache.Umask = j.over, 0o027
	env := testenv.New(t, o)
	c, ctx := env.Cache, t.Context()
	for _, key := range []string{"f", "g", "h", "d/", "d/x"} {
		if !strings.HasSuffix(key, "/") {
			put(t, env, key, "secret")
		} else {
			put(t, env, key, "")
		}
		j.say(j.refused, key, object.ErrUnauthentic)
	}
	st, err := walk(ctx, c, "f")
	if err != nil || st.Mode != unix.S_IFREG|0o640 || st.UID != 0 || st.Size != 6 || st.Mtime == 99 {
		t.Errorf("got %+v, %v, want default attributes", st, err)
	}
	dir, err := walk(ctx, c, "d")
	if err != nil || dir.Mode != unix.S_IFDIR|0o750 {
		t.Errorf("got %+v, %v, want a directory with default attributes", dir, err)
	}
	if got := names(t, c, "d"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("got %q in the directory", got)
	}
	chmod := cache.Change{Set: cache.SetMode, Mode: 0o777}
	for what, call := range map[string]func() error{
		"open":     func() error { return c.Open(ctx, st.Ino, cache.OpenMode{}) },
		"read":     func() error { _, err := c.Read(ctx, st.Ino, 0, make([]byte, 6)); return err },
		"write":    func() error { return c.Write(ctx, st.Ino, 2, []byte("x"), nil) },
		"shorten":  func() error { _, err := c.SetAttr(ctx, st.Ino, cache.Change{Set: cache.SetSize, Size: 3}); return err },
		"chmod":    func() error { _, err := c.SetAttr(ctx, st.Ino, chmod); return err },
		"getxattr": func() error { _, err := c.GetXattr(ctx, st.Ino, "user.a"); return err },
		"setxattr": func() error { return c.SetXattr(ctx, st.Ino, "user.a", nil, cache.XattrAny) },
	} {
		if err := call(); !errors.Is(err, cache.ErrUntrusted) || !errors.Is(err, object.ErrUnauthentic) {
			t.Errorf("%s: got %v, want ErrUntrusted and its reason", what, err)
		}
	}
	if err := c.Rename(ctx, cache.Root, "g", dir.Ino, "moved", cache.RenameReplace); err != nil {
		t.Error(err)
	}
	if err := c.Unlink(ctx, cache.Root, "h"); err != nil {
		t.Error(err)
	}
	j.say(j.refused, "d/moved", object.ErrStripped)
	env.Sync()
	if got, want := env.Keys(), []string{"d/", "d/moved", "d/x", "f"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	if _, err := content(t, c, "d/moved"); !errors.Is(err, cache.ErrUntrusted) {
		t.Errorf("a moved one: got %v, want ErrUntrusted", err)
	}
	if !j.history.Boxed("d/moved") {
		t.Error("under its new key it could be accepted")
	}
	j.say(j.refused, "f", nil)
	if err := c.Open(ctx, st.Ino, cache.OpenMode{Write: true, Truncate: true}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Write(ctx, st.Ino, 0, []byte("ours"), nil), c.Release(ctx, st.Ino, true)); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if got, err := content(t, c, "f"); err != nil || got != "ours" {
		t.Errorf("overwritten: got %q, %v", got, err)
	}
}

// TestRefusedAgain: what was refused is judged anew at the next start, and everything that is not authentic when the rules change.
func TestRefusedAgain(t *testing.T) {
	j := newJudge()
	o := impatient
	o.Bucket = j.over
	env := testenv.New(t, o)
	put(t, env, "f", "text")
	j.say(j.refused, "f", object.ErrUnauthentic)
	if _, err := content(t, env.Cache, "f"); !errors.Is(err, cache.ErrUntrusted) {
		t.Fatalf("got %v, want ErrUntrusted", err)
	}
	j.say(j.refused, "f", nil)
	if _, err := content(t, env.Cache, "f"); !errors.Is(err, cache.ErrUntrusted) {
		t.Errorf("without any news: got %v, want ErrUntrusted", err)
	}
	env.Remount()
	if got, err := content(t, env.Cache, "f"); err != nil || got != "text" {
		t.Errorf("after a start: got %q, %v", got, err)
	}
}

// TestRefusedWhileRead: content that turns out to be none of ours while it is read is not handed out, and asked for once; a later
// good version heals it.
func TestRefusedWhileRead(t *testing.T) {
	for name, size := range map[string]int{"small": 100 << 10, "large": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			j := newJudge()
			o := impatient
			o.Bucket, o.Cache.MetaTTL = j.over, time.Hour
			env := testenv.New(t, o)
			text := strings.Repeat("x", size)
			put(t, env, "f", text)
			if _, err := walk(t.Context(), env.Cache, "f"); err != nil {
				t.Fatal(err)
			}
			env.Server.ResetRequests()
			j.say(j.broken, "f", object.ErrTampered)
			if _, err := content(t, env.Cache, "f"); !errors.Is(err, cache.ErrUntrusted) || !errors.Is(err, object.ErrTampered) || errors.Is(err, cache.ErrStale) {
				t.Errorf("got %v, want ErrUntrusted", err)
			}
			asked := env.Requests()["GetObject"]
			if _, err := content(t, env.Cache, "f"); !errors.Is(err, cache.ErrUntrusted) {
				t.Errorf("again: got %v, want ErrUntrusted", err)
			}
			if got := env.Requests()["GetObject"]; got != asked || name == "small" && asked != 1 {
				t.Errorf("got %d requests at first and %d more, want none more", asked, got-asked)
			}
			j.say(j.broken, "f", nil)
			put(t, env, "f", "good "+text)
			env.Remount()
			if got, err := content(t, env.Cache, "f"); err != nil || len(got) < len(text) {
				t.Errorf("a good version: got %d bytes, %v", len(got), err)
			}
		})
	}
}

// TestWriteOnlyHost: objects that this host has no key for show their attributes and can be replaced.
func TestWriteOnlyHost(t *testing.T) {
	j := newJudge()
	o := impatient
	o.Bucket = j.over
	env := testenv.New(t, o)
	put(t, env, "f", "old")
	j.say(j.refused, "f", object.ErrWriteOnly)
	st, err := walk(t.Context(), env.Cache, "f")
	if err != nil || st.Mode != unix.S_IFREG|0o640 || st.UID != 7 {
		t.Errorf("got %+v, %v", st, err)
	}
	if _, err := content(t, env.Cache, "f"); !errors.Is(err, cache.ErrAccess) {
		t.Errorf("read: got %v, want ErrAccess", err)
	}
	if err := env.Cache.Write(t.Context(), st.Ino, 1, []byte("x"), nil); !errors.Is(err, cache.ErrWriteOnly) {
		t.Errorf("partial write: got %v, want ErrWriteOnly", err)
	}
	writeFile(t, env, "f", "new")
	if got, err := content(t, env.Cache, "f"); err != nil || got != "new" {
		t.Errorf("replaced: got %q, %v", got, err)
	}
}
