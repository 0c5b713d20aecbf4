// Package death lets the host die for good: what programs did on a mount is seen from the bucket alone, as it was at each request.
package death

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// changing are the operations that change what the keys of a bucket hold.
var changing = []string{"PutObject", "CopyObject", "DeleteObject", "CompleteMultipartUpload", "PutObjectTagging", "DeleteObjectTagging"}

// flight is a request that changed the bucket: under way from state start on, executed as change done.
type flight struct{ start, done int }

// host is a mount whose bucket is recorded. Requests take random times, and their answers too, so that they are executed in any order.
type host struct {
	*testenv.Env
	history *emulator.History
	first   int // the state that the bucket had before

	mu      sync.Mutex // guards the fields below
	random  *rand.Rand
	under   map[string]int // operation and key → the state in which the request came
	flights []flight
}

// longest is how long a request or its answer may take on the way.
const longest = 30 * time.Millisecond

func newHost(t *testing.T, seed uint64, settle time.Duration) *host {
	t.Helper()
	h := &host{random: rand.New(rand.NewPCG(seed, 4)), under: map[string]int{}}
	h.Env = testenv.New(t, testenv.Options{Cache: cache.Options{Settle: settle, Workers: 16}})
	history, err := h.Server.Record(testenv.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	h.history, h.first = history, history.Len()-1
	t.Cleanup(history.Close)
	h.Server.Watch(h.watch)
	return h
}

// watch delays requests and notes which ones are under way together.
func (h *host) watch(s emulator.Step) {
	if !slices.Contains(changing, s.Operation) {
		return
	}
	h.mu.Lock()
	name, now := s.Operation+" "+s.Key, h.history.Len()-1
	if s.Moment == emulator.Before {
		h.under[name] = now
	} else {
		for n := now - 1; n >= h.under[name]; n-- {
			if h.history.Key(n) == s.Key {
				h.flights = append(h.flights, flight{h.under[name], n})
				break
			}
		}
		delete(h.under, name)
	}
	delay := time.Duration(h.random.Int64N(int64(longest)))
	h.mu.Unlock()
	time.Sleep(delay) // latency of the network, which lets requests overtake each other; nothing is waited for
}

// moment is what the bucket may hold after the host died: the first n changes, and later ones that were under way.
type moment struct {
	n     int
	later []int
}

func (m moment) String() string { return fmt.Sprintf("state-%d%v", m.n, m.later) }

// moments are the states of the bucket from the first request to the last one: each with none, with all, and with some of the
// requests that were under way.
func (h *host) moments() (list []moment) {
	for n := h.first; n < h.history.Len(); n++ {
		list = append(list, moment{n: n})
		var all, some []int
		for _, f := range h.flights {
			if f.start <= n && n < f.done { // the one that is executed next is the next state
				all = append(all, f.done)
				if h.random.IntN(2) == 0 {
					some = append(some, f.done)
				}
			}
		}
		if len(all) > 0 {
			list = append(list, moment{n, all})
		}
		if len(some) > 0 && len(some) < len(all) {
			list = append(list, moment{n, some})
		}
	}
	return list
}

// sample are some of the moments, or all when they were asked for. The last one is among them.
func sample(all []moment, seed uint64, most int) []moment {
	if os.Getenv("OSSENCFS_DEATH_ALL") != "" || len(all) <= most {
		return all
	}
	var list []moment
	random := rand.New(rand.NewPCG(seed, 5))
	for _, n := range random.Perm(len(all) - 1)[:most-1] {
		list = append(list, all[n])
	}
	slices.SortStableFunc(list, func(a, b moment) int { return a.n - b.n })
	return append(list, all[len(all)-1])
}

// visit mounts the bucket as it was on a machine that knows nothing of it.
func (h *host) visit(t *testing.T, m moment, look func(t *testing.T, dir string)) {
	t.Helper()
	t.Run(m.String(), func(t *testing.T) {
		s, err := h.history.StartWith(m.n, m.later...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		env := testenv.New(t, testenv.Options{Share: &testenv.Env{Server: s}, Cache: cache.Options{ReadOnly: true}})
		look(t, env.Dir)
		if t.Failed() {
			for n := max(h.first, m.n-12); n < m.n; n++ {
				t.Logf("change %d: %s", n, h.history.Key(n))
			}
			for _, n := range m.later {
				t.Logf("and %d: %s", n, h.history.Key(n))
			}
		}
	})
}

// run is testenv.Run of a program that may fail.
func run(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `cd "$1" && shift && exec "$@"`, "sh", dir, name}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func exists(elem ...string) bool {
	_, err := os.Lstat(filepath.Join(elem...))
	return err == nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
