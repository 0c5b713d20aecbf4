package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestKillableRead checks that a process that waits for the bucket can be killed.
func TestKillableRead(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, os.WriteFile(env.Path("f"), bytes.Repeat([]byte("x"), 100_000), 0o644))
	env.DropCache()
	if _, err := os.Stat(env.Path("f")); err != nil {
		t.Fatal(err)
	}
	env.Server.AddFault(emulator.Fault{Operation: "GetObject", Delay: time.Minute})
	defer env.Server.ClearFaults()
	cat := exec.Command("cat", env.Path("f"))
	must(t, cat.Start())
	testenv.Eventually(t, "the request", func() bool { return env.Requests()["GetObject"] > 0 || sleeping(t, cat.Process.Pid) })
	begun := time.Now()
	must(t, cat.Process.Kill())
	if err := cat.Wait(); err == nil {
		t.Error("cat was not killed")
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v to kill a waiting process", took)
	}
}

// sleeping reports whether a process waits inside a call of the mount.
func sleeping(t *testing.T, pid int) bool {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/wchan")
	return err == nil && bytes.Contains(data, []byte("request_wait_answer"))
}

// TestWithoutBucket checks what must work when the bucket does not answer: what is known is shown, and writing goes on.
func TestWithoutBucket(t *testing.T) {
	env := testenv.New(t, testenv.Options{Cache: shortMemory})
	must(t, os.WriteFile(env.Path("old"), []byte("known"), 0o644))
	env.Sync()
	env.Server.AddFault(emulator.Fault{Status: 503, Code: "ServiceUnavailable"})
	begun := time.Now()
	if _, err := os.Stat(env.Dir); err != nil {
		t.Errorf("stat of the root: %v", err)
	}
	var st unix.Statfs_t
	must(t, unix.Statfs(env.Dir, &st))
	must(t, os.WriteFile(env.Path("new"), []byte("made offline"), 0o644))
	if data, err := os.ReadFile(env.Path("old")); err != nil || string(data) != "known" {
		t.Errorf("got %q, %v", data, err)
	}
	if entries, err := os.ReadDir(env.Dir); err != nil || len(entries) != 2 {
		t.Errorf("got %d entries, %v, want 2", len(entries), err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	env.Server.ClearFaults()
	env.DropCache()
	if data, err := os.ReadFile(env.Path("new")); err != nil || string(data) != "made offline" {
		t.Errorf("got %q, %v, want what was written while the bucket was away", data, err)
	}
}

// TestUnknownRequest: a server that does not know a request will not know it later either: the call fails at once, and says so.
func TestUnknownRequest(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must(t, os.MkdirAll(env.Path("d/sub"), 0o755))
	must(t, os.WriteFile(env.Path("d/f"), []byte("x"), 0o644))
	for operation, call := range map[string]func() error{
		"HeadObject":    func() error { _, err := os.Stat(env.Path("d")); return err },
		"ListObjectsV2": func() error { _, err := os.ReadDir(env.Path("d/sub")); return err },
	} {
		env.DropCache()
		_, err := os.ReadDir(env.Dir)
		must(t, err)
		id := env.Server.AddFault(emulator.Fault{Operation: operation, Status: 501, Code: "NotImplemented"})
		if err := call(); !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("%s is unknown: got %v", operation, err)
		}
		env.Server.RemoveFault(id)
		must(t, call())
	}
}
