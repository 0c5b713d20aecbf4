package main

import (
	"fmt"
	"strings"
	"time"
)

// sayEvery is how often a command that waits for uploads says so where nobody sees its progress bar.
const sayEvery = 10 * time.Second

// waitingLine says what is waited for, and why it takes time.
func (e *event) waitingLine() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s to send", files(e.PendingFiles), formatSize(e.PendingBytes))
	if e.PerSecond > 0 {
		fmt.Fprintf(&b, ", %s/s", formatSize(e.PerSecond))
	}
	if e.Waiting > 0 {
		fmt.Fprintf(&b, ", %d wait for others", e.Waiting)
	}
	if len(e.Held) > 0 {
		fmt.Fprintf(&b, "; %s has a copy of the mount in another mount namespace, which ends", strings.Join(e.Held, ", "))
	}
	if e.Disk != "" {
		fmt.Fprintf(&b, "; the disk of the cache: %s", e.Disk)
	}
	for _, f := range e.Why {
		fmt.Fprintf(&b, "; %s: %s (%d attempts)", f.Path, f.Error, f.Attempts)
	}
	return b.String()
}

// uploadTeller shows the progress of uploads: a bar on a terminal, whose end is the largest amount that was ever pending, and elsewhere a line
// now and then.
type uploadTeller struct {
	to    *printer
	bar   progress
	most  int64
	said  time.Time
	every time.Duration
}

// tell takes the present state.
func (t *uploadTeller) tell(e event) {
	t.most = max(t.most, e.PendingBytes)
	t.bar.set(t.most-e.PendingBytes, t.most, "uploading "+e.waitingLine())
	if !t.bar.shown() && time.Since(t.said) >= t.every {
		t.said = time.Now()
		t.to.printf("ossencfs: waiting for %s\n", e.waitingLine())
	}
}

// tellUploads shows the progress of uploads until finish.
func (c *call) tellUploads() (tell func(event), finish func()) {
	t := &uploadTeller{to: c.stderr, bar: c.newBar(1, "uploading", false, ofPending), said: time.Now(), every: sayEvery}
	return t.tell, t.bar.finish
}

// tellLeft names what is not in the bucket, and why.
func (c *call) tellLeft(list []uploadFailure) {
	for n, f := range list {
		if n == maxFailuresShown {
			c.stderr.printf("ossencfs: and %d more\n", len(list)-n)
			return
		}
		c.stderr.printf("ossencfs: not in the bucket: %s: %s\n", f.Path, f.Error)
	}
}
