package refused

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

func testContext(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), testenv.Patience)
}

// perReason is how many keys are refused for each reason.
const perReason = 20

// oddKeys are the names of files whose keys are refused.
func oddKeys() (keys []string) {
	for _, r := range reasons {
		for n := range perReason {
			keys = append(keys, fmt.Sprintf("odd/%s/%02d", r.Code, n))
		}
	}
	return keys
}

// refuse has the bucket refuse every change of them.
func refuse(t testing.TB, env *testenv.Env) {
	t.Helper()
	for _, r := range reasons {
		for _, op := range []string{"PutObject", "CopyObject", "DeleteObject", "PutObjectTagging"} {
			f := r
			f.Operation, f.Key = op, "odd/"+r.Code+"/**"
			if env.Server.AddFault(f) == "" {
				t.Fatalf("fault %+v means nothing", f)
			}
		}
	}
}

// change does something else to each of five.
func change(t testing.TB, env *testenv.Env, keys []string) {
	t.Helper()
	for n, key := range keys {
		at := env.Path(key)
		switch n % 5 {
		case 0:
			must(t, os.WriteFile(at, []byte("changed"), 0o644))
		case 1:
			must(t, os.Chmod(at, 0o755))
		case 2:
			must(t, os.Remove(at))
		case 3:
			must(t, os.Rename(at, at+"-moved"), os.WriteFile(at, []byte("in its place"), 0o644))
		case 4:
			must(t, os.WriteFile(at+"-new", []byte("new"), 0o644), os.Rename(at+"-new", at))
		}
	}
}

// loadFile is the n-th file of a load.
func loadFile(n int) string { return path.Join("load", fmt.Sprint("d", n%4), fmt.Sprint("f", n)) }

// prepare makes half of the files of a load, which it renames and removes.
func prepare(t testing.TB, env *testenv.Env, files int) {
	t.Helper()
	for n := range 4 {
		must(t, os.MkdirAll(env.Path("load", fmt.Sprint("d", n)), 0o755))
	}
	for n := range files / 2 {
		must(t, os.WriteFile(env.Path(loadFile(n)), fmt.Appendf(nil, "content %d", n), 0o644))
	}
	must(t, syncErr(t, env, "load"))
}

// load writes the other half, renames and removes those of before, and a third of its own, and returns what the bucket is to have of them.
func load(t testing.TB, env *testenv.Env, files int) map[string]bool {
	t.Helper()
	want := map[string]bool{"load/": true}
	for n := range 4 {
		want[path.Join("load", fmt.Sprint("d", n))+"/"] = true
	}
	for n := files / 2; n < files; n++ {
		must(t, os.WriteFile(env.Path(loadFile(n)), fmt.Appendf(nil, "content %d", n), 0o644))
		want[loadFile(n)] = true
		old := loadFile(n - files/2)
		if n%2 == 0 {
			must(t, os.Remove(env.Path(old)))
		} else {
			must(t, os.Rename(env.Path(old), env.Path(old+"-moved")))
			want[old+"-moved"] = true
		}
	}
	return want
}

// wantLoad compares the bucket with what a load left.
func wantLoad(t testing.TB, env *testenv.Env, want map[string]bool) {
	t.Helper()
	for _, key := range env.Keys() {
		if strings.HasPrefix(key, "load/") && !want[key] {
			t.Errorf("the bucket still has %q", key)
		}
		delete(want, key)
	}
	for key := range want {
		t.Errorf("the bucket does not have %q", key)
	}
}

