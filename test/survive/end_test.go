package survive

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// gone says whether a process has ended.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// TestBackgroundMountSurvives: a mount in the background outlives its daemon, too, and leaves nothing when it is unmounted.
func TestBackgroundMountSurvives(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	w.Run(t, "mount", "oss://"+procenv.Bucket, w.Dir, "--cache-dir", w.Cache, "--rsa-key", w.Key, "--late-limit", "1s")
	before, ok := ask(t, w)
	if !ok {
		t.Fatal("no status")
	}
	t.Cleanup(func() {
		if !gone(before.PID) {
			_ = syscall.Kill(before.PID, syscall.SIGKILL)
			procenv.Detach(t, w.Dir)
		}
	})
	if before.Health.Mortal != "" {
		t.Skip(before.Health.Mortal)
	}
	f := create(t, filepath.Join(w.Dir, "file"))
	for _, pid := range []int{before.PID, before.Daemon} {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if err != nil || !strings.Contains(string(limits), "Max core file size        0                    0 ") {
			t.Errorf("process %d may leave core files: %v\n%s", pid, err, limits)
		}
	}
	writeString(t, f, "before, ")
	if err := syscall.Kill(before.Daemon, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	writeString(t, f, "after")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	after, _ := ask(t, w)
	if after.PID != before.PID || after.Daemon == before.Daemon || after.Health.Restarts != 1 {
		t.Errorf("status tells of %+v, want another daemon than %d of process %d", after, before.Daemon, before.PID)
	}
	w.Run(t, "umount", w.Dir)
	procenv.WaitFor(t, "the processes to end", func() bool { return gone(before.PID) && gone(after.Daemon) })
	if procenv.Mounted(w.Dir) {
		t.Error("still mounted")
	}
	if _, _, err := w.Server.ReadObject(procenv.Bucket, "file"); err != nil {
		t.Error(err)
	}
}

// TestSupervisorKilled: when the supervisor alone dies the daemon goes on, says that it is alone, and ends when it is unmounted.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	d := mount(t, w)
	before, _ := ask(t, w)
	f := create(t, filepath.Join(w.Dir, "file"))
	if err := syscall.Kill(d.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = d.Wait() // it was killed
	writeString(t, f, "after")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if s, ok := ask(t, w); !ok || s.Daemon != before.Daemon || !strings.Contains(s.Health.Mortal, "supervisor is gone") {
		t.Errorf("status tells of %+v, want the same daemon, and that its supervisor is gone", s)
	}
	w.Run(t, "umount", w.Dir)
	procenv.WaitFor(t, "the daemon to end", func() bool { return gone(before.Daemon) })
	if procenv.Mounted(w.Dir) {
		t.Error("still mounted")
	}
	if left, _ := os.ReadDir(filepath.Join(w.Base, "run")); len(left) > 0 {
		t.Errorf("left in the runtime folder: %v", left)
	}
	if _, _, err := w.Server.ReadObject(procenv.Bucket, "file"); err != nil {
		t.Error(err)
	}
}

// TestCrashLoopEnds: a mount whose daemons die one after the other before they answered for a while is given up: files that are open give
// errors, the mount point is free, the log says what to do, and the next mount has everything.
func TestCrashLoopEnds(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	d := mount(t, w, "--settle", "1h")
	path := filepath.Join(w.Dir, "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := create(t, filepath.Join(w.Dir, "open"))
	procenv.WaitFor(t, "the mount to be given up", func() bool {
		if pid := d.DaemonPid(t); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		return d.Ended()
	})
	if err := d.Wait(); err == nil {
		t.Error("the supervisor ended with exit code 0")
	}
	if _, err := open.WriteString("after"); !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("a write to a file that was open: %v, want %v or %v", err, syscall.ENOTCONN, syscall.ECONNABORTED)
	}
	if procenv.Mounted(w.Dir) {
		t.Error("still mounted")
	}
	for _, text := range []string{"again and again; the mount on " + w.Dir + " is given up", "hint: the next mount with the same cache folder uploads what is left"} {
		if !bytes.Contains([]byte(log(t, w)), []byte(text)) {
			t.Errorf("%q is not said in:\n%s", text, log(t, w))
		}
	}
	if out, err := w.Try(t, "umount", w.Dir); err == nil || !strings.Contains(out, "nothing of ours is mounted") {
		t.Errorf("umount afterwards: %v\n%s", err, out)
	}
	d = w.Mount(t)
	if data, err := os.ReadFile(path); err != nil || string(data) != "content" {
		t.Errorf("the next mount has %q, %v", data, err)
	}
	d.Unmount(t)
}

// TestCommandsWaitForTheDaemon: status, sync and umount that come while the daemon is away, or lose it on the way, wait for the next one.
func TestCommandsWaitForTheDaemon(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	d := mount(t, w, "--settle", "1h")
	path := filepath.Join(w.Dir, "file")
	makeLarge(t, path, 8<<20)
	d.KillDaemon(t)
	if s := w.Run(t, "status", w.Dir); !strings.Contains(s, "started again 1 times") {
		t.Errorf("status:\n%s", s)
	}
	for n := range 4 {
		if err := os.WriteFile(filepath.Join(w.Dir, fmt.Sprint("small", n)), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := w.Server.Requests()["PutObject"]
		sync := startWith(w.Env(), "sync", procenv.Binary(t), "sync", w.Dir)
		if n > 0 { // else before it asks
			procenv.WaitFor(t, "sync to be at work", func() bool { return sync.over() || w.Server.Requests()["PutObject"] > before })
		}
		d.KillDaemon(t)
		sync.result(t)
		if s, ok := ask(t, w); !ok || s.PendingFiles != 0 {
			t.Errorf("after sync %d files are pending", s.PendingFiles)
		}
	}
	d.KillDaemon(t)
	d.Unmount(t)
	if procenv.Mounted(w.Dir) {
		t.Error("still mounted")
	}
}

// TestSignalWhileTheDaemonIsAway: SIGTERM that comes then ends the mount in order, with all uploads.
func TestSignalWhileTheDaemonIsAway(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	d := mount(t, w, "--settle", "1h")
	if err := os.WriteFile(filepath.Join(w.Dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.KillDaemon(t)
	if err := syscall.Kill(d.Pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(); err != nil {
		t.Errorf("the supervisor ended with %v\n%s", err, log(t, w))
	}
	if procenv.Mounted(w.Dir) {
		t.Error("still mounted")
	}
	if _, _, err := w.Server.ReadObject(procenv.Bucket, "file"); err != nil {
		t.Error(err)
	}
}

// TestUmountLosesItsDaemon: a daemon that dies while it unmounts and uploads leaves no mount behind; umount says so or has waited for
// another one, and the next mount has what was not uploaded.
func TestUmountLosesItsDaemon(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	for n := range 4 {
		d := mount(t, w, "--settle", "1h")
		name := fmt.Sprint("file", n)
		makeLarge(t, filepath.Join(w.Dir, name), 4<<20)
		before := requests(w)
		umount := startWith(w.Env(), "umount", procenv.Binary(t), "umount", w.Dir)
		if n > 0 {
			procenv.WaitFor(t, "umount to be at work", func() bool { return umount.over() || requests(w) >= before+n })
		}
		if pid := d.DaemonPid(t); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		<-umount.done
		if umount.err != nil && !strings.Contains(string(umount.out), "ended before it was done") {
			t.Errorf("round %d: %v\n%s", n, umount.err, umount.out)
		}
		_ = d.Wait() // how it ended is umount's to say
		if procenv.Mounted(w.Dir) {
			t.Fatal("still mounted")
		}
		d = mount(t, w)
		d.Unmount(t)
		if _, _, err := w.Server.ReadObject(procenv.Bucket, name); err != nil {
			t.Errorf("round %d: %v", n, err)
		}
	}
}

// requests is how many requests the bucket got.
func requests(w *procenv.World) (n int) {
	for _, count := range w.Server.Requests() {
		n += count
	}
	return n
}
