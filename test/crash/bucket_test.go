package crash

import (
	"iter"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// crashOptions make rounds short: uploads begin at once, and a request is dead after a second.
var crashOptions = []string{"--settle", "0s", "--late-limit", "1s", "--cache-size", "24MiB", "--multipart-threshold", "1MiB", "--part-size", "256KiB"}

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// hidden are the objects below .ossencfs/ that a bucket at rest has: none of them belongs to a file.
func hidden(key string) bool {
	return strings.HasPrefix(key, ".ossencfs/volume/") || strings.HasPrefix(key, ".ossencfs/canary")
}

// checkBucket compares what the bucket holds after everything was uploaded with what the workers know: by the names of its objects, and
// through a mount whose cache has never seen it.
func checkBucket(t *testing.T, w *procenv.World, l *load, when string) {
	t.Helper()
	want := map[string]bool{}
	for _, worker := range l.workers {
		base := filepath.Base(worker.dir)
		want[base+"/"] = true
		s := worker.present()
		for name, id := range s.names {
			key := base + "/" + name
			if s.nodes[id].kind == unix.S_IFDIR {
				key += "/"
			}
			want[key] = true
		}
	}
	for _, o := range w.Server.Objects(procenv.Bucket) {
		if !want[o.Key] && !hidden(o.Key) {
			t.Errorf("%s: no file owns the object %q of %d bytes", when, o.Key, o.Size)
		}
		delete(want, o.Key)
	}
	for key := range want {
		t.Errorf("%s: the bucket lacks %q", when, key)
	}
	if left := w.Server.Uploads(procenv.Bucket); len(left) > 0 {
		t.Errorf("%s: uploads were begun that nobody knows of: %q", when, left)
	}
	was := w.Cache
	w.Cache = filepath.Join(t.TempDir(), "fresh")
	d := w.Mount(t)
	w.Cache = was
	for _, worker := range l.workers {
		got, err := read(worker.dir)
		if err != nil {
			t.Fatalf("%s: read the bucket: %v", when, err)
		}
		for _, diff := range differences(got, worker.present()) {
			t.Errorf("%s: from the bucket: %s/%s", when, filepath.Base(worker.dir), diff)
		}
	}
	d.Unmount(t)
}
