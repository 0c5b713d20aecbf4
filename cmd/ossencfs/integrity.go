package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

// noticeRelay takes what the bucket does not believe to the cache, which counts and logs it. What comes before the cache is open waits.
type noticeRelay struct {
	mu      sync.Mutex // mu guards the fields below
	cache   *cache.Cache
	waiting []object.Notice
}

// maxWaiting bounds the notices that wait for the cache.
const maxWaiting = 100

// take is object.Options.Notice.
func (r *noticeRelay) take(n object.Notice) {
	r.mu.Lock()
	c := r.cache
	if c == nil && len(r.waiting) < maxWaiting {
		r.waiting = append(r.waiting, n)
	}
	r.mu.Unlock()
	if c != nil {
		c.Noticed(n)
	}
}

// attach passes on what waits, and from now on everything.
func (r *noticeRelay) attach(c *cache.Cache) {
	r.mu.Lock()
	waiting := r.waiting
	r.cache, r.waiting = c, nil
	r.mu.Unlock()
	for _, n := range waiting {
		c.Noticed(n)
	}
}

// trustStatus is the part of a mount's status about volume, keys, and what was not believed. Counts are since the mount.
type trustStatus struct {
	Volume    object.VolumeInfo `json:"volume"`
	Integrity integrityStatus   `json:"integrity"`
	Master    masterUse         `json:"master_keys"`
}

// integrityStatus is what in the bucket was not believed.
type integrityStatus struct {
	Counts map[object.NoticeKind]int64 `json:"counts"` // the same thing is counted as often as it is met
	Last   []noticed                   `json:"last"`   // the newest first
}

// noticed is one thing that was not believed.
type noticed struct {
	Kind  object.NoticeKind `json:"kind"`
	Path  string            `json:"path"`
	Error string            `json:"error,omitempty"`
	When  time.Time         `json:"when"`
}

// masterUse counts what the master keys had to do.
type masterUse struct {
	RSAPrivateOperations int64 `json:"rsa_private_operations"`
	KMSCalls             int64 `json:"kms_calls"`
	KMSWaits             int64 `json:"kms_waits"` // calls that had to wait for their turn
}

// maxNoticed is how many notices a status has.
const maxNoticed = 20

// trust asks bucket, cache and keys.
func (s *session) trust() trustStatus {
	c := s.cache.Status()
	t := trustStatus{Volume: s.bucket.Volume(), Integrity: integrityStatus{Counts: c.Notices, Last: []noticed{}}, Master: useOf(s.ring)}
	for _, n := range c.LastNotices[:min(len(c.LastNotices), maxNoticed)] {
		t.Integrity.Last = append(t.Integrity.Last, noticed(n))
	}
	return t
}

// useOf counts over all keys of a ring, which may be nil. The KMS keys share a limiter.
func useOf(ring *keys.Keyring) (u masterUse) {
	if ring == nil {
		return u
	}
	for _, k := range ring.All() {
		switch k := k.(type) {
		case *keys.RSA:
			u.RSAPrivateOperations += k.PrivateOps()
		case *keys.KMS:
			u.KMSCalls += k.Calls()
			u.KMSWaits = k.Waits()
		}
	}
	return u
}

// write shows it to people.
func (t *trustStatus) write(w *printer) {
	w.printf("  volume      %s\n", volumeText(t.Volume))
	if len(t.Integrity.Counts) == 0 {
		w.printf("  integrity   nothing to report\n")
	} else {
		counts := make([]string, 0, len(t.Integrity.Counts))
		for kind, n := range t.Integrity.Counts {
			counts = append(counts, fmt.Sprintf("%d %s", n, kind))
		}
		slices.Sort(counts)
		w.printf("  integrity   %s\n", strings.Join(counts, ", "))
	}
	for i, n := range t.Integrity.Last {
		if i == maxFailuresShown {
			w.printf("              and %d more\n", len(t.Integrity.Last)-i)
			break
		}
		text := n.Path
		if n.Error != "" {
			text += ": " + n.Error
		}
		w.printf("              %s %s %s\n", n.When.Local().Format("15:04:05"), n.Kind, text)
	}
	w.printf("  master keys %d RSA private operations, %d KMS calls\n", t.Master.RSAPrivateOperations, t.Master.KMSCalls)
}

// volumeText shows a volume in a line.
func volumeText(v object.VolumeInfo) string {
	if v.Writer == "" {
		return "none: everything is read as objects of others are"
	}
	text := fmt.Sprintf("%s, epoch %d", v.Writer, v.Epoch)
	switch {
	case v.WriteOnly:
		return text + ", write-only"
	case v.Authentic:
		return text + ", authentic"
	}
	return text + ", with objects of others"
}
