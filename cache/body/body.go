package body

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// body is the content of one inode in memory: its record, and what is volatile.
type body struct {
	ino  index.Ino
	refs int           // callers that use it; guarded by Store.mu
	idle *list.Element // guarded by Store.mu

	claims  int // changes that need all of the content here; guarded by Store.mu
	readers int // callers that fetched all of it and are about to read it; guarded by Store.mu

	pins   int    // open handles; guarded by Store.mu
	pinGen uint64 // generation that the handles opened; guarded by Store.mu

	mu      sync.RWMutex // guards the fields below
	loaded  bool
	open    bool            // the index has the row that says that the body is not sealed
	version uint64          // counts changes of the record
	opened  time.Time       // when the first change came after a seal
	changed time.Time       // when the last one did
	rec     record          // its base field is not used; see base
	base    *base           // nil: none
	stream  *object.Sealing // continues base at its end; nil: the base does not grow any more
	over    overlay
	log     *chunkLog
	holes   holes
	away    *remote       // chunks of a remote file; nil: none fetched in this process
	busy    chan struct{} // a seal reads the content: changes wait until it is closed; nil: none
	yield   bool          // a change waits and the seal is one that nobody waits for
}

// acquire returns the inode's body; release must follow.
func (s *Store) acquire(ino index.Ino) *body {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bodies[ino]
	if b == nil {
		b = &body{ino: ino}
		s.bodies[ino] = b
	}
	b.refs++
	if b.idle != nil {
		s.idle.Remove(b.idle)
		b.idle = nil
	}
	return b
}

// maxIdleBodies bounds how many bodies that nobody uses stay in memory. Those that hold volatile state stay anyway.
const maxIdleBodies = 4096

func (s *Store) release(b *body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.refs--; b.refs > 0 || b.pins > 0 {
		return
	}
	b.idle = s.idle.PushFront(b)
	over := s.idle.Len() - maxIdleBodies
	for e := s.idle.Back(); e != nil && over > 0; over-- {
		x, prev := e.Value.(*body), e.Prev()
		if x.forgettable() {
			s.idle.Remove(e)
			delete(s.bodies, x.ino)
		}
		e = prev
	}
}

// forgettable reports whether nothing is lost when b leaves the memory. Its caller holds Store.mu, so it must not wait.
func (b *body) forgettable() bool {
	if !b.mu.TryRLock() {
		return false
	}
	defer b.mu.RUnlock()
	return b.stream == nil && len(b.over) == 0 && b.log == nil && b.away == nil && b.busy == nil
}

// useAll counts a use of all bodies in memory.
func (s *Store) useAll() []*body {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*body, 0, len(s.bodies))
	for _, b := range s.bodies {
		b.refs++
		if b.idle != nil {
			s.idle.Remove(b.idle)
			b.idle = nil
		}
		all = append(all, b)
	}
	return all
}

func (s *Store) releaseAll(bs []*body) {
	for _, b := range bs {
		s.release(b)
	}
}

// Pin says that a handle is open: what it opened is not replaced under it. When others change the object, calls of programs on the inode
// fail with ErrStale until the last handle is closed. What the mount does itself goes on with the new content.
func (s *Store) Pin(ino index.Ino) error {
	b := s.acquire(ino)
	defer s.release(b)
	b.mu.RLock() // no change of ours comes between the look at the generation and the pin
	defer b.mu.RUnlock()
	in, err := s.inode(ino)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.pins == 0 {
		b.pinGen = in.Gen
	}
	b.pins++
	return nil
}

// Unpin undoes one Pin.
func (s *Store) Unpin(ino index.Ino) {
	b := s.acquire(ino)
	defer s.release(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.pins > 0 {
		b.pins--
	}
}

func (s *Store) pinned(b *body) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return b.pins > 0
}

// inode reads the inode's row.
func (s *Store) inode(ino index.Ino) (index.Inode, error) {
	in, ok, err := s.db.Inode(ino)
	return mustBe(ino, in, ok, err)
}

func mustInode(tx *index.Tx, ino index.Ino) (index.Inode, error) {
	in, ok, err := tx.Inode(ino)
	return mustBe(ino, in, ok, err)
}

// mustBe turns an absent inode into an error.
func mustBe(ino index.Ino, in index.Inode, ok bool, err error) (index.Inode, error) {
	if err == nil && !ok {
		err = fmt.Errorf("inode %d: %w", ino, ErrNotFound)
	}
	return in, err
}

// currentLocked loads b and checks that it belongs to the inode's generation; body.mu is held for writing.
func (s *Store) currentLocked(b *body) (index.Inode, error) {
	in, err := s.inode(b.ino)
	if err != nil {
		return in, err
	}
	if !b.loaded {
		if err := s.loadLocked(b, in); err != nil {
			return in, err
		}
	}
	if b.rec.gen != in.Gen {
		// The generation was set by an import, not by us: what is here belongs to the old one.
		if err := s.discardLocked(b, in); err != nil {
			return in, err
		}
	}
	return in, nil
}

// checkPin fails a call of a program when handles are open on another generation than the inode's.
func (s *Store) checkPin(b *body, in index.Inode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.pins > 0 && b.pinGen != in.Gen {
		return fmt.Errorf("inode %d: %w", b.ino, ErrStale)
	}
	return nil
}

// followPin makes open handles follow a generation that this machine made.
func (s *Store) followPin(b *body, gen uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.pinGen = gen
}

// readLock takes body.mu for reading with b loaded and current. On success the caller unlocks.
func (s *Store) readLock(b *body) (index.Inode, error) {
	b.mu.RLock()
	in, err := s.inode(b.ino)
	if err == nil && b.loaded && b.rec.gen == in.Gen {
		return in, nil
	}
	b.mu.RUnlock()
	if err != nil {
		return in, err
	}
	b.mu.Lock()
	_, err = s.currentLocked(b)
	b.mu.Unlock()
	if err != nil {
		return in, err
	}
	b.mu.RLock()
	if in, err = s.inode(b.ino); err == nil && b.rec.gen != in.Gen {
		err = fmt.Errorf("inode %d: %w", b.ino, ErrStale)
	}
	if err != nil {
		b.mu.RUnlock()
	}
	return in, err
}

// openLock is readLock for a program.
func (s *Store) openLock(b *body) (index.Inode, error) {
	in, err := s.readLock(b)
	if err == nil {
		if err = s.checkPin(b, in); err != nil {
			b.mu.RUnlock()
		}
	}
	return in, err
}

// changeLock is writeLock for a program.
func (s *Store) changeLock(ctx context.Context, b *body) (index.Inode, error) {
	in, err := s.writeLock(ctx, b)
	if err == nil {
		if err = s.checkPin(b, in); err != nil {
			b.mu.Unlock()
		}
	}
	return in, err
}

// writeLock takes body.mu for writing with b loaded, current and not being sealed. On success the caller unlocks.
func (s *Store) writeLock(ctx context.Context, b *body) (index.Inode, error) {
	for {
		b.mu.Lock()
		if b.busy == nil {
			in, err := s.currentLocked(b)
			if err != nil {
				b.mu.Unlock()
			}
			return in, err
		}
		wait := b.busy
		b.yield = true
		b.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return index.Inode{}, ctx.Err()
		}
	}
}

// hereLocked reports whether the whole content is on this machine.
func (b *body) hereLocked(in index.Inode) bool {
	if b.base == nil {
		return !in.Sealed || in.Size == 0
	}
	row := b.base.rowCopy()
	return row.local()
}
