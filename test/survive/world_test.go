// Package survive proves that a mount outlives its daemon: programs that use it while the daemon is killed or replaced only wait.
package survive

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

func TestMain(m *testing.M) { procenv.Main(m) }

// kills is how often the daemon dies under a load: OSSENCFS_SURVIVE_KILLS, else few.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("OSSENCFS_SURVIVE_KILLS")
	if text == "" {
		return 4
	}
	n := 0
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// status is what the tests read of `ossencfs status --json`.
type status struct {
	PID          int    `json:"pid"`
	Daemon       int    `json:"daemon_pid"`
	Calls        int64  `json:"calls"`
	Replayed     int64  `json:"replayed_calls"`
	PendingFiles int64  `json:"pending_files"`
	OpenFiles    int    `json:"open_files"`
	Version      string `json:"version"`
	Error        string `json:"error"`
	Health       struct {
		Restarts int    `json:"restarts"`
		Upgrades int    `json:"upgrades"`
		Mortal   string `json:"mortal"`
		Kept     string `json:"kept_old"`
	} `json:"daemon"`
}

// ask asks the mount how it is; ok is false while no daemon answers.
func ask(t *testing.T, w *procenv.World) (s status, ok bool) {
	t.Helper()
	out, err := w.Try(t, "status", "--json", w.Dir)
	if err != nil {
		return s, false
	}
	var all struct{ Mounts []status }
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("status: %v\n%s", err, out)
	}
	if len(all.Mounts) != 1 || all.Mounts[0].Error != "" {
		return s, false
	}
	return all.Mounts[0], true
}

// mount mounts, and skips the test where the kernel does not allow what is tested.
func mount(t *testing.T, w *procenv.World, args ...string) *procenv.Daemon {
	t.Helper()
	w.Extra = []string{"--late-limit", "1s"} // nothing is executed late here, and every end of a daemon leaves requests without an answer
	d := w.Mount(t, args...)
	if s, ok := ask(t, w); ok && s.Health.Mortal != "" {
		t.Skip(s.Health.Mortal)
	}
	return d
}

// killAfter kills the daemon that answers now when it has taken up so many calls, or when the load has ended, and returns what it
// last told. Without calls it is the number of a moment ago that counts.
func killAfter(t *testing.T, w *procenv.World, d *procenv.Daemon, calls int64, over func() bool) (last status) {
	t.Helper()
	procenv.WaitFor(t, "the load to go on", func() bool {
		s, ok := ask(t, w)
		if ok {
			last = s
		}
		return ok && s.Calls >= calls || over()
	})
	d.KillDaemon(t)
	return last
}

// makeTree makes folders with files of random content, small ones mostly.
func makeTree(t *testing.T, dir string, files int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(files)))
	for n := range files {
		sub := filepath.Join(dir, fmt.Sprintf("d%02d", n%17), fmt.Sprintf("e%d", n%3))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, random.IntN(40_000))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("f%05d", n)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// job is a program that runs while the daemon dies.
type job struct {
	what string
	done chan struct{}
	out  []byte
	err  error
}

func start(what string, args ...string) *job { return startWith(nil, what, args...) }

// startWith starts a program with an environment; nil is that of the test.
func startWith(env []string, what string, args ...string) *job {
	j := &job{what: what, done: make(chan struct{})}
	go func() {
		defer close(j.done)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = env
		j.out, j.err = cmd.CombinedOutput()
	}()
	return j
}

func (j *job) over() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// result waits for the end, which must be a good one.
func (j *job) result(t *testing.T) string {
	t.Helper()
	<-j.done
	if j.err != nil {
		t.Errorf("%s: %v\n%s", j.what, j.err, j.out)
	}
	return string(j.out)
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	return strings.TrimSpace(start(args[0], args...).result(t))
}

// log is what the daemons and the supervisor wrote.
func log(t *testing.T, w *procenv.World) string {
	t.Helper()
	data, err := os.ReadFile(w.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
