package two

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestParkTogether: two hosts exchange the names of files of their own, which have the same inode numbers, at the same time, and neither has their
// content any more: what each parks under a hidden key is nobody else's.
func TestParkTogether(t *testing.T) {
	for name, versioned := range map[string]bool{"unversioned": false, "versioned": true} {
		t.Run(name, func(t *testing.T) {
			o := testenv.Options{Cache: cache.Options{MetaTTL: time.Hour, Settle: time.Hour}}
			o.Emulator = func(e *emulator.Options) { e.Versioning = versioned }
			w := newWorld(t, o)
			for host := range w.hosts { // before either lists what the other has
				w.writePair(host)
			}
			if a, b := w.numbers(0), w.numbers(1); a != b {
				t.Fatalf("the files have the inode numbers %v and %v, want the same", a, b)
			}
			w.sync()
			w.both(func(host int) {
				if err := w.hosts[host].Cache.EvictAll(t.Context()); err != nil {
					t.Error(err)
				}
				w.exchange(host)
			})
			server := w.hosts[0].Server
			server.AddFault(emulator.Fault{Operation: "CopyObject", Key: ".ossencfs/park/**", Barrier: 2, Count: 2})
			w.sync()
			for host := range w.hosts {
				w.hosts[host].DropCache()
				a, b := pair(host)
				if gotA, gotB := w.read(host, a), w.read(host, b); gotA != "content of "+b || gotB != "content of "+a {
					t.Errorf("%s and %s have %q and %q after their exchange", a, b, gotA, gotB)
				}
				if log := w.hosts[host].Log(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
					t.Errorf("%s logged:\n%s", hostNames[host], log)
				}
			}
			for _, o := range server.Objects(testenv.Bucket) {
				if strings.Contains(o.Key, "/park/") || strings.Contains(o.Key, "conflict") {
					t.Errorf("%q is left", o.Key)
				}
			}
		})
	}
}

// TestParkedByADeadCache: what a cache has parked when it is lost stays where it is, a new cache makes its own way beside it, and verify names it
// with what to do, and never removes it.
func TestParkedByADeadCache(t *testing.T) {
	o := testenv.Options{Cache: cache.Options{Settle: time.Millisecond, LateLimit: 200 * time.Millisecond}}
	w := &world{t: t}
	w.hosts[0] = testenv.New(t, o)
	w.writePair(0)
	w.hosts[0].Sync()
	a, b := pair(0)
	ctx := t.Context()
	if err := w.hosts[0].Cache.EvictAll(ctx); err != nil {
		t.Fatal(err)
	}
	server := w.hosts[0].Server
	server.AddFault(emulator.Fault{Operation: "CopyObject", Key: a, Status: 503})
	server.AddFault(emulator.Fault{Operation: "CopyObject", Key: b, Status: 503})
	w.exchange(0)
	parked := func() (list []string) {
		for _, o := range server.Objects(testenv.Bucket) {
			if strings.Contains(o.Key, "/park/") {
				list = append(list, o.Key)
			}
		}
		return list
	}
	testenv.Eventually(t, "a parked file", func() bool { return len(parked()) == 1 })
	dead, id := parked()[0], w.hosts[0].Cache.Status().CacheID
	if !strings.HasPrefix(dead, ".ossencfs/park/"+id+".") {
		t.Errorf("it is %q, of the cache %q", dead, id)
	}
	w.hosts[0].LoseCache()
	server.ClearFaults()
	if now := w.hosts[0].Cache.Status().CacheID; now == id {
		t.Error("the new cache has the id of the lost one")
	}
	w.exchange(0)
	w.hosts[0].Sync()
	report, err := w.hosts[0].Store.Verify(ctx, object.VerifyOptions{Repair: true, Stale: time.Nanosecond, Memory: w.hosts[0].Cache.Memory()})
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for _, f := range report.Findings {
		told = told || f.Kind == object.FoundOrphan && f.Key == dead && strings.Contains(f.Detail, id) && strings.Contains(f.Detail, "ossencfs get")
	}
	if !told || report.Damaged() != 0 || len(parked()) != 1 {
		t.Errorf("got %+v, want %q reported and kept; parked are %v", report.Findings, dead, parked())
	}
	var got strings.Builder
	if _, err := w.hosts[0].Store.GetFile(ctx, dead, &got, nil); err != nil || !strings.HasPrefix(got.String(), "content of ") {
		t.Errorf("it is %q, %v", got.String(), err)
	}
}

// pair are two files that only one host uses.
func pair(host int) (a, b string) { return hostNames[host] + "/a", hostNames[host] + "/b" }

// writePair makes the files of a host.
func (w *world) writePair(host int) {
	w.t.Helper()
	if err := os.Mkdir(w.hosts[host].Path(hostNames[host]), 0o755); err != nil {
		w.t.Fatal(err)
	}
	a, b := pair(host)
	for _, name := range []string{a, b} {
		if err := os.WriteFile(w.hosts[host].Path(name), []byte("content of "+name), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
}

// exchange lets the files of a host change their names.
func (w *world) exchange(host int) {
	w.t.Helper()
	a, b := pair(host)
	err := unix.Renameat2(unix.AT_FDCWD, w.hosts[host].Path(a), unix.AT_FDCWD, w.hosts[host].Path(b), unix.RENAME_EXCHANGE)
	if err != nil {
		w.t.Error(err)
	}
}

// numbers are the inode numbers of a host's files.
func (w *world) numbers(host int) (numbers [2]uint64) {
	w.t.Helper()
	a, b := pair(host)
	for n, name := range []string{a, b} {
		var st unix.Stat_t
		if err := unix.Stat(w.hosts[host].Path(name), &st); err != nil {
			w.t.Fatal(err)
		}
		numbers[n] = st.Ino
	}
	return numbers
}
