package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// piped runs the program with a pipe for its descriptor 3. fill writes into it; a nil one leaves it open and empty, and the program
// is interrupted once it reads.
func piped(t *testing.T, w *procenv.World, fill []byte, args ...string) answer {
	t.Helper()
	r, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ctx, cancel := context.WithTimeout(context.Background(), procenv.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, procenv.Binary(t), args...)
	var out, errs strings.Builder
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = w.Env(), &out, &errs, []*os.File{r}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if fill != nil {
		_, _ = in.Write(fill) // it may not want it
		in.Close()
	} else {
		procenv.WaitFor(t, "the pipe to be opened", func() bool { return opened(cmd.Process.Pid, 3) })
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Errorf("ossencfs %s cannot be interrupted", strings.Join(args, " "))
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// opened reports whether a process has opened what its descriptor fd is once more.
func opened(pid, fd int) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	want, err := os.Readlink(filepath.Join(dir, fmt.Sprint(fd)))
	if err != nil {
		return true // it has ended
	}
	entries, _ := os.ReadDir(dir)
	n := 0
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && link == want {
			n++
		}
	}
	return n > 1
}

// TestSecretsFromAPipe: a pipe that the program was given, as a shell's <(command), holds keys and passphrases for commands that read
// them once; a mount says that it would read them again.
func TestSecretsFromAPipe(t *testing.T) {
	w := procenv.New(t)
	url := "oss://" + procenv.Bucket + "/x"
	pass := write(t, filepath.Join(w.Base, "pass"), "passphrase", 0o600)
	locked := otherKey(t, w, "locked.pem", "--key-passphrase-file", pass)
	private, err := os.ReadFile(w.Key)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, w, nil, "put", pass, url, "--rsa-key", w.Key).want(t, ok)
	ask(t, w, nil, "put", pass, "oss://"+procenv.Bucket+"/y/x", "--rsa-key", locked, "--key-passphrase-file", pass, "--read-rsa-key", w.Key).want(t, ok)
	for name, a := range map[string]answer{
		"key":        piped(t, w, private, "get", url, "-", "--rsa-key", "/dev/fd/3"),
		"passphrase": piped(t, w, []byte("passphrase\n"), "get", url, "-", "--rsa-key", w.Key, "--read-rsa-key", locked, "--key-passphrase-file", "/dev/fd/3"),
	} {
		if a.code != ok || a.stdout != "passphrase" {
			t.Errorf("%s: exit code %d, %q\n%s", name, a.code, a.stdout, a.stderr)
		}
	}
	piped(t, w, []byte{}, "get", url, "-", "--rsa-key", "/dev/fd/3").want(t, key, "/dev/fd/3 is a pipe with nothing in it")
	piped(t, w, private, "mount", "oss://"+procenv.Bucket, w.Dir, "--rsa-key", "/dev/fd/3", "--cache-dir", w.Cache).
		want(t, usage, "--rsa-key /dev/fd/3 is a pipe, and a mount reads it again", "--key-passphrase-command")
	wantNothingLeft(t, w)
}

// TestWaitingIsInterrupted: Ctrl-C ends a command that waits for the other end of a pipe.
func TestWaitingIsInterrupted(t *testing.T) {
	w := procenv.New(t)
	url := "oss://" + procenv.Bucket + "/x"
	for _, args := range [][]string{
		{"get", url, "-", "--rsa-key", "/dev/fd/3"},
		{"put", "/dev/fd/3", url, "--rsa-key", w.Key},
		{"key", "import", "oss://" + procenv.Bucket, "/dev/fd/3", "--rsa-key", w.Key},
		{"key", "check", "oss://" + procenv.Bucket, "--recovery-code-file", "/dev/fd/3"},
	} {
		piped(t, w, nil, args...).want(t, interrupted)
	}
}

// TestPromptIsInterrupted: Ctrl-C ends a command that asks for a passphrase, and the terminal shows again what is typed.
func TestPromptIsInterrupted(t *testing.T) {
	w := procenv.New(t)
	pass := write(t, filepath.Join(w.Base, "pass"), "passphrase", 0o600)
	locked := otherKey(t, w, "locked.pem", "--key-passphrase-file", pass)
	for name, args := range map[string][]string{
		"get":    {"get", "oss://" + procenv.Bucket + "/x", "-", "--rsa-key", locked},
		"mount":  {"mount", "oss://" + procenv.Bucket, w.Dir, "--rsa-key", locked, "--cache-dir", w.Cache},
		"keygen": {"keygen", filepath.Join(w.Base, "new.pem"), "--passphrase"},
		"key":    {"key", "check", "oss://" + procenv.Bucket, "--recovery-code"},
	} {
		t.Run(name, func(t *testing.T) { interruptPrompt(t, w, args) })
	}
	wantNothingLeft(t, w)
}

