package trust

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// setTags replaces an object's tags, as its bucket's owner can.
func setTags(t *testing.T, env *testenv.Env, key, tagging string) {
	t.Helper()
	must(t, env.Server.AlterObject(testenv.Bucket, key, func(h http.Header, body []byte) []byte {
		h.Set("X-Oss-Tagging", tagging)
		return body
	}))
}

// TestFileFailsClosed: on a machine that did not know a file, taking its tag away gives nobody the rights that it lost, whatever its size and wherever
// its content was when it lost them. What such a machine does with the file signs no more.
func TestFileFailsClosed(t *testing.T) {
	large := shared
	large.Object = object.Options{MultipartThreshold: 1 << 20, PartSize: 1 << 20}
	ahead := shared
	ahead.Object = object.Options{PartSize: 1 << 20}
	ahead.Cache = cache.Options{Limit: 16 << 20}
	for name, tt := range map[string]struct {
		o       testenv.Options
		size    int
		evicted bool
	}{
		"empty":              {shared, 0, false},
		"small":              {shared, 1000, false},
		"small, not cached":  {shared, 1000, true},
		"a MiB, not cached":  {shared, 1 << 20, true},
		"larger":             {shared, 1<<20 + 1, false},
		"larger, not cached": {shared, 3 << 20, true},
		"in parts":           {large, 3 << 20, true},
		"stored ahead":       {ahead, 40 << 20, true},
	} {
		t.Run(name, func(t *testing.T) {
			env := testenv.New(t, tt.o)
			content := bytes.Repeat([]byte("x"), tt.size)
			for _, f := range []string{"f", "moved"} {
				must(t, os.WriteFile(env.Path(f), content, 0o666))
				must(t, os.Chmod(env.Path(f), 0o666))
			}
			env.Sync()
			if tt.evicted {
				must(t, env.Cache.EvictAll(t.Context()))
			}
			must(t, os.Rename(env.Path("moved"), env.Path("g")))
			for _, f := range []string{"f", "g"} {
				must(t, os.Chown(env.Path(f), 1234, 1235))
				must(t, os.Chmod(env.Path(f), 0o640))
			}
			env.Sync()
			whole := another(t, env, shared)
			for _, f := range []string{"f", "g"} {
				if got := rights(t, whole.Path(f)); got != "0640 1234:1235" {
					t.Errorf("%s before: %s", f, got)
				}
				setTags(t, env, f, "")
			}
			e := another(t, env, shared)
			want := "0640 1234:1235"
			if tt.size > object.SmallFile {
				want = "0600 0:0"
			}
			closed := func(e *testenv.Env, path string) {
				t.Helper()
				if got := rights(t, e.Path(path)); got != want {
					t.Errorf("%s: got %s, want %s", path, got, want)
				}
			}
			closed(e, "f")
			closed(e, "g")
			if got := read(t, e.Path("f")); !bytes.Equal(got, content) {
				t.Errorf("read %d bytes, want %d", len(got), tt.size)
			}
			alone := another(t, env, testenv.Options{})
			must(t, os.Chtimes(alone.Path("f"), stamp, stamp))
			must(t, os.Rename(alone.Path("g"), alone.Path("h")))
			alone.Sync()
			e = another(t, env, shared)
			closed(e, "f")
			closed(e, "h")
		})
	}
}

// TestLostTagShows: a file that has lost its tag is open to its user alone until he gives it an owner and a mode again; the removal is reported.
func TestLostTagShows(t *testing.T) {
	env := testenv.New(t, shared)
	must(t, os.WriteFile(env.Path("f"), make([]byte, 2<<20), 0o644))
	must(t, os.Chown(env.Path("f"), 1234, 1235))
	env.Sync()
	if got := rights(t, another(t, env, shared).Path("f")); got != "0644 1234:1235" {
		t.Fatalf("got %s", got)
	}
	setTags(t, env, "f", "")
	told := &notices{}
	o := shared
	o.Object = object.Options{Notice: told.add}
	e := another(t, env, o)
	if got := rights(t, e.Path("f")); got != "0600 0:0" {
		t.Errorf("without its tag: got %s", got)
	}
	if !told.about("f", object.NoticeTag) {
		t.Error("nothing is reported")
	}
	must(t, os.Chown(e.Path("f"), 1234, 1235))
	must(t, os.Chmod(e.Path("f"), 0o644))
	e.Sync()
	if got := rights(t, another(t, env, shared).Path("f")); got != "0644 1234:1235" {
		t.Errorf("after chown and chmod: got %s", got)
	}
}

// TestTaggedFromTheFirst: a mount that lets others in stores a large file with its tag in the request that stores the file; a mount that does not
// stores none.
func TestTaggedFromTheFirst(t *testing.T) {
	for _, tt := range []struct {
		o    testenv.Options
		size int
		want bool
	}{{shared, 2 << 20, true}, {shared, 1 << 20, false}, {testenv.Options{}, 2 << 20, false}} {
		t.Run(fmt.Sprint(tt.o.Mount.AllowOther, tt.size), func(t *testing.T) {
			env := testenv.New(t, tt.o)
			env.Server.ResetRequests()
			must(t, os.WriteFile(env.Path("f"), make([]byte, tt.size), 0o644))
			env.Sync()
			if got := env.Requests(); got["PutObject"] != 1 || got["PutObjectTagging"]+got["GetObjectTagging"] != 0 {
				t.Errorf("requests: %v", got)
			}
			_, h, err := env.Server.ReadObject(testenv.Bucket, "f")
			must(t, err)
			if got := strings.Contains(h.Get("X-Oss-Tagging"), "ossencfs="); got != tt.want {
				t.Errorf("tagged: got %t, want %t", got, tt.want)
			}
		})
	}
}
