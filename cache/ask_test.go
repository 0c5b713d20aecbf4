package cache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// requests compares the counts of requests with what is wanted; the others are none.
func requests(t *testing.T, env *testenv.Env, what string, want map[string]int) {
	t.Helper()
	got := env.Requests()
	for _, operation := range []string{"GetObject", "HeadObject", "GetObjectTagging"} {
		if got[operation] != want[operation] {
			t.Errorf("%s: got %d %s, want %d (%v)", what, got[operation], operation, want[operation], got)
		}
	}
	env.Server.ResetRequests()
}

// TestOneGetPerSmallFile counts what it costs to read files that this mount wrote.
func TestOneGetPerSmallFile(t *testing.T) {
	const files = 200
	env := testenv.New(t, testenv.Options{NoMount: true})
	for n := range files {
		name := fmt.Sprintf("f%03d", n)
		st, err := env.Cache.Create(t.Context(), cache.Root, name, cache.New{Mode: 0o640}, cache.OpenMode{Write: true})
		if err == nil {
			err = errors.Join(env.Cache.Write(t.Context(), st.Ino, 0, []byte("text of "+name), nil), env.Cache.Release(t.Context(), st.Ino, true))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := env.Cache.Symlink(t.Context(), cache.Root, "link", "target of the link", cache.New{}); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	readAll := func() {
		t.Helper()
		for _, name := range names(t, env.Cache, "") {
			st, err := walk(t.Context(), env.Cache, name)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			want := "text of " + name
			if name == "link" {
				want = "target of the link"
				got, err = env.Cache.Readlink(t.Context(), st.Ino)
			} else if st.Mode != unix.S_IFREG|0o640 {
				t.Errorf("%s: got mode %o", name, st.Mode)
			} else {
				got, err = content(t, env.Cache, name)
			}
			if err != nil || got != want {
				t.Fatalf("%s: got %q, %v, want %q", name, got, err, want)
			}
		}
	}
	env.DropCache()
	env.Server.ResetRequests()
	readAll()
	requests(t, env, "without an index", map[string]int{"GetObject": files + 1})
	readAll()
	requests(t, env, "again", nil)
	if err := env.Cache.EvictAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	env.Server.ResetRequests()
	readAll()
	requests(t, env, "with an index and without content", map[string]int{"GetObject": files}) // it knows the link's target
}

// TestAskingForAttributes: content comes along only where it is worth it.
func TestAskingForAttributes(t *testing.T) {
	for _, c := range []struct {
		name       string
		size, many int // of so many files
		want       map[string]int
	}{
		{"one empty file", 0, 1, map[string]int{"GetObject": 1}},
		{"one small file", 64 << 10, 1, map[string]int{"GetObject": 1}},
		{"one large file", 64<<10 + 1, 1, map[string]int{"HeadObject": 1}},
		{"a directory of large files", 100 << 10, 10, map[string]int{"HeadObject": 10}},
		{"a directory of small files", 16 << 10, 10, map[string]int{"GetObject": 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := testenv.New(t, testenv.Options{NoMount: true})
			for n := range c.many {
				put(t, env, fmt.Sprintf("f%d", n), strings.Repeat("x", c.size))
			}
			env.Server.ResetRequests()
			for _, name := range names(t, env.Cache, "") {
				if st, err := walk(t.Context(), env.Cache, name); err != nil || st.UID != 7 || st.Size != int64(c.size) {
					t.Errorf("got %+v, %v", st, err)
				}
			}
			requests(t, env, "stat", c.want)
			if c.size > 64<<10 {
				return
			}
			if got, err := content(t, env.Cache, "f0"); err != nil || len(got) != c.size {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			requests(t, env, "read", nil)
		})
	}
}

// TestAskingForTaggedAttributes: attributes that were changed after the upload are in a tag, which is one more request.
func TestAskingForTaggedAttributes(t *testing.T) {
	env := testenv.New(t, testenv.Options{NoMount: true})
	ino := writeFile(t, env, "f", "text")
	if err := env.Cache.SetXattr(t.Context(), ino, "user.a", []byte("b"), cache.XattrAny); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	if _, err := env.Cache.SetAttr(t.Context(), ino, cache.Change{Set: cache.SetMode, Mode: 0o604}); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	env.DropCache()
	env.Server.ResetRequests()
	st, err := walk(t.Context(), env.Cache, "f")
	if err != nil || st.Mode != unix.S_IFREG|0o604 {
		t.Errorf("got %+v, %v", st, err)
	}
	if value, err := env.Cache.GetXattr(t.Context(), st.Ino, "user.a"); err != nil || string(value) != "b" {
		t.Errorf("got %q, %v", value, err)
	}
	requests(t, env, "stat", map[string]int{"GetObject": 1, "GetObjectTagging": 1})
}

// TestAskingWithoutContent: what keeps content from being had does not keep attributes from being shown.
func TestAskingWithoutContent(t *testing.T) {
	for name, c := range map[string]struct {
		refused, broken error
		want            cache.Stat
		read            error
	}{
		"cannot be opened": {refused: object.ErrCannotOpen, want: cache.Stat{Mode: unix.S_IFREG | 0o640, UID: 7}, read: object.ErrCannotOpen},
		"ends early":       {broken: errors.New("connection lost"), want: cache.Stat{Mode: unix.S_IFREG | 0o640, UID: 7}},
		"was changed":      {broken: object.ErrTampered, want: cache.Stat{Mode: unix.S_IFREG | 0o666}, read: cache.ErrUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJudge()
			o := impatient
			o.Bucket = j.over
			env := testenv.New(t, o)
			put(t, env, "f", "text")
			j.say(j.unread, "f", c.refused)
			j.say(j.broken, "f", c.broken)
			st, err := walk(t.Context(), env.Cache, "f")
			if err != nil || st.Mode != c.want.Mode || st.UID != c.want.UID {
				t.Errorf("got %+v, %v, want mode %o", st, err, c.want.Mode)
			}
			if c.read == nil {
				j.say(j.broken, "f", nil)
			}
			if got, err := content(t, env.Cache, "f"); !errors.Is(err, c.read) || c.read == nil && got != "text" {
				t.Errorf("got %q, %v, want %v", got, err, c.read)
			}
		})
	}
}
