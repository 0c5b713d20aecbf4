package two

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// world is two mounts of one bucket, and what was written through them. Every version of a file names itself and the one that its
// writer had read before.
type world struct {
	t     *testing.T
	hosts [2]*testenv.Env
	locks bool // both lock what they replace: only one comes to the barrier

	mu       sync.Mutex      // guards the fields below
	versions map[string]bool // of all files
	seen     map[string]bool // versions that somebody read before he replaced them
	tries    []string        // all edits, those that failed too: what a lost version is explained by
	next     int
}

// hostNames are in the names of conflict copies.
var hostNames = [2]string{"alpha", "beta"}

// newWorld mounts twice. Changes of the other show at the next look.
func newWorld(t *testing.T, o testenv.Options) *world {
	t.Helper()
	w := &world{t: t, locks: o.Cache.Locks, versions: map[string]bool{}, seen: map[string]bool{}}
	for n := range w.hosts {
		if o.Cache.Host = hostNames[n]; o.Cache.MetaTTL == 0 {
			o.Cache.MetaTTL = time.Millisecond
		}
		o.Cache.LateLimit = 200 * time.Millisecond
		w.hosts[n] = testenv.New(t, o)
		o.Share = w.hosts[0]
	}
	return w
}

// edit reads a file through one mount and replaces what it read, through one descriptor. It is done again when the version that was
// opened went away.
func (w *world) edit(host int, name string) {
	w.t.Helper()
	testenv.Eventually(w.t, "an edit of "+name+" through "+hostNames[host], func() bool {
		err := w.tryEdit(host, name)
		if err != nil && !passing(err) {
			w.t.Errorf("edit %s through %s: %v", name, hostNames[host], err)
		}
		return !passing(err)
	})
}

// passing reports whether an error comes of a version that went away since its file was looked up.
func passing(err error) bool { return errors.Is(err, syscall.ESTALE) || errors.Is(err, fs.ErrNotExist) }

func (w *world) tryEdit(host int, name string) (err error) {
	f, err := os.OpenFile(w.hosts[host].Path(name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	old, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	before := idOf(old)
	w.mu.Lock()
	w.next++
	id := fmt.Sprintf("%s-%d", hostNames[host], w.next)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.tries = append(w.tries, fmt.Sprintf("%s %s over %q: %v", name, id, before, err))
	}()
	if err := f.Truncate(0); err != nil {
		return err
	}
	w.mu.Lock()
	w.seen[before] = true // it is replaced, whatever follows
	w.mu.Unlock()
	if _, err := f.WriteAt([]byte(id+" "+strings.Repeat("x", rand.IntN(40))+"\n"), 0); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions[id] = true
	return nil
}

// idOf is the version that a content is.
func idOf(content []byte) string {
	id, _, _ := strings.Cut(string(content), " ")
	return id
}

// block makes a directory that both see, so that none grows with the number of edits.
func (w *world) block(n int) string {
	w.t.Helper()
	dir := fmt.Sprintf("block-%d", n)
	err := os.Mkdir(w.hosts[0].Path(dir), 0o755)
	if err == nil {
		w.hosts[0].Sync()
		testenv.Eventually(w.t, "the directory", func() bool { _, err := os.Stat(w.hosts[1].Path(dir)); return err == nil })
	} else if !errors.Is(err, fs.ErrExist) {
		w.t.Fatal(err)
	}
	return dir
}

// both runs something for both hosts at the same time.
func (w *world) both(fn func(host int)) {
	var all sync.WaitGroup
	for host := range w.hosts {
		all.Go(func() { fn(host) })
	}
	all.Wait()
}

// collide lets both edit the same file and holds both writes after their looks until both are there. evict takes away from both what
// they have written.
func (w *world) collide(edit func(), evict bool) {
	w.t.Helper()
	edit()
	server := w.hosts[0].Server
	id := server.AddFault(emulator.Fault{Operation: "PutObject", Key: "*/same-*", Barrier: 2, Count: 2})
	before := w.hosts[0].Requests()["PutObject"]
	synced := make(chan struct{})
	go func() { defer close(synced); w.sync() }()
	testenv.Eventually(w.t, "both writes, or a lock, a write under it and a lock that is refused", func() bool {
		select {
		case <-synced:
			return true
		default:
			return w.locks && w.hosts[0].Requests()["PutObject"] >= before+3
		}
	})
	server.RemoveFault(id)
	<-synced
	if !evict {
		return
	}
	for _, host := range w.hosts {
		if err := host.Cache.EvictAll(w.t.Context()); err != nil {
			w.t.Error(err)
		}
	}
}

// sync waits until the bucket has what both wrote.
func (w *world) sync() { w.both(func(host int) { w.hosts[host].Sync() }) }

// look lets both mounts see what the other has written.
func (w *world) look() {
	w.both(func(host int) { w.contents(host) })
}

// contents reads all files through one mount.
func (w *world) contents(host int) map[string]string {
	w.t.Helper()
	var all map[string]string
	testenv.Eventually(w.t, "all files through "+hostNames[host], func() bool {
		var err error
		if all, err = readAll(w.hosts[host].Dir); err != nil && !passing(err) {
			w.t.Errorf("read all through %s: %v", hostNames[host], err)
		}
		return !passing(err)
	})
	return all
}

func readAll(dir string) (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[path[len(dir)+1:]] = string(data)
		return err
	})
	return all, err
}

// outcome is what became of all versions.
type outcome struct {
	edits, copies int   // versions written, and conflict copies that are there at the end
	lost          int   // in no file, and nobody who replaced them had seen them
	conflicts     int64 // counted by the mounts
	reported      int64 // losses counted by the mounts
	requests      map[string]int
}

// settle lets everything come to rest and counts.
func (w *world) settle() outcome {
	w.t.Helper()
	before := ""
	for range 20 {
		w.look()
		w.sync()
		now := fmt.Sprint(w.contents(0), w.contents(1))
		if now == before {
			break
		}
		before = now
	}
	o := outcome{edits: len(w.versions), requests: w.hosts[0].Requests()}
	for _, host := range w.hosts {
		status := host.Cache.Status()
		o.reported += status.Notices[object.NoticeLost]
		o.conflicts += status.Conflicts
	}
	w.hosts[1].DropCache()
	here := map[string]bool{}
	for name, content := range w.contents(1) {
		if strings.Contains(name, ".conflict-") {
			o.copies++
		}
		here[idOf([]byte(content))] = true
	}
	for id := range w.versions {
		if !here[id] && !w.seen[id] {
			o.lost++
			w.explain(id)
		}
	}
	return o
}

// explain logs the edits of the file that a lost version was of.
func (w *world) explain(id string) {
	w.t.Helper()
	name := ""
	for _, try := range w.tries {
		if fields := strings.Fields(try); fields[1] == id {
			name = fields[0]
		}
	}
	w.t.Logf("lost: %s of %s; its edits:", id, name)
	for _, try := range w.tries {
		if strings.HasPrefix(try, name+" ") {
			w.t.Log("  ", try)
		}
	}
}

// options are those of both mounts.
func options(o cache.Options) testenv.Options { return testenv.Options{Cache: o} }
