package converge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Store is the bucket. *object.Bucket is one. Every call is one attempt.
type Store interface {
	Head(ctx context.Context, key string) (object.Info, error)
	// NewUpload draws the id of a Put.
	NewUpload(key string, generation object.ID, size int64) object.ID
	Put(ctx context.Context, r object.PutRequest) (object.Info, error)
	Copy(ctx context.Context, r object.CopyRequest) (object.Info, error)
	SetAttr(ctx context.Context, r object.TagRequest) error
	// Remove deletes, and tells the version that this made in a bucket with versioning.
	Remove(ctx context.Context, key string) (version string, err error)
	// Versions are those of a key, the newest first, from the top or below one; HeadVersion describes one.
	Versions(ctx context.Context, key, under string, limit int) ([]object.Version, error)
	HeadVersion(ctx context.Context, key, version string) (object.Info, error)
	// TakeLock, RenewLock and ReleaseLock are used with Options.Locks only.
	TakeLock(ctx context.Context, key string, life time.Duration) (*object.Lock, error)
	RenewLock(ctx context.Context, l *object.Lock) error
	ReleaseLock(ctx context.Context, l *object.Lock) error
	AbortMultipart(ctx context.Context, state []byte) error
	// AbortBegun removes all multipart uploads of just this key, of which nothing else is known.
	AbortBegun(ctx context.Context, key string) error
	// DropLeaf removes the leaf-tag object of a generation; one that is gone already is no error.
	DropLeaf(ctx context.Context, generation object.ID) error
}

// Sealed is an opened sealed body: its ciphertext.
type Sealed interface {
	io.ReaderAt
	io.Closer
}

// Bodies is the local cache of content.
type Bodies interface {
	// OpenSealed opens the ciphertext of a generation; always the same bytes for one generation.
	OpenSealed(ino index.Ino, gen uint64) (Sealed, *object.Sealed, error)
	// Fetch brings the whole content of an inode into the cache.
	Fetch(ctx context.Context, ino index.Ino) error
	// Seal makes the content of an inode complete, so that it can be sent.
	Seal(ctx context.Context, ino index.Ino) error
	// Sent tells that the content of an inode has reached the bucket.
	Sent(ino index.Ino)
}

// Opens knows which inodes are open.
type Opens interface {
	Open(ino index.Ino) bool
}

// Importer takes in what others wrote.
type Importer interface {
	// Import takes over the state of a key that is not as recorded; found is nil when nothing is there.
	Import(ctx context.Context, key string, found *object.Info) error
	// Covered brings back a version of others that a request of ours covered without having seen it. marks are the
	// delete markers that cover it, the lowest last, or empty when content does.
	Covered(ctx context.Context, key string, v object.Version, marks []string) error
	// Retired asks what the object of an inode is, because nothing of it is stored anew: it rests on a volume key that was retired.
	Retired(ctx context.Context, ino index.Ino) error
}

// Options configure a Converger. DB, Store, Bodies, Opens and Importer are required; zero durations mean the defaults.
type Options struct {
	DB       *index.DB
	Store    Store
	Bodies   Bodies
	Opens    Opens
	Importer Importer

	Settle    time.Duration // quiet time of a file before it is sent; negative: none; 0: 2 s
	Late      time.Duration // longest life of a request after we stopped waiting for it (L); 0: 2 min
	Workers   int           // uploads of bodies above 1 MiB at a time, and four times as many other requests; 0: 16
	Exclusive bool          // nobody else writes: no look before overwriting
	Locks     bool          // lock keys in the bucket before overwriting
	UID, GID  uint32        // owner of what is stored as a whole and has an owner that was only heard of; see index.Inode.Prove
	Logger    *slog.Logger  // nil: nothing is logged
}

// Times that are not options.
const (
	defaultSettle  = 2 * time.Second
	defaultLate    = 2 * time.Minute
	defaultWorkers = 16
	markerSettle   = 5 * time.Second  // a directory gets its times last
	lateSettle     = 30 * time.Second // longest wait for quiet
	closeGrace     = 15 * time.Second // what Close leaves requests under way to be answered
	callTime       = time.Minute      // longest wait for the answer to a request without a body
	slowestUpload  = 64 << 10         // bytes per second below which an upload is given up
	smallBody      = 1 << 20          // bodies up to it cost a round trip more than bandwidth: many go up at a time
	smallFactor    = 4                // how many more of them
	largeBody      = 8 << 20          // bodies above it go up few at a time, since each is sent in parallel parts
	largeUploads   = 2
	sealAgain      = 500 * time.Millisecond // between attempts to seal what Sync waits for and somebody goes on writing
	netSafety      = 30 * time.Second       // a key that waits for others is looked at again after this time in any case
)

// Converger makes the bucket equal to the index. All methods are safe for concurrent use. Lock order: schedule.mu before
// Converger.mu; neither is held during a transaction.
type Converger struct {
	o     Options
	log   *slog.Logger
	start time.Time // of the clock; see now
	fixed Facts     // what never changes of them
	queue *schedule
	large uploads
	bulky uploads

	ctx     context.Context // ends requests
	cancel  context.CancelFunc
	stop    chan struct{} // closed: nothing new is begun
	stopped sync.Once
	wait    sync.WaitGroup
	walk    chan struct{} // wakes the walker

	mu      sync.Mutex           // guards the fields below
	flying  map[string]struct{}  // keys with a request under way
	retries map[string]retry     // keys whose last request failed
	leaving map[string]string    // key → that of the refused copy which would free it
	syncs   map[*waiter]struct{} // running Sync calls
	locks   map[string]*locked   // keys that are locked in the bucket
	begun   map[string]struct{}  // keys with perhaps an upload in parts whose id was not saved

	syncing  atomic.Int32 // number of running Sync calls
	refusing atomic.Int32 // number of keys that are refused alone
	pressed  atomic.Int64 // until when nothing waits for quiet, because writers wait for room
	changed  atomic.Int64 // when a program last changed something
	grace    time.Duration
	front    sync.Mutex // serialises looks at the oldest content; taken before a transaction
	counts   counters

	deniedOnce sync.Once   // that versions cannot be listed is said once
	noLocks    atomic.Bool // the bucket has none
}

