package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A background mount is this program started again with --foreground. Two pipes connect parent and child:
//
//	3  ready    child → parent   one line of JSON, a readyLine, when the mount answers or has failed
//	4  secrets  parent → child   one line of JSON: passphrases that were typed
//
// The parent ends when it has the line, with the child's exit code and in the child's words.
const (
	readyEnv  = "OSSENCFS_READY_FD"
	readyFD   = 3
	secretsFD = 4
)

// readyLine is what the child tells the parent.
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
	secretsEnd, secretsPipe, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("start in the background: %w", err), readyEnd.Close())
	}
	defer secretsPipe.Close()
	cmd, err := c.child(cfg, readyEnd, secretsEnd)
	if err == nil {
		err = cmd.Start()
	}
	err = errors.Join(err, readyEnd.Close(), secretsEnd.Close())
	if err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	if err := errors.Join(json.NewEncoder(secretsPipe).Encode(typed), secretsPipe.Close()); err != nil && !errors.Is(err, syscall.EPIPE) {
		return errors.Join(fmt.Errorf("hand the passphrases over: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	return c.awaitChild(ctx, cmd, ready, cfg.logFile)
}

// child is the command that runs the mount, in a session of its own, with the log for its output.
func (c *call) child(cfg *mountConfig, ready, typed *os.File) (*exec.Cmd, error) {
	log, err := openLog(cfg.logFile)
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, append([]string{"mount", "--foreground"}, c.given...)...)
	cmd.Args[0] = "ossencfs"
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", readyEnv, readyFD))
	cmd.Stdout, cmd.Stderr = log.file, log.file
	cmd.ExtraFiles = []*os.File{ready, typed}
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
	fmt.Fprintf(c.stdout, "%s\nlog: %s\n", line.Text, logFile)
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

// readyPipe is the pipe to the parent when this process is the child of a background mount, else nil.
func readyPipe(getenv func(string) string) *os.File {
	if getenv(readyEnv) != fmt.Sprint(readyFD) {
		return nil
	}
	var st unix.Stat_t
	if unix.Fstat(readyFD, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil
	}
	unix.CloseOnExec(readyFD)
	unix.CloseOnExec(secretsFD)
	return os.NewFile(readyFD, "ready")
}

// runChild mounts and tells the parent how it went.
func (c *call) runChild(ctx context.Context, cfg *mountConfig, ready *os.File) error {
	if err := os.Unsetenv(readyEnv); err != nil {
		return err
	}
	told := false
	tell := func(line readyLine) error {
		told = true
		return errors.Join(json.NewEncoder(ready).Encode(line), ready.Close())
	}
	log, err := openLog(cfg.logFile)
	if err == nil {
		err = log.takeStdio()
	}
	if err == nil {
		logger := newLogger(log, cfg.logLevel)
		err = c.serveChild(ctx, cfg, logger, tell)
		if err != nil && told {
			logger.Error("the mount ended badly", "mountpoint", cfg.dir, "error", err)
		}
	}
	if err == nil || told {
		return err
	}
	f := explain(err)
	return errors.Join(quiet(f.code), tell(readyLine{Error: f.Error(), Code: f.code, Hints: f.hints}))
}

// serveChild runs the mount with the passphrases from the parent, detached from the folder it was started in.
func (c *call) serveChild(ctx context.Context, cfg *mountConfig, log *slog.Logger, tell func(readyLine) error) error {
	typed, err := readSecrets()
	if err != nil {
		return err
	}
	p, err := c.prepare(ctx, cfg, typed)
	typed.wipe()
	if err != nil {
		return err
	}
	p.logFile = cfg.logFile
	return c.serve(ctx, cfg, p, log, func(s *session) error {
		if err := os.Chdir("/"); err != nil {
			return err
		}
		return tell(readyLine{Text: strings.TrimSpace(s.cfg.greeting())})
	})
}

// readSecrets reads the passphrases that the parent asked for.
func readSecrets() (secrets, error) {
	f := os.NewFile(secretsFD, "secrets")
	defer f.Close()
	raw, err := readLimited(f, 1<<20)
	if err != nil {
		return nil, fmt.Errorf("passphrases from the parent: %w", err)
	}
	typed := secrets{}
	if err := json.Unmarshal(raw, &typed); err != nil {
		return nil, errors.New("passphrases from the parent: not understood")
	}
	clear(raw)
	return typed, nil
}
