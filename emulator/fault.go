package emulator

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"strconv"
	"sync"
	"time"
)

// Fault is a misbehaviour on demand. Of the faults that match a request, the one added first fires, alone.
// Its effects combine in the order of the fields below.
type Fault struct {
	ID        string // given by AddFault
	Operation string // OSS's or KMS's name of the operation; "" is any
	Bucket    string // "" is any
	Key       string // glob as of path.Match, or a prefix followed by "**"; "" is any

	Skip        int     // let so many matching requests pass first
	Count       int     // fire so many times; 0 is forever
	Probability float64 // fire with this probability; 0 is always

	Barrier         int           // hold until so many such requests are waiting, then let them go together
	Delay           time.Duration // wait before anything else happens
	LateBy          time.Duration // take the request in, drop the connection, execute it so much later
	Status          int           // answer with this HTTP status and do nothing
	Code            string        // error code of that answer; alone it means status 503
	EC              string        // EC of that answer
	QosDelayMs      int           // x-oss-qos-delay-time of the answer, in milliseconds
	LoseResponse    bool          // execute, then drop the connection without an answer
	ResetAfterBytes int64         // reset the connection after so many body bytes, of the request if it uploads content, else of the response; -1 is at once
	CorruptBody     bool          // flip a bit of the response body
	CorruptStored   bool          // flip a bit of what is stored; checksums stay those of what was sent
	Throttle        int64         // move bodies at so many bytes per second, at most
}

// faultFields is Fault without its methods, so that decoding does not recurse.
type faultFields Fault

// UnmarshalJSON reads the fields by their Go names in any case, durations as text ("250ms") or nanoseconds.
func (f *Fault) UnmarshalJSON(data []byte) error {
	raw := struct {
		*faultFields
		Delay  duration
		LateBy duration
	}{faultFields: (*faultFields)(f)}
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("decode fault: %w", err)
	}
	f.Delay, f.LateBy = time.Duration(raw.Delay), time.Duration(raw.LateBy)
	return nil
}

type duration time.Duration

func (d *duration) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		return json.Unmarshal(data, (*int64)(d))
	}
	v, err := time.ParseDuration(text)
	*d = duration(v)
	return err
}

// validate refuses faults that could never fire or mean nothing.
func (f *Fault) validate() error {
	if _, err := path.Match(f.Key, ""); err != nil {
		return fmt.Errorf("fault key %q: %w", f.Key, err)
	}
	if f.Probability < 0 || f.Probability > 1 {
		return fmt.Errorf("fault probability %v is not between 0 and 1", f.Probability)
	}
	if f.Skip < 0 || f.Count < 0 || f.Barrier < 0 || f.Throttle < 0 || f.Delay < 0 || f.LateBy < 0 || f.ResetAfterBytes < -1 {
		return fmt.Errorf("fault has a negative number")
	}
	if f.Status != 0 && (f.Status < 300 || f.Status > 599) {
		return fmt.Errorf("fault status %d is not an HTTP error", f.Status)
	}
	return nil
}

// faults are the faults in force.
type faults struct {
	mu   sync.Mutex // mu guards the fields below and the counters in list
	list []*firing
	next int
}

// firing is a fault in force and what has become of it.
type firing struct {
	Fault
	seen, fired int
	waiting     int
	open        chan struct{} // closed when the barrier opens for those who wait on it
	owner       *faults
}

// AddFault puts a fault in force and returns its id, "" when the fault means nothing: a malformed glob, a
// negative number, a status that is not an error.
func (s *Server) AddFault(f Fault) (id string) {
	id, err := s.addFault(f)
	if err != nil {
		s.opt.Logger.Error("fault was not added", "err", err)
	}
	return id
}

func (s *Server) addFault(f Fault) (string, error) {
	if err := f.validate(); err != nil {
		return "", err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.next++
	f.ID = strconv.Itoa(s.faults.next)
	s.faults.list = append(s.faults.list, &firing{Fault: f, owner: &s.faults, open: make(chan struct{})})
	return f.ID, nil
}

// RemoveFault takes one fault out of force; requests it holds at its barrier go on.
func (s *Server) RemoveFault(id string) {
	s.removeFaults(func(f *firing) bool { return f.ID == id })
}

// ClearFaults takes all faults out of force; requests they hold at a barrier go on.
func (s *Server) ClearFaults() { s.removeFaults(func(*firing) bool { return true }) }

func (s *Server) removeFaults(gone func(*firing) bool) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	var kept []*firing
	for _, f := range s.faults.list {
		if gone(f) {
			close(f.open)
			f.open = nil
			continue
		}
		kept = append(kept, f)
	}
	s.faults.list = kept
}

// Faults returns the faults in force.
func (s *Server) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	list := make([]Fault, 0, len(s.faults.list))
	for _, f := range s.faults.list {
		list = append(list, f.Fault)
	}
	return list
}

