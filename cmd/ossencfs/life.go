package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/localfile"
)

// life is one daemon, seen from the supervisor.
type life struct {
	cmd      *exec.Cmd
	link     *link
	messages chan message // closed when the process has ended

	ready, steady    bool // it answers; it has done so for a while
	ending, handover bool // it said so, see link.go
	end              ended
}

// ended is how a daemon's process ended.
type ended struct {
	inOrder bool // by itself, with an exit code
	code    int
	text    string // "was killed by signal 9", after "the daemon"
}

// Environment of the processes of a mount: the descriptor of the pipe with the bequest, and of the link.
const (
	bequestEnv = "OSSENCFS_SUPERVISOR_FD"
	daemonEnv  = "OSSENCFS_DAEMON_FD"
	linkFD     = 3
)

// start runs the next daemon and greets it.
func (s *supervisor) start() (*life, error) {
	d, err := s.spawn(s.executable())
	if err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	s.life++
	hello := message{Kind: msgHello, Protocol: linkProtocol, Life: s.life, Background: s.background, Dir: s.cfg.dir, Ends: s.ends}
	var fds []int
	switch {
	case s.device != nil:
		s.describe(&hello)
		fds = []int{int(s.listener.Fd()), s.device.FD()}
	case s.ready != nil:
		fds = []int{int(s.ready.Fd())}
	}
	err = d.link.send(hello, fds...)
	if err == nil {
		err = d.link.sendRaw(s.vault.mem)
	}
	if s.device == nil && s.ready != nil {
		err = errors.Join(err, s.ready.Close()) // only the daemon has it now, so that its end shows
		s.ready = nil
	}
	if err != nil {
		s.log.Debug("greet the daemon", "error", err) // it ended at once, which attend finds
	}
	go d.listen()
	return d, nil
}

// spawn runs a binary as a daemon.
func (s *supervisor) spawn(exe string) (*life, error) {
	l, theirs, err := newLink()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := s.command(exe, s.cwd, theirs)
	if err = cmd.Start(); err != nil && s.cwd != "/" { // its folder may be gone
		cmd = s.command(exe, "/", theirs)
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return &life{cmd: cmd, link: l, messages: make(chan message)}, nil
}

// command is the command of a daemon.
func (s *supervisor) command(exe, dir string, link *os.File) *exec.Cmd {
	cmd := exec.Command(exe, append([]string{"mount"}, s.c.given...)...)
	cmd.Args[0], cmd.Dir = "ossencfs", dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, bequestEnv+"=") && !strings.HasPrefix(v, readyEnv+"=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", daemonEnv, linkFD))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{link}
	return cmd
}

// listen passes on what the daemon says until it has ended.
func (d *life) listen() {
	defer close(d.messages)
	for {
		m, files, err := d.link.receive()
		if err != nil {
			return
		}
		for _, f := range files {
			f.Close() // a daemon sends none
		}
		d.messages <- m
	}
}

// tell sends what needs no answer; a daemon that is about to end may not hear it.
func (d *life) tell(m message) { _ = d.link.send(m) }

// kill ends the daemon's process.
func (d *life) kill() { _ = d.cmd.Process.Kill() } // it may have ended

// reap waits for the end of the process, which has closed its link.
func (d *life) reap() ended {
	err := d.cmd.Wait()
	state := d.cmd.ProcessState
	if state == nil {
		return ended{text: fmt.Sprintf("cannot be waited for: %v", err)}
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return ended{text: fmt.Sprintf("was killed by signal %d (%v)", int(status.Signal()), status.Signal())}
	case state.ExitCode() == panicCode && d.ready && !d.ending:
		return ended{text: "crashed"}
	}
	return ended{inOrder: true, code: state.ExitCode(), text: fmt.Sprintf("ended with exit code %d", state.ExitCode())}
}

// panicCode is the exit code of the Go runtime after a panic; ours for wrong usage too, which shows before a mount.
const panicCode = 2

// checkMost is how long a binary may take to say whether it can take over.
const checkMost = 20 * time.Second

// pathOf names an open file, whatever its path names by now.
func pathOf(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// checkNewer asks another binary whether it would answer the kernel alike and understands the index, and keeps it for the next life.
func (s *supervisor) checkNewer(path string, answer *message) (err error) {
	if s.health.Mortal != "" {
		return fail(exitFailure, fmt.Errorf("the mount cannot be handed over: %s", s.health.Mortal))
	}
	newer, err := localfile.Open(path, localfile.Data)
	if err != nil {
		return fail(exitFailure, err)
	}
	defer func() {
		if err != nil {
			newer.Close()
			return
		}
		if s.newer != nil { // of an upgrade that came to nothing
			s.newer.Close()
		}
		s.newer = newer
	}()
	d, err := s.spawn(pathOf(newer))
	if err != nil {
		return fail(exitFailure, fmt.Errorf("run %s: %w", path, err))
	}
	defer d.link.close() //nolint:errcheck // only read from
	init, reply := s.device.Exchange()
	if err := d.link.send(message{Kind: msgCheck, Protocol: linkProtocol, Dir: s.cfg.dir, Init: init}); err != nil {
		d.kill()
	}
	timer := time.AfterFunc(checkMost, d.kill)
	go d.listen()
	var said message
	for m := range d.messages {
		said = m
	}
	timer.Stop()
	end := d.reap()
	answer.Version = said.Version
	refused := func(why string) error {
		return fail(exitFailure, fmt.Errorf("%s (%s) cannot take the mount over: %s", path, said.Version, why),
			"unmount and mount again to use it")
	}
	switch {
	case said.Kind != msgSettings:
		return fail(exitFailure, fmt.Errorf("%s cannot take the mount over: it %s", path, end.text), "unmount and mount again to use it")
	case said.Error != "":
		return refused(said.Error)
	case said.Index != cache.IndexFormat:
		return refused(fmt.Sprintf("its index has format %q, the present one %q", said.Index, cache.IndexFormat))
	case !bytes.Equal(said.Reply, reply):
		return refused("it has other settings for the kernel")
	}
	return nil
}
