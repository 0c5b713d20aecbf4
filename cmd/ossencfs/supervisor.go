package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/localfile"
)

// supervisor is the process that a mount is in as long as it lives. It opens no bucket and no key.
type supervisor struct {
	c          *call
	cfg        *mountConfig
	log        *slog.Logger
	background bool
	ready      *os.File // to the process that started a background mount; the first daemon's
	vault      *vault
	cwd        string   // where the daemons start
	changed    *os.File // what they run since an upgrade, held open, since its path may name another one later; nil: what this process does
	newer      *os.File // what an upgrade that was asked for would run; nil: there is none

	device   *fs.Device // nil before the mount
	record   *record
	listener *os.File
	life     uint16
	health   health
	restarts restarts
	signals  chan os.Signal
	ends     int // signals so far
}

// supervise runs daemons until the mount ends. It is entered in a process that has never loaded a key.
func (c *call) supervise(cfg *mountConfig, given *bequest) error {
	s := &supervisor{c: c, cfg: cfg, background: given.ready != nil, ready: given.ready, vault: given.typed,
		signals: make(chan os.Signal, 2)}
	signal.Notify(s.signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGHUP)
	cfg.madeCacheDir = given.MadeCacheDir && !s.background // the parent of a background mount tidies up itself
	err := s.prepare(given)
	if err == nil {
		err = s.run()
	}
	err = errors.Join(err, s.release())
	if err == nil {
		return nil
	}
	if s.ready != nil {
		f := explain(err)
		return errors.Join(quiet(f.code), tellReady(s.ready, readyLine{Error: f.Error(), Code: f.code, Hints: f.hints}))
	}
	if s.life <= 1 {
		cfg.tidy()
	}
	if f := explain(err); s.background && f.err != nil { // standard error is a log file that may have been put aside
		s.log.Error("the mount ended badly", "mountpoint", cfg.dir, "error", f.Error(), "hint", strings.Join(f.hints, "; "))
		return quiet(f.code)
	}
	return err
}

// prepare takes over what the first process found out.
func (s *supervisor) prepare(given *bequest) error {
	s.log = newLogger(s.c.stderr.log(), s.cfg.logLevel)
	if s.background {
		s.log = newLogger(appendLog(s.cfg.logFile), s.cfg.logLevel)
	}
	s.cfg.dir = given.Dir // not resolved again: the folder that was looked at is the one to mount on
	var err error
	if s.cwd, err = os.Getwd(); err != nil || isBelow(s.cwd, s.cfg.dir) {
		s.cwd = "/" // a daemon that began in its own mount would wait for itself
	}
	return nil
}

// run starts one daemon after the other.
func (s *supervisor) run() error {
	for {
		d, err := s.start()
		if err != nil {
			if s.device == nil {
				return err
			}
			d = &life{end: ended{text: err.Error(), inOrder: true}}
		} else {
			s.attend(d)
		}
		pause, err := s.judge(d)
		if err != nil || pause < 0 {
			return err
		}
		if !s.wait(pause) {
			return fail(exitFailure, fmt.Errorf("asked to end while no daemon answered for the mount on %s", s.cfg.dir))
		}
	}
}

// wait pauses between two daemons. A second request to end ends the wait for good.
func (s *supervisor) wait(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return s.ends < 2
		case <-s.signals:
			if s.ends++; s.ends >= 2 {
				return false
			}
		}
	}
}

