package emulator

import (
	"errors"
	"fmt"
	"sync"
)

// History is what happened to the keys of one bucket, change by change, so that the bucket can be had again as it was after any of
// them. It holds on to everything that was ever in the bucket.
type History struct {
	s      *Server
	bucket string
	config bucketConfig

	mu      sync.Mutex // guards the field below
	changes []change
}

// change is the versions of a key after a change, newest first; none: the key is gone.
type change struct {
	key      string
	versions []*version
}

// Record begins the history of a bucket with what is in it now. A bucket has one history at a time.
func (s *Server) Record(bucket string) (*History, error) {
	b, err := s.store.bucket(bucket)
	if err != nil {
		return nil, err
	}
	h := &History{s: s, bucket: bucket}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.history != nil {
		return nil, fmt.Errorf("bucket %q is being recorded already", bucket)
	}
	h.config = b.config
	for k := b.keys.Seek(""); ; {
		key, list, ok := k.Next()
		if !ok {
			break
		}
		h.add(key, list)
	}
	b.history = h
	return h, nil
}

// add notes the versions of a key.
func (h *History) add(key string, list []*version) {
	for _, v := range list {
		v.acquire()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes = append(h.changes, change{key, list})
}

// Len is the number of states: the bucket after each of the first n changes, from none on, has one.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.changes) + 1
}

// Key is the key that the n-th change, from 0 on, was made to.
func (h *History) Key(n int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changes[n].key
}

// Start serves the bucket as it was after the first n changes, in memory, to the same credentials. Uploads that were not complete are
// not in it.
func (h *History) Start(n int) (*Server, error) { return h.StartWith(n) }

// StartWith is Start with some later changes besides the first n: requests that were under way at that moment and were still
// executed, while those between were not. They must not depend on what is left out.
func (h *History) StartWith(n int, later ...int) (*Server, error) {
	h.mu.Lock()
	if n < 0 || n > len(h.changes) {
		h.mu.Unlock()
		return nil, fmt.Errorf("the history of bucket %q has no state %d", h.bucket, n)
	}
	changes := h.changes[:n:n]
	for _, l := range later {
		if l < n || l >= len(h.changes) {
			h.mu.Unlock()
			return nil, fmt.Errorf("the history of bucket %q has no change %d after state %d", h.bucket, l, n)
		}
		changes = append(changes, h.changes[l])
	}
	h.mu.Unlock()
	o := h.s.opt
	o.Listen, o.TLSListen, o.Dir, o.Buckets = "", "", "", nil
	s, err := Start(o)
	if err != nil {
		return nil, err
	}
	b, _, err := s.store.createBucket(h.bucket, h.config)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	last := make(map[string][]*version)
	for _, c := range changes {
		last[c.key] = c.versions
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range sortedKeys(last) {
		if list := last[key]; len(list) > 0 {
			for _, v := range list {
				v.acquire()
				s.store.seq.Store(max(s.store.seq.Load(), v.Seq, v.Rev))
			}
			b.keys.Set(key, list)
		}
	}
	return s, nil
}

// Close ends the recording and lets go of what it held. Servers that were started from it go on.
func (h *History) Close() {
	if b, err := h.s.store.bucket(h.bucket); err == nil {
		b.mu.Lock()
		b.history = nil
		b.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.changes {
		for _, v := range c.versions {
			v.release()
		}
	}
	h.changes = nil
}
