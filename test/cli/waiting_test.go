package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

func writeFile(t *testing.T, w *procenv.World, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.Dir, name), []byte(name), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSyncNamesTheRefused: sync and umount end when the bucket refuses all that is left, and say what and why. Other files are not concerned.
func TestSyncNamesTheRefused(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	for _, op := range []string{"PutObject", "CopyObject"} {
		w.Server.AddFault(emulator.Fault{Operation: op, Key: "refused*", Status: 403, Code: "AccessDenied"})
	}
	for _, name := range []string{"refused1", "refused2", "other"} {
		writeFile(t, w, name)
	}
	ask(t, w, nil, "sync", filepath.Join(w.Dir, "other")).want(t, ok)
	ask(t, w, nil, "sync", w.Dir).want(t, pending, "ossencfs: not in the bucket: /refused1: ", "ossencfs: not in the bucket: /refused2: ", "access denied",
		"ossencfs: error: not in the bucket: 2 files", "ossencfs: hint: the access key lacks a permission")
	if a := ask(t, w, nil, "status", w.Dir); !strings.Contains(a.stdout, "2 refused") || !strings.Contains(a.stdout, "/refused1: ") {
		t.Errorf("status says\n%s", a.stdout)
	}
	a := ask(t, w, nil, "umount", w.Dir)
	a.want(t, pending, "ossencfs: not in the bucket: /refused1: ", "the next mount with cache folder "+w.Cache+" uploads them")
	if !strings.Contains(a.stdout, "not in the bucket yet: 2 files") {
		t.Errorf("umount said %q", a.stdout)
	}
	w.Server.ClearFaults()
	mount(t, w)
	ask(t, w, nil, "sync", w.Dir).want(t, ok)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
}

// TestWaitingHasAnEnd: with --timeout sync says what it waited for, and umount leaves it for the next mount.
func TestWaitingHasAnEnd(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	w.Server.AddFault(emulator.Fault{Operation: "PutObject", Status: 503, Code: "ServiceUnavailable"})
	writeFile(t, w, "late")
	ask(t, w, nil, "sync", "--timeout", "2s", w.Dir).want(t, pending, "the bucket does not have "+w.Dir+" after 2s: 1 file, 4 B to send", "; /late: put: ", "ServiceUnavailable")
	ask(t, w, nil, "umount", "--timeout", "1s", w.Dir).want(t, pending, "the next mount with cache folder")
	wantNoSession(t, w)
	w.Server.ClearFaults()
	mount(t, w)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
}