// judge decides what follows a daemon's end: another daemon after a pause, or, with a negative pause or an error, the end.
func (s *supervisor) judge(d *life) (time.Duration, error) {
	const over = -1
	switch {
	case s.device == nil || d.ending:
		return over, d.end.failure()
	case !s.device.Alive():
		return over, fail(exitFailure, fmt.Errorf("the daemon %s after the mount had ended", d.end.text), "the next mount uploads what is left")
	case s.health.Mortal != "":
		return over, fail(exitFailure, fmt.Errorf("the daemon %s, and the mount on %s with it: %s", d.end.text, s.cfg.dir, s.health.Mortal))
	case d.handover && d.ready && s.newer != nil:
		s.health.Kept = ""
		s.change(s.newer)
		s.health.Upgrades++
		return 0, nil
	}
	if s.life == 1 && !d.ready {
		return over, d.end.failure() // whoever waits for the mount is told that it failed
	}
	if s.ends > 0 && !d.ready {
		return over, fail(exitFailure, fmt.Errorf("asked to end while no daemon answered for the mount on %s", s.cfg.dir),
			"the next mount with the same cache folder uploads what is left")
	}
	s.health.Last = d.end.text
	if !d.ready && s.changed != nil {
		s.health.Kept = d.end.text
		s.log.Error("the new binary cannot go on with the mount; the first one does", "binary", s.changed.Name(), "daemon", d.end.text)
		s.change(nil)
		return 0, nil
	}
	var pause time.Duration
	again := false
	if d.end.inOrder {
		pause, again = s.restarts.failed(time.Now())
	} else {
		pause, again = s.restarts.died(time.Now(), d.steady)
	}
	if !again {
		return over, fail(exitFailure, fmt.Errorf("the daemon %s, again and again; the mount on %s is given up", d.end.text, s.cfg.dir),
			"the next mount with the same cache folder uploads what is left")
	}
	s.health.Restarts++
	s.log.Warn("the daemon ended; another one goes on with the mount", "mountpoint", s.cfg.dir, "daemon", d.end.text, "restarts", s.health.Restarts)
	return pause, nil
}

// attach makes the mount and the control socket, when the first daemon is so far.
func (s *supervisor) attach() error {
	var err error
	if s.device, err = fs.Attach(s.cfg.dir, s.cfg.fs); err != nil {
		return fail(exitMountPoint, err, "what fusermount3 or the kernel said is above, or in the log; the mount point must be yours to write to")
	}
	if !s.device.Survives() {
		s.health.Mortal = "this kernel cannot send unanswered requests again; Linux 6.9 can"
	}
	logFile := ""
	if s.background {
		logFile = s.cfg.logFile
	}
	s.record = newRecord(s.cfg.dir, s.cfg.target.String(), s.cfg.cache.Dir, logFile)
	dir, err := s.c.runtimeDir()
	if err != nil {
		return err
	}
	l, err := s.record.listen(dir)
	if err != nil {
		return err
	}
	defer l.Close()
	if s.listener, err = l.File(); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// change has later daemons run another binary; nil is the first one again.
func (s *supervisor) change(to *os.File) {
	if s.changed != nil {
		s.changed.Close()
	}
	s.changed, s.newer = to, nil
}

// executable is what the daemons run: /proc/self/exe is this binary, whatever is on the disk by now.
func (s *supervisor) executable() string {
	if s.changed != nil {
		return pathOf(s.changed)
	}
	return "/proc/self/exe"
}

// settle is called when the first daemon answers: a background mount keeps no folder busy.
func (s *supervisor) settle() error {
	if !s.background {
		return nil
	}
	return os.Chdir("/")
}

// release gives everything back; a mount that is still there goes.
func (s *supervisor) release() error {
	var errs []error
	if s.record != nil {
		errs = append(errs, s.record.forget())
	}
	if s.device != nil {
		errs = append(errs, s.device.Detach())
	}
	for _, f := range []*os.File{s.listener, s.changed, s.newer} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	s.vault.close()
	return errors.Join(errs...)
}

// appendLog writes each line to a log file that the daemon may put aside at any time.
type appendLog string

// Write appends one line.
func (path appendLog) Write(p []byte) (int, error) {
	f, err := localfile.OpenLog(string(path))
	if err != nil {
		return 0, err
	}
	n, err := f.Write(p)
	return n, errors.Join(err, f.Close())
}

// bequest is what the process that talked to the user leaves to the supervisor through a pipe: a line of JSON, and behind it the
// passphrases as the daemons get them.
type bequest struct {
	Dir          string `json:"dir"` // the mount point, absolute and without symbolic links
	MadeCacheDir bool   `json:"made_cache_dir,omitempty"`

	typed *vault
	ready *os.File
}

// bequeath writes it, and wipes the passphrases.
func (cfg *mountConfig) bequeath(w io.Writer, typed secrets) error {
	packet := typed.packet()
	defer clear(packet)
	typed.wipe()
	line, err := json.Marshal(bequest{Dir: cfg.dir, MadeCacheDir: cfg.madeCacheDir})
	if err != nil {
		return err
	}
	if len(line)+1+len(packet) >= vaultRoom {
		return errTooLong
	}
	if _, err = w.Write(append(line, '\n')); err == nil {
		_, err = w.Write(packet)
	}
	return err
}

// becomeSupervisor begins anew in this process, which stays the one that a terminal or systemd knows. What it loaded to check the
// options, keys above all, is gone with its memory.
func (c *call) becomeSupervisor(cfg *mountConfig, typed secrets) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	defer r.Close()
	err = cfg.bequeath(w, typed)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	fd, err := unix.Dup(int(r.Fd())) // the copy stays open over exec
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	own, err := os.Executable()
	if err == nil {
		env := append(os.Environ(), fmt.Sprintf("%s=%d", bequestEnv, fd))
		err = unix.Exec(own, append([]string{"ossencfs", "mount"}, c.given...), env)
	}
	return errors.Join(fmt.Errorf("start the supervisor: %w", err), unix.Close(fd))
}

