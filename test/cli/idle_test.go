package cli

import (
	"strings"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestStatusKnowsWhatIsLeft: what a mount leaves to be uploaded is told, and counts for --check, until the next one has uploaded it.
func TestStatusKnowsWhatIsLeft(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	w.Server.AddFault(emulator.Fault{Operation: "PutObject", Status: 503, Code: "ServiceUnavailable"})
	writeFile(t, w, "a")
	writeFile(t, w, "b")
	ask(t, w, nil, "umount", "--now", w.Dir).want(t, pending)
	for code, args := range map[int][]string{ok: {"status"}, mountPoint: {"status", w.Dir}} { // which tells whether a mount lives
		a := ask(t, w, nil, args...)
		a.want(t, code)
		if !strings.Contains(a.stdout, "oss://"+procenv.Bucket+", last on "+w.Dir+": not mounted; 2 files, 2 B, are not in the bucket") || !strings.Contains(a.stdout, w.Cache) {
			t.Errorf("%v says %q", args, a.stdout)
		}
	}
	if a := ask(t, w, nil, "status", "--json"); !strings.Contains(a.stdout, `"idle":[{"cache_dir":"`+w.Cache+`"`) {
		t.Errorf("status --json: %s", a.stdout)
	}
	ask(t, w, nil, "status", "--check").want(t, pending)
	ask(t, w, nil, "status", "--check", w.Dir).want(t, pending)
	w.Server.ClearFaults()
	mount(t, w)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	ask(t, w, nil, "status", "--check").want(t, ok)
	if a := ask(t, w, nil, "status"); a.stdout != "no mounts\n" {
		t.Errorf("in the end status says %q", a.stdout)
	}
}

// TestStatusKnowsDeadMounts: a mount whose processes were killed is dead, and nobody knows what it left.
func TestStatusKnowsDeadMounts(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	m := readStatus(t, w).Mounts[0]
	for _, pid := range []int{m.PID, m.Daemon} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	procenv.WaitFor(t, "the processes to end", func() bool { return len(processes(t, w)) == 0 })
	a := ask(t, w, nil, "status")
	a.want(t, ok)
	for _, text := range []string{"on " + w.Dir + ": dead", "how much is not in the bucket is not known"} {
		if !strings.Contains(a.stdout, text) {
			t.Errorf("status does not say %q:\n%s", text, a.stdout)
		}
	}
	ask(t, w, nil, "status", "--check").want(t, mountPoint, "the mount at "+w.Dir+" is dead")
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	ask(t, w, nil, "status", "--check").want(t, pending)
	mount(t, w)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	ask(t, w, nil, "status", "--check").want(t, ok)
}
