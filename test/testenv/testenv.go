// Package testenv gives a test a mounted bucket in its own process: emulator, key, cache and mount, all removed at the end.
// What must survive the death of a process is tested with package procenv instead.
package testenv

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// Bucket is the name of the bucket every Env has.
const Bucket = "testenv"

// Patience bounds every wait of a test; see procenv.Patience.
var Patience = procenv.Patience

// Options change what an Env is made of; the zero value is what users get.
type Options struct {
	// Cache is passed to cache.Open; Bucket, Dir and Logger are filled in.
	Cache cache.Options
	// Mount is passed to fs.Mount.
	Mount gofs.Options
	// Prefix is the mounted prefix, "" or ending in a slash.
	Prefix string
	// NoMount opens the cache only, which works where FUSE does not.
	NoMount bool
	// Object is passed to object.Open; what is set here counts, the rest is filled in.
	Object object.Options
	// Connect, when set, changes how the emulator is reached, as through a server in front of it.
	Connect func(*emulator.Server, *object.Connection)
	// Bucket, when set, stands between the cache and its bucket.
	Bucket func(*object.Bucket) cache.Bucket
	// Emulator, when set, changes what the emulator is started with.
	Emulator func(*emulator.Options)
	// Share makes the Env a second mount of another one's bucket, with a cache of its own.
	Share *Env
}

// Env is one mount of a bucket on an emulator in memory.
type Env struct {
	t      testing.TB
	o      Options
	Server *emulator.Server
	Store  *object.Bucket
	Cache  *cache.Cache
	Mount  *gofs.Server
	// Dir is the mount point, CacheDir the folder of the cache.
	Dir, CacheDir string
	log           *logBuffer
	closed        bool
	noticed       atomic.Pointer[cache.Cache] // who is told what the bucket does not believe
}

// masterKey is made once per process: a new RSA key takes longer than most tests.
var masterKey = sync.OnceValues(func() (keys.MasterKey, error) { return keys.GenerateRSA(2048, nil) })

// New mounts an empty bucket. The test is skipped where this user cannot mount.
func New(t testing.TB, o Options) *Env {
	t.Helper()
	if !o.NoMount {
		RequireFUSE(t)
	}
	if o.Cache.UID == 0 && o.Cache.GID == 0 { // as the mount command has it: whose mount it is may work in it
		o.Cache.UID, o.Cache.GID = uint32(os.Geteuid()), uint32(os.Getegid()) //nolint:gosec // ids are not negative on Linux
	}
	e := &Env{t: t, o: o, Dir: filepath.Join(t.TempDir(), "mnt"), CacheDir: filepath.Join(t.TempDir(), "cache"), log: &logBuffer{}}
	if err := os.Mkdir(e.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if o.Share != nil {
		e.Server = o.Share.Server
	} else {
		e.startServer()
	}
	t.Cleanup(e.end)
	e.mount()
	return e
}

func (e *Env) startServer() {
	e.t.Helper()
	server, err := emulator.Start(e.emulatorOptions())
	if err != nil {
		e.t.Fatal(err)
	}
	e.Server = server
	e.t.Cleanup(func() {
		if err := server.Close(); err != nil {
			e.t.Error(err)
		}
	})
}

func (e *Env) emulatorOptions() emulator.Options {
	o := emulator.Options{Buckets: []string{Bucket}}
	if e.o.Emulator != nil {
		e.o.Emulator(&o)
	}
	return o
}

// RequireFUSE skips the test on a machine where this user cannot mount.
func RequireFUSE(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("FUSE cannot be used here: %v", err)
	}
	f.Close()
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("fusermount3"); err != nil {
			t.Skipf("FUSE cannot be used here: %v", err)
		}
	}
}

// context is bounded by Patience.
func (e *Env) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), Patience)
}

