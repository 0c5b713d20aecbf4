package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEveryCommandIsHardened: when a command begins, its process leaves no core files and cannot be traced; a command that is added
// cannot forget it.
func TestEveryCommandIsHardened(t *testing.T) {
	dumpable := func() int {
		t.Helper()
		got, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	was := dumpable()
	restore := func() {
		t.Helper()
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(was), 0, 0, 0); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	for _, cmd := range commands() {
		restore()
		ran := false
		cmd.run = func(context.Context, *call) error {
			ran = true
			var core unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
				t.Fatal(err)
			}
			if got := dumpable(); got != 0 || core != (unix.Rlimit{}) {
				t.Errorf("%s: dumpable %d, core files up to %d bytes", cmd.name, got, core.Cur)
			}
			return nil
		}
		p, _, errs := testProgram(t, nil)
		if err := p.call(t.Context(), cmd, nil); err != nil || !ran {
			t.Errorf("%s: %v, ran: %v, %v", cmd.name, err, ran, errs)
		}
	}
}

func TestPrivateFiles(t *testing.T) {
	before := privateFiles()
	defer unix.Umask(before)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want 0600", info.Mode(), err)
	}
}