// TestLoadBesideRefusedKeys: a hundred keys that the bucket refuses, for every kind of reason and in every kind of request, hold back nothing of a
// thousand files that are written, renamed and deleted meanwhile, and nobody who waits for these. Later all are as they should be.
func TestLoadBesideRefusedKeys(t *testing.T) {
	env := testenv.New(t, options())
	keys := oddKeys()
	for _, key := range keys {
		must(t, os.MkdirAll(env.Path(path.Dir(key)), 0o755), os.WriteFile(env.Path(key), []byte("as it was"), 0o644))
	}
	files := 1000
	if testing.Short() {
		files = 200
	}
	prepare(t, env, files)
	env.Sync()
	refuse(t, env)
	change(t, env, keys)
	want := load(t, env, files)
	if err := syncErr(t, env, "load"); err != nil {
		t.Fatalf("sync of what is not concerned: %v\n%+v", err, env.Cache.Status())
	}
	wantLoad(t, env, want)
	refused := new(cache.RefusedError)
	if err := syncErr(t, env, ""); !errors.As(err, &refused) {
		t.Fatalf("sync of all: %v", err)
	}
	told := map[string]bool{}
	for _, f := range refused.Files {
		told[f.Key] = true
	}
	for _, key := range keys {
		if !told[key] {
			t.Errorf("sync does not say that %q is refused", key)
		}
	}
	if st := env.Cache.Status(); st.Refused < len(keys) || !st.Failures[0].Refused {
		t.Errorf("status: %d refused", st.Refused)
	}
	if why := errorOf(env.Path(keys[0])); !strings.Contains(why, "access denied") {
		t.Errorf("%s says %q", keys[0], why)
	}
	if err := fsync(env.Path(keys[0])); !errors.Is(err, os.ErrPermission) {
		t.Errorf("fsync of a refused file: %v", err)
	}

	env.Server.ClearFaults()
	env.Sync()
	before := contents(t, env)
	env.DropCache()
	testenv.SameTree(t, contents(t, env), before)
	for _, o := range env.Server.Objects(testenv.Bucket) {
		if strings.Contains(o.Key, ".ossencfs/park/") {
			t.Errorf("%s is left", o.Key)
		}
	}
}

func fsync(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// TestAllIsRefused: what is refused for all keys is waited for, and nothing is given up.
func TestAllIsRefused(t *testing.T) {
	env := testenv.New(t, options())
	must(t, os.WriteFile(env.Path("old"), []byte("old"), 0o644))
	env.Sync()
	for _, op := range []string{"PutObject", "CopyObject", "DeleteObject"} {
		env.Server.AddFault(emulator.Fault{Status: 403, Code: "AccessDenied", Operation: op})
	}
	must(t, os.WriteFile(env.Path("new"), []byte("new"), 0o644))
	_ = fsync(env.Path("new")) // it is closed before the other is removed; whether it was refused already is not asked
	must(t, os.Remove(env.Path("old")))
	refused := new(cache.RefusedError)
	if err := syncErr(t, env, ""); !errors.As(err, &refused) {
		t.Fatalf("sync: %v", err)
	}
	if n := env.Requests()["DeleteObject"]; n != 0 {
		t.Errorf("%d DELETEs were sent before the content that is older", n)
	}
	if st := env.Cache.Status(); st.Waiting != 1 || len(st.Blocked) != 1 || st.Blocked[0].Path != "/old" || st.Blocked[0].For != "/new" || st.Blocked[0].Error == "" {
		t.Errorf("status: %+v", st.Blocked)
	}
	env.Server.ClearFaults()
	env.Sync()
	if keys := env.Keys(); len(keys) != 1 || keys[0] != "new" {
		t.Errorf("the bucket has %q", keys)
	}
}

// contents is what the files of a mount hold.
func contents(t testing.TB, env *testenv.Env) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(env.Dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(at)
		all[at] = string(text)
		return err
	}))
	return all
}

// BenchmarkLoad measures a load until the bucket has it, alone and beside a hundred keys that were refused just before.
func BenchmarkLoad(b *testing.B) {
	for _, beside := range []bool{false, true} {
		b.Run(fmt.Sprintf("refused=%v", beside), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				env := testenv.New(b, testenv.Options{Cache: cache.Options{LateLimit: time.Second}})
				keys := oddKeys()
				for _, key := range keys {
					must(b, os.MkdirAll(env.Path(path.Dir(key)), 0o755), os.WriteFile(env.Path(key), []byte("as it was"), 0o644))
				}
				prepare(b, env, 1000)
				env.Sync()
				if beside {
					refuse(b, env)
				}
				change(b, env, keys)
				if err := syncErr(b, env, "odd"); (err != nil) != beside {
					b.Fatal(err)
				}
				b.StartTimer()
				load(b, env, 1000)
				must(b, syncErr(b, env, "load"))
				b.StopTimer()
				env.Server.ClearFaults()
				env.Unmount()
				b.StartTimer()
			}
		})
	}
}