// failure is how a daemon's end looks from outside, nil when all is well. What was wrong the daemon has said.
func (e *ended) failure() error {
	switch {
	case e.inOrder && e.code == exitOK:
		return nil
	case e.inOrder:
		return quiet(e.code)
	}
	return fail(exitFailure, fmt.Errorf("the daemon %s", e.text))
}

// attend serves a daemon's wishes until it has ended.
func (s *supervisor) attend(d *life) {
	defer d.link.close() //nolint:errcheck // the other end is gone
	var late <-chan time.Time
	if s.life > 1 {
		timer := time.NewTimer(startMost)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case m, ok := <-d.messages:
			if !ok {
				d.end = d.reap()
				return
			}
			if err := s.handle(d, &m); err != nil {
				s.log.Error("cannot serve the daemon", "asked", m.Kind, "error", err)
				d.kill()
			}
		case <-s.signals:
			s.ends++
			d.tell(message{Kind: msgEnd, Ends: s.ends})
		case <-late:
			if late = nil; !d.ready {
				s.log.Error("the daemon does not become ready", "waited", startMost)
				d.kill()
			}
		}
	}
}

// startMost is how long a daemon that takes over may take until it answers.
const startMost = 3 * time.Minute

// handle does what a daemon asks for.
func (s *supervisor) handle(d *life, m *message) error {
	switch m.Kind {
	case msgMount:
		answer := message{Kind: msgDevice}
		if err := s.attach(); err != nil {
			answer.setError(err)
			return d.link.send(answer)
		}
		s.describe(&answer)
		return d.link.send(answer, int(s.listener.Fd()), s.device.FD())
	case msgReply:
		return errors.Join(s.device.Answer(m.Reply), d.link.send(message{Kind: msgServe}))
	case msgReady:
		d.ready = true
		return s.settle()
	case msgSteady:
		d.steady = true
	case msgUpgrade:
		answer := message{Kind: msgChecked}
		if err := s.checkNewer(m.Executable, &answer); err != nil {
			answer.setError(err)
		}
		return d.link.send(answer)
	case msgHandover:
		d.handover = true
	case msgEnding:
		d.ending = true
	}
	return nil
}

// describe tells a daemon of the mount.
func (s *supervisor) describe(m *message) {
	m.Record, m.RecordName, m.RecordDir = s.record, s.record.name, s.record.dir
	m.Number = s.device.Number()
	m.Init, m.Reply = s.device.Exchange()
	m.Health = s.health
}
