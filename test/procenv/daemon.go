package procenv

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// DaemonPid is the process that answers for the mount, a child of the one that was started; 0 while there is none.
func (d *Daemon) DaemonPid(t testing.TB) int {
	t.Helper()
	for _, pid := range groupOf(t, d.Pid()) {
		if pid != d.Pid() && parentOf(pid) == d.Pid() {
			return pid
		}
	}
	return 0
}

// parentOf is the parent of a process, 0 when it has ended.
func parentOf(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "PPid:"); ok {
			parent, _ := strconv.Atoi(strings.TrimSpace(text))
			return parent
		}
	}
	return 0
}

// KillDaemon sends SIGKILL to the process that answers for the mount, waits for its end and returns its number. The supervisor starts
// another one.
func (d *Daemon) KillDaemon(t testing.TB) int {
	t.Helper()
	pid := 0
	WaitFor(t, "a daemon to kill", func() bool {
		pid = d.DaemonPid(t)
		return pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
	})
	WaitFor(t, "the end of the daemon", func() bool { return !slices.Contains(groupOf(t, d.Pid()), pid) })
	return pid
}