// New starts to converge. Requests of an earlier run whose outcome is unknown are taken up as R4 says.
func New(o Options) (*Converger, error) {
	o = o.withDefaults()
	if o.Locks && lockLife(o.Late) > object.MaxLockLife {
		return nil, fmt.Errorf("requests that may be late by %v are more than locks can outlive: %w", o.Late, object.ErrInvalid)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Converger{
		o: o, log: o.Logger, start: time.Now(), queue: newSchedule(), ctx: ctx, cancel: cancel,
		grace: closeGrace, large: newUploads("large", largeUploads), bulky: newUploads("bulky", o.Workers),
		stop: make(chan struct{}), walk: make(chan struct{}, 1),
		flying: map[string]struct{}{}, retries: map[string]retry{}, leaving: map[string]string{}, syncs: map[*waiter]struct{}{}, locks: map[string]*locked{},
		begun: map[string]struct{}{},
	}
	c.fixed = c.fixedFacts()
	o.DB.OnDirty(c.dirty) // before the queue is read: nothing that is queued now may be missed
	if err := c.recover(); err != nil {
		o.DB.OnDirty(nil)
		cancel()
		return nil, fmt.Errorf("take up uploads: %w", err)
	}
	for range o.Workers * smallFactor {
		c.wait.Go(c.work)
	}
	c.wait.Go(c.walkAll)
	c.wait.Go(c.dropLeaves)
	return c, nil
}

func (o Options) withDefaults() Options {
	switch {
	case o.Settle == 0:
		o.Settle = defaultSettle
	case o.Settle < 0:
		o.Settle = 0
	}
	if o.Late <= 0 {
		o.Late = defaultLate
	}
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// now is the clock of plans: wall time at the start plus what has passed since, so that it never goes back.
func (c *Converger) now() int64 { return c.start.UnixNano() + int64(time.Since(c.start)) }

// recover takes up what an earlier run left: every unanswered request may still be executed for the time L, counted from now
// because clocks may have jumped.
func (c *Converger) recover() error {
	until := c.now() + int64(c.o.Late)
	return c.o.DB.UpdateSync(func(tx *index.Tx) error {
		var open []index.Pend
		if err := tx.Pends(func(p index.Pend) bool { open = append(open, p); return true }); err != nil {
			return err
		}
		for _, p := range open {
			if err := rearm(tx, p, until); err != nil {
				return err
			}
			if err := c.noteInterrupted(tx, &p); err != nil {
				return err
			}
			if err := tx.Enqueue(p.Key); err != nil {
				return err
			}
		}
		return tx.Queue("", "", func(key string) bool { c.queue.soon(key, 0); return true })
	})
}

// dirty takes the keys that a transaction queued. A file that is still being worked on is looked at when it may be quiet.
func (c *Converger) dirty(keys []string) {
	now := c.now()
	if c.queue.dirty(keys, now, now+int64(c.o.Settle), c.urgent) {
		c.changed.Store(now)
	}
	for _, key := range keys {
		if index.IsDirKey(key) {
			c.wakeWalker()
			return
		}
	}
}

// Pressure lets nothing wait for quiet for a moment: writers wait for room in the cache.
func (c *Converger) Pressure() {
	now := c.now()
	if c.pressed.Swap(now+int64(time.Second)) < now {
		c.queue.hurry()
	}
}

// Close stops. Requests under way are given some seconds to be answered; what is not in the bucket is taken up by the next New.
func (c *Converger) Close() error {
	c.stopped.Do(func() {
		c.o.DB.OnDirty(nil)
		close(c.stop)
	})
	c.queue.close()
	ended := make(chan struct{})
	go func() { c.wait.Wait(); close(ended) }()
	grace := time.NewTimer(c.grace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
	}
	c.cancel()
	<-ended
	return nil
}

// facts are what the planner may know besides the index.
func (c *Converger) facts() *Facts {
	f := c.fixed
	f.Now, f.Refusing = c.now(), c.refusing.Load() > 0
	return &f
}

func (c *Converger) fixedFacts() Facts {
	return Facts{
		Cache: c.o.DB.ID(), Open: c.o.Opens.Open, Refused: c.refusedHere, Excused: c.excused, Whole: c.whole, Urgent: c.urgent, Since: c.queue.since,
		Flying: func(key string) bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			_, ok := c.flying[key]
			return ok
		},
		RetryAt: func(key string) int64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.retries[key].at
		},
		Late: c.o.Late, Changed: c.changed.Load(), Settle: c.o.Settle, MarkerSettle: min(markerSettle, c.o.Settle*5/2), LateSettle: lateSettle, Exclusive: c.o.Exclusive,
	}
}

// errStopped ends the work on a key because the converger is being closed.
var errStopped = errors.New("uploads are being stopped")
