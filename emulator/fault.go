package emulator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
	Truncate        bool          // with ResetAfterBytes: end the connection in order, as a body cut short
	WrongCRC        bool          // name another CRC-64 in the answer
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
