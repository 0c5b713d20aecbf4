package localfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// put makes a file of a mode, whatever the umask.
func put(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// fifo makes a named pipe.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// give makes a file somebody else's; the test is skipped for those who cannot.
func give(t *testing.T, path string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantRefused checks that an error is a refusal with these words.
func wantRefused(t *testing.T, err error, words ...string) {
	t.Helper()
	var r *Refused
	if !errors.As(err, &r) {
		t.Errorf("got %v, want it refused", err)
		return
	}
	for _, word := range words {
		if !strings.Contains(r.Error()+"\n"+r.Mend, word) {
			t.Errorf("%q is not said in %q, %q", word, r.Error(), r.Mend)
		}
	}
}

// TestModes: who else may write and read a file, by its role.
func TestModes(t *testing.T) {
	for _, c := range []struct {
		mode                         fs.FileMode
		data, trusted, secret, owned bool
	}{
		{0o600, true, true, true, true},
		{0o400, true, true, true, true},
		{0o644, true, true, false, false},
		{0o640, true, true, false, false},
		{0o604, true, true, false, false},
		{0o610, true, true, false, false},
		{0o620, true, false, false, false},
		{0o602, true, false, false, false},
		{0o666, true, false, false, false},
	} {
		path := put(t, filepath.Join(t.TempDir(), "file"), "text", c.mode)
		for role, want := range map[Role]bool{Data: c.data, Trusted: c.trusted, Secret: c.secret, Own: c.owned} {
			text, err := Read(t.Context(), path, role, 100)
			if (err == nil) != want || want && string(text) != "text" {
				t.Errorf("mode %o, role %d: got %q, %v", c.mode, role, text, err)
			}
			if !want {
				wantRefused(t, err, path, "chmod", path)
			}
		}
	}
}

// TestOwners: what somebody else may change decides nothing.
func TestOwners(t *testing.T) {
	path := give(t, put(t, filepath.Join(t.TempDir(), "file"), "text", 0o600))
	if _, err := Read(t.Context(), path, Data, 100); err != nil {
		t.Error(err)
	}
	for _, role := range []Role{Trusted, Secret, Own} {
		_, err := Read(t.Context(), path, role, 100)
		wantRefused(t, err, "belongs to user 65534")
	}
	_, err := OpenLog(path)
	wantRefused(t, err, "belongs to user 65534", "name another file")
}

// TestKinds: what is no file is named, and nobody waits for it.
func TestKinds(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: socket})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for path, kind := range map[string]string{dir: "a directory", fifo(t): "a named pipe", socket: "a socket", "/dev/zero": "a device"} {
		for _, role := range []Role{Data, Trusted, Secret, Own} {
			_, err := Read(t.Context(), path, role, 100)
			wantRefused(t, err, "is "+kind)
		}
		if path != dir {
			_, err := OpenLog(path)
			wantRefused(t, err, "is "+kind)
		}
	}
	if text, err := Read(t.Context(), os.DevNull, Trusted, 100); err != nil || len(text) != 0 {
		t.Errorf("/dev/null: got %q, %v", text, err)
	}
	if _, err := Open(filepath.Join(dir, "none"), Data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(put(t, filepath.Join(dir, "file"), "text", 0o600), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), link, Secret, 100); err != nil {
		t.Error(err)
	}
	_, err = Open(link, Own)
	wantRefused(t, err, "is a symbolic link")
}

// TestPipes: a pipe that this process was given is read once, to its end, and no longer than anybody wants it.
func TestPipes(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	name := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if !IsPipe(name) || IsPipe(fifo(t)) {
		t.Error("a pipe is not told from a named one")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := Read(ctx, name, Secret, 100)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: got %v", err)
	}
	if _, err := w.WriteString(strings.Repeat("secret", 1000)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := Read(t.Context(), name, Secret, 100); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: got %v", err)
	}
	if text, err := Read(t.Context(), name, Secret, 6000); err != nil || len(text) != 6000-101 {
		t.Errorf("the rest: got %d bytes, %v", len(text), err)
	}
	_, err = Read(t.Context(), name, Secret, 6000)
	wantRefused(t, err, "is a pipe with nothing in it")
}

// TestSourceWaitsForAWriter: a named pipe that nobody has opened yet is not an empty file, and the waiting can be ended.
func TestSourceWaitsForAWriter(t *testing.T) {
	path := fifo(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	open := func(ctx context.Context) {
		s, err := OpenSource(ctx, path)
		if err == nil {
			var text []byte
			if text, err = io.ReadAll(s); string(text) != "content" {
				t.Errorf("got %q", text)
			}
			err = errors.Join(err, s.Close())
		}
		done <- err
	}
	go open(ctx)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: got %v", err)
	}
	go open(t.Context())
	w, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for the reader
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("content"); err != nil {
		t.Error(err)
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s, err := OpenSource(t.Context(), put(t, filepath.Join(t.TempDir(), "file"), "content", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok := s.Reader.(io.ReaderAt); !ok {
		t.Error("a regular file cannot be read twice")
	}
}

// TestLogs: a log is a file of this user's that nobody else writes, under one name.
func TestLogs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for range 2 {
		f, err := OpenLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("line\n"); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "line\nline\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	_, err := OpenLog(put(t, filepath.Join(t.TempDir(), "log"), "", 0o666))
	wantRefused(t, err, "may be written by others", "chmod go-w")
	if f, err := OpenLog(put(t, filepath.Join(t.TempDir(), "log"), "", 0o644)); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	link := path + ".link"
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	_, err = OpenLog(path)
	wantRefused(t, err, "hard link")
	if err := errors.Join(os.Remove(link), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	_, err = OpenLog(link)
	wantRefused(t, err, "is a symbolic link")
}

// TestWriteNew: a file is made, and none is replaced, through no link either.
func TestWriteNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new")
	if err := WriteNew(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteNew(path, []byte("other"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want ErrExist", err)
	}
	link := path + ".link"
	if err := os.Symlink(path+".elsewhere", link); err != nil {
		t.Fatal(err)
	}
	if err := WriteNew(link, []byte("other"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("through a link: got %v, want ErrExist", err)
	}
}