// TestPromptWithoutATerminal: what would be asked for names the option that gives it instead, that of the very secret.
func TestPromptWithoutATerminal(t *testing.T) {
	w := procenv.New(t)
	pass := write(t, filepath.Join(w.Base, "pass"), "passphrase", 0o600)
	locked := otherKey(t, w, "locked.pem", "--key-passphrase-file", pass)
	ask(t, w, nil, "put", pass, "oss://"+procenv.Bucket+"/x", "--rsa-key", w.Key).want(t, ok)
	for name, c := range map[string]struct {
		option string
		args   []string
	}{
		"get":           {"--key-passphrase-file", []string{"get", "oss://" + procenv.Bucket + "/x", "-", "--rsa-key", locked}},
		"mount":         {"--key-passphrase-file", []string{"mount", "oss://" + procenv.Bucket, w.Dir, "--rsa-key", locked, "--cache-dir", w.Cache}},
		"keygen":        {"--key-passphrase-file", []string{"keygen", filepath.Join(w.Base, "new.pem"), "--passphrase"}},
		"recovery code": {"--recovery-code-file FILE", []string{"key", "check", "oss://" + procenv.Bucket, "--recovery-code"}},
		"new key":       {"--new-key-passphrase-file", []string{"key", "add", "oss://" + procenv.Bucket, "--rsa-key", w.Key, "--new-rsa-key", locked}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(procenv.Binary(t), c.args...)
			cmd.Env, cmd.SysProcAttr = w.Env(), &syscall.SysProcAttr{Setsid: true}
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			a := answer{code: cmd.ProcessState.ExitCode(), stderr: string(out)}
			a.want(t, key, "no terminal to ask on", "ossencfs: hint: give "+c.option)
		})
	}
	wantNothingLeft(t, w)
}

// interruptPrompt runs a command on a terminal until it asks, and types Ctrl-C.
func interruptPrompt(t *testing.T, w *procenv.World, args []string) {
	t.Helper()
	master, slave := terminal(t)
	cmd := exec.Command(procenv.Binary(t), args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = w.Env(), slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, but for a failure
	echo := func() bool {
		state, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		return err == nil && state.Lflag&unix.ECHO != 0
	}
	procenv.WaitFor(t, "the prompt", func() bool { return !echo() })
	if _, err := master.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	if err := waitMost(cmd, procenv.Patience); cmd.ProcessState.ExitCode() != interrupted {
		t.Errorf("got %v, want exit code %d", err, interrupted)
	}
	if !echo() {
		t.Error("the terminal is left silent")
	}
}

// terminal makes a terminal and its other end.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestPutFromNamedPipe: put waits for the writer of a named pipe, as cat does, and can be interrupted meanwhile.
func TestPutFromNamedPipe(t *testing.T) {
	w := procenv.New(t)
	pipe := fifo(t, w)
	url := "oss://" + procenv.Bucket + "/x"
	start := func() *exec.Cmd {
		cmd := exec.Command(procenv.Binary(t), "put", pipe, url, "--rsa-key", w.Key)
		cmd.Env = w.Env()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, but for a failure
		return cmd
	}
	cmd := start()
	procenv.WaitFor(t, "the pipe to be opened", func() bool { return holds(cmd.Process.Pid, pipe) })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := waitMost(cmd, procenv.Patience)
	if cmd.ProcessState.ExitCode() != interrupted {
		t.Errorf("interrupted: %v", err)
	}
	cmd = start()
	f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("content"); err != nil {
		t.Error(err)
	}
	f.Close()
	if err := waitMost(cmd, procenv.Patience); err != nil {
		t.Fatal(err)
	}
	a := ask(t, w, nil, "get", url, "-", "--rsa-key", w.Key)
	if a.want(t, ok); a.stdout != "content" {
		t.Errorf("got %q", a.stdout)
	}
}

// waitMost waits for a process, and kills it when it does not end.
func waitMost(cmd *exec.Cmd, most time.Duration) error {
	timer := time.AfterFunc(most, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	return cmd.Wait()
}

// holds reports whether a process has a file open.
func holds(pid int, path string) bool {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	for _, e := range entries {
		if link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name())); err == nil && link == path {
			return true
		}
	}
	return false
}
