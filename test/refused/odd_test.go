package refused

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// tenTags are all tags that an object can have.
func tenTags() http.Header {
	var list []string
	for n := range 10 {
		list = append(list, fmt.Sprintf("tag%d=%d", n, n))
	}
	return http.Header{"X-Oss-Tagging": {strings.Join(list, "&")}}
}

// oddKind is something about an object that no program on a mount brings about.
type oddKind struct {
	name string
	ours bool // it was written through the mount
	make func(t testing.TB, env *testenv.Env, b *sdk.Bucket, key string)
}

// alter changes what is stored of an object of ours.
func alter(t testing.TB, env *testenv.Env, key string, change func(h http.Header)) {
	t.Helper()
	must(t, env.Server.AlterObject(testenv.Bucket, key, func(h http.Header, body []byte) []byte {
		change(h)
		return body
	}))
}

// answers has the bucket refuse requests for a key.
func answers(t testing.TB, env *testenv.Env, key, code string, ops ...string) {
	t.Helper()
	for _, op := range ops {
		if env.Server.AddFault(emulator.Fault{Operation: op, Key: key, Status: 403, Code: code}) == "" {
			t.Fatalf("no fault %s for %s", code, key)
		}
	}
}

var oddKinds = []oddKind{
	{"plain", false, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		must(t, env.Server.WriteObject(testenv.Bucket, key, nil, []byte("plain")))
	}},
	{"plain with ten tags", false, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		must(t, env.Server.WriteObject(testenv.Bucket, key, tenTags(), []byte("plain")))
	}},
	{"ours with ten tags", true, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		alter(t, env, key, func(h http.Header) { maps.Copy(h, tenTags()) })
	}},
	{"without envelope", true, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		alter(t, env, key, func(h http.Header) {
			maps.DeleteFunc(h, func(name string, _ []string) bool {
				return strings.Contains(strings.ToLower(name), "client-side-encryption")
			})
		})
	}},
	{"half an envelope", true, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		alter(t, env, key, func(h http.Header) { h.Del("X-Oss-Meta-Client-Side-Encryption-Key") })
	}},
	{"damaged", true, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		must(t, env.Server.DamageObject(testenv.Bucket, key, 0))
	}},
	{"appendable", false, func(t testing.TB, _ *testenv.Env, b *sdk.Bucket, key string) {
		_, err := b.AppendObject(key, strings.NewReader("appended"), 0)
		must(t, err)
	}},
	{"symlink", false, func(t testing.TB, _ *testenv.Env, b *sdk.Bucket, key string) {
		must(t, b.PutObject("target", strings.NewReader("target")), b.PutSymlink(key, "target"))
	}},
	{"dangling symlink", false, func(t testing.TB, _ *testenv.Env, b *sdk.Bucket, key string) { must(t, b.PutSymlink(key, "nothing")) }},
	{"marker with content", false, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		must(t, env.Server.WriteObject(testenv.Bucket, key+"/", nil, []byte("content")))
	}},
	{"no path", false, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		must(t, env.Server.WriteObject(testenv.Bucket, key+"//x", nil, []byte("content")))
	}},
	{"file and directory", false, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		must(t, env.Server.WriteObject(testenv.Bucket, key, nil, []byte("file")), env.Server.WriteObject(testenv.Bucket, key+"/x", nil, []byte("in it")))
	}},
	{"much metadata", false, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		h := http.Header{}
		for n := range 7 {
			h.Set(fmt.Sprint("X-Oss-Meta-Own", n), strings.Repeat("x", 1000))
		}
		must(t, env.Server.WriteObject(testenv.Bucket, key, h, []byte("plain")))
	}},
	{"under retention", true, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		answers(t, env, key, "FileImmutable", "PutObject", "CopyObject", "DeleteObject", "PutObjectTagging")
	}},
	{"archived", true, func(t testing.TB, env *testenv.Env, _ *sdk.Bucket, key string) {
		answers(t, env, key, "InvalidObjectState", "GetObject", "CopyObject")
	}},
}

