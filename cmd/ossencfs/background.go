package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A background mount is this program started again, as its supervisor. Two pipes connect the two:
//
//	3  ready    daemon → parent       one line of JSON, a readyLine, when the mount answers or has failed
//	4  bequest  parent → supervisor   a line of JSON, what the parent found out, and passphrases that were typed
//
// The parent ends when it has the line, with the daemon's exit code and in the daemon's words. In the foreground the first process
// becomes the supervisor itself, with a bequest and no ready pipe.
const (
	readyEnv  = "OSSENCFS_READY_FD"
	readyFD   = 3
	bequestFD = 4
)

// readyLine is what the daemon tells the parent.
type readyLine struct {
	Text  string   `json:"text,omitempty"` // greeting, when the mount answers
	Error string   `json:"error,omitempty"`
	Code  int      `json:"code,omitempty"`
	Hints []string `json:"hints,omitempty"`
}

// background starts the child and waits until its mount answers.
func (c *call) background(ctx context.Context, cfg *mountConfig, typed secrets) error {
	ready, readyEnd, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	defer ready.Close()
	bequestEnd, bequestPipe, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("start in the background: %w", err), readyEnd.Close())
	}
	defer bequestPipe.Close()
	cmd, err := c.child(cfg, readyEnd, bequestEnd)
	if err == nil {
		err = cmd.Start()
	}
	err = errors.Join(err, readyEnd.Close(), bequestEnd.Close())
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	if err := errors.Join(cfg.bequeath(bequestPipe, typed), bequestPipe.Close()); err != nil && !errors.Is(err, syscall.EPIPE) {
		return errors.Join(fmt.Errorf("hand the passphrases over: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	return c.awaitChild(ctx, cmd, ready, cfg.logFile)
}

// child is the command of the supervisor, in a session of its own, with the log for its output.
func (c *call) child(cfg *mountConfig, ready, given *os.File) (*exec.Cmd, error) {
	log, err := openLog(cfg.logFile)
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, append([]string{"mount"}, c.given...)...)
	cmd.Args[0] = "ossencfs"
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", readyEnv, readyFD), fmt.Sprintf("%s=%d", bequestEnv, bequestFD))
	cmd.Stdout, cmd.Stderr = log.file, log.file
	cmd.ExtraFiles = []*os.File{ready, given}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// awaitChild waits for the child's line. Ctrl-C meanwhile ends the child too.
func (c *call) awaitChild(ctx context.Context, cmd *exec.Cmd, ready io.Reader, logFile string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	interrupted := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // it may have ended
	raw, err := readLimited(ready, 1<<20)
	interrupted()
	var line readyLine
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &line)
	}
	switch {
	case err != nil || len(raw) == 0:
		return fail(exitFailure, fmt.Errorf("the background process ended before the mount answered: %w", errors.Join(err, cmd.Wait())), "its log is "+logFile)
	case line.Error != "":
		return errors.Join(fail(line.Code, errors.New(line.Error), line.Hints...), ignoreExit(cmd.Wait()))
	}
	c.stdout.show(line.Text + "\n")
	c.stdout.printf("log: %s\n", logFile)
	return cmd.Process.Release()
}

// ignoreExit drops the news that a process ended with an exit code, which was told in better words.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// tellReady tells the parent how the mount went; nobody when there is no parent.
func tellReady(ready *os.File, line readyLine) error {
	if ready == nil {
		return nil
	}
	return errors.Join(json.NewEncoder(ready).Encode(line), ready.Close())
}

// inheritedPipe is the pipe whose descriptor an environment variable names, nil when there is none. The variable is removed.
func inheritedPipe(getenv func(string) string, name string) (*os.File, error) {
	text := getenv(name)
	if text == "" {
		return nil, nil
	}
	if err := os.Unsetenv(name); err != nil {
		return nil, err
	}
	fd, err := strconv.Atoi(text)
	var st unix.Stat_t
	if err != nil || fd < readyFD || unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, nil
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name), nil
}

// readBequest takes over when this process is a supervisor; it is nil otherwise.
func readBequest(getenv func(string) string) (*bequest, error) {
	f, err := inheritedPipe(getenv, bequestEnv)
	if f == nil {
		return nil, err
	}
	defer f.Close()
	given := &bequest{}
	if given.typed, err = fillVault(f); err == nil {
		err = json.Unmarshal(given.typed.cutLine(), given)
	}
	if err != nil {
		given.typed.close()
		return nil, fmt.Errorf("from the parent: %w", err)
	}
	given.ready, err = inheritedPipe(getenv, readyEnv)
	return given, err
}
