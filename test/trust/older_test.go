package trust

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// impatient is shared, and sees what others do at once.
var impatient = testenv.Options{Mount: gofs.Options{AllowOther: true}, Cache: cache.Options{MetaTTL: time.Millisecond, Host: "here"}}

// bucketHas reads an object as the bucket has it.
func bucketHas(t *testing.T, env *testenv.Env, key string) stored {
	t.Helper()
	body, h, err := env.Server.ReadObject(testenv.Bucket, key)
	must(t, err)
	return stored{h, body}
}

// bucketGets makes an object what it was.
func bucketGets(t *testing.T, env *testenv.Env, key string, s stored) {
	t.Helper()
	must(t, env.Server.WriteObject(testenv.Bucket, key, s.h.Clone(), bytes.Clone(s.body)))
}

// givenAway is a file that was open to user 1234 and is user 2000's alone now; as it was before.
func givenAway(t *testing.T, env *testenv.Env, key string, size int) stored {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(env.Path(key)), 0o755))
	must(t, os.WriteFile(env.Path(key), make([]byte, size), 0o644))
	must(t, os.Chown(env.Path(key), 1234, 1234))
	must(t, os.Chmod(env.Path(key), 0o644))
	env.Sync()
	before := bucketHas(t, env, key)
	must(t, os.Chown(env.Path(key), 2000, 2000))
	must(t, os.Chmod(env.Path(key), 0o600))
	env.Sync()
	return before
}

// forgotten has a mount forget a file by deleting its object, and puts another one there.
func forgotten(t *testing.T, env *testenv.Env, key string, s stored) {
	t.Helper()
	must(t, env.Server.RemoveObject(testenv.Bucket, key))
	testenv.Eventually(t, "the file to go", func() bool { _, err := os.Lstat(env.Path(key)); return os.IsNotExist(err) })
	bucketGets(t, env, key, s)
	testenv.Eventually(t, "the file to come", func() bool { list, err := os.ReadDir(filepath.Dir(env.Path(key))); return err == nil && len(list) > 0 })
}

// TestOlderAfterDeletion: an older version of a file that was deleted in between gives nobody the rights of before, its former owner not either, on a
// machine that knew better, and that machine signs no such rights.
func TestOlderAfterDeletion(t *testing.T) {
	for _, size := range []int{10, 2 << 20} {
		env := testenv.New(t, impatient)
		forgotten(t, env, "d/f", givenAway(t, env, "d/f", size))
		if got := rights(t, env.Path("d/f")); got != "0600 0:0" {
			t.Errorf("%d bytes: got %s, want 0600 0:0", size, got)
		}
		must(t, os.Chtimes(env.Path("d/f"), stamp, stamp))
		env.Sync()
		if got := rights(t, another(t, env, shared).Path("d/f")); got != "0600 0:0" {
			t.Errorf("%d bytes: signed %s, want 0600 0:0", size, got)
		}
	}
}

// TestOlderMovedAlong: an older version that was only listed when the directory above it was moved takes no rights of before along.
func TestOlderMovedAlong(t *testing.T) {
	for _, size := range []int{10, 2 << 20} {
		env := testenv.New(t, impatient)
		forgotten(t, env, "d/f", givenAway(t, env, "d/f", size))
		must(t, os.Rename(env.Path("d"), env.Path("e")))
		env.Sync()
		for name, e := range map[string]*testenv.Env{"here": env, "elsewhere": another(t, env, shared)} {
			if got := rights(t, e.Path("e/f")); got != "0600 0:0" {
				t.Errorf("%d bytes, %s: got %s, want 0600 0:0", size, name, got)
			}
		}
	}
}

// TestOlderBroughtBack: an older version that lies below one of ours, as one that somebody wrote at the same moment does, is brought back without the
// rights of before.
func TestOlderBroughtBack(t *testing.T) {
	for name, denied := range map[string]bool{"beside": false, "in its place": true} {
		t.Run(name, func(t *testing.T) {
			o := impatient
			o.Emulator = func(e *emulator.Options) { e.Versioning = true }
			env := testenv.New(t, o)
			before := givenAway(t, env, "f", 10)
			operation := "PutObject"
			if denied {
				operation = "DeleteObject"
				env.Server.AddFault(emulator.Fault{Operation: "DeleteObject", Key: "f", Skip: 1, Status: 403, Code: "AccessDenied"})
				must(t, os.Remove(env.Path("f")))
			} else {
				must(t, os.WriteFile(env.Path("f"), []byte("new"), 0o600))
			}
			env.Server.ResetRequests()
			id := env.Server.AddFault(emulator.Fault{Operation: operation, Key: "f", Barrier: 2, Count: 1})
			synced := make(chan struct{})
			go func() { defer close(synced); env.Sync() }()
			testenv.Eventually(t, operation, func() bool { return env.Requests()[operation] > 0 })
			bucketGets(t, env, "f", before)
			env.Server.RemoveFault(id)
			<-synced
			back := ""
			testenv.Eventually(t, "the version", func() bool {
				list, err := os.ReadDir(env.Dir)
				must(t, err)
				for _, e := range list {
					if e.Name() == "f" == denied && (denied || strings.HasPrefix(e.Name(), "f.conflict-")) {
						back = e.Name()
					}
				}
				return back != ""
			})
			for name, e := range map[string]*testenv.Env{"here": env, "elsewhere": another(t, env, shared)} {
				if got := rights(t, e.Path(back)); got != "0600 0:0" {
					t.Errorf("%s: got %s, want 0600 0:0", name, got)
				}
			}
		})
	}
}

// TestBroughtBackWithoutTag: what others wrote at the same moment, and whose tag was taken away, is brought back without the rights in its box.
func TestBroughtBackWithoutTag(t *testing.T) {
	o := impatient
	o.Emulator = func(e *emulator.Options) { e.Versioning = true }
	env := testenv.New(t, o)
	b := another(t, env, shared)
	must(t, os.WriteFile(b.Path("f"), make([]byte, 2<<20), 0o644))
	must(t, os.Chown(b.Path("f"), 1234, 1234))
	must(t, os.WriteFile(env.Path("f"), []byte("ours"), 0o600))
	env.Server.ResetRequests()
	id := env.Server.AddFault(emulator.Fault{Operation: "PutObject", Key: "f", Barrier: 2, Count: 1})
	synced := make(chan struct{})
	go func() { defer close(synced); env.Sync() }()
	testenv.Eventually(t, "the request", func() bool { return env.Requests()["PutObject"] > 0 })
	b.Sync()
	theirs := bucketHas(t, env, "f")
	theirs.h.Set("X-Oss-Tagging", "")
	bucketGets(t, env, "f", theirs)
	env.Server.RemoveFault(id)
	<-synced
	beside := ""
	testenv.Eventually(t, "their version", func() bool {
		list, err := filepath.Glob(env.Path("f.conflict-*"))
		must(t, err)
		for _, path := range list {
			beside = filepath.Base(path)
		}
		return beside != ""
	})
	for name, e := range map[string]*testenv.Env{"here": env, "elsewhere": another(t, env, shared)} {
		if got := rights(t, e.Path(beside)); got != "0600 0:0" {
			t.Errorf("%s: got %s, want 0600 0:0", name, got)
		}
	}
}
