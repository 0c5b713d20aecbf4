// Package procenv runs the product as a user does: the built binary, a mount in a process of its own, the emulator as the bucket.
// What must survive a SIGKILL can only be tested this way. Everything it starts ends with the test.
package procenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
)

// Bucket is the name of the bucket that every world has.
const Bucket = "crash"

var build struct {
	once sync.Once
	dir  string
	err  error
}

// Main runs the tests of a package and removes the binary they built. It is called by TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if build.dir != "" {
		if err := os.RemoveAll(build.dir); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// noteSources looks at every source file of the product. The go command notes what a test looks at, so that a test of the built
// program is not taken from its cache when the program has changed.
func noteSources() error {
	_, self, _, ok := runtime.Caller(0)
	if !ok {
		return errors.New("the place of the sources is not known")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(self)))
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || path == filepath.Join(root, "test")):
			return fs.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		_, err = os.Stat(path)
		return err
	})
}

// Binary builds the product once per test process and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	build.once.Do(func() {
		if build.err = noteSources(); build.err != nil {
			return
		}
		build.dir, build.err = os.MkdirTemp("", "ossencfs-test-")
		if build.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(build.dir, "ossencfs"), "github.com/ossencfs/ossencfs/cmd/ossencfs").CombinedOutput()
		if err != nil {
			build.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return filepath.Join(build.dir, "ossencfs")
}

// World is one bucket with one RSA key, and the folders of one user.
type World struct {
	Server  *emulator.Server
	Base    string // temporary folder of the test; everything below lies in it
	Store   string // the emulator's folder
	Cache   string // cache folder of the mounts
	Dir     string // mount point
	Key     string // file of the private key
	LogFile string // what the daemons wrote to standard error
	Extra   []string
}

// New starts the emulator on a folder and makes a key. The test is skipped where FUSE cannot be used at all.
func New(t testing.TB) *World {
	t.Helper()
	RequireFUSE(t)
	base := t.TempDir()
	w := &World{Base: base, Store: filepath.Join(base, "store"), Cache: filepath.Join(base, "cache"),
		Dir: filepath.Join(base, "mnt"), Key: filepath.Join(base, "key.pem"), LogFile: filepath.Join(base, "daemon.log")}
	server, err := emulator.Start(emulator.Options{Dir: w.Store, Buckets: []string{Bucket}})
	if err != nil {
		t.Fatal(err)
	}
	w.Server = server
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(w.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.Run(t, "keygen", w.Key)
	return w
}

// RequireFUSE skips the test on a machine where this user cannot mount.
func RequireFUSE(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("FUSE cannot be used here: %v", err)
	}
	f.Close()
	if os.Geteuid() == 0 {
		return
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		t.Skipf("FUSE cannot be used here: %v", err)
	}
}

// Env is the environment of the product's processes: credentials, and a runtime folder of the test's own.
func (w *World) Env() []string {
	return append(os.Environ(), "OSS_ACCESS_KEY_ID="+w.Server.AccessKeyID(), "OSS_ACCESS_KEY_SECRET="+w.Server.AccessKeySecret(),
		"OSS_ENDPOINT="+w.Server.Endpoint(), "OSS_REGION="+w.Server.Region(), "OSSENCFS_RUNTIME_DIR="+filepath.Join(w.Base, "run"))
}

// Try runs the product and returns what it printed.
func (w *World) Try(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Env = w.Env()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Run is Try that ends the test on an error.
func (w *World) Run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := w.Try(t, args...)
	if err != nil {
		t.Fatalf("ossencfs %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Daemon is a mount in a process of its own.
type Daemon struct {
	w   *World
	cmd *exec.Cmd
	end chan error
}

// Mount starts the product in the foreground and returns when the mount answers.
func (w *World) Mount(t testing.TB, args ...string) *Daemon {
	t.Helper()
	log, err := os.OpenFile(w.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	all := append([]string{"mount", "oss://" + Bucket, w.Dir, "--rsa-key", w.Key, "--cache-dir", w.Cache, "--foreground"}, w.Extra...)
	d := &Daemon{w: w, cmd: exec.Command(Binary(t), append(all, args...)...), end: make(chan error, 1)}
	d.cmd.Env, d.cmd.Stdout, d.cmd.Stderr = w.Env(), log, log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.end <- d.cmd.Wait() }()
	t.Cleanup(func() { d.Kill(t) })
	WaitFor(t, "the mount", func() bool {
		select {
		case err := <-d.end:
			d.end <- err
			data, _ := os.ReadFile(w.LogFile)
			t.Fatalf("the mount ended: %v\n%s", err, data)
		default:
		}
		_, err := w.Try(t, "status", w.Dir)
		return err == nil && Mounted(w.Dir)
	})
	return d
}

// Pid is the process id of the daemon.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Kill sends SIGKILL, waits for the end of the process and removes the dead mount point.
func (d *Daemon) Kill(t testing.TB) {
	t.Helper()
	select {
	case err := <-d.end:
		d.end <- err
	default:
		if err := d.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		err := <-d.end
		d.end <- err
	}
	if Mounted(d.w.Dir) {
		Detach(t, d.w.Dir)
	}
}

// Crash sends SIGKILL and leaves the dead mount point as a user finds it.
func (d *Daemon) Crash(t testing.TB) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := <-d.end
	d.end <- err
}

// Unmount drains and unmounts, and checks that the daemon ended well.
func (d *Daemon) Unmount(t testing.TB) {
	t.Helper()
	d.w.Run(t, "umount", d.w.Dir)
	err := <-d.end
	d.end <- err
	if err != nil {
		data, _ := os.ReadFile(d.w.LogFile)
		t.Fatalf("the daemon ended with %v\n%s", err, data)
	}
}

// Detach removes a mount point whose daemon is gone.
func Detach(t testing.TB, dir string) {
	t.Helper()
	var err error
	if os.Geteuid() == 0 {
		err = syscall.Unmount(dir, syscall.MNT_DETACH)
	} else {
		err = exec.Command("fusermount3", "-u", "-z", dir).Run()
	}
	if err != nil {
		t.Errorf("detach %s: %v", dir, err)
	}
}

// Mounted says whether a file system is mounted at dir.
func Mounted(dir string) bool {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return err == nil && bytes.Contains(mounts, []byte(" "+dir+" "))
}

// WaitFor polls until the condition holds, and ends the test after a minute.
func WaitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("waited a minute for %s", what)
		case <-tick.C:
		}
	}
}
