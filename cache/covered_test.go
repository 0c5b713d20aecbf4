package cache_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// versioned is impatient, in a bucket with versioning.
var versioned = testenv.Options{NoMount: true, Cache: cache.Options{MetaTTL: time.Millisecond, Host: "here", LateLimit: time.Second},
	Emulator: func(e *emulator.Options) { e.Versioning = true }}

// meanwhile holds a request of the cache and lets something happen before it is executed.
func meanwhile(t *testing.T, env *testenv.Env, operation, key string, do func()) {
	t.Helper()
	env.Server.ResetRequests()
	id := env.Server.AddFault(emulator.Fault{Operation: operation, Key: key, Barrier: 2, Count: 1})
	synced := make(chan struct{})
	go func() { defer close(synced); env.Sync() }()
	testenv.Eventually(t, operation, func() bool { return env.Requests()[operation] > 0 })
	do()
	env.Server.RemoveFault(id)
	<-synced
}

func store(t *testing.T, env *testenv.Env, name, text string) {
	t.Helper()
	st, err := openOver(t.Context(), env.Cache, name, 0o644)
	if err == nil {
		err = env.Cache.Write(t.Context(), st.Ino, 0, []byte(text), nil)
	}
	if err == nil {
		err = env.Cache.Release(t.Context(), st.Ino, true)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestVersionBelow: what others wrote between our look and our request lies below ours, and is brought back.
func TestVersionBelow(t *testing.T) {
	for _, c := range []struct {
		name, operation string
		change          func(env *testenv.Env)
		ours            string // "" when the key is theirs in the end
	}{
		{"overwrite", "PutObject", func(env *testenv.Env) { store(t, env, "f", "ours") }, "ours"},
		{"delete", "DeleteObject", func(env *testenv.Env) {
			if err := env.Cache.Unlink(t.Context(), cache.Root, "f"); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"rename over", "CopyObject", func(env *testenv.Env) {
			if err := env.Cache.Rename(t.Context(), cache.Root, "g", cache.Root, "f", cache.RenameReplace); err != nil {
				t.Fatal(err)
			}
		}, "other"},
	} {
		for _, lost := range []bool{false, true} {
			t.Run(c.name+map[bool]string{true: ", answer lost"}[lost], func(t *testing.T) {
				env := testenv.New(t, versioned)
				store(t, env, "f", "base")
				store(t, env, "g", "other")
				env.Sync()
				c.change(env)
				meanwhile(t, env, c.operation, "f", func() {
					put(t, env, "f", "theirs")
					if lost {
						env.Server.AddFault(emulator.Fault{Operation: "ListObjectVersions", Key: "", Status: 500, Count: 8})
					}
				})
				testenv.Eventually(t, "their version", func() bool {
					for _, name := range names(t, env.Cache, "") {
						if text, err := content(t, env.Cache, name); err == nil && text == "theirs" && (name == "f") == (c.ours == "") {
							return c.ours == "" || strings.HasPrefix(name, "f.conflict-here-")
						}
					}
					return false
				})
				if got, err := content(t, env.Cache, "f"); c.ours != "" && (err != nil || got != c.ours) {
					t.Errorf("got %q, %v, want %q", got, err, c.ours)
				}
				if got := env.Cache.Status().Conflicts; got < 1 {
					t.Errorf("got %d conflicts, want at least 1", got)
				}
			})
		}
	}
}

// TestVersionBelowStays: a version that lies below ours and that no request can copy keeps nothing from being uploaded.
func TestVersionBelowStays(t *testing.T) {
	env := testenv.New(t, versioned)
	store(t, env, "f", "base")
	env.Sync()
	store(t, env, "f", "ours")
	meanwhile(t, env, "PutObject", "f", func() {
		full := http.Header{"X-Oss-Tagging": {"a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1"}}
		if err := env.Server.WriteObject(testenv.Bucket, "f", full, []byte("theirs")); err != nil {
			t.Error(err)
		}
	})
	store(t, env, "f", "ours again")
	env.Sync()
	if got := names(t, env.Cache, ""); !slices.Equal(got, []string{"f"}) {
		t.Errorf("got %q, want f alone", got)
	}
}

// TestOthersDuringOutage: what others write between a failed attempt and its repetition stays, also without versioning.
func TestOthersDuringOutage(t *testing.T) {
	for _, f := range []emulator.Fault{{Status: 503, Code: "ServiceUnavailable"}, {Status: 403, Code: "AccessDenied"}, {LoseResponse: true}} {
		t.Run(f.Code, func(t *testing.T) {
			env := testenv.New(t, testenv.Options{NoMount: true, Cache: versioned.Cache})
			store(t, env, "f", "base")
			env.Sync()
			f.Operation, f.Count = "PutObject", 1
			env.Server.AddFault(f)
			id := env.Server.AddFault(emulator.Fault{Operation: "HeadObject", Key: "f", Skip: 1, Barrier: 2}) // the look before the repetition
			store(t, env, "f", "ours")
			testenv.Eventually(t, "the failure", func() bool { return env.Cache.Status().Errors > 0 })
			put(t, env, "f", "theirs")
			env.Server.RemoveFault(id)
			testenv.Eventually(t, "both", func() bool {
				var texts []string
				for _, name := range names(t, env.Cache, "") {
					text, err := content(t, env.Cache, name)
					if err != nil {
						return false
					}
					texts = append(texts, text)
				}
				slices.Sort(texts)
				return slices.Equal(texts, []string{"ours", "theirs"})
			})
			env.Sync()
		})
	}
}

// TestVersionBelowIsOurs: what we saw is not brought back, and costs one request.
func TestVersionBelowIsOurs(t *testing.T) {
	env := testenv.New(t, versioned)
	for _, text := range []string{"one", "two", "three"} {
		store(t, env, "f", text)
		env.Sync()
	}
	if err := env.Cache.Unlink(t.Context(), cache.Root, "f"); err != nil {
		t.Fatal(err)
	}
	env.Sync()
	store(t, env, "f", "again")
	env.Server.ResetRequests()
	env.Sync()
	if got := env.Requests(); got["PutObject"] != 1 || got["ListObjectVersions"] != 1 || got["HeadObject"] != 0 {
		t.Errorf("got %v, want a PUT and a look below", got)
	}
	if got := names(t, env.Cache, ""); !slices.Equal(got, []string{"f"}) {
		t.Errorf("got %q, want f alone", got)
	}
}

// TestSeenThroughTags: who changes attributes of what was moved here, and then writes it, has seen it.
func TestSeenThroughTags(t *testing.T) {
	o := testenv.Options{NoMount: true, Cache: versioned.Cache}
	a := testenv.New(t, o)
	o.Share = a
	b := testenv.New(t, o)
	store(t, a, "f", "older")
	store(t, a, "g", "base")
	a.Sync()
	if err := a.Cache.Rename(t.Context(), cache.Root, "g", cache.Root, "f", cache.RenameReplace); err != nil {
		t.Fatal(err)
	}
	a.Sync()
	testenv.Eventually(t, "the file", func() bool { got, err := content(t, b.Cache, "f"); return err == nil && got == "base" })
	st, err := walk(t.Context(), b.Cache, "f")
	if err == nil {
		_, err = b.Cache.SetAttr(t.Context(), st.Ino, cache.Change{Set: cache.SetMtime, Mtime: 5})
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Server.ResetRequests()
	b.Sync()
	if got := b.Requests()["PutObjectTagging"]; got != 1 {
		t.Errorf("got %d tags, want 1", got)
	}
	store(t, b, "f", "of b")
	b.Sync()
	testenv.Eventually(t, "b's version", func() bool { got, err := content(t, a.Cache, "f"); return err == nil && got == "of b" })
	if list := names(t, a.Cache, ""); !slices.Equal(list, []string{"f"}) || a.Cache.Status().Notices[object.NoticeLost] != 0 {
		t.Errorf("got %q and %d reports, want f alone", list, a.Cache.Status().Notices[object.NoticeLost])
	}
}

// TestUnseen: without versioning a version of ours that somebody wrote over without having seen it is kept from the cache, or reported.
func TestUnseen(t *testing.T) {
	for _, evicted := range []bool{false, true} {
		t.Run(map[bool]string{false: "cached", true: "evicted"}[evicted], func(t *testing.T) {
			o := testenv.Options{NoMount: true, Cache: versioned.Cache}
			a := testenv.New(t, o)
			o.Share = a
			o.Cache.Host = "there"
			b := testenv.New(t, o)
			store(t, a, "f", "base")
			a.Sync()
			testenv.Eventually(t, "the file", func() bool { got, err := content(t, b.Cache, "f"); return err == nil && got == "base" })
			store(t, b, "f", "of b")
			meanwhile(t, b, "PutObject", "f", func() {
				store(t, a, "f", "of a")
				a.Sync() // the barrier holds one request only
				lookAgain(t, a, "f")
				if evicted {
					if err := a.Cache.EvictAll(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
			testenv.Eventually(t, "b's version", func() bool { got, err := content(t, a.Cache, "f"); return err == nil && got == "of b" })
			list := names(t, a.Cache, "")
			reported := a.Cache.Status().Notices[object.NoticeLost]
			if evicted {
				if len(list) != 1 || reported != 1 {
					t.Errorf("got %q and %d reports, want one", list, reported)
				}
				return
			}
			if len(list) != 2 || reported != 0 {
				t.Fatalf("got %q and %d reports, want a copy of ours", list, reported)
			}
			if got, err := content(t, a.Cache, list[1]); err != nil || got != "of a" {
				t.Errorf("got %q, %v, want ours", got, err)
			}
			a.Sync()
			testenv.Eventually(t, "the copy elsewhere", func() bool { return slices.Equal(names(t, b.Cache, ""), list) })
			if got := b.Cache.Status().Notices[object.NoticeLost]; got != 0 {
				t.Errorf("b reports %d losses", got)
			}
		})
	}
}

// lookAgain has the attributes of a file asked for again.
func lookAgain(t *testing.T, env *testenv.Env, name string) {
	t.Helper()
	st, _, err := env.Cache.Lookup(t.Context(), cache.Root, name)
	if err == nil {
		err = env.Cache.Doubt(st.Ino)
	}
	if err == nil {
		_, err = env.Cache.GetAttr(t.Context(), st.Ino)
	}
	if err != nil {
		t.Error(err)
	}
}
