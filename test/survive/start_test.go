package survive

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// terminal is a pseudo terminal: what is written to the first file is typed at the second.
func terminal(t *testing.T) (typist, tty *os.File) {
	t.Helper()
	typist, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { typist.Close() })
	n, err := unix.IoctlGetInt(int(typist.Fd()), unix.TIOCGPTN)
	if err = errors.Join(err, unix.IoctlSetPointerInt(int(typist.Fd()), unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return typist, tty
}

// echoes says whether a terminal shows what is typed.
func echoes(tty *os.File) bool {
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	return err == nil && state.Lflag&unix.ECHO != 0
}

// typedMount begins a mount under a key whose passphrase is typed at the prompt. shown tells what the terminal has shown.
func typedMount(t *testing.T, w *procenv.World, passphrase string, more ...string) (cmd *exec.Cmd, shown func(text string) bool) {
	t.Helper()
	source := filepath.Join(w.Base, "passphrase")
	if err := os.WriteFile(source, []byte(passphrase), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Key = filepath.Join(w.Base, "locked.pem")
	w.Run(t, "keygen", w.Key, "--key-passphrase-file", source)
	if err := os.Remove(source); err != nil {
		t.Fatal(err)
	}
	typist, tty := terminal(t)
	cmd = exec.Command(procenv.Binary(t), append([]string{"mount", "oss://" + procenv.Bucket, w.Dir, "--cache-dir", w.Cache, "--rsa-key", w.Key, "--late-limit", "1s"}, more...)...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = w.Env(), tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var said bytes.Buffer
	shown = func(text string) bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(said.String(), text)
	}
	go func() { // ends with the terminal
		buf := make([]byte, 1024)
		for {
			n, err := typist.Read(buf)
			mu.Lock()
			said.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	procenv.WaitFor(t, "the prompt", func() bool { return shown("assphrase") && !echoes(tty) })
	if _, err := typist.WriteString(passphrase + "\n"); err != nil {
		t.Fatal(err)
	}
	return cmd, shown
}

// TestTypedPassphraseSurvives: a passphrase that was typed once is there for every daemon, kept by the supervisor in locked memory.
func TestTypedPassphraseSurvives(t *testing.T) {
	t.Parallel()
	const passphrase = "canary-passphrase-5d1e"
	w := procenv.New(t)
	cmd, shown := typedMount(t, w, passphrase)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("mount: %v", err)
	}
	procenv.WaitFor(t, "the command's last line", func() bool { return shown("log: ") })
	if shown(passphrase) {
		t.Error("the passphrase is shown")
	}
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
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", before.PID))
	if err != nil || !bytes.Contains(state, []byte("VmLck:\t")) || bytes.Contains(state, []byte("VmLck:\t       0 kB")) {
		t.Errorf("the supervisor has no locked memory: %v\n%s", err, state)
	}
	path := filepath.Join(w.Dir, "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(before.Daemon, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, f); got != "content" {
		t.Errorf("after a crash the file holds %q", got)
	}
	f.Close()
	if after, ok := ask(t, w); !ok || after.Daemon == before.Daemon {
		t.Errorf("status tells of daemon %d, want another than %d", after.Daemon, before.Daemon)
	}
	w.Run(t, "umount", w.Dir)
	procenv.WaitFor(t, "the supervisor to end", func() bool { return gone(before.PID) })
}

// TestRestartWaitsForTheNetwork: a daemon that cannot begin, because the bucket does not answer, is tried again until it does. Who
// uses the mount waits, and `status` says what it can.
func TestRestartWaitsForTheNetwork(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	d := mount(t, w, "--settle", "1h")
	f := create(t, filepath.Join(w.Dir, "file"))
	writeString(t, f, "before, ")
	forgetRecords(t, w)
	w.Server.AddFault(emulator.Fault{ResetAfterBytes: -1})
	d.KillDaemon(t)
	procenv.WaitFor(t, "daemons to fail in order", func() bool { return strings.Count(log(t, w), `daemon="ended with exit code`) >= 2 })
	w.Server.ClearFaults()
	writeString(t, f, "after")
	if got := readAll(t, f); got != "before, after" {
		t.Errorf("the file holds %q", got)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	d.Unmount(t)
}

// forgetRecords takes away what a daemon could begin with while the bucket cannot be reached.
func forgetRecords(t *testing.T, w *procenv.World) {
	t.Helper()
	if err := os.Remove(filepath.Join(w.Cache, "records")); err != nil {
		t.Fatal(err)
	}
}

// TestRestartWithoutTheNetwork: a daemon that dies while the bucket cannot be reached is followed at once by one that goes on with what is here.
func TestRestartWithoutTheNetwork(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	d := mount(t, w, "--settle", "1h")
	f := create(t, filepath.Join(w.Dir, "file"))
	writeString(t, f, "before, ")
	w.Server.AddFault(emulator.Fault{ResetAfterBytes: -1})
	d.KillDaemon(t)
	writeString(t, f, "after")
	if got := readAll(t, f); got != "before, after" {
		t.Errorf("the file holds %q", got)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log(t, w), `daemon="ended with exit code`) {
		t.Error("a daemon ended for want of the bucket")
	}
	w.Server.ClearFaults()
	d.Unmount(t)
	if _, _, err := w.Server.ReadObject(procenv.Bucket, "file"); err != nil {
		t.Error(err)
	}
}

// TestSignalWhileNoDaemonBegins: SIGTERM ends a mount whose daemons cannot begin, and leaves what is not uploaded for the next mount.
func TestSignalWhileNoDaemonBegins(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	d := mount(t, w, "--settle", "1h")
	path := filepath.Join(w.Dir, "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	forgetRecords(t, w)
	w.Server.AddFault(emulator.Fault{ResetAfterBytes: -1})
	d.KillDaemon(t)
	procenv.WaitFor(t, "a daemon to fail in order", func() bool { return strings.Contains(log(t, w), `daemon="ended with exit code`) })
	if err := syscall.Kill(d.Pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(); err == nil {
		t.Error("the supervisor ended with exit code 0, although a file is not uploaded")
	}
	if procenv.Mounted(w.Dir) {
		t.Error("still mounted")
	}
	w.Server.ClearFaults()
	d = w.Mount(t)
	if got, err := os.ReadFile(path); err != nil || string(got) != "content" {
		t.Errorf("the next mount has %q, %v", got, err)
	}
	d.Unmount(t)
}
