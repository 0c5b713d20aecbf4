// Package refused proves that what the bucket refuses holds back nothing else.
package refused

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// options make what is lost certain soon.
func options() testenv.Options {
	return testenv.Options{Cache: cache.Options{Settle: time.Millisecond, LateLimit: time.Second}}
}

// others is the bucket as another program uses it.
func others(t testing.TB, env *testenv.Env) *sdk.Bucket {
	t.Helper()
	client, err := sdk.New(env.Server.Endpoint(), env.Server.AccessKeyID(), env.Server.AccessKeySecret())
	must(t, err)
	b, err := client.Bucket(testenv.Bucket)
	must(t, err)
	return b
}

// syncErr is what a sync of a path ends with.
func syncErr(t testing.TB, env *testenv.Env, path string) error {
	t.Helper()
	ctx, cancel := testContext(t)
	defer cancel()
	err := env.Cache.Sync(ctx, path, nil)
	if errors.Is(err, ctx.Err()) && ctx.Err() != nil {
		t.Fatalf("sync %q does not end: %+v\n%s", path, env.Cache.Status(), env.Log())
	}
	return err
}

// errorOf is what a file tells of its upload.
func errorOf(path string) string {
	buf := make([]byte, 1024)
	n, err := unix.Getxattr(path, "user.ossencfs.error", buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// besides does all that programs do to files, and expects it in the bucket.
func besides(t testing.TB, env *testenv.Env) {
	t.Helper()
	dir := env.Path("besides")
	must(t, os.MkdirAll(dir, 0o755))
	for n := range 4 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("f", n)), []byte("content"), 0o644))
	}
	must(t, syncErr(t, env, "besides"))
	must(t, os.Remove(filepath.Join(dir, "f0")), os.Rename(filepath.Join(dir, "f1"), filepath.Join(dir, "g1")),
		os.Rename(filepath.Join(dir, "f2"), filepath.Join(dir, "f3")), os.Chmod(filepath.Join(dir, "g1"), 0o600))
	must(t, syncErr(t, env, "besides"))
	var have []string
	for _, key := range env.Keys() {
		if strings.HasPrefix(key, "besides/") {
			have = append(have, key)
		}
	}
	if want := []string{"besides/", "besides/f3", "besides/g1"}; !slices.Equal(have, want) {
		t.Errorf("the bucket has %q, want %q\n%s", have, want, env.Log())
	}
	must(t, os.RemoveAll(dir))
	must(t, syncErr(t, env, "besides"))
}

// TestNativeSymlink: a symbolic link of OSS's own holds a name. Where the mount knows it, nothing can get the name; where it does not, what was
// written is refused, and waits alone until the link is gone.
func TestNativeSymlink(t *testing.T) {
	env := testenv.New(t, options())
	bucket := others(t, env)
	must(t, bucket.PutSymlink("known", "target"))
	env.DropCache()
	for what, err := range map[string]error{
		"write":   os.WriteFile(env.Path("known"), nil, 0o644),
		"mknod":   unix.Mknod(env.Path("known"), unix.S_IFIFO|0o600, 0),
		"symlink": os.Symlink("x", env.Path("known")),
	} {
		if !errors.Is(err, unix.EEXIST) {
			t.Errorf("%s: got %v, want EEXIST", what, err)
		}
	}
	must(t, os.WriteFile(env.Path("moved"), nil, 0o644))
	if err := os.Rename(env.Path("moved"), env.Path("known")); !errors.Is(err, unix.EEXIST) {
		t.Errorf("rename: got %v, want EEXIST", err)
	}
	for _, name := range []string{"old", "over", "gone"} {
		must(t, os.WriteFile(env.Path(name), []byte("old"), 0o644))
	}
	env.Sync()

	for _, name := range []string{"new", "over", "gone", "renamed"} {
		must(t, bucket.PutSymlink(name, "target"))
	}
	must(t, os.WriteFile(env.Path("new"), []byte("new"), 0o644), os.WriteFile(env.Path("over"), []byte("over"), 0o644),
		os.Remove(env.Path("gone")), os.Rename(env.Path("old"), env.Path("renamed")))
	besides(t, env)
	refused := new(cache.RefusedError)
	if err := syncErr(t, env, ""); !errors.As(err, &refused) {
		t.Fatalf("sync: got %v\n%s", err, env.Log())
	}
	var names []string
	for _, f := range refused.Files {
		names = append(names, f.Key)
	}
	if want := []string{"new", "over", "renamed"}; !slices.Equal(names, want) {
		t.Errorf("refused are %q, want %q\n%s", names, want, env.Log())
	}
	for _, name := range names {
		if why := errorOf(env.Path(name)); !strings.Contains(why, "symbolic link of OSS") {
			t.Errorf("%s says %q", name, why)
		}
	}
	if _, err := bucket.GetSymlink("gone"); err != nil {
		t.Errorf("the link in the place of a file that was removed here: %v", err)
	}
	for _, name := range names {
		must(t, bucket.DeleteObject(name))
	}
	testenv.Eventually(t, "all is in the bucket", func() bool { return syncErr(t, env, "") == nil })
	env.DropCache()
	for name, want := range map[string]string{"new": "new", "over": "over", "renamed": "old"} {
		if got, err := os.ReadFile(env.Path(name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// reasons are answers by which a bucket refuses one key.
var reasons = []emulator.Fault{
	{Status: 403, Code: "AccessDenied"},
	{Status: 403, Code: "FileImmutable"},
	{Status: 403, Code: "InvalidObjectState"},
	{Status: 400, Code: "InvalidArgument"},
	{Status: 405, Code: "MethodNotAllowed"},
}
