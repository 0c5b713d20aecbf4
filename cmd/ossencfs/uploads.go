package main

import (
	"time"
)

// uploadStatus is the part of a mount's status that the cache knows. Counts are since the mount.
type uploadStatus struct {
	PendingFiles  int64           `json:"pending_files"` // names that differ from the bucket
	PendingBytes  int64           `json:"pending_bytes"` // content to send
	UnderWay      int             `json:"requests_under_way"`
	Requests      requestCounts   `json:"requests"`
	SentBytes     int64           `json:"sent_bytes"`
	SentPerSecond int64           `json:"sent_bytes_per_second"` // over the last seconds
	Retries       int64           `json:"retries"`
	Errors        int64           `json:"errors"`
	Conflicts     int64           `json:"conflicts"` // files of which both versions were kept
	LeftOut       int             `json:"left_out"`  // objects in listed directories that cannot be shown
	Refused       int             `json:"refused"`   // names that the bucket refuses, each by itself
	Failures      []uploadFailure `json:"failures"`  // tried again for as long as it takes; the refused first
	Waiting       int             `json:"waiting"`   // names that wait for others, by the order of requests
	Blocked       []uploadBlock   `json:"blocked"`   // some of them
	CacheUsed     int64           `json:"cache_used_bytes"`
	CacheLimit    int64           `json:"cache_limit_bytes"`
	CacheID       string          `json:"cache_id"` // in names of this cache in the bucket
	OpenFiles     int             `json:"open_files"`
	Replayed      int64           `json:"replayed_calls"` // executed by a daemon that died, answered by this one
	Disk          string          `json:"disk,omitempty"` // what is wrong with the disk of the cache
}

// requestCounts are requests that changed the bucket.
type requestCounts struct {
	Put    int64 `json:"put"`
	Copy   int64 `json:"copy"`
	Delete int64 `json:"delete"`
	Tag    int64 `json:"tag"`
}

// uploadFailure is a file whose last request failed.
type uploadFailure struct {
	Path     string    `json:"path"`
	Error    string    `json:"error"`
	Attempts int       `json:"attempts"`
	When     time.Time `json:"when"`
	Refused  bool      `json:"refused"` // others do not wait for it
}

// uploadBlock is a file that waits for another one to be in the bucket.
type uploadBlock struct {
	Path  string `json:"path"`
	For   string `json:"waits_for"`
	Error string `json:"error,omitempty"` // why the last request for that one failed
}

// status asks the cache.
func (s *session) status() uploadStatus {
	c := s.cache.Status()
	u := uploadStatus{
		PendingFiles: c.PendingFiles, PendingBytes: c.PendingBytes, UnderWay: c.Requests,
		Requests:  requestCounts{Put: c.Puts, Copy: c.Copies, Delete: c.Deletes, Tag: c.Tags},
		SentBytes: c.SentBytes, SentPerSecond: s.rate.per(time.Now(), c.SentBytes),
		Retries: c.Retries, Errors: c.Errors, Conflicts: c.Conflicts, LeftOut: c.LeftOut, Failures: make([]uploadFailure, 0, len(c.Failures)),
		CacheUsed: c.CacheUsed, CacheLimit: c.CacheLimit, CacheID: c.CacheID, OpenFiles: c.OpenFiles, Replayed: c.Replayed, Disk: c.Disk,
	}
	u.Refused, u.Waiting, u.Blocked = c.Refused, c.Waiting, make([]uploadBlock, 0, len(c.Blocked))
	for _, f := range c.Failures {
		u.Failures = append(u.Failures, uploadFailure(f))
	}
	for _, b := range c.Blocked {
		u.Blocked = append(u.Blocked, uploadBlock(b))
	}
	return u
}

// maxFailuresShown is how many failures people are shown; --json has all.
const maxFailuresShown = 5

// write shows the uploads and the cache to people.
func (u *uploadStatus) write(w *printer) {
	w.printf("  pending     %s, %s", files(u.PendingFiles), formatSize(u.PendingBytes))
	if u.UnderWay > 0 {
		w.printf("; %d requests under way, %s/s", u.UnderWay, formatSize(u.SentPerSecond))
	}
	w.printf("\n  done        %s sent; %d PUT, %d COPY, %d DELETE, %d tags\n", formatSize(u.SentBytes), u.Requests.Put, u.Requests.Copy, u.Requests.Delete, u.Requests.Tag)
	w.printf("  trouble     %d errors, %d retries, %d conflicts, %d refused\n", u.Errors, u.Retries, u.Conflicts, u.Refused)
	for i, f := range u.Failures {
		if i == maxFailuresShown {
			w.printf("              and %d more\n", len(u.Failures)-i)
			break
		}
		w.printf("              %s: %s (%d attempts)\n", f.Path, f.Error, f.Attempts)
	}
	u.writeBlocked(w)
	if u.LeftOut > 0 {
		w.printf("  left out    %d objects whose names cannot be shown; the log names the first of each directory\n", u.LeftOut)
	}
	w.printf("  cache       %s of %s; %s open\n", formatSize(u.CacheUsed), formatSize(u.CacheLimit), files(int64(u.OpenFiles)))
	if u.Disk != "" {
		w.printf("  disk        %s\n", u.Disk)
	}
}

// writeBlocked shows what waits for what.
func (u *uploadStatus) writeBlocked(w *printer) {
	if u.Waiting == 0 {
		return
	}
	w.printf("  waiting     %s for others\n", files(int64(u.Waiting)))
	for _, b := range u.Blocked[:min(len(u.Blocked), maxFailuresShown)] {
		why := ""
		if b.Error != "" {
			why = ": " + b.Error
		}
		w.printf("              %s for %s%s\n", b.Path, b.For, why)
	}
}
