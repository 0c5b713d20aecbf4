// Package cli runs the built program the way people do and checks what they are told: messages, hints, exit codes, and that
// nothing is left behind when a command fails.
package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/test/procenv"
)

func TestMain(m *testing.M) { procenv.Main(m) }

// Exit codes as docs/CONFIGURATION.md has them. They are written out here so that a change is noticed.
const (
	ok          = 0
	usage       = 2
	pending     = 3
	key         = 4
	credentials = 5
	unreachable = 6
	bucket      = 7
	mountPoint  = 8
	cacheFolder = 9
	trust       = 10
	incomplete  = 11
	interrupted = 130
)

// answer is how a command ended.
type answer struct {
	code           int
	stdout, stderr string
}

// quick bounds what must be said within seconds.
const quick = 20 * time.Second

// ask runs the program with further environment variables.
func ask(t *testing.T, w *procenv.World, env []string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), procenv.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, procenv.Binary(t), args...)
	cmd.Env = append(w.Env(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	if d := time.Since(start); d > quick {
		t.Errorf("ossencfs %s took %v", strings.Join(args, " "), d)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer{code: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errs.String()}
}

// want checks an answer: its exit code, and that error output has each of the texts.
func (a answer) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if a.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", a.code, code, a.stdout, a.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(a.stderr, text) {
			t.Errorf("%q is not said in:\n%s", text, a.stderr)
		}
	}
	if code != ok && code != pending && code < 100 && !strings.HasPrefix(a.stderr, "ossencfs: error: ") {
		t.Errorf("the answer does not begin with an error:\n%s", a.stderr)
	}
}

// wantNothingLeft checks that no mount, process, record or cache folder is there.
func wantNothingLeft(t *testing.T, w *procenv.World) {
	t.Helper()
	if procenv.Mounted(w.Dir) {
		t.Errorf("%s is still mounted", w.Dir)
		procenv.Detach(t, w.Dir)
	}
	if _, err := os.Stat(w.Cache); err == nil {
		t.Errorf("the cache folder was left behind")
	}
	wantNoSession(t, w)
}

// wantNoSession checks that no process works for the world and no record is left.
func wantNoSession(t *testing.T, w *procenv.World) {
	t.Helper()
	procenv.WaitFor(t, "the processes to end", func() bool { return len(processes(t, w)) == 0 })
	entries, err := os.ReadDir(filepath.Join(w.Base, "run"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was left in the runtime folder", e.Name())
	}
}

// processes are the ids of the program's processes that mention the world's folder.
func processes(t *testing.T, w *procenv.World) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil || id == os.Getpid() {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && bytes.Contains(line, []byte("ossencfs")) && bytes.Contains(line, []byte(w.Base+"/")) {
			ids = append(ids, id)
		}
	}
	return ids
}

// mountArgs is the usual mount command, in the background.
func mountArgs(w *procenv.World, more ...string) []string {
	return append([]string{"mount", "oss://" + procenv.Bucket, w.Dir, "--rsa-key", w.Key, "--cache-dir", w.Cache}, more...)
}

// mount mounts in the background and unmounts at the end of the test.
func mount(t *testing.T, w *procenv.World, more ...string) answer {
	t.Helper()
	a := ask(t, w, nil, mountArgs(w, more...)...)
	if a.code != ok {
		t.Fatalf("mount: exit code %d\n%s", a.code, a.stderr)
	}
	t.Cleanup(func() {
		if procenv.Mounted(w.Dir) {
			ask(t, w, nil, "umount", "--now", w.Dir)
		}
		procenv.WaitFor(t, "the daemon to end", func() bool { return len(processes(t, w)) == 0 })
	})
	return a
}
