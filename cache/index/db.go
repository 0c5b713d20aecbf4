package index

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// Options says how to open an index.
type Options struct {
	Secret [32]byte     // seals what must not be readable on the disk
	Logger *slog.Logger // nil: messages of the database are dropped
	FS     vfs.FS       // nil: the disk; tests inject failures

	// LockWait is how long to wait for the folder: a process that was killed holds it until its last call to a slow disk has returned.
	LockWait time.Duration
}

// lockPause is the time between two tries to take the folder.
const lockPause = 50 * time.Millisecond

// DB is an open index. All methods may be called at the same time.
type DB struct {
	dir    string
	id     string
	lock   *os.File
	pebble *pebble.DB
	blocks *pebble.Cache
	wal    *walFS
	spare  *reserve
	room   *roomFS
	logger *slog.Logger

	sealers atomic.Pointer[sealers]

	inodes  *inodeCache
	dirents *direntCache
	holders *holderCache

	writer   sync.Mutex // one Update at a time; guards the next four fields
	counters counters
	leaving  leaving
	secrets  int64 // inodes whose row seals something, once they were counted

	secretsCounted bool

	commit  sync.RWMutex // the moment of a commit; guards version
	version uint64       // counts commits

	// unsentFrom is a sequence number below which nothing is unsent. A scan that began at the front would pass the tombstones of
	// all that was sent. It is raised after a commit only, and lowered before.
	unsentFrom atomic.Uint64

	round   atomic.Uint64 // of the last barrier that began
	ended   atomic.Uint64 // of the last barrier that ended well
	changes atomic.Uint64 // counts commits
	durable atomic.Uint64 // changes at the last barrier that ended
	last    atomic.Pointer[barrierEnd]
	bytes   atomic.Pointer[func() error] // see OnBarrier
	end     ending                       // how it was left before

	onDirty atomic.Pointer[func([]string)]
	failure atomic.Pointer[error]

	use    sync.Mutex // guards the fields below
	users  int        // calls under way in pebble
	closed bool
	idle   *sync.Cond // users reached 0
}

// Format names the layout of the index. A program opens the one it knows, and those of before, which it makes its own.
const Format = "ossencfs index 3"

const (
	versionFile = "VERSION"
	versionText = Format + "\n"
	formatWord  = "ossencfs index " // of all formats
	textFirst   = formatWord + "1\n"
	textBefore  = formatWord + "2\n"
	lockFile    = "lock"
	secretLabel = "index check"
	secretMeta  = "secret"
)

// Open opens the index in a folder, and makes it when the folder is absent or empty. It fails with ErrLocked, ErrWrongSecret, ErrFormat or
// ErrCorrupt; the folder stays as it is then.
func Open(dir string, o Options) (*DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	lock, err := lockDir(dir, o.LockWait)
	if err != nil {
		return nil, err
	}
	d, err := open(dir, o)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	d.lock = lock
	return d, nil
}

// lockDir takes the folder for this process until the file is closed.
func lockDir(dir string, wait time.Duration) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	until := time.Now().Add(wait)
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(until) {
		time.Sleep(lockPause)
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func open(dir string, o Options) (*DB, error) {
	d := &DB{dir: dir, logger: o.Logger, version: 1,
		inodes: newRowCache[Ino, *Inode](), dirents: newRowCache[dirent, Ino](), holders: newRowCache[Ino, []string](),
	}
	d.idle = sync.NewCond(&d.use)
	if d.logger == nil {
		d.logger = slog.New(slog.DiscardHandler)
	}
	first, err := newSealer(o.Secret)
	if err != nil {
		return nil, err
	}
	d.sealers.Store(&sealers{current: first})
	old, err := checkVersion(dir)
	if err != nil {
		return nil, err
	}
	first.used.Store(old)
	disk := o.FS
	if disk == nil {
		disk = vfs.Default
	}
	if d.spare, err = newReserve(dir, d.logger); err != nil {
		return nil, err
	}
	d.room = &roomFS{FS: vfs.OnDiskFull(disk, d.spare.use)}
	d.room.closing.Store(true) // while it is opened, a full disk is an error
	d.wal = &walFS{FS: d.room, before: d.beforeLog, after: d.afterLog, tables: d.bytesDurable}
	path := filepath.Join(dir, "db")
	if err := d.settleEnd(disk, path, old); err != nil {
		return nil, err
	}
	d.blocks = pebble.NewCache(24 << 20)
	d.pebble, err = pebble.Open(path, d.options(old))
	if err != nil {
		d.blocks.Unref()
		if pebble.IsCorruptionError(err) || errors.Is(err, pebble.ErrDBDoesNotExist) || old && errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
		}
		return nil, fmt.Errorf("open index %s: %w", path, err)
	}
	if err := d.start(old); err != nil {
		_ = d.pebble.Close()
		d.blocks.Unref()
		return nil, err
	}
	d.room.closing.Store(false)
	return d, nil
}

// checkVersion reports whether the folder holds an index.
func checkVersion(dir string) (old bool, err error) {
	path := filepath.Join(dir, versionFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("open index: %w", err)
	case string(text) == versionText, string(text) == textBefore, string(text) == textFirst:
		return true, nil
	case strings.HasPrefix(string(text), formatWord):
		return false, fmt.Errorf("%w: %s: %.40q, this version knows %q", ErrFormat, path, strings.TrimSpace(string(text)), Format)
	default:
		return false, fmt.Errorf("%w: %s: version %.40q is not known", ErrCorrupt, path, text)
	}
}

