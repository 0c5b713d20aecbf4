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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// Binary builds the product once per test process and returns its path, or that of OSSENCFS_TEST_BINARY, for users who cannot build. The tag makes the points of package cache/killpoint real.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("OSSENCFS_TEST_BINARY"); path != "" {
		return path
	}
	build.once.Do(func() {
		if build.err = noteSources(); build.err != nil {
			return
		}
		build.dir, build.err = os.MkdirTemp("", "ossencfs-test-")
		if build.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-tags", "faultpoints", "-o", filepath.Join(build.dir, "ossencfs"),
			"github.com/ossencfs/ossencfs/cmd/ossencfs").CombinedOutput()
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
	Base    string   // temporary folder of the test; everything below lies in it
	Store   string   // the emulator's folder
	Cache   string   // cache folder of the mounts
	Dir     string   // mount point
	Key     string   // file of the private key
	LogFile string   // what the daemons wrote to standard error
	Keys    []string // options that name the master keys of mounts; nil: --rsa-key Key
	Extra   []string
}

// New starts the emulator on a folder and makes a key. The test is skipped where FUSE cannot be used at all.
func New(t testing.TB) *World {
	t.Helper()
	return NewOn(t, emulator.Options{})
}

// NewOn is New with an emulator that is another.
func NewOn(t testing.TB, o emulator.Options) *World {
	t.Helper()
	RequireFUSE(t)
	base := t.TempDir()
	w := &World{Base: base, Store: filepath.Join(base, "store"), Cache: filepath.Join(base, "cache"),
		Dir: filepath.Join(base, "mnt"), Key: filepath.Join(base, "key.pem"), LogFile: filepath.Join(base, "daemon.log")}
	o.Dir, o.Buckets = w.Store, []string{Bucket}
	server, err := emulator.Start(o)
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

// Env is the environment of the product's processes: credentials, and folders of the test's own for runtime and state.
func (w *World) Env() []string {
	return append(os.Environ(), "OSS_ACCESS_KEY_ID="+w.Server.AccessKeyID(), "OSS_ACCESS_KEY_SECRET="+w.Server.AccessKeySecret(),
		"OSS_ENDPOINT="+w.Server.Endpoint(), "OSS_REGION="+w.Server.Region(), "OSSENCFS_RUNTIME_DIR="+filepath.Join(w.Base, "run"),
		"OSSENCFS_STATE_DIR="+filepath.Join(w.Base, "state"))
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
	// gone: the whole group has ended, and its number may be somebody else's by now.
	gone atomic.Bool
}

// Mount starts the product in the foreground and returns when the mount answers.
func (w *World) Mount(t testing.TB, args ...string) *Daemon {
	t.Helper()
	d := w.Start(t, nil, args...)
	if !d.Ready(t) {
		data, _ := os.ReadFile(w.LogFile)
		t.Fatalf("the mount ended: %v\n%s", d.Wait(), data)
	}
	return d
}

// Start starts the product in the foreground, with further variables in its environment, and does not wait for the mount. Its
// processes are a group of their own, so that all of them can be killed.
func (w *World) Start(t testing.TB, env []string, args ...string) *Daemon {
	t.Helper()
	log, err := os.OpenFile(w.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	all := append([]string{"mount", "oss://" + Bucket, w.Dir, "--cache-dir", w.Cache, "--foreground"}, w.Extra...)
	if w.Keys == nil {
		all = append(all, "--rsa-key", w.Key)
	}
	all = append(all, w.Keys...)
	d := &Daemon{w: w, cmd: exec.Command(Binary(t), append(all, args...)...), end: make(chan error, 1)}
	d.cmd.Env, d.cmd.Stdout, d.cmd.Stderr = append(w.Env(), env...), log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.end <- d.cmd.Wait() }()
	t.Cleanup(func() { d.Kill(t) })
	return d
}

// Ready waits until the mount answers; false when the daemon ended instead.
func (d *Daemon) Ready(t testing.TB) bool {
	t.Helper()
	ended := false
	WaitFor(t, "the mount", func() bool {
		if ended = d.Ended(); ended {
			return true
		}
		_, err := d.w.Try(t, "status", d.w.Dir)
		return err == nil && Mounted(d.w.Dir)
	})
	return !ended
}

// Ended says whether the daemon has ended.
func (d *Daemon) Ended() bool {
	select {
	case err := <-d.end:
		d.end <- err
		return true
	default:
		return false
	}
}

// Wait waits for the end of the daemon.
func (d *Daemon) Wait() error {
	err := <-d.end
	d.end <- err
	return err
}

// Pid is the process that was started: the supervisor, which leads the group.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Kill sends SIGKILL, waits for the end of the processes and removes the dead mount point.
func (d *Daemon) Kill(t testing.TB) {
	t.Helper()
	d.Crash(t)
	if Mounted(d.w.Dir) {
		Detach(t, d.w.Dir)
	}
}

// Strike sends SIGKILL to all processes of the daemon and does not wait.
func (d *Daemon) Strike() {
	if !d.gone.Load() {
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// Freeze stops all threads of the daemon. It returns when none can run any more: those in a call to the kernel stop before they see its
// result. Only Strike and its like end that.
func (d *Daemon) Freeze() error {
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the daemon: %w", err)
	}
	for end := time.Now().Add(Patience); ; <-time.After(time.Millisecond) {
		running, err := runningThreads(d.Pid())
		if err != nil || running == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("stop the daemon: %d threads go on", running)
		}
	}
}

// runningThreads counts the threads of a process group that are not stopped, nor in a call to the kernel that cannot be interrupted.
func runningThreads(pgid int) (n int, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		if len(fields) >= 3 && fields[2] == strconv.Itoa(pgid) && !strings.Contains("TtDZX", fields[0]) {
			n++
		}
	}
	return n, nil
}

// Crash sends SIGKILL to all processes of the daemon, waits for their end and leaves the dead mount point as a user finds it.
func (d *Daemon) Crash(t testing.TB) {
	t.Helper()
	d.Strike()
	_ = d.Wait()
	WaitFor(t, "the end of the daemon's processes", func() bool { return d.gone.Load() || len(groupOf(t, d.Pid())) == 0 })
	d.gone.Store(true)
}

// groupOf lists the living processes of a group.
func groupOf(t testing.TB, pgid int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 3 || fields[2] != strconv.Itoa(pgid) || fields[0] == "X" {
			continue
		}
		// A first thread that has ended counts as long as others of its process wait for a disk: they keep its locks.
		if tasks, err := os.ReadDir(filepath.Join(filepath.Dir(path), "task")); fields[0] == "Z" && (err != nil || len(tasks) <= 1) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Unmount drains and unmounts, and checks that the daemon ended well.
func (d *Daemon) Unmount(t testing.TB) {
	t.Helper()
	d.w.Run(t, "umount", d.w.Dir)
	if err := d.Wait(); err != nil {
		data, _ := os.ReadFile(d.w.LogFile)
		t.Fatalf("the daemon ended with %v\n%s", err, data)
	}
	d.gone.Store(true)
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

// Patience bounds every wait of a test. It is there for what never comes; a busy machine may need a minute for what does. Who expects
// tests to fail sets OSSENCFS_TEST_PATIENCE to something shorter, as "30s".
var Patience = patience()

func patience() time.Duration {
	const usual = 4 * time.Minute
	if d, err := time.ParseDuration(os.Getenv("OSSENCFS_TEST_PATIENCE")); err == nil {
		return d
	}
	return usual
}

// WaitFor polls until the condition holds, and ends the test after Patience.
func WaitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}
