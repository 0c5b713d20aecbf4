package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/body"
	"github.com/ossencfs/ossencfs/cache/index"
)

// Cache is an open cache. All methods may be called at the same time.
type Cache struct {
	o           Options
	bucket      Bucket
	db          *index.DB
	bodies      *body.Store
	converge    uploads
	opens       *opens
	orphans     *orphans
	lives       lives
	answers     answers
	replayed    atomic.Int64 // calls that were answered from answers
	activity    *activity
	refresher   *refresher
	heads       *heads
	resealer    *resealer
	work        *workers
	gate        *gate
	kernel      kernelBox
	changes     changes
	pressure    pressure
	notices     *notices
	arrivals    *arrivals
	conflicts   atomic.Int64
	conditional atomic.Bool // the bucket creates on condition: it has no versioning
	blind       atomic.Bool // this host writes and cannot read: it need not try
	leftOut     leftOuts
	last        atomic.Pointer[Status] // of the moment of Close
	background  context.Context        // of what work counts
	madeNow     bool                   // the folder is new
	asksRoot    atomic.Bool            // somebody asks for the attributes of the root
	cancel      context.CancelFunc     // ends it
	generation  uint32                 // of file handles
	rekeyed     time.Time              // when the key of the folder was replaced; for the keeper of bodies and the end

	// names is held for writing while an inode is erased because others removed its object, and for reading while one is
	// opened, so that an opened inode is never erased.
	names sync.RWMutex
}

// identityMeta is where the index keeps whose cache it is.
const identityMeta = "bucket"

// Open opens the cache folder, or makes one, and begins to converge. ErrForeignCache, index.ErrLocked, index.ErrWrongSecret and
// index.ErrCorrupt tell what is wrong with the folder.
func Open(ctx context.Context, o Options) (*Cache, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	db, err := openIndex(ctx, o)
	if err != nil {
		return nil, err
	}
	c, err := start(ctx, o, db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open cache %q: %w", o.Dir, err), db.Close())
	}
	return c, nil
}

// start builds the cache on an open index.
func start(ctx context.Context, o Options, db *index.DB) (*Cache, error) {
	background, cancel := context.WithCancel(context.Background())
	work := new(workers)
	c := &Cache{
		o: o, bucket: patientBucket{o.Bucket, o.ListWait}, db: db, opens: newOpens(), orphans: newOrphans(), activity: newActivity(),
		work: work, gate: newGate(work), refresher: newRefresher(background, work), heads: newHeads(background, work),
		resealer: newResealer(background, work), notices: newNotices(), arrivals: newArrivals(), background: background, cancel: cancel,
	}
	if err := c.claim(); err != nil {
		cancel()
		return nil, err
	}
	if err := orErr(c.rejudge(), c.judgeAttributes()); err != nil {
		cancel()
		return nil, err
	}
	o.Bucket.SetHistory(history{c})
	tracked := &trackedBucket{Bucket: o.Bucket, activity: c.activity, gate: c.gate, refused: c.refuse, doubt: c.doubtRights}
	reading := &trackedBucket{Bucket: c.bucket, activity: c.activity, gate: c.gate, refused: c.refuse, doubt: c.doubtRights}
	var err error
	c.bodies, err = body.Open(filepath.Join(o.Dir, "body"), c.bodyOptions(reading))
	if err != nil {
		cancel()
		return nil, err
	}
	if err = c.begin(); err == nil {
		err = c.leaveRetired()
	}
	if err != nil {
		cancel()
		return nil, errors.Join(err, c.bodies.Close())
	}
	if c.converge, err = c.startUploads(tracked); err != nil {
		cancel()
		return nil, errors.Join(err, c.bodies.Close())
	}
	c.meetRoot(ctx)
	return c, nil
}

// claim checks whose cache the folder is, and writes it into a new one together with the root.
func (c *Cache) claim() error {
	return c.db.UpdateSync(func(tx *index.Tx) error {
		owner, known, err := tx.Meta(identityMeta)
		if err != nil {
			return err
		}
		if known && !bytes.Equal(owner, []byte(c.o.identity())) {
			return fmt.Errorf("%w: it is of %s, not of %s", ErrForeignCache, owner, c.o.identity())
		}
		if err := c.keepGeneration(tx); err != nil || known {
			return err
		}
		c.madeNow = true
		root, _, err := tx.Inode(Root)
		if err != nil {
			return err
		}
		t := now()
		root.Ino, root.Mode = Root, unix.S_IFDIR|0o755&^c.o.Umask
		root.UID, root.GID = c.o.UID, c.o.GID
		root.Atime, root.Mtime, root.Ctime = t, t, t
		root.AttrKnown, root.Sealed = true, true
		if err := tx.PutInode(root); err != nil {
			return err
		}
		return tx.PutMeta(identityMeta, []byte(c.o.identity()))
	})
}

// CloseMode says what Close does with what is not in the bucket yet.
type CloseMode int

// The modes of Close: upload everything first, or leave it for the next start. CloseHandOver is for a mount that goes on in another
// process: what is open stays open, and what has no name any more stays readable.
const (
	CloseDrain CloseMode = iota
	CloseNow
	CloseHandOver
)

// Close ends the cache after the mount has ended. Files that are still open are sealed. With CloseDrain it uploads what the
// bucket lacks until ctx ends; what is left then is uploaded after the next Open, and the context's error is returned. What the bucket refuses
// is left, too, and is no error: Status tells what.
func (c *Cache) Close(ctx context.Context, mode CloseMode) error {
	c.kernel.set(nil)
	var err error
	if mode != CloseHandOver {
		err = errors.Join(c.eraseOrphans(), c.sealOpen(ctx, true))
	}
	if mode == CloseDrain && err == nil {
		err = c.converge.Sync(ctx, "", nil)
		if refused := new(RefusedError); errors.As(err, &refused) {
			err = nil
		}
	}
	c.cancel()
	c.work.close()
	err = errors.Join(err, c.converge.Close())
	last := c.Status()
	c.last.Store(&last)
	return errors.Join(err, c.bodies.Close(), c.rekeyLast(), c.db.Close())
}

// sealOpen seals what is open for writing: RELEASE may not come any more when the mount has ended. Without all it leaves out what is
// larger than the cache and still being written. What there is no room for is sealed when it is uploaded, or at the next start.
func (c *Cache) sealOpen(ctx context.Context, all bool) error {
	var errs []error
	for _, ino := range append(c.opens.writing(), c.resealer.left()...) {
		if !all && c.opens.count(ino).writers > 0 && c.bodies.Staged(ino) {
			continue
		}
		if err := c.seal(ctx, ino); err != nil && !isNoRoom(err) {
			errs = append(errs, fmt.Errorf("seal %s: %w", c.PathOf(ino), err))
		}
	}
	return errors.Join(errs...)
}
