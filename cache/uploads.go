package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/ossencfs/ossencfs/cache/body"
	"github.com/ossencfs/ossencfs/cache/converge"
	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Progress is what Sync and Close report while they wait.
type Progress = converge.Progress

// RefusedError is what Sync ends with when the bucket refuses all that is left, or that waits for it.
type RefusedError = converge.RefusedError

// uploads makes the bucket follow; *converge.Converger does.
type uploads interface {
	Sync(ctx context.Context, prefix string, progress func(Progress)) error
	Stats() (converge.Stats, error)
	Refusal(key string, once bool) error
	Pressure()
	Close() error
}

var _ uploads = (*converge.Converger)(nil)

// idle is the uploads of a read-only cache: nothing is sent.
type idle struct{}

// Sync has nothing to wait for.
func (idle) Sync(context.Context, string, func(Progress)) error { return nil }

// Stats are zero.
func (idle) Stats() (converge.Stats, error) { return converge.Stats{}, nil }

// Refusal has nothing to tell.
func (idle) Refusal(string, bool) error { return nil }

// Pressure is ignored.
func (idle) Pressure() {}

// Close does nothing.
func (idle) Close() error { return nil }

// startUploads begins to converge, unless the cache is read-only.
func (c *Cache) startUploads(b *trackedBucket) (uploads, error) {
	if c.o.ReadOnly {
		return idle{}, nil
	}
	up, err := converge.New(converge.Options{
		DB: c.db, Store: b, Bodies: bodies{c.bodies, func(ino Ino) bool { return c.opens.count(ino).writers > 0 }},
		Opens: held{c}, Importer: importer{c},
		Settle: c.o.Settle, Late: c.o.LateLimit, Workers: c.o.Workers, Exclusive: c.o.Exclusive, Locks: c.o.Locks, Logger: c.o.Logger,
		UID: c.o.UID, GID: c.o.GID,
	})
	if err != nil {
		return nil, err
	}
	h := hurried{up, c.gate}
	c.pressure.set(h.Pressure)
	return h, nil
}

// bodies shows package body as converge wants it.
type bodies struct {
	*body.Store
	writing func(Ino) bool // whether somebody has the file open for writing
}

var _ converge.Bodies = bodies{}

// errStreaming says that a file larger than the cache is still being written: sealed, it could not grow any more.
var errStreaming = errors.New("a file larger than the cache is still being written")

// Seal makes content complete, unless that would end the writing of a large file.
func (b bodies) Seal(ctx context.Context, ino index.Ino) error {
	if b.Staged(ino) && b.writing(ino) {
		return errStreaming
	}
	return noRoom(b.Store.Seal(ctx, ino))
}

// Fetch brings the whole content into the cache.
func (b bodies) Fetch(ctx context.Context, ino index.Ino) error {
	return noRoom(b.Store.Fetch(ctx, ino))
}

// isNoRoom reports whether the local disk or the cache is full.
func isNoRoom(err error) bool { return errors.Is(err, ErrNoSpace) || errors.Is(err, ErrDiskFull) }

// noRoom tells converge that the local disk or the cache is full.
func noRoom(err error) error {
	if isNoRoom(err) {
		return fmt.Errorf("%w: %w", converge.ErrNoRoom, err)
	}
	return err
}

// OpenSealed opens the ciphertext of a generation.
func (b bodies) OpenSealed(ino index.Ino, gen uint64) (converge.Sealed, *object.Sealed, error) {
	r, sealed, err := b.Store.OpenSealed(ino, gen)
	if err != nil {
		return nil, nil, err
	}
	return r, sealed, nil
}

// pressure passes on that writers wait for room, once there is somebody to tell.
type pressure struct{ fn atomic.Pointer[func()] }

func (p *pressure) set(fn func()) { p.fn.Store(&fn) }

func (p *pressure) tell() {
	if fn := p.fn.Load(); fn != nil {
		(*fn)()
	}
}

// bodyOptions are those of the bytes on the disk.
func (c *Cache) bodyOptions(b *trackedBucket) body.Options {
	o := body.Options{DB: c.db, Remote: b, NewSealing: b.NewSealing, Limit: c.o.Limit, Pressure: c.pressure.tell, Logger: c.o.Logger,
		ReadTimeout: c.o.ReadWait, UID: c.o.UID, GID: c.o.GID, Counts: func(volume index.ID) bool { return !c.bucket.Retired(object.ID(volume)) },
		Forget: c.bucket.WriteOnly(), Heir: c.heir(), Forgotten: func(ino Ino) { c.kernel.get().ForgetInode(ino) }, Idle: c.rekeySoon}
	if !c.o.ReadOnly {
		o.Stager = b
	}
	return o
}

// Sync returns when the bucket has everything that was written at or below a path of the mount before the call ("" is all of it),
// names and removals included. Files that are still open are taken as they are; those larger than the cache are waited for. It retries
// for as long as ctx lives, and ends with a *RefusedError when the bucket refuses all that is left. progress may be nil.
func (c *Cache) Sync(ctx context.Context, path string, progress func(Progress)) error {
	if err := c.sealOpen(ctx, false); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := c.converge.Sync(ctx, strings.Trim(path, "/"), progress); err != nil {
		return fmt.Errorf("sync %q: %w", path, err)
	}
	return nil
}
