package main

import (
	"context"
	"errors"
	"time"

	"github.com/ossencfs/ossencfs/fs"
)

// A mount that was taken out of our mount namespace goes on where another one, such as a container's, has a copy of it. Nobody knows for how long: what
// was accepted is uploaded, and the copy ends.

// noteHeld takes the error of an attempt to unmount, and reports whether it means that only others have the mount.
func (s *session) noteHeld(err error) bool {
	if !errors.Is(err, fs.ErrHeld) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.held:
	default:
		s.holders = s.server.Holders()
		s.log.Warn("another mount namespace has a copy of the mount, which ends with it", "mountpoint", s.cfg.dir, "holders", s.holders)
		close(s.held)
	}
	return true
}

func (s *session) isHeld() bool {
	select {
	case <-s.held:
		return true
	default:
		return false
	}
}

// heldBy names those who have the mount, for people; empty while it is not so.
func (s *session) heldBy() []string {
	if !s.isHeld() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names := []string{}
	for _, h := range s.holders {
		names = append(names, h.String())
	}
	if len(names) == 0 {
		names = append(names, "a process that this user may not see")
	}
	return names
}

// collectWait bounds the wait for what the kernel has collected, and cutWait that for the end of a mount that was cut off.
const (
	collectWait = 10 * time.Second
	cutWait     = 5 * time.Second
)

// cutOff uploads what was accepted, and cuts the kernel off. Where it may not, the end of the last process that has the device does so.
func (s *session) cutOff(ctx context.Context) {
	if s.cfg.fs.Writeback {
		s.collect(ctx)
	}
	if err := s.cache.Sync(ctx, "", nil); err != nil {
		s.log.Warn("not everything is uploaded before the mount ends in other mount namespaces", "error", err)
	}
	if err := s.server.Abort(); err != nil {
		s.log.Info("the mount ends in other mount namespaces with this process", "error", err)
		return
	}
	select {
	case <-s.server.Done():
		s.server.Wait()
	case <-time.After(cutWait):
	}
}

// collect has the kernel send what programs wrote and it has not sent yet.
func (s *session) collect(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.server.Collect(s.holders)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	case <-time.After(collectWait):
	}
}