// oddCalls are what programs do to what they find. Each may fail.
var oddCalls = []func(path string) error{
	func(p string) error { return os.Chmod(p, 0o751) },
	func(p string) error { return os.Rename(p, p+" moved") },
	func(p string) error { return os.WriteFile(p, []byte("other"), 0o600) },
	func(p string) error {
		f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("more")
		return errors.Join(err, f.Close())
	},
	os.Remove,
	func(p string) error { return unix.Setxattr(p, "user.own", []byte("value"), 0) },
	func(p string) error { return os.WriteFile(p+" new", []byte("new"), 0o600) },
	func(p string) error {
		return errors.Join(os.WriteFile(p+" over", []byte("over"), 0o600), os.Rename(p+" over", p))
	},
	func(p string) error { return os.Mkdir(p, 0o755) },
	func(p string) error { return os.Symlink("somewhere", p) },
}

// TestOddObjects: a bucket full of what no program on a mount makes, all of which programs try to change in every way, keeps nothing of other
// files from the bucket, and nobody waits without an end.
func TestOddObjects(t *testing.T) {
	t.Run("not believed", func(t *testing.T) { oddObjects(t, options()) })
	t.Run("accepted", func(t *testing.T) {
		o := options()
		o.Object.Trust.AcceptForeign = []string{"odd/"}
		oddObjects(t, o)
	})
}

func oddObjects(t *testing.T, o testenv.Options) {
	env := testenv.New(t, o)
	bucket := others(t, env)
	each := 70 / len(oddCalls)
	if testing.Short() {
		each = 1
	}
	must(t, os.Mkdir(env.Path("odd"), 0o755))
	var names []string
	for _, kind := range oddKinds {
		for n := range each * len(oddCalls) {
			name := fmt.Sprintf("odd/%s %d", kind.name, n)
			if names = append(names, name); kind.ours {
				must(t, os.WriteFile(env.Path(name), bytes.Repeat([]byte(name), 100), 0o644))
			}
		}
	}
	env.Sync()
	for n, name := range names {
		oddKinds[n/(each*len(oddCalls))].make(t, env, bucket, name)
	}
	files := 200
	prepare(t, env, files)
	env.DropCache()
	for n, name := range names {
		if err := oddCalls[n%len(oddCalls)](env.Path(name)); err != nil {
			t.Logf("%s, call %d: %v", name, n%len(oddCalls), err)
		}
	}
	want := load(t, env, files)
	must(t, syncErr(t, env, "load"))
	wantLoad(t, env, want)
	refused := new(cache.RefusedError)
	if err := syncErr(t, env, ""); err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	for _, f := range refused.Files {
		t.Logf("refused: %s: %v", f.Key, f.Err)
		if errorOf(filepath.Join(env.Dir, f.Key)) == "" && exists(filepath.Join(env.Dir, f.Key)) {
			t.Errorf("%s does not tell why", f.Key)
		}
	}
	besides(t, env)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestTenTags: an object of ours whose ten tags others have taken can be given attributes and a name all the same, with its content, and keeps the tags.
func TestTenTags(t *testing.T) {
	env := testenv.New(t, options())
	text := bytes.Repeat([]byte("text"), 1<<19) // large enough that a chmod is a tag
	must(t, os.WriteFile(env.Path("chmod"), text, 0o644), os.WriteFile(env.Path("rename"), text, 0o644))
	env.Sync()
	for _, key := range []string{"chmod", "rename"} {
		alter(t, env, key, func(h http.Header) { maps.Copy(h, tenTags()) })
	}
	env.DropCache()
	must(t, os.Chmod(env.Path("chmod"), 0o750), os.Rename(env.Path("rename"), env.Path("renamed")))
	besides(t, env)
	env.Sync()
	env.DropCache()
	for name, mode := range map[string]os.FileMode{"chmod": 0o750, "renamed": 0o644} {
		if fi, err := os.Stat(env.Path(name)); err != nil || fi.Mode() != mode {
			t.Errorf("%s: %v, %v", name, fi, err)
		}
		if got, err := os.ReadFile(env.Path(name)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		_, h, err := env.Server.ReadObject(testenv.Bucket, name)
		if err != nil || h.Get("X-Oss-Tagging") != tenTags().Get("X-Oss-Tagging") {
			t.Errorf("%s has the tags %q, %v", name, h.Get("X-Oss-Tagging"), err)
		}
	}
	if keys := env.Keys(); len(keys) != 2 {
		t.Errorf("the bucket has %q", keys)
	}
}
