package trust

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// shared are the options of a mount that lets others in.
var shared = testenv.Options{Mount: gofs.Options{AllowOther: true}}

// rights shows mode and owner.
func rights(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	return fmt.Sprintf("%04o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
}

// another mounts the bucket once more, with an empty cache.
func another(t *testing.T, env *testenv.Env, o testenv.Options) *testenv.Env {
	t.Helper()
	o.Share = env
	return testenv.New(t, o)
}

// TestDirectoryFailsClosed: in an authentic volume, whatever the bucket's owner does to the marker of a directory opens it to nobody on a machine
// that did not know it, neither there nor, after the directory was changed there, anywhere else.
func TestDirectoryFailsClosed(t *testing.T) {
	read := func(t *testing.T, env *testenv.Env, key string) ([]byte, http.Header) {
		t.Helper()
		body, h, err := env.Server.ReadObject(testenv.Bucket, key)
		must(t, err)
		return body, h
	}
	write := func(t *testing.T, env *testenv.Env, h http.Header, body []byte) {
		t.Helper()
		must(t, env.Server.WriteObject(testenv.Bucket, "secret/", h, body))
	}
	for name, attack := range map[string]func(*testing.T, *testenv.Env){
		"deleted": func(t *testing.T, env *testenv.Env) { must(t, env.Server.RemoveObject(testenv.Bucket, "secret/")) },
		"plain": func(t *testing.T, env *testenv.Env) {
			write(t, env, http.Header{"X-Oss-Meta-Mode": {"16895"}, "X-Oss-Meta-Uid": {"4321"}}, nil)
		},
		"content": func(t *testing.T, env *testenv.Env) { write(t, env, http.Header{}, []byte("x")) },
		"stripped": func(t *testing.T, env *testenv.Env) {
			_, h := read(t, env, "secret/")
			h.Del("X-Oss-Meta-Ossencfs-Box")
			write(t, env, h, nil)
		},
		"another's": func(t *testing.T, env *testenv.Env) {
			_, h := read(t, env, "open/")
			write(t, env, h, nil)
		},
		"another's, as by ossutil": func(t *testing.T, env *testenv.Env) {
			_, h := read(t, env, "mallory/")
			write(t, env, h, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := testenv.New(t, shared)
			for dir, mode := range map[string]os.FileMode{"secret": 0o700, "open": 0o777, "mallory": 0o700} {
				must(t, os.Mkdir(env.Path(dir), 0o755))
				must(t, os.WriteFile(env.Path(dir, "f"), []byte("text"), 0o644))
				must(t, os.Chmod(env.Path(dir), mode))
			}
			must(t, os.Chown(env.Path("secret"), 1234, 1234))
			must(t, os.Chown(env.Path("mallory"), 4321, 4321))
			env.Sync()
			if got := rights(t, another(t, env, shared).Path("secret")); got != "0700 1234:1234" {
				t.Fatalf("before: %s", got)
			}
			attack(t, env)
			e := another(t, env, shared)
			if got := rights(t, e.Path("secret")); got != "0700 0:0" {
				t.Errorf("got %s, want 0700 0:0", got)
			}
			if got := rights(t, e.Path("open")); got != "0777 0:0" {
				t.Errorf("another directory: got %s", got)
			}
			alone := another(t, env, testenv.Options{})
			if _, err := os.ReadDir(alone.Path("secret")); err != nil {
				t.Errorf("list: %v", err)
			}
			must(t, os.Chtimes(alone.Path("secret"), stamp, stamp))
			alone.Sync()
			if got := rights(t, another(t, env, shared).Path("secret")); got != "0700 0:0" {
				t.Errorf("after a change elsewhere: got %s, want 0700 0:0", got)
			}
		})
	}
}

// TestDirectoriesOfOthers: where objects of others are accepted, a directory that only shows by what is in it is open as the mount's options say,
// and so is one on a mount that lets nobody else in.
func TestDirectoriesOfOthers(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, env.Server.WriteObject(testenv.Bucket, "theirs/f", http.Header{}, []byte("plain")))
	o := shared
	o.Object = object.Options{Trust: object.Trust{AcceptForeign: []string{"theirs/"}}}
	for name, tt := range map[string]struct {
		o    testenv.Options
		want string
	}{"accepted": {o, "0755 0:0"}, "refused": {shared, "0700 0:0"}, "alone": {testenv.Options{}, "0755 0:0"}} {
		tt.o.Cache.Umask = 0o022
		if got := rights(t, another(t, env, tt.o).Path("theirs")); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

// TestOlderTagPutBack: when rights to a small file were taken away, neither removing its tag nor putting back an older one gives them again. The same
// holds for tags from before new extended attributes.
func TestOlderTagPutBack(t *testing.T) {
	env := testenv.New(t, shared)
	tags := func(key string) string {
		_, h, err := env.Server.ReadObject(testenv.Bucket, key)
		must(t, err)
		return h.Get("X-Oss-Tagging")
	}
	change := func(do func(path string) error) {
		t.Helper()
		must(t, do(env.Path("f")))
		env.Sync()
	}
	must(t, os.WriteFile(env.Path("f"), []byte("text"), 0o600))
	env.Sync()
	change(func(path string) error { return os.Chmod(path, 0o666) })
	old := tags("f")
	if !strings.Contains(old, "ossencfs=") {
		t.Fatalf("the first change is no tag, but %q: the test shows nothing", old)
	}
	change(func(path string) error { return syscall.Setxattr(path, "user.a", []byte("b"), 0) })
	for _, step := range []struct {
		name, want string
		do         func(path string) error
	}{
		{"after new extended attributes", "0644 0:0", func(path string) error { return os.Chmod(path, 0o644) }},
		{"after narrowing", "0600 0:0", func(path string) error { return os.Chmod(path, 0o600) }},
		{"after another owner", "0600 1234:0", func(path string) error { return os.Chown(path, 1234, -1) }},
		{"after a time", "0600 1234:0", func(path string) error { return os.Chtimes(path, time.Time{}, stamp) }},
	} {
		change(step.do)
		now := tags("f")
		for _, tagging := range []string{old, "", now} {
			must(t, env.Server.AlterObject(testenv.Bucket, "f", func(h http.Header, body []byte) []byte { h.Set("X-Oss-Tagging", tagging); return body }))
			e := another(t, env, shared)
			if got := rights(t, e.Path("f")); got != step.want {
				t.Errorf("%s, with tag %.20q: got %s, want %s", step.name, tagging, got, step.want)
			}
			if got := string(read(t, e.Path("f"))); got != "text" {
				t.Errorf("%s: content %q", step.name, got)
			}
		}
	}
}

// TestRefusedFileFailsClosed: a file that was tampered with shows no rights of others, and what is written in its place has none, on a machine that knew
// the file as well as on a new one.
func TestRefusedFileFailsClosed(t *testing.T) {
	env := testenv.New(t, shared)
	must(t, os.WriteFile(env.Path("f"), []byte("a secret"), 0o600))
	env.Sync()
	must(t, env.Server.AlterObject(testenv.Bucket, "f", func(h http.Header, body []byte) []byte { h.Del("X-Oss-Meta-Ossencfs-Box"); return body }))
	e := another(t, env, shared)
	if got := rights(t, e.Path("f")); got != "0600 0:0" {
		t.Errorf("refused: got %s, want 0600", got)
	}
	must(t, os.WriteFile(e.Path("f"), []byte("a new secret"), 0o600))
	if got := rights(t, e.Path("f")); got != "0600 0:0" {
		t.Errorf("written over: got %s, want 0600", got)
	}
	e.Sync()
	if got := rights(t, another(t, env, shared).Path("f")); got != "0600 0:0" {
		t.Errorf("on another machine: got %s, want 0600", got)
	}
}

// TestClosedAfterShared: a cache that was filled by a mount for its user alone fails closed, too, when others are let in.
func TestClosedAfterShared(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, os.Mkdir(env.Path("secret"), 0o700))
	must(t, os.WriteFile(env.Path("secret/f"), nil, 0o644))
	env.Sync()
	must(t, env.Server.RemoveObject(testenv.Bucket, "secret/"))
	alone := another(t, env, testenv.Options{Cache: cache.Options{Umask: 0o022}})
	if got := rights(t, alone.Path("secret")); got != "0755 0:0" {
		t.Errorf("alone: got %s", got)
	}
	alone.LetOthersIn()
	alone.Remount()
	if got := rights(t, alone.Path("secret")); got != "0700 0:0" {
		t.Errorf("shared: got %s, want 0700", got)
	}
}

// TestNarrowingCosts: taking rights away costs a look and one request, which is no more than the tag did, of a file and of a directory.
func TestNarrowingCosts(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, os.WriteFile(env.Path("f"), []byte("text"), 0o644))
	must(t, os.Mkdir(env.Path("d"), 0o755))
	env.Sync()
	for name, want := range map[string]map[string]int{"f": {"HeadObject": 1, "PutObject": 1}, "d": {"HeadObject": 1, "PutObject": 1}} {
		env.Server.ResetRequests()
		must(t, os.Chmod(env.Path(name), 0o700))
		env.Sync()
		got := env.Requests()
		for op, n := range got {
			if n != 0 && n != want[op] {
				t.Errorf("%s: got %d requests %s, want %d", name, n, op, want[op])
			}
		}
		if got["PutObject"] != 1 {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