// match returns the fault that fires for a request, or nil.
func (fs *faults) match(op, bucket, key string) *firing {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		if (f.Operation != "" && f.Operation != op) || (f.Bucket != "" && f.Bucket != bucket) || !keyMatches(f.Key, key) {
			continue
		}
		f.seen++
		if f.seen <= f.Skip || (f.Count > 0 && f.fired >= f.Count) || (f.Probability > 0 && rand.Float64() >= f.Probability) {
			continue
		}
		f.fired++
		return f
	}
	return nil
}

func keyMatches(pattern, key string) bool {
	if pattern == "" {
		return true
	}
	if n := len(pattern) - 2; n >= 0 && pattern[n:] == "**" {
		return len(key) >= n && key[:n] == pattern[:n]
	}
	ok, err := path.Match(pattern, key)
	return ok && err == nil
}

// apply carries a call out under the fault.
func (f *firing) apply(c *call) {
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	stop := context.AfterFunc(c.s.life, cancel)
	defer stop()
	if !f.pass(ctx) || !pause(ctx, f.Delay) {
		dropConn(c.w)
		return
	}
	w := &faultWriter{ResponseWriter: c.w, ctx: ctx, rate: f.Throttle, limit: -1, corrupt: f.CorruptBody}
	c.body = &faultReader{r: c.body, ctx: ctx, rate: f.Throttle, limit: -1, drop: w.drop}
	c.damageStore = f.CorruptStored
	c.w = w
	if f.QosDelayMs > 0 {
		c.set("x-oss-qos-delay-time", strconv.Itoa(f.QosDelayMs))
	}
	switch {
	case f.LateBy > 0:
		f.late(c, w)
		return
	case f.Status != 0 || f.Code != "":
		c.fail(f.refusal())
		return
	case f.ResetAfterBytes != 0 && uploads(c.op):
		c.body.(*faultReader).limit = max(f.ResetAfterBytes, 0)
	case f.ResetAfterBytes != 0:
		w.limit = max(f.ResetAfterBytes, 0)
	}
	if f.LoseResponse {
		c.w = newSilentWriter()
		c.execute()
		w.drop()
		return
	}
	c.execute()
	if f.ResetAfterBytes != 0 {
		w.drop() // shorter bodies are reset at their end
	}
}

// uploads says whether an operation's own body is content.
func uploads(op string) bool { return op == "PutObject" || op == "UploadPart" || op == "AppendObject" }

func (f *firing) refusal() *apiError {
	status, code, ec := f.Status, f.Code, f.EC
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	if code == "" {
		code = map[int]string{
			http.StatusForbidden: "AccessDenied", http.StatusNotFound: "NoSuchKey", http.StatusConflict: "FileAlreadyExists",
			http.StatusPreconditionFailed: "PreconditionFailed", http.StatusTooManyRequests: "QpsLimitExceeded",
			http.StatusInternalServerError: "InternalError", http.StatusServiceUnavailable: "ServiceUnavailable",
		}[status]
	}
	if code == "" {
		code = "InjectedFault"
	}
	if ec == "" {
		ec = ecInjected
	}
	return refuse(status, code, ec, "A fault was asked for.")
}

// late takes the whole request in, drops the connection, and executes it later; Close does not wait for
// the time, only for an execution that has begun.
func (f *firing) late(c *call, w *faultWriter) {
	if err := c.verify(); err != nil {
		c.fail(err)
		return
	}
	got, err := c.s.store.receive(c.body, c.r.ContentLength, c.s.opt.MaxPutSize, false)
	if err != nil {
		w.drop()
		return
	}
	w.drop()
	r := c.r.Clone(c.s.life)
	again := &bodyReader{rest: got.body}
	r.Body = again
	c.r, c.body, c.w = r, again, newSilentWriter()
	c.s.wg.Go(func() {
		defer got.drop()
		defer again.Close()
		if !pause(c.s.life, f.LateBy) {
			return
		}
		if err := c.run(c); err != nil {
			c.s.opt.Logger.Debug("late execution was refused", "op", c.op, "key", c.key, "err", err)
		}
	})
}

// pass waits at the barrier; false when the wait was cut short.
func (f *firing) pass(ctx context.Context) bool {
	if f.Barrier <= 1 {
		return true
	}
	f.owner.mu.Lock()
	open := f.open
	if open == nil {
		f.owner.mu.Unlock()
		return true
	}
	if f.waiting++; f.waiting >= f.Barrier {
		f.waiting = 0
		f.open = make(chan struct{})
		close(open)
	}
	f.owner.mu.Unlock()
	select {
	case <-open:
		return true
	case <-ctx.Done():
		f.owner.mu.Lock()
		defer f.owner.mu.Unlock()
		if f.open == open {
			f.waiting--
		}
		return false
	}
}

// pause waits for d; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dropConn resets the connection of a response.
func dropConn(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // dropped before
	}
	raw := conn
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		// Best effort: without it the peer sees an ordinary end.
		_ = t.SetLinger(0)
	}
	_ = raw.Close()
}
