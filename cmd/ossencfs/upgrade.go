package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/ossencfs/ossencfs/cache"
)

func upgradeCommand() *command {
	return &command{name: "upgrade", usage: upgradeUsage, run: runUpgrade}
}

// runUpgrade has the binary that runs it go on with a mount, and waits until it answers.
func runUpgrade(ctx context.Context, c *call) error {
	if err := c.wantArgs("DIR"); err != nil {
		return err
	}
	dir, rec, err := c.namedMount()
	if err != nil {
		return err
	}
	if rec == nil {
		return fail(exitMountPoint, fmt.Errorf("nothing of ours is mounted at %s", dir), "`ossencfs status` lists the mounts")
	}
	before, err := rec.askStatus(ctx)
	if err != nil {
		return fmt.Errorf("ask the mount on %s: %w", dir, err)
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := rec.order(ctx, "upgrade", request{Executable: own}, func(event) {}); err != nil {
		return err
	}
	after, err := rec.awaitHeir(ctx, before.Daemon)
	if err != nil {
		return err
	}
	if after.Health.Kept != "" {
		return fail(exitFailure, fmt.Errorf("the new binary did not go on with the mount on %s: it %s; the old one does", dir, after.Health.Kept),
			"its message is in the log")
	}
	c.stdout.printf("%s goes on with version %s\n", dir, after.Version)
	return nil
}

// heirMost is how long another daemon may take to answer.
const heirMost = startMost + time.Minute

// awaitHeir waits until another daemon than the given one answers.
func (r *record) awaitHeir(ctx context.Context, old int) (mountStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, heirMost)
	defer cancel()
	for {
		m, err := r.askStatus(ctx)
		switch {
		case err == nil && m.Daemon != old:
			return m, nil
		case errors.Is(err, errGone):
			return m, fail(exitFailure, fmt.Errorf("the mount on %s has ended", r.Mountpoint))
		}
		select {
		case <-ctx.Done():
			return m, fail(exitFailure, fmt.Errorf("the mount on %s does not answer yet: %w", r.Mountpoint, errors.Join(err, ctx.Err())))
		case <-time.After(progressEvery):
		}
	}
}

// handleUpgrade asks the supervisor whether another binary can go on, and begins to hand over.
func (s *session) handleUpgrade(w http.ResponseWriter, r *http.Request) {
	req, ok := readRequest(w, r)
	if !ok {
		return
	}
	done := make(chan error, 1)
	go func() { done <- s.checkUpgrade(r.Context(), req.Executable) }()
	ok = false
	s.stream(w, r, done, func(err error) event {
		ok = err == nil
		return s.endEvent(err)
	})
	if ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		select {
		case <-s.upgraded:
		default:
			close(s.upgraded)
		}
	}
}

func (s *session) checkUpgrade(ctx context.Context, executable string) error {
	if s.daemon == nil {
		return fail(exitFailure, errors.New(servesItself), "end the demo with Ctrl-C and start it again with the new program")
	}
	select {
	case <-s.server.Done():
		return fail(exitMountPoint, errors.New("the mount has ended"))
	default:
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	_, err := s.daemon.ask(ctx, message{Kind: msgUpgrade, Executable: executable})
	return err
}

// Patience of a handover, after which the process just ends: nothing is lost by that, requests come again.
const (
	quiesceGrace = 2 * time.Second
	controlLast  = time.Second
)

// handOver ends this process in favour of another binary, without ending the mount.
func (s *session) handOver() error {
	s.log.Info("handing the mount over to another binary", "mountpoint", s.cfg.dir)
	told, cancelTold := context.WithTimeout(context.Background(), controlLast)
	defer cancelTold()
	if err := s.control.shut(told); err != nil {
		s.log.Debug("somebody still asks", "error", err)
	}
	s.daemon.say(msgHandover)
	quiet, cancelQuiet := context.WithTimeout(context.Background(), quiesceGrace)
	defer cancelQuiet()
	if !s.server.Quiesce(quiet) {
		return nil // who waits for the network would be told that the cache is closed
	}
	if err := errors.Join(s.cache.Close(quiet, cache.CloseHandOver), s.bucket.Close()); err != nil {
		s.log.Warn("handed over in disorder; the next process recovers", "error", err)
	}
	return nil
}