// mount opens bucket and cache and mounts them.
func (e *Env) mount() {
	e.t.Helper()
	ctx, cancel := e.context()
	defer cancel()
	logger := slog.New(slog.NewTextHandler(e.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	master, err := masterKey()
	if err != nil {
		e.t.Fatal(err)
	}
	e.closed = true // until there is something to end
	e.Store, err = object.Open(ctx, e.objectOptions(master))
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.Store.VerifyKey(ctx); err != nil {
		e.t.Fatal(err)
	}
	co := e.o.Cache
	co.Shared = e.o.Mount.AllowOther
	co.Bucket, co.Dir, co.Logger = e.Store, e.CacheDir, logger
	if e.o.Bucket != nil {
		co.Bucket = e.o.Bucket(e.Store)
	}
	e.Cache, err = cache.Open(ctx, co)
	if err != nil {
		e.t.Fatal(err)
	}
	e.noticed.Store(e.Cache)
	e.closed = false
	if e.o.NoMount {
		return
	}
	mo := e.o.Mount
	mo.Source, mo.Logger, mo.ReadOnly = "oss://"+Bucket+"/"+e.o.Prefix, logger, co.ReadOnly
	e.Mount, err = gofs.Mount(ctx, e.Cache, e.Dir, mo)
	if err != nil {
		e.closed = true
		e.t.Fatal(errors.Join(err, e.Cache.Close(ctx, cache.CloseNow)))
	}
}

func (e *Env) objectOptions(master keys.MasterKey) object.Options {
	o := e.o.Object
	o.Connection = object.Connection{
		Bucket: Bucket, Endpoint: e.Server.Endpoint(), Region: e.Server.Region(),
		Credentials: account{e.Server},
	}
	if e.o.Connect != nil {
		e.o.Connect(e.Server, &o.Connection)
	}
	if o.Keyring == nil && o.Bundle == nil {
		o.Keyring = keys.NewKeyring(master)
	}
	o.Prefix, o.ReadOnly, o.Shared = e.o.Prefix, e.o.Cache.ReadOnly, e.o.Mount.AllowOther
	o.DefaultAttr = object.DefaultAttr{UID: e.o.Cache.UID, GID: e.o.Cache.GID, Umask: e.o.Cache.Umask}
	o.Notice = func(n object.Notice) {
		if e.o.Object.Notice != nil {
			e.o.Object.Notice(n)
		}
		if c := e.noticed.Load(); c != nil {
			c.Noticed(n)
		}
	}
	return o
}

// ObjectOptions are those of one more client of the same bucket.
func (e *Env) ObjectOptions() object.Options {
	master, err := masterKey()
	if err != nil {
		e.t.Fatal(err)
	}
	return e.objectOptions(master)
}

// Forsake ends the cache of a mount that has ended, uploading until ctx ends; Resume opens it again.
func (e *Env) Forsake(ctx context.Context) error {
	e.closed = true
	return errors.Join(e.Cache.Close(ctx, cache.CloseDrain), e.Store.Close())
}

// Resume mounts again after Forsake.
func (e *Env) Resume() { e.mount() }

// account gives the emulator's own access key.
type account struct{ server *emulator.Server }

// Credentials implements object.CredentialsProvider.
func (a account) Credentials(context.Context) (object.Credentials, error) {
	return object.Credentials{ID: a.server.AccessKeyID(), Secret: a.server.AccessKeySecret()}, nil
}

// Path is a path in the mount.
func (e *Env) Path(elem ...string) string { return filepath.Join(append([]string{e.Dir}, elem...)...) }

// Unmount ends the mount after everything is in the bucket.
func (e *Env) Unmount() { e.unmount(cache.CloseDrain) }

func (e *Env) unmount(how cache.CloseMode) {
	e.t.Helper()
	if e.closed {
		return
	}
	e.closed = true
	ctx, cancel := e.context()
	defer cancel()
	if !e.o.NoMount {
		e.endMount()
	}
	if err := e.Cache.Close(ctx, how); err != nil {
		e.t.Errorf("close the cache: %v", err)
	}
	if err := e.Store.Close(); err != nil {
		e.t.Errorf("close the bucket: %v", err)
	}
}

// busyPatience is for files that a test has closed: a program that another test starts at this moment holds them until it has begun.
const busyPatience = 10 * time.Second

// endMount unmounts, by force when a failed test left files open.
func (e *Env) endMount() {
	e.t.Helper()
	err := e.Mount.Unmount()
	for end := time.Now().Add(busyPatience); errors.Is(err, syscall.EBUSY) && time.Now().Before(end); err = e.Mount.Unmount() {
		<-time.After(10 * time.Millisecond)
	}
	if errors.Is(err, gofs.ErrHeld) { // a namespace that another test made at this moment has all mounts
		err = e.Mount.Abort()
		e.Mount.Wait()
	}
	if err == nil {
		return
	}
	e.t.Error(err)
	if err := errors.Join(e.Mount.Abort(), e.Mount.Detach()); err != nil {
		e.t.Error(err)
	}
	e.Mount.Wait()
}

// Remount ends the mount, uploads what is left, and mounts again with the same cache.
func (e *Env) Remount() {
	e.t.Helper()
	e.unmount(cache.CloseDrain)
	e.mount()
}

// LetOthersIn has the next mount let other users in.
func (e *Env) LetOthersIn() { e.o.Mount.AllowOther = true }

// RemountNow ends the mount without uploading and mounts again with the same cache.
func (e *Env) RemountNow() {
	e.t.Helper()
	e.unmount(cache.CloseNow)
	e.mount()
}

// DropCache is Remount with the cache folder deleted in between: what is seen afterwards comes from the bucket.
func (e *Env) DropCache() {
	e.t.Helper()
	e.unmount(cache.CloseDrain)
	if err := os.RemoveAll(e.CacheDir); err != nil {
		e.t.Fatal(err)
	}
	e.mount()
}

// LoseCache ends the mount without uploading and mounts again with a new cache, as after the loss of the disk.
func (e *Env) LoseCache() {
	e.t.Helper()
	e.unmount(cache.CloseNow)
	if err := os.RemoveAll(e.CacheDir); err != nil {
		e.t.Fatal(err)
	}
	e.mount()
}

// Sync waits until the bucket has everything.
func (e *Env) Sync() {
	e.t.Helper()
	ctx, cancel := e.context()
	defer cancel()
	if err := e.Cache.Sync(ctx, "", nil); err != nil {
		e.t.Fatalf("sync: %v\n%s", err, e.log.String())
	}
}

// Requests counts the requests since ResetRequests by the name of the operation.
func (e *Env) Requests() map[string]int { return e.Server.Requests() }

// Log is what was logged so far.
func (e *Env) Log() string { return e.log.String() }

// Keys lists the keys in the bucket without the hidden area.
func (e *Env) Keys() []string {
	var list []string
	for _, o := range e.Server.Objects(Bucket) {
		if !strings.HasPrefix(o.Key, e.o.Prefix+".ossencfs/") {
			list = append(list, o.Key)
		}
	}
	return list
}

// end unmounts and looks for leftovers.
func (e *Env) end() {
	e.unmount(cache.CloseNow)
	if e.t.Failed() {
		e.t.Logf("log:\n%s", e.log.String())
	}
	var st syscall.Stat_t
	if err := syscall.Stat(e.Dir, &st); err != nil {
		e.t.Errorf("the mount point is not usable afterwards: %v", err)
	}
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil && strings.Contains(string(data), " "+e.Dir+" ") {
		e.t.Errorf("still mounted: %s", e.Dir)
	}
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v for %s", Patience, what)
		}
	}
}

// Run executes a program with its working directory in dir and returns what it printed. The shell changes the directory, not
// this process: between fork and exec the runtime stands still, and a call into our own mount would never be answered.
func Run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `cd "$1" && shift && exec "$@"`, "sh", dir, name}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Need skips a test whose program is not installed; CI installs all of them.
func Need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed", program)
	}
}

// Tree describes every file below dir: type, mode, owner, mtime, content, target. Two equal trees have equal descriptions.
func Tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	tree := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		line, err := describe(path)
		tree[rel] = line
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// logBuffer collects a log written from many goroutines.
type logBuffer struct {
	mu  sync.Mutex // guards the field below
	buf strings.Builder
}

var _ io.Writer = (*logBuffer)(nil)

// Write adds a line.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is everything so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
