package crash

import (
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// maxMemory is what the daemon may take at its peak, in KiB.
const maxMemory = 300 << 10

// TestLargeFile copies a large file in and out. OSSENCFS_LARGE_MIB sets its size: 6144 in the long form, 512 otherwise.
func TestLargeFile(t *testing.T) {
	w := procenv.New(t)
	size := int64(512)
	if text := os.Getenv("OSSENCFS_LARGE_MIB"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		size = n
	}
	size <<= 20
	source := filepath.Join(w.Base, "source")
	makeSparse(t, source, size)
	d := w.Mount(t, "--cache-size", "20GiB")
	shell(t, "cp", source, filepath.Join(w.Dir, "large"))
	w.Run(t, "sync", w.Dir)
	checkMemory(t, d, "in")
	d.Unmount(t)
	if err := os.RemoveAll(w.Cache); err != nil {
		t.Fatal(err)
	}
	d = w.Mount(t, "--cache-size", "20GiB")
	shell(t, "cmp", source, filepath.Join(w.Dir, "large"))
	checkMemory(t, d, "out")
	d.Unmount(t)
}

// makeSparse makes a file with a MiB of random bytes in each 64 MiB and at its odd end.
func makeSparse(t *testing.T, name string, size int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	random := rand.New(rand.NewSource(size))
	for off := int64(0); off < size; off += 64 << 20 {
		if _, err := io.CopyN(io.NewOffsetWriter(f, off), random, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteAt([]byte("the end"), size); err != nil {
		t.Fatal(err)
	}
}

func shell(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func checkMemory(t *testing.T, d *procenv.Daemon, way string) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.DaemonPid(t)))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "VmHWM:" {
			continue
		}
		peak, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("peak memory on the way %s: %d MiB", way, peak>>10)
		if peak > maxMemory {
			t.Errorf("peak memory on the way %s: %d KiB, at most %d", way, peak, maxMemory)
		}
		return
	}
	t.Fatal("no VmHWM line")
}
