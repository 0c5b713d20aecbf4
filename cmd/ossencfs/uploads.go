package main

import (
	"fmt"
	"io"
)

// uploadStatus is the part of a mount's status that the cache knows.
type uploadStatus struct {
	PendingFiles int64 `json:"pending_files"`
	PendingBytes int64 `json:"pending_bytes"`
}

// status asks the cache.
func (s *session) status() uploadStatus { return uploadStatus{} }

// write shows the uploads and the cache to people.
func (u *uploadStatus) write(w io.Writer) {
	fmt.Fprintf(w, "  pending     %d files, %s\n", u.PendingFiles, formatSize(u.PendingBytes))
}
