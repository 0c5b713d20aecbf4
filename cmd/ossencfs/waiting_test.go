package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestWaitingIsSaid: without a terminal a command that waits says what for and why, now and then.
func TestWaitingIsSaid(t *testing.T) {
	e := event{PendingFiles: 3, PendingBytes: 28 << 20, PerSecond: 1 << 20, Waiting: 2, Disk: "full",
		Why: []uploadFailure{{Path: "/a\x1b[31m", Error: "credentials refused", Attempts: 7}}}
	const want = "ossencfs: waiting for 3 files, 28.0 MiB to send, 1.0 MiB/s, 2 wait for others; the disk of the cache: full; /a\\x1b[31m: credentials refused (7 attempts)\n"
	var out bytes.Buffer
	often := &uploadTeller{to: newPrinter(&out)}
	often.tell(e)
	often.tell(e)
	if out.String() != want+want {
		t.Errorf("got %q, want twice %q", out.String(), want)
	}
	out.Reset()
	seldom := &uploadTeller{to: newPrinter(&out), said: time.Now(), every: time.Hour}
	seldom.tell(e)
	if out.Len() > 0 {
		t.Errorf("too early: %q", out.String())
	}
	if idle := (&event{PendingFiles: 1}).waitingLine(); idle != "1 file, 0 B to send" || strings.Contains(idle, ";") {
		t.Errorf("got %q", idle)
	}
}
