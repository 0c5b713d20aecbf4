package body

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Remote is where content comes from that is not here; *object.Bucket is one.
type Remote interface {
	// Get opens an object, or a range of it, as ciphertext.
	Get(ctx context.Context, r object.GetRequest) (*object.Download, error)
}

// Options says how to open a Store.
type Options struct {
	DB       *index.DB // required
	Stager   Stager    // takes the begin of files that are larger than the cache; nil: there are none
	Remote   Remote    // required unless nothing was ever evicted
	Limit    int64     // bytes on the disk; 0: 10 GiB. At least MinLimit
	SmallMax int       // largest base in bytes that goes into segments; 0: 64 KiB, at most 1 MiB

	UID, GID    uint32                                        // owner of what gets new content and has an owner that was only heard of; see index.Inode.Prove
	ReadTimeout time.Duration                                 // longest wait of a reader for one answer of the bucket; 0: 60 s
	NewSealing  func() (*object.Sealing, error)               // begins each content under a fresh key, at once; nil: object.NewSealing
	Pressure    func()                                        // called while a writer waits for room: uploads should not be put off; may be nil
	Logger      *slog.Logger                                  // nil: nothing is logged
	Counts      func(volume index.ID) bool                    // whether what rests on the word of a volume key counts, see index.Inode.Origin; nil: always
	Forget      bool                                          // drop content with its keys as soon as the bucket has it and nobody has it open
	Heir        bool                                          // another process went before, whose openings programs go on with
	Forgotten   func(index.Ino)                               // called when that happened; may be nil. It must return at once
	Idle        func(rekey func([32]byte) error) (again bool) // called when everything was forgotten, with Rekey, also while Open runs; true: once more, soon. May be nil

	fault func() error // tests: an error makes a write to the disk stop half way
}

// MinLimit is the smallest cache: below it not even the chunks in flight fit.
const MinLimit = 16 << 20

// Store keeps the content of files. All methods are safe for concurrent use.
type Store struct {
	o       Options
	db      *index.DB
	dir     string
	space   *space
	segs    *segments
	files   *files
	ahead64 int64 // bytes to fetch ahead of a sequential reader at most

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // goroutines and requests
	kicked chan struct{}
	gets   singleflight.Group

	turn       *semaphore.Weighted // held by the one caller that waits for room for a whole content; first come, first served
	reserving  atomic.Bool         // somebody does
	granted    atomic.Int32        // changes that have room and are not made yet
	sealing    atomic.Bool         // open files are being sealed for want of room
	unsealable atomic.Bool         // the last time one could not be, so that nobody is to wait for that
	beyond     *semaphore.Weighted // held by the one seal that exceeds the limit

	small, large sync.Pool  // of *[]byte
	evicting     sync.Mutex // one eviction at a time
	reaping      sync.Mutex // one round of freeing at a time; taken after evicting, before body.mu

	staging staging

	trouble atomic.Pointer[error] // of the disk, with the last change

	mu      sync.Mutex // guards the fields below
	closed  bool
	bodies  map[index.Ino]*body
	idle    *list.List // of *body, most recently used first
	dropped []drop
	retired []*retirement
	forgets forgets
	before  map[index.Ino]bool // were being written when an earlier life ended; see Options.Heir

	fileMu sync.Mutex // guards owned
	owned  map[uint64]*ownedFile
}

// Open opens the cache folder, makes it when it is absent, removes what the index does not know, and begins to seal what was
// being written when the process ended. The index's lock is what keeps two processes apart.
func Open(dir string, o Options) (*Store, error) {
	if o.DB == nil {
		return nil, errors.New("open cache: no index")
	}
	o.Limit = orDefault(o.Limit, 10<<30)
	if o.Limit < MinLimit {
		return nil, fmt.Errorf("open cache: a limit of %d bytes is below %d", o.Limit, MinLimit)
	}
	o.SmallMax = min(int(orDefault(int64(o.SmallMax), 64<<10)), chunkSize)
	o.ReadTimeout = time.Duration(orDefault(int64(o.ReadTimeout), int64(time.Minute)))
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.NewSealing == nil {
		o.NewSealing = object.NewSealing
	}
	s := &Store{o: o, db: o.DB, dir: dir, space: newSpace(o.Limit), kicked: make(chan struct{}, 1),
		turn: semaphore.NewWeighted(1), beyond: semaphore.NewWeighted(1),
		bodies: map[index.Ino]*body{}, idle: list.New(), owned: map[uint64]*ownedFile{},
		ahead64: max(min(maxAhead, o.Limit/8/chunkSize*chunkSize), chunkSize)}
	s.files = newFiles(func(id uint64) string {
		name := fmt.Sprintf("%016x", id)
		return filepath.Join(dir, "files", name[:2], name)
	})
	s.segs = openSegments(filepath.Join(dir, "segments"), segmentSize(o.Limit), s.space)
	s.files.fault, s.segs.files.fault = o.fault, o.fault
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, sub := range []string{"files", "segments"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open cache: %w", err)
		}
	}
	o.DB.OnBarrier(s.syncWritten)
	open, err := s.recover()
	if err == nil {
		err = s.loadStages()
	}
	if err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("open cache %s: %w", dir, err)
	}
	if o.Heir {
		s.before = make(map[index.Ino]bool, len(open))
		for _, ino := range open {
			s.before[ino] = true
		}
	}
	if err := s.forgetAll(); err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("open cache %s: %w", dir, err)
	}
	s.wg.Add(2)
	go s.keep(s.ctx)
	go s.sealOpen(open)
	return s, nil
}

func orDefault(v, def int64) int64 {
	if v <= 0 {
		return def
	}
	return v
}

// begin counts a goroutine that Close waits for; false: the store is closed. wg.Done must follow.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

// Close ends fetches, frees what can be freed, and makes everything on the disk durable. What is not sealed stays as it is
// and is sealed after the next Open. The index is left open.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	s.finishDrops()
	s.forgetSent(context.Background(), true)
	s.removeFetched()
	err := syncDisk(s.dir)
	if err == nil {
		err = s.reap()
	}
	if err == nil {
		err = s.noteClean()
	}
	s.closeFiles()
	if err != nil {
		return fmt.Errorf("close cache: %w", err)
	}
	return nil
}

// removeFetched deletes the chunks of files that are not here as a whole.
func (s *Store) removeFetched() {
	s.fileMu.Lock()
	var ids []uint64
	for id, f := range s.owned {
		if f.remote != nil {
			ids = append(ids, id)
		}
	}
	s.fileMu.Unlock()
	for _, id := range ids {
		s.removeFile(id)
	}
}

func (s *Store) closeFiles() {
	s.cancel()
	s.segs.files.close()
	s.files.close()
}

// Usage is how much room the cache takes.
type Usage struct {
	Used    int64 // bytes on the disk
	Limit   int64 // bytes it may take
	Unfreed int   // deletions that wait until the index is durable
	Disk    error // why the disk refused the last change; nil: it did not
}

// Usage returns the present counts.
func (s *Store) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := Usage{Used: s.space.used.Load(), Limit: s.o.Limit, Unfreed: len(s.retired)}
	if t := s.trouble.Load(); t != nil {
		u.Disk = *t
	}
	return u
}

// noteDisk remembers whether the disk refused a change.
func (s *Store) noteDisk(err error) {
	switch {
	case err == nil && s.trouble.Load() != nil:
		s.trouble.Store(nil)
	case err != nil && (errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS)):
		s.trouble.Store(&err)
	}
}
