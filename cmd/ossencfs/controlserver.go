package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"time"

	"github.com/ossencfs/ossencfs/cache"
)

// The control socket speaks HTTP with JSON:
//
//	GET  /status            → mountStatus
//	POST /sync {"path": P}  → events until the bucket has everything at and below P, a path in the mount
//	POST /verify {…}        → verifyEvents, see verifymount.go
//	POST /unmount {"now": B}→ events until the session is finished
//	POST /upgrade {"executable": P} → events until the mount is being handed over to that binary, or cannot be
//
// Events are lines of JSON: progress, and one last line with done or an error.

// event is a line of an answer.
type event struct {
	PendingFiles int64 `json:"pending_files"`
	PendingBytes int64 `json:"pending_bytes"`

	PerSecond int64           `json:"sent_bytes_per_second,omitempty"`
	Why       []uploadFailure `json:"why,omitempty"`     // some of what fails; with the last line, what is left and why
	Waiting   int             `json:"waiting,omitempty"` // names that wait for others
	Disk      string          `json:"disk,omitempty"`    // what is wrong with the disk of the cache
	Held      []string        `json:"held,omitempty"`    // who has the mount in another mount namespace

	Done      bool     `json:"done,omitempty"`
	Left      int64    `json:"left,omitempty"` // files left for the next mount, with done
	LeftBytes int64    `json:"left_bytes,omitempty"`
	Error     string   `json:"error,omitempty"`
	Code      int      `json:"code,omitempty"`
	Hints     []string `json:"hints,omitempty"`
}

// request is the body of a POST.
type request struct {
	Path string `json:"path,omitempty"`
	Now  bool   `json:"now,omitempty"`

	Executable string `json:"executable,omitempty"`
}

// maxWhy is how many failures a waiting command is told of.
const maxWhy = 3

// progressEvery is how often a waiting command is told how far it is.
const progressEvery = 200 * time.Millisecond

// maxRequest bounds the body of a request in bytes.
const maxRequest = 64 << 10

// serveControl answers on a socket that only this user can open.
func serveControl(s *session, l net.Listener) *control {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.handleStatus)
	mux.HandleFunc("POST /sync", s.handleSync)
	mux.HandleFunc("POST /unmount", s.handleUnmount)
	mux.HandleFunc("POST /upgrade", s.handleUpgrade)
	mux.HandleFunc("POST /verify", s.handleVerify)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	c := &control{shut: server.Shutdown}
	c.serve = func(l net.Listener) {
		c.served.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("the control socket ended", "error", err)
			}
		})
	}
	c.serve(l)
	return c
}

func (s *session) handleStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.describe()); err != nil {
		s.log.Debug("status was not taken", "error", err)
	}
}

func (s *session) handleSync(w http.ResponseWriter, r *http.Request) {
	req, ok := readRequest(w, r)
	if !ok {
		return
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() { done <- s.cache.Sync(ctx, cleanPath(req.Path), nil) }()
	s.stream(w, r, done, func(err error) event { return s.endEvent(err) })
}

func (s *session) handleUnmount(w http.ResponseWriter, r *http.Request) {
	req, ok := readRequest(w, r)
	if !ok {
		return
	}
	done := make(chan error, 1)
	go func() {
		if err := s.requestUnmount(req.Now); err != nil {
			done <- err
			return
		}
		<-s.finished
		s.mu.Lock()
		defer s.mu.Unlock()
		done <- s.result.err
	}()
	s.stream(w, r, done, func(err error) event {
		e := s.endEvent(err)
		e.Held = s.heldBy()
		s.mu.Lock()
		defer s.mu.Unlock()
		e.Left, e.LeftBytes, e.Why = s.result.left, s.result.bytes, s.result.why
		return e
	})
}

// stream sends progress until the work is done or the client goes away.
func (s *session) stream(w http.ResponseWriter, r *http.Request, done <-chan error, last func(error) event) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, flush := json.NewEncoder(w), http.NewResponseController(w)
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		var e event
		select {
		case err := <-done:
			e = last(err)
		case <-r.Context().Done():
			return
		case <-tick.C:
			st := s.status()
			e = event{PendingFiles: st.PendingFiles, PendingBytes: st.PendingBytes, PerSecond: st.SentPerSecond, Waiting: st.Waiting, Disk: st.Disk,
				Why: st.Failures[:min(len(st.Failures), maxWhy)], Held: s.heldBy()}
		}
		if err := errors.Join(enc.Encode(e), flush.Flush()); err != nil || e.Done || e.Error != "" {
			return
		}
	}
}

// endEvent is the last line of an answer.
func (s *session) endEvent(err error) event {
	if err == nil {
		return event{Done: true}
	}
	refused := new(cache.RefusedError)
	if !errors.As(err, &refused) {
		f := explain(err)
		return event{Error: f.Error(), Code: f.code, Hints: f.hints}
	}
	e := event{Error: "not in the bucket: " + files(int64(len(refused.Files))), Code: exitPending, Hints: explain(refused.Files[0].Err).hints}
	if refused.Waiting > 0 {
		e.Error += fmt.Sprintf(", and %d more that wait for them", refused.Waiting)
	}
	for _, f := range refused.Files {
		e.Why = append(e.Why, uploadFailure{Path: "/" + f.Key, Error: f.Err.Error(), Refused: true})
	}
	return e
}

func readRequest(w http.ResponseWriter, r *http.Request) (request, bool) {
	var req request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&req); err != nil {
		http.Error(w, "the request is not understood", http.StatusBadRequest)
		return req, false
	}
	return req, true
}

// cleanPath is a path in the mount without slashes around it; "" is the root.
func cleanPath(p string) string {
	p = path.Clean("/" + p)
	return p[1:]
}

// mountStatus is what `ossencfs status --json` shows of a mount.
type mountStatus struct {
	record
	ReadOnly  bool   `json:"read_only"`
	Fsync     string `json:"fsync"`
	Close     string `json:"close"`
	Uploading bool   `json:"unmounted"` // the mount has ended and uploads go on
	Uptime    int64  `json:"uptime_seconds"`
	Daemon    int    `json:"daemon_pid"` // the process that answers; pid is the one that takes signals
	Version   string `json:"version"`
	Calls     int64  `json:"calls"` // of the kernel, in this process
	Health    health `json:"daemon"`
	Away      string `json:"away,omitempty"`  // why the records of the bucket were not read since this process began
	Error     string `json:"error,omitempty"` // why the mount does not answer; the fields below are empty then
	uploadStatus
	trustStatus
}

// servesItself says why nothing goes on with the mount of a demo when its process ends: it has no other one, by design.
const servesItself = "a demo serves its mount itself, so the two end together"

// describe is the present state of the session.
func (s *session) describe() mountStatus {
	mode := map[bool]string{false: "local", true: "remote"}
	m := mountStatus{record: *s.record, ReadOnly: s.cfg.object.ReadOnly, Fsync: mode[s.cfg.cache.FsyncRemote], Close: mode[s.cfg.cache.CloseRemote],
		Uptime: int64(time.Since(s.record.Started).Seconds()), uploadStatus: s.status(), trustStatus: s.trust()}
	m.Daemon, m.Version, m.Calls = os.Getpid(), versionText(), s.server.Answered()
	if s.daemon == nil {
		m.Health.Mortal = servesItself
	} else if m.Health = s.daemon.hello.Health; s.daemon.alone() {
		m.Health.Mortal = errOrphaned.Error()
	}
	if why := s.bucket.Away(); why != nil {
		m.Away = why.Error()
	}
	select {
	case <-s.server.Done():
		m.Uploading = true
	default:
	}
	return m
}
