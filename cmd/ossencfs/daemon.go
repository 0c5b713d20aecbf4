package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/fs"
)

// daemon is this process's tie to its supervisor.
type daemon struct {
	link     *link
	hello    message
	ready    *os.File // to the process that started a background mount; nil in the foreground and in later lives
	listener *os.File
	device   *os.File
	answers  chan answered
	orders   chan int      // how often the supervisor was asked to end
	orphaned chan struct{} // closed when the supervisor is gone
}

// answered is a message that something was asked for.
type answered struct {
	message
	files []*os.File
}

// errOrphaned says that nobody is there to ask.
var errOrphaned = errors.New("the supervisor is gone")

// linkToSupervisor is the link when this process is a daemon, else nil.
func linkToSupervisor(getenv func(string) string) (*link, error) {
	if getenv(daemonEnv) != fmt.Sprint(linkFD) {
		return nil, nil
	}
	if err := os.Unsetenv(daemonEnv); err != nil {
		return nil, err
	}
	unix.CloseOnExec(linkFD)
	return openLink(os.NewFile(linkFD, "link"))
}

// runDaemon does what the supervisor wants of this process.
func (c *call) runDaemon(ctx context.Context, cfg *mountConfig, l *link) error {
	_ = os.WriteFile(fmt.Sprintf("/proc/self/task/%d/comm", os.Getpid()), []byte("ossencfs"), 0) // or ps shows the name of the link that was executed
	hello, files, err := l.receive()
	switch {
	case err != nil:
		return err
	case hello.Protocol != linkProtocol:
		return fail(exitFailure, fmt.Errorf("the supervisor speaks version %d of their protocol, and this program %d", hello.Protocol, linkProtocol))
	case hello.Kind == msgCheck:
		return l.send(settings(cfg, &hello))
	}
	raw, _, err := l.receiveRaw()
	if err != nil {
		return err
	}
	d := &daemon{link: l, hello: hello, answers: make(chan answered), orders: make(chan int, 1), orphaned: make(chan struct{})}
	if d.first() && len(files) == 1 {
		d.ready = files[0]
	} else if len(files) == 2 {
		d.listener, d.device = files[0], files[1]
	}
	d.orders <- hello.Ends
	go d.listen()
	return c.live(ctx, cfg, d, raw)
}

// settings is what this program would answer the kernel, and how its index is written.
func settings(cfg *mountConfig, asked *message) message {
	m := message{Kind: msgSettings, Version: versionText(), Index: cache.IndexFormat}
	var err error
	if m.Reply, err = fs.Answer(asked.Init, cfg.fs); err != nil {
		m.setError(err)
	}
	return m
}

// live mounts, or takes the mount over, and tells those who wait how it went.
func (c *call) live(ctx context.Context, cfg *mountConfig, d *daemon, passphrases []byte) error {
	log := newLogger(c.stderr.log(), cfg.logLevel)
	told := false
	tell := func(line readyLine) error {
		told = true
		return tellReady(d.ready, line)
	}
	var err error
	if d.hello.Background {
		log, err = d.takeLog(cfg)
	}
	if err == nil {
		err = c.serveDaemon(ctx, cfg, d, log, passphrases, tell)
	}
	switch {
	case err == nil:
		return nil
	case d.ready != nil && !told:
		f := explain(err)
		return errors.Join(quiet(f.code), tell(readyLine{Error: f.Error(), Code: f.code, Hints: f.hints}))
	case d.hello.Background:
		log.Error("the mount ended badly", "mountpoint", cfg.dir, "error", err)
		return quiet(explain(err).code)
	}
	return err
}

// takeLog makes the log file standard output and error.
func (d *daemon) takeLog(cfg *mountConfig) (*slog.Logger, error) {
	log, err := openLog(cfg.logFile)
	if err != nil {
		return newLogger(os.Stderr, cfg.logLevel), err
	}
	return newLogger(log, cfg.logLevel), log.takeStdio()
}

func (c *call) serveDaemon(ctx context.Context, cfg *mountConfig, d *daemon, log *slog.Logger, passphrases []byte, tell func(readyLine) error) error {
	typed := secrets{}
	err := json.Unmarshal(passphrases, &typed)
	clear(passphrases)
	if err != nil {
		return errors.New("passphrases from the supervisor: not understood")
	}
	p, err := c.prepareDaemon(ctx, cfg, d, typed)
	typed.wipe()
	if err != nil {
		return err
	}
	return c.serve(ctx, cfg, p, log, func(s *session) error {
		if err := d.link.send(message{Kind: msgReady}); err != nil {
			return err
		}
		go d.reportSteady(s)
		switch {
		case d.hello.Background:
			if err := os.Chdir("/"); err != nil {
				return err
			}
			if d.first() {
				return tell(readyLine{Text: strings.TrimSpace(s.greeting())})
			}
		case d.first():
			c.stdout.show(s.greeting() + "\n")
		}
		return nil
	})
}

