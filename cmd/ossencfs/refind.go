package main

import (
	"errors"
	iofs "io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// refindEvery is how often a session looks whether its record and socket are still there: the end of a login, or who cleans temporary folders,
// takes them away, and nobody would find the mount any more.
const refindEvery = 2 * time.Second

// refinder makes them again, in the same folder or in another one where they are looked for.
type refinder struct {
	s      *session
	places func() runtimePlaces
	serve  func(net.Listener)
	now    *record // what is to be there
	asked  bool    // whether somebody answers at the socket, which may be one that a daemon before had made anew
	end    chan struct{}
	ended  chan struct{}
}

// refind begins to look. stop ends it, and removes what it made.
func (s *session) refind(p *program, serve func(net.Listener)) (stop func() error) {
	f := &refinder{s: s, places: p.runtimePlaces, serve: serve, now: s.record, end: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		tick := time.NewTicker(refindEvery)
		defer tick.Stop()
		for {
			select {
			case <-f.end:
				return
			case <-tick.C:
				f.look()
			}
		}
	}()
	return func() error {
		close(f.end)
		<-f.ended
		if f.now == s.record {
			return nil
		}
		return f.now.forget()
	}
}

// look makes record and socket anew where one of them is missing.
func (f *refinder) look() {
	if f.now.dir == "" { // of a supervisor that did not tell
		return
	}
	missing := false
	for _, end := range []string{".json", ".sock"} {
		_, err := os.Lstat(filepath.Join(f.now.dir, f.now.name+end))
		missing = missing || errors.Is(err, iofs.ErrNotExist)
	}
	if !missing && !f.asked {
		conn, err := f.now.dial()
		if missing = errors.Is(err, errGone); err == nil {
			_ = conn.Close() // nothing was sent
		}
	}
	if f.asked = true; !missing {
		return
	}
	all := f.places().all()
	for _, dir := range append([]string{f.now.dir}, all[:max(len(all)-1, 0)]...) { // the last is of earlier releases
		again := *f.now
		l, err := again.listen(dir)
		if err != nil {
			f.s.log.Debug("the control socket is gone, and cannot be made again there", "folder", dir, "error", err)
			continue
		}
		f.s.log.Warn("the control socket was removed, and is made again", "folder", dir)
		f.now = &again
		f.serve(l)
		return
	}
}
