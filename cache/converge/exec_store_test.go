package converge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/object"
)

// errLost stands for an answer that never came.
var errLost = errors.New("the answer was lost")

// fault is what happens to one request. The zero value: nothing.
type fault struct {
	refuse error         // answered, without any effect
	lose   bool          // executed, but the answer is lost
	late   time.Duration // the answer is lost at once, and the request executed so much later
	hold   chan struct{} // executed when the channel is closed
}

// fakeObject is an object of the fake bucket.
type fakeObject struct {
	info object.Info
	body string
}

// fakeStore is a bucket in memory that logs what was executed.
type fakeStore struct {
	t  testing.TB
	mu sync.Mutex // guards the fields below

	objects map[string]fakeObject
	log     []string // executed requests: "put key"
	tries   map[string]int
	fault   func(request string, n int) fault // n counts the attempts of a request, from 1
	etags   int
	states  map[string][]string // multipart states that attempts for a key began with
	large   int64               // bodies above it go up in parts
	aborted int
	late    sync.WaitGroup
}

func newFakeStore(t testing.TB) *fakeStore {
	return &fakeStore{t: t, objects: map[string]fakeObject{}, tries: map[string]int{}, states: map[string][]string{}, large: 1 << 40}
}

// meet applies the faults to one request and executes it with the store locked.
func (s *fakeStore) meet(ctx context.Context, request string, execute func() error) error {
	s.mu.Lock()
	s.tries[request]++
	var f fault
	if s.fault != nil {
		f = s.fault(request, s.tries[request])
	}
	s.mu.Unlock()
	run := func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		err := execute()
		if err == nil && !strings.HasPrefix(request, "head ") {
			s.log = append(s.log, request)
		}
		return err
	}
	switch {
	case f.refuse != nil:
		return f.refuse
	case f.lose:
		_ = run() // its answer is what is lost
		return errLost
	case f.late > 0:
		s.late.Add(1)
		time.AfterFunc(f.late, func() {
			defer s.late.Done()
			_ = run()
		})
		return errLost
	case f.hold != nil:
		select {
		case <-f.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return run()
}

func (s *fakeStore) Head(ctx context.Context, key string) (object.Info, error) {
	var info object.Info // of an execution that is waited for only
	err := s.meet(ctx, "head "+key, func() error {
		o, ok := s.objects[key]
		if !ok {
			return object.ErrNotFound
		}
		info = o.info
		return nil
	})
	if err != nil {
		return object.Info{}, err
	}
	return info, nil
}

func (s *fakeStore) etagLocked() string {
	s.etags++
	return fmt.Sprintf("etag-%d", s.etags)
}

func (s *fakeStore) NewUpload(string, object.ID, int64) object.ID { return object.NewID() }

func (s *fakeStore) Put(ctx context.Context, r object.PutRequest) (object.Info, error) {
	var info object.Info // of an execution that is waited for only
	body, readErr := io.ReadAll(io.NewSectionReader(r.Body, 0, r.Sealed.Size()))
	if readErr != nil || object.CRC64(0, body) != r.Sealed.CRC64() {
		s.t.Errorf("put %s: the body is not what was sealed: %v", r.Key, readErr)
	}
	if r.Sealed.Size() > s.large {
		s.mu.Lock()
		s.states[r.Key] = append(s.states[r.Key], string(r.Multipart))
		state := fmt.Sprintf("upload %d of %s", len(s.states[r.Key]), r.Key)
		s.mu.Unlock()
		if r.Multipart == nil {
			if err := r.SaveMultipart([]byte(state)); err != nil {
				return info, err
			}
		}
	}
	err := s.meet(ctx, "put "+r.Key, func() error {
		if _, exists := s.objects[r.Key]; exists && r.IfAbsent {
			return object.ErrExists
		}
		info = object.Info{Key: r.Key, Size: r.Sealed.Size(), ETag: s.etagLocked(), Attr: r.Attr, Generation: r.Sealed.GenerationID(), Upload: r.Upload}
		s.objects[r.Key] = fakeObject{info, string(body)}
		return nil
	})
	if err != nil {
		return object.Info{}, err
	}
	return info, nil
}

func (s *fakeStore) Copy(ctx context.Context, r object.CopyRequest) (object.Info, error) {
	var info object.Info // of an execution that is waited for only
	err := s.meet(ctx, "copy "+r.Src+" "+r.Dst, func() error {
		o, ok := s.objects[r.Src]
		switch {
		case !ok:
			return object.ErrNotFound
		case r.SrcETag != "" && o.info.ETag != r.SrcETag:
			return object.ErrPrecondition
		}
		if _, exists := s.objects[r.Dst]; exists && r.IfAbsent {
			return object.ErrExists
		}
		o.info.Key, o.info.ETag, o.info.Attr, o.info.Upload = r.Dst, s.etagLocked(), r.Attr, r.Upload
		s.objects[r.Dst] = o
		info = o.info
		return nil
	})
	if err != nil {
		return object.Info{}, err
	}
	return info, nil
}

func (s *fakeStore) SetAttr(ctx context.Context, r object.TagRequest) error {
	return s.meet(ctx, "tag "+r.Key, func() error {
		o, ok := s.objects[r.Key]
		if !ok {
			return object.ErrNotFound
		}
		r.Attr.Xattrs = o.info.Attr.Xattrs
		o.info.Attr, o.info.Upload = r.Attr, r.Upload
		s.objects[r.Key] = o
		return nil
	})
}

func (s *fakeStore) Remove(ctx context.Context, key string) (string, error) {
	return "", s.meet(ctx, "delete "+key, func() error { delete(s.objects, key); return nil })
}

// Versions is not asked for: this store has no versioning.
func (s *fakeStore) Versions(context.Context, string, string, int) ([]object.Version, error) {
	return nil, object.ErrInvalid
}

// HeadVersion is not asked for either.
func (s *fakeStore) HeadVersion(context.Context, string, string) (object.Info, error) {
	return object.Info{}, object.ErrInvalid
}

// TakeLock is not asked for.
func (s *fakeStore) TakeLock(context.Context, string, time.Duration) (*object.Lock, error) {
	return nil, object.ErrInvalid
}

// RenewLock is not asked for either.
func (s *fakeStore) RenewLock(context.Context, *object.Lock) error { return object.ErrInvalid }

// ReleaseLock is neither.
func (s *fakeStore) ReleaseLock(context.Context, *object.Lock) error { return object.ErrInvalid }

func (s *fakeStore) DropLeaf(ctx context.Context, generation object.ID) error {
	return s.meet(ctx, "leaf "+generation.String(), func() error { return nil })
}

func (s *fakeStore) AbortBegun(context.Context, string) error { return nil }

func (s *fakeStore) AbortMultipart(context.Context, []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aborted++
	return nil
}

// requests are the executed ones so far.
func (s *fakeStore) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// count counts the executed requests that begin with a word.
func (s *fakeStore) count(word string) int {
	n := 0
	for _, r := range s.requests() {
		if strings.HasPrefix(r, word) {
			n++
		}
	}
	return n
}

// attempts counts how often a request was tried.
func (s *fakeStore) attempts(request string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries[request]
}

func (s *fakeStore) setFault(fn func(request string, n int) fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fn
}

// forget empties the log.
func (s *fakeStore) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
	clear(s.tries)
}