// prepareDaemon is prepare; a mount that is taken over is not looked at, because it waits for this process.
func (c *call) prepareDaemon(ctx context.Context, cfg *mountConfig, d *daemon, typed secrets) (*prepared, error) {
	cfg.dir, cfg.adopted = d.hello.Dir, !d.first()
	if cfg.adopted {
		cfg.object.NewVolume = false // the first one made it
	}
	p, err := c.prepare(ctx, cfg, typed)
	if err != nil {
		return nil, err
	}
	p.daemon = d
	if d.hello.Background {
		p.logFile = cfg.logFile
	}
	return p, nil
}

// first reports whether this daemon makes the mount.
func (d *daemon) first() bool { return d.hello.Life == 1 }

// alone reports whether the supervisor is gone.
func (d *daemon) alone() bool {
	select {
	case <-d.orphaned:
		return true
	default:
		return false
	}
}

// listen takes what the supervisor says.
func (d *daemon) listen() {
	defer close(d.orphaned)
	for {
		m, files, err := d.link.receive()
		if err != nil {
			return
		}
		if m.Kind != msgEnd {
			d.answers <- answered{m, files}
			continue
		}
		select {
		case <-d.orders: // nobody has seen the last one, which this one includes
		default:
		}
		d.orders <- m.Ends
	}
}

// ask sends a message and waits for what it is answered.
func (d *daemon) ask(ctx context.Context, m message) (answered, error) {
	if err := d.link.send(m); err != nil {
		return answered{}, err
	}
	select {
	case a := <-d.answers:
		return a, a.failed()
	case <-d.orphaned:
		return answered{}, errOrphaned
	case <-ctx.Done():
		return answered{}, ctx.Err()
	}
}

// adopt answers for the mount, which the supervisor makes when this is the first daemon, and listens on its control socket.
func (d *daemon) adopt(ctx context.Context, c *cache.Cache, o fs.Options) (*fs.Server, *record, net.Listener, error) {
	about := d.hello
	if d.first() {
		a, err := d.ask(ctx, message{Kind: msgMount})
		if err != nil {
			return nil, nil, nil, err
		}
		if len(a.files) != 2 {
			return nil, nil, nil, errors.New("the supervisor sent no mount")
		}
		about, d.listener, d.device = a.message, a.files[0], a.files[1]
		d.hello.Health = a.Health
	}
	rec := about.Record
	rec.name, rec.dir = about.RecordName, about.RecordDir
	listener, err := net.FileListener(d.listener)
	if err = errors.Join(err, d.listener.Close()); err != nil {
		return nil, nil, nil, fmt.Errorf("control socket: %w", err)
	}
	fd, err := unix.FcntlInt(d.device.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err = errors.Join(err, d.device.Close()); err != nil {
		return nil, nil, nil, errors.Join(err, listener.Close())
	}
	server, err := fs.Adopt(ctx, c, fs.Adoption{FD: fd, Dir: d.hello.Dir, Number: about.Number, Init: about.Init, Reply: about.Reply, Answer: func(reply []byte) error {
		_, err := d.ask(ctx, message{Kind: msgReply, Reply: reply})
		return err
	}}, o)
	if err != nil {
		return nil, nil, nil, errors.Join(err, listener.Close())
	}
	return server, rec, listener, nil
}

// say tells the supervisor something; it may be gone.
func (d *daemon) say(kind string) {
	if d != nil {
		_ = d.link.send(message{Kind: kind})
	}
}

// When a daemon is steady.
const (
	steadyCalls = 100
	steadyAfter = 5 * time.Second
)

// reportSteady tells the supervisor when this daemon has answered for a while.
func (d *daemon) reportSteady(s *session) {
	tick, after := time.NewTicker(10*time.Millisecond), time.NewTimer(steadyAfter)
	defer tick.Stop()
	defer after.Stop()
	for s.server.Answered() < steadyCalls {
		select {
		case <-tick.C:
			continue
		case <-s.finished:
			return
		case <-after.C:
		}
		break
	}
	d.say(msgSteady)
}
