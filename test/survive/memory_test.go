package survive

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// region is a piece of a process's memory.
type region struct {
	from, to int64
	flags    []string // as VmFlags in /proc/PID/smaps has them
	line     string
}

// regions are the readable pieces of a process's memory.
func regions(t *testing.T, pid int) []region {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []region
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r region
		var mode string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &r.from, &r.to, &mode); n == 3 {
			if r.line = lines.Text(); mode[0] == 'r' && !strings.Contains(r.line, "[v") { // not the kernel's own pages
				list = append(list, r)
			}
			continue
		}
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && len(list) > 0 && list[len(list)-1].flags == nil {
			list[len(list)-1].flags = strings.Fields(flags)
		}
	}
	return list
}

// copies finds the pieces of a process's memory that hold one of the texts, once for each time it is there.
func copies(t *testing.T, pid int, texts ...string) []region {
	t.Helper()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var found []region
	for _, r := range regions(t, pid) {
		const step, overlap = 1 << 20, 256
		buf := make([]byte, step+overlap)
		for at := r.from; at < r.to; at += step {
			n, err := mem.ReadAt(buf[:min(step+overlap, r.to-at)], at)
			if err != nil && n == 0 {
				break // reserved, and never used
			}
			for _, text := range texts {
				for rest := buf[:n]; ; {
					i := bytes.Index(rest, []byte(text))
					if i < 0 || n-len(rest)+i >= step {
						break
					}
					found = append(found, r)
					rest = rest[i+1:]
				}
			}
		}
	}
	return found
}

// TestTypedPassphraseHasOneCopy: of a passphrase that was typed, the supervisor has one copy, in memory that is locked and left out of
// dumps; the daemon, which has opened the key, has none.
func TestTypedPassphraseHasOneCopy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root reads the memory of a process that cannot be traced")
	}
	var passphrase string // long, so that buffers which are used again keep the end of it
	for i := range 100 {
		passphrase += fmt.Sprintf("canary-%04d,", i)
	}
	const near, piece = 999, 60 // both multiples of 3, so that the piece looks the same in base64 as by itself
	texts := []string{passphrase[near : near+piece], base64.StdEncoding.EncodeToString([]byte(passphrase[near : near+piece]))}
	for _, tt := range []struct {
		name string
		args []string
	}{{"background", nil}, {"foreground", []string{"--foreground"}}} {
		t.Run(tt.name, func(t *testing.T) {
			w := procenv.New(t)
			cmd, shown := typedMount(t, w, passphrase, tt.args...)
			procenv.WaitFor(t, "the mount", func() bool { return shown("durability: ") })
			waited := false
			if tt.args == nil {
				waited = true
				if err := cmd.Wait(); err != nil {
					t.Fatal(err)
				}
			}
			s, ok := ask(t, w)
			if !ok {
				t.Fatal("no status")
			}
			t.Cleanup(func() {
				if !gone(s.PID) {
					_ = syscall.Kill(s.PID, syscall.SIGKILL)
					procenv.Detach(t, w.Dir)
				}
				if !waited {
					_ = cmd.Wait()
				}
			})
			found := copies(t, s.PID, texts...)
			if len(found) != 1 {
				t.Errorf("the supervisor has %d copies, want 1", len(found))
			}
			for _, r := range found {
				if flags := strings.Join(r.flags, " ") + " "; !strings.Contains(flags, "lo ") || !strings.Contains(flags, "dd ") {
					t.Errorf("a copy lies in memory that is not locked and left out of dumps: %s, flags %v", r.line, r.flags)
				}
			}
			for _, r := range copies(t, s.Daemon, texts...) {
				t.Errorf("a copy lies in the daemon: %s", r.line)
			}
			w.Run(t, "umount", w.Dir)
			if !waited {
				waited = true
				if err := cmd.Wait(); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Error(err)
				}
			}
			procenv.WaitFor(t, "the supervisor to end", func() bool { return gone(s.PID) })
		})
	}
}
