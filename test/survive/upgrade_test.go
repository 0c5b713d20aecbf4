package survive

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// newer builds another version of the product, or copies that of OSSENCFS_TEST_NEWER, for users who cannot build.
func newer(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ossencfs-"+version)
	if built := os.Getenv("OSSENCFS_TEST_NEWER"); built != "" {
		run(t, "cp", built, path)
		return path
	}
	run(t, "go", "build", "-ldflags", "-X main.version="+version, "-o", path, "github.com/ossencfs/ossencfs/cmd/ossencfs")
	return path
}

// upgrade runs the command with a binary.
func upgrade(t *testing.T, w *procenv.World, binary string) {
	t.Helper()
	cmd := exec.Command(binary, "upgrade", w.Dir)
	cmd.Env = w.Env()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("upgrade: %v\n%s\nlog:\n%s", err, out, log(t, w))
	}
}

// TestUpgrade: the daemon is replaced by the binary that runs `ossencfs upgrade`, and back. An open file, a working directory, a lock
// and a program that makes and removes files go on. A crash is followed by the new binary again, although its file is gone.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	const version = "v9.9.9"
	w := procenv.New(t)
	binary := newer(t, version)
	d := mount(t, w)
	first, _ := ask(t, w)
	in := func(name string) string { return filepath.Join(w.Dir, name) }
	if err := os.Mkdir(in("dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	open, locked, shell := create(t, in("open")), create(t, in("locked")), startShell(t, in("dir"))
	if err := unix.Flock(int(locked.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	stop, busy := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				busy <- nil
				return
			default:
			}
			if err := namesOnce(in("dir"), i); err != nil {
				busy <- err
				return
			}
		}
	}()
	want := ""
	check := func(when, version string) {
		t.Helper()
		writeString(t, open, when)
		want += when
		if got := readAll(t, open); got != want {
			t.Errorf("the open file holds %q, want %q", got, want)
		}
		if got := shell.say(t, "pwd -P"); got != in("dir") {
			t.Errorf("the working directory is %q", got)
		}
		other, err := os.Open(in("locked"))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("a second lock: %v, want %v", err, unix.EWOULDBLOCK)
		}
		if s, ok := ask(t, w); !ok || s.Version != version || s.Health.Kept != "" {
			t.Errorf("%sstatus tells of %+v, want version %s", when, s, version)
		}
	}
	check("before, ", first.Version)
	upgrade(t, w, binary)
	check("after an upgrade, ", version)
	if err := os.Remove(binary); err != nil {
		t.Fatal(err)
	}
	d.KillDaemon(t)
	procenv.WaitFor(t, "another daemon", func() bool { _, ok := ask(t, w); return ok })
	check("after a crash, ", version)
	upgrade(t, w, procenv.Binary(t))
	check("after an upgrade back, ", first.Version)
	if s, _ := ask(t, w); s.Health.Upgrades != 2 || s.PID != first.PID {
		t.Errorf("status tells of %d upgrades of process %d, want 2 of %d", s.Health.Upgrades, s.PID, first.PID)
	}
	close(stop)
	if err := <-busy; err != nil {
		t.Errorf("a program that worked meanwhile: %v", err)
	}
	shell.end(t)
	if err := errors.Join(open.Close(), locked.Close()); err != nil {
		t.Error(err)
	}
	d.Unmount(t)
	if data, _, err := w.Server.ReadObject(procenv.Bucket, "open"); err != nil || len(data) != len(want) {
		t.Errorf("the bucket has %d bytes, %v, want %d", len(data), err, len(want))
	}
}

// TestUpgradeRefused: a program that cannot take over is refused, with its name, and the mount goes on with its daemon.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	w := procenv.New(t)
	d := mount(t, w)
	before, _ := ask(t, w)
	sockets, err := filepath.Glob(filepath.Join(w.Base, "run", "*.sock"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("control sockets: %q, %v", sockets, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", sockets[0])
	}}}
	for name, c := range map[string]struct{ path, want string }{
		"another program": {"/bin/false", "/bin/false cannot take the mount over: it ended with exit code 1"},
		"no file":         {filepath.Join(w.Base, "nothing"), "no such file"},
		"no program":      {w.Key, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := client.Post("http://session/upgrade", "application/json", strings.NewReader(`{"executable":"`+c.path+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			said, err := io.ReadAll(resp.Body)
			if err != nil || !strings.Contains(string(said), c.want) {
				t.Errorf("got %s, %v, want %q", said, err, c.want)
			}
		})
	}
	if after, ok := ask(t, w); !ok || after.Daemon != before.Daemon || after.Health.Upgrades != 0 {
		t.Errorf("status tells of %+v, want the same daemon, %d", after, before.Daemon)
	}
	d.Unmount(t)
}
