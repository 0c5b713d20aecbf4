package survive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestCopiesSurviveKills: a cp -r into the mount, one inside it and a sha256sum of a large file in it run while the daemon is killed
// again and again. They all end well and with the right result.
func TestCopiesSurviveKills(t *testing.T) { copiesSurvive(t) }

// TestWritebackSurvivesKills: the same with the kernel's writeback cache, in which it keeps what the daemon has not got yet.
func TestWritebackSurvivesKills(t *testing.T) { copiesSurvive(t, "--writeback") }

func copiesSurvive(t *testing.T, options ...string) {
	w := procenv.New(t)
	many := kills(t)
	source, inside, large := filepath.Join(w.Base, "source"), filepath.Join(w.Dir, "inside"), filepath.Join(w.Dir, "large")
	files, size := 400, 96<<20
	if many < 20 {
		files, size = 150, 32<<20
	}
	makeTree(t, source, files)
	d := mount(t, w, options...)
	run(t, "cp", "-r", source, inside)
	want := makeLarge(t, large, size)
	for round, killed := 0, 0; killed < many; round++ {
		forgetPages(t, large)
		into, within := filepath.Join(w.Dir, fmt.Sprintf("into%d", round)), filepath.Join(w.Dir, fmt.Sprintf("within%d", round))
		jobs := []*job{start("cp into the mount", "cp", "-r", source, into), start("cp inside the mount", "cp", "-r", inside, within),
			start("sha256sum", "sha256sum", large)}
		over := func() bool { return jobs[0].over() && jobs[1].over() && jobs[2].over() }
		for ; killed < many && !over(); killed++ {
			killAfter(t, w, d, 300, over)
		}
		jobs[0].result(t)
		jobs[1].result(t)
		if got, _, _ := strings.Cut(jobs[2].result(t), " "); got != want {
			t.Errorf("sha256sum is %s, want %s", got, want)
		}
		run(t, "diff", "-r", source, into)
		run(t, "diff", "-r", source, within)
	}
	if s, _ := ask(t, w); s.Health.Restarts < many {
		t.Errorf("status tells of %d restarts, want at least %d", s.Health.Restarts, many)
	}
	d.Unmount(t)
	if procenv.Mounted(w.Dir) {
		t.Error("still mounted")
	}
	if t.Failed() {
		t.Logf("log:\n%s", log(t, w))
	}
}

// makeLarge writes a large file and returns its SHA-256.
func makeLarge(t *testing.T, path string, size int) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum, block := sha256.New(), make([]byte, 1<<20)
	for off := 0; off < size; off += len(block) {
		for i := range block {
			block[i] = byte(i*i>>8 + off>>20*7 + i)
		}
		sum.Write(block)
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// forgetPages has the kernel ask for the content of a file again.
func forgetPages(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// TestNamesSurviveKills: programs make, exclusively create, move and remove names while the daemon dies. A call that was executed
// and comes again is answered as the first time: no name exists already, none is missing. The daemon dies until that has happened.
func TestNamesSurviveKills(t *testing.T) {
	w := procenv.New(t)
	d := mount(t, w, "--settle", "1h")
	var stop atomic.Bool
	var calls atomic.Int64
	var loops sync.WaitGroup
	for n := range 4 {
		dir := filepath.Join(w.Dir, fmt.Sprint(n))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		loops.Go(func() {
			for i := 0; !stop.Load(); i++ {
				if err := namesOnce(dir, i); err != nil {
					t.Errorf("loop %d: %v", n, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	replayed, killed := int64(0), 0
	for ; killed < kills(t) || replayed == 0 && killed < 200; killed++ {
		replayed += killAfter(t, w, d, 300, t.Failed).Replayed
		if t.Failed() {
			break
		}
	}
	stop.Store(true)
	loops.Wait()
	last, _ := ask(t, w)
	replayed += last.Replayed
	t.Logf("%d kills, %d rounds of names, %d calls answered from memory", killed, calls.Load(), replayed)
	if replayed == 0 {
		t.Error("no call came again after it was executed: nothing was tested")
	}
	d.Unmount(t)
	if t.Failed() {
		t.Logf("log:\n%s", log(t, w))
	}
}

// namesOnce goes through all calls that change names. Each must succeed.
func namesOnce(dir string, i int) error {
	in := func(name string) string { return filepath.Join(dir, fmt.Sprintf("%s%d", name, i)) }
	f, err := os.OpenFile(in("file"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(dir)
	return errors.Join(err, f.Close(),
		os.Mkdir(in("dir"), 0o755), os.Symlink("target", in("link")), unix.Mkfifo(in("fifo"), 0o600),
		unix.Setxattr(in("file"), "user.x", []byte("1"), unix.XATTR_CREATE), unix.Removexattr(in("file"), "user.x"),
		os.Rename(in("dir"), in("moved")), os.Rename(in("file"), in("moved")+"/file"),
		unix.Renameat2(unix.AT_FDCWD, in("link"), unix.AT_FDCWD, in("fifo"), unix.RENAME_EXCHANGE),
		checkLink(in("fifo")),
		os.Remove(in("link")), os.Remove(in("fifo")), os.Remove(in("moved")+"/file"), os.Remove(in("moved")))
}

// checkLink fails when two names were not swapped, or swapped twice.
func checkLink(path string) error {
	_, err := os.Readlink(path)
	return err
}