func (d *DB) options(old bool) *pebble.Options {
	o := &pebble.Options{
		FS:               d.wal,
		Logger:           dbLogger{d},
		Cache:            d.blocks,
		MemTableSize:     12 << 20,
		MaxOpenFiles:     256,
		ErrorIfNotExists: old,
		// Later formats record in the log how far it was synced and call a shorter log damaged. Ours is often not synced.
		FormatMajorVersion:          pebble.FormatColumnarBlocks,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	for n := range o.Levels {
		o.Levels[n].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) { d.logger.Error("index: background work failed", "error", err) },
	}
	return o
}

// start checks the secret of an old database and fills a new one.
func (d *DB) start(old bool) error {
	if err := errors.Join(d.loadCounters(), d.loadRound()); err != nil {
		return err
	}
	err := d.View(func(tx *Tx) error {
		sealed, ok, err := tx.Meta(secretMeta)
		if err != nil || !ok {
			return err
		}
		old = true
		if _, err := d.OpenSecret(secretLabel, sealed); err != nil {
			return fmt.Errorf("%w: %s", ErrWrongSecret, d.dir)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = d.UpdateSync(func(tx *Tx) error {
		_, ok, err := tx.Meta(secretMeta)
		if err != nil || ok {
			return err
		}
		now := time.Now().UnixNano()
		root := Inode{Ino: Root, Mode: unix.S_IFDIR | 0o755, Sealed: true, Atime: now, Mtime: now, Ctime: now}
		if err := tx.PutInode(root); err != nil {
			return err
		}
		if err := tx.PutMeta(originsMeta, originsKnown); err != nil {
			return err
		}
		return tx.PutMeta(secretMeta, d.sealers.Load().current.seal(secretLabel, []byte(versionText)))
	})
	if err != nil {
		return err
	}
	if err := errors.Join(d.loadID(), writeVersion(d.dir)); err != nil {
		return err
	}
	return d.knowOrigins()
}

// writeVersion notes, durably, that the folder holds an index of this format: from then on a missing database is damage and not a beginning,
// and a program of before, which cannot read every row, does not open it.
func writeVersion(dir string) error {
	path := filepath.Join(dir, versionFile)
	if text, err := os.ReadFile(path); err == nil && string(text) == versionText {
		return nil
	}
	return replaceFile(path, versionText)
}

// settleEnd brings the files to a state that can be opened, whatever ended the last process: after a power cut what was not synced is
// taken back; after a kill it is made durable before anything is written over or removed that an older state refers to.
func (d *DB) settleEnd(disk vfs.FS, path string, old bool) error {
	var err error
	if d.end, err = lastEnd(d.dir, old); err != nil {
		return err
	}
	if d.end == endCut {
		err = cutLogs(disk, path)
	}
	if err == nil && d.end != endClean {
		err = syncAll(d.dir)
	}
	if err == nil {
		err = d.noteBoot(BootID())
	}
	if err != nil {
		return fmt.Errorf("open index %s: %w", d.dir, err)
	}
	return nil
}

// PowerCut reports whether the machine, and not only the program, ended while the index was last open.
func (d *DB) PowerCut() bool { return d.end == endCut }

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close makes everything durable and gives the folder back. It waits for calls under way; later ones fail with ErrClosed.
func (d *DB) Close() error {
	if !d.shut() {
		return nil
	}
	err := d.closePebble()
	if err == nil {
		err = d.noteBoot(cleanText)
	}
	d.blocks.Unref()
	if err = errors.Join(err, d.lock.Close()); err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

// enter keeps the database open until leave.
func (d *DB) enter() error {
	d.use.Lock()
	defer d.use.Unlock()
	if d.closed {
		return ErrClosed
	}
	d.users++
	return nil
}

func (d *DB) leave() {
	d.use.Lock()
	defer d.use.Unlock()
	if d.users--; d.users == 0 {
		d.idle.Broadcast()
	}
}

// shut refuses further calls and waits for those under way; false: somebody else did it.
func (d *DB) shut() bool {
	d.use.Lock()
	defer d.use.Unlock()
	if d.closed {
		return false
	}
	d.closed = true
	d.room.closing.Store(true) // who waits for room has waited long enough
	for d.users > 0 {
		d.idle.Wait()
	}
	return true
}

// closePebble closes the database. After a failed write of its log that is not possible: it stays as it is until the process
// ends, and the failure is reported.
func (d *DB) closePebble() error {
	if f := d.failure.Load(); f != nil {
		return *f
	}
	return d.pebble.Close()
}

// OnDirty sets the function that hears which keys were queued, after each commit. It runs on the caller's goroutine and must
// return at once; it may be set once the database is in use, and nil is silence.
func (d *DB) OnDirty(fn func(keys []string)) {
	if fn == nil {
		d.onDirty.Store(nil)
		return
	}
	d.onDirty.Store(&fn)
}

// fail remembers that the log cannot be written any more.
func (d *DB) fail(err error) error {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	if d.failure.CompareAndSwap(nil, &err) {
		d.logger.Error("index: the log cannot be written; changes are refused until the next start", "path", d.dir, "error", err)
	}
	return *d.failure.Load()
}

// dbLogger passes the database's complaints on. It never ends the process, whatever it is told.
type dbLogger struct{ d *DB }

// Infof drops the chatter of compactions.
func (l dbLogger) Infof(string, ...any) {}

// Errorf logs.
func (l dbLogger) Errorf(format string, args ...any) {
	l.d.logger.Error("index: " + fmt.Sprintf(format, args...))
}

// Fatalf marks the index as failed.
func (l dbLogger) Fatalf(format string, args ...any) { _ = l.d.fail(fmt.Errorf(format, args...)) }
