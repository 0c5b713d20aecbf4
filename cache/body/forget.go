package body

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
)

// On a host that can write and not read, what the bucket has is forgotten here at once: bytes, content key, digest, and what the
// inode's row seals. Options.Forget asks for it.

// forgetRetry is how soon content that could not be forgotten, because somebody was at it, is tried again.
const forgetRetry = 250 * time.Millisecond

// forgets are the inodes whose content may be in the bucket.
type forgets map[index.Ino]bool

// Sent says that the bucket has, or may have, the content of an inode.
func (s *Store) Sent(ino index.Ino) {
	s.space.wake()
	s.staging.mu.Lock()
	staged := s.staging.sent[ino]
	s.staging.mu.Unlock()
	if staged {
		s.kick()
	}
	if !s.o.Forget {
		return
	}
	s.mu.Lock()
	if s.forgets == nil {
		s.forgets = forgets{}
	}
	s.forgets[ino] = true
	s.mu.Unlock()
	s.kick()
}

// forgetAll has everything looked at that the index knows: an earlier process may have ended between upload and forgetting.
func (s *Store) forgetAll() error {
	if !s.o.Forget {
		return nil
	}
	var inos []index.Ino
	err := s.db.View(func(tx *index.Tx) error {
		return tx.Bodies(func(ino index.Ino, _ []byte) bool {
			inos = append(inos, ino)
			return true
		})
	})
	for _, ino := range inos {
		s.Sent(ino)
	}
	return err
}

// forgetSent forgets what it can and reports whether something has to be tried again. evenOpen is for the end, when handles mean
// nothing any more.
func (s *Store) forgetSent(ctx context.Context, evenOpen bool) (again bool) {
	if !s.o.Forget {
		return false
	}
	s.mu.Lock()
	inos := slices.Collect(maps.Keys(s.forgets))
	s.mu.Unlock()
	freed := 0
	for _, ino := range inos {
		if ctx.Err() != nil {
			return false
		}
		v, err := s.forgetBody(ino, evenOpen)
		if err != nil {
			s.o.Logger.Error("cache: cannot forget what was uploaded", "inode", uint64(ino), "error", err)
		}
		if v == uploading {
			again = true
			continue
		}
		if v == evicted {
			freed++
			if s.o.Forgotten != nil {
				s.o.Forgotten(ino)
			}
		}
		s.mu.Lock()
		delete(s.forgets, ino)
		s.mu.Unlock()
	}
	if freed > 0 {
		if err := s.reap(); err != nil {
			s.o.Logger.Error("cache: cannot free space", "error", err)
		}
		s.segs.closeEmpty()
	}
	return again
}

// writtenBefore reports whether a file was being written in an earlier life, and nobody has closed it since: who writes it goes on with what is here.
func (s *Store) writtenBefore(ino index.Ino) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.before[ino]
}

// Closed says that a file which was being written in an earlier life was closed.
func (s *Store) Closed(ino index.Ino) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.before, ino)
}

// forgetBody removes the content of one inode with its keys if the bucket has it, as evictBody does, which keeps them. uploading says
// that it has to be tried again, because somebody reads or sends it; kept that something has to happen first which is told by Sent.
func (s *Store) forgetBody(ino index.Ino, evenOpen bool) (verdict, error) {
	b := s.acquire(ino)
	defer s.release(b)
	if !evenOpen && (s.pinned(b) || s.writtenBefore(ino)) || !b.mu.TryLock() {
		return uploading, nil
	}
	defer b.mu.Unlock()
	in, err := s.currentLocked(b)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrStale) {
		return kept, nil
	}
	if err != nil {
		return kept, err
	}
	if b.base != nil {
		s.mu.Lock()
		refs := b.base.refs
		s.mu.Unlock()
		if refs > 0 {
			return uploading, nil
		}
	}
	if b.busy != nil {
		return uploading, nil
	}
	if !in.Sealed || b.base == nil && in.Target == "" && len(in.Xattrs) == 0 {
		return kept, nil
	}
	if b.away != nil {
		s.dropRemote(b)
	}
	e := b.editLocked(in)
	e.base, e.row, e.stream, e.log, e.resetWindows = nil, baseRow{}, nil, nil, true
	e.rec.visible = 0
	e.sealed = true
	e.inode = func(in *index.Inode) { in.CachedGen, in.Origin, in.Target, in.Xattrs = 0, index.ID{}, "", nil }
	e.check = func(tx *index.Tx) error { return sentWhole(tx, ino) }
	e.then = func(tx *index.Tx) error { return tx.DeleteBody(ino) }
	err = s.commitLocked(b, e)
	if errors.Is(err, errKeep) {
		return kept, nil
	}
	return evicted, err
}

// sentWhole is errKeep unless the bucket has the content and the extended attributes of an inode, under a key that no unanswered
// request can change.
func sentWhole(tx *index.Tx, ino index.Ino) error {
	in, err := mustInode(tx, ino)
	if err != nil {
		return err
	}
	rows, err := tx.ObjectsOf(ino)
	if err != nil {
		return err
	}
	for _, o := range rows {
		if o.Gen != in.Gen || o.XattrVer != in.XattrVer {
			continue
		}
		settled, err := isSettled(tx, o.Key)
		if err != nil || settled {
			return err
		}
	}
	return errKeep
}

// idleNow tells whoever wants to know that nothing of what was sealed is needed, as far as a look from outside can tell.
func (s *Store) idleNow() (again bool) {
	if !s.o.Forget || s.o.Idle == nil || !s.db.Stale() || s.ctx.Err() != nil {
		return false
	}
	held := false
	err := s.db.View(func(tx *index.Tx) error {
		return tx.Bodies(func(index.Ino, []byte) bool { held = true; return false })
	})
	return err == nil && !held && s.o.Idle(s.Rekey)
}

// Rekey gives the index a new secret if nothing here needs the old one: no content, and no call under way that might have sealed a key
// and not stored it yet. Otherwise it is index.ErrInUse.
func (s *Store) Rekey(secret [32]byte) error {
	return s.db.Rekey(secret, func(swap func()) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, b := range s.bodies {
			if b.refs > 0 {
				return false
			}
		}
		swap() // whoever comes now seals under the new secret, and commits after this transaction
		return true
	})
}
