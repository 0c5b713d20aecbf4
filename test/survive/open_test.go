package survive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestOpenFilesSurviveAKill: what a program has open goes on: a file without a name, one that is being written, one that was
// truncated, a directory that is half read, a working directory, a lock.
func TestOpenFilesSurviveAKill(t *testing.T) {
	w := procenv.New(t)
	d := mount(t, w)
	in := func(name string) string { return filepath.Join(w.Dir, name) }
	var entries []string
	for n := range 300 {
		name := fmt.Sprintf("%03d-%s", n, strings.Repeat("x", 100))
		entries = append(entries, name)
		if err := errors.Join(os.MkdirAll(in("many"), 0o755), os.WriteFile(filepath.Join(in("many"), name), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	unlinked, writing, locked := create(t, in("unlinked")), create(t, in("writing")), create(t, in("locked"))
	unnamed := openTmpfile(t, w.Dir)
	writeString(t, unnamed, "gets a name")
	writeString(t, unlinked, "without a name")
	writeString(t, writing, "before, ")
	if err := errors.Join(os.Remove(in("unlinked")), unix.Flock(int(locked.Fd()), unix.LOCK_EX|unix.LOCK_NB)); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(in("many"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	shown, err := dir.Readdirnames(20)
	if err != nil {
		t.Fatal(err)
	}
	shell := startShell(t, in("many"))
	for range 2 {
		d.KillDaemon(t)
		if got := shell.say(t, "pwd -P && cat ../writing | wc -c"); got != in("many") {
			t.Errorf("the working directory is %q", got)
		}
		if n := shell.line(t); strings.TrimSpace(n) == "0" {
			t.Error("the file that is being written is empty")
		}
		if got := readAll(t, unlinked); got != "without a name" {
			t.Errorf("the file without a name holds %q", got)
		}
		writeString(t, unlinked, "")
		writeString(t, writing, "after, ")
		more, err := dir.Readdirnames(20)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, more...)
	}
	rest, err := dir.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	shown = append(shown, rest...)
	slices.Sort(shown)
	if !slices.Equal(shown, entries) {
		t.Errorf("%d names were shown, want %d", len(shown), len(entries))
	}
	other, err := os.Open(in("locked"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("a second lock: %v, want %v", err, unix.EWOULDBLOCK)
	}
	shell.end(t)
	link := func(name string) error {
		return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", unnamed.Fd()), unix.AT_FDCWD, in(name), unix.AT_SYMLINK_FOLLOW)
	}
	if err := link("linked"); err != nil {
		t.Errorf("the file that never had a name gets none: %v", err)
	}
	d.KillDaemon(t)
	if err := link("second"); !errors.Is(err, unix.EPERM) {
		t.Errorf("a second name: %v, want %v", err, unix.EPERM)
	}
	if err := errors.Join(unnamed.Close(), unlinked.Close(), writing.Close(), locked.Close(), dir.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	w.Run(t, "sync", w.Dir)
	procenv.WaitFor(t, "the closed files to be closed here too", func() bool { s, ok := ask(t, w); return ok && s.OpenFiles == 0 })
	d.Unmount(t)
	w.Cache = filepath.Join(w.Base, "other-cache")
	d = w.Mount(t)
	if got, err := os.ReadFile(in("writing")); err != nil || string(got) != "before, after, after, " {
		t.Errorf("the bucket has %q, %v", got, err)
	}
	if got, err := os.ReadFile(in("linked")); err != nil || string(got) != "gets a name" {
		t.Errorf("the file that got its name after a kill holds %q, %v", got, err)
	}
	if _, err := os.Stat(in("unlinked")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the removed file: %v", err)
	}
	d.Unmount(t)
}

// TestRemovedTreeSurvivesKills: rm -r of large and small directories misses nothing while the daemon dies.
func TestRemovedTreeSurvivesKills(t *testing.T) {
	w := procenv.New(t)
	d := mount(t, w, "--settle", "1h")
	tree := filepath.Join(w.Dir, "tree")
	for n := range 5000 { // above what a directory stream holds in memory
		if n%500 == 0 {
			if err := os.MkdirAll(filepath.Join(tree, fmt.Sprint("d", n)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(tree, fmt.Sprintf("%d", n*7919%5000)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := start("rm", "rm", "-r", tree)
	for n := 0; n < kills(t) && !remove.over(); n++ {
		killAfter(t, w, d, 400, remove.over)
	}
	remove.result(t)
	if _, err := os.Stat(tree); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tree: %v", err)
	}
	d.Unmount(t)
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func openTmpfile(t *testing.T, dir string) *os.File {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "unnamed")
}

func writeString(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Errorf("write %s: %v", f.Name(), err)
	}
}

func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Error(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	if err != nil {
		t.Errorf("read %s: %v", f.Name(), err)
	}
	return string(data)
}

// shell is a program that works in a directory of the mount.
type shell struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer
}

func startShell(t *testing.T, dir string) *shell {
	t.Helper()
	s := &shell{cmd: exec.Command("sh", "-s")}
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out, s.cmd.Stderr = bufio.NewReader(out), &s.err
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := s.say(t, "cd '"+dir+"' && echo there"); got != "there" {
		t.Fatalf("the shell said %q", got)
	}
	return s
}

// say runs a command and returns its first line.
func (s *shell) say(t *testing.T, command string) string {
	t.Helper()
	if _, err := io.WriteString(s.in, command+"\n"); err != nil {
		t.Fatal(err)
	}
	return s.line(t)
}

func (s *shell) line(t *testing.T) string {
	t.Helper()
	line, err := s.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the shell: %v\n%s", err, &s.err)
	}
	return strings.TrimSpace(line)
}

func (s *shell) end(t *testing.T) {
	t.Helper()
	if err := s.in.Close(); err != nil {
		t.Error(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the shell ended with %v\n%s", err, &s.err)
	}
}
