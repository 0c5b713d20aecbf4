package body

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/cache/killpoint"
	"github.com/ossencfs/ossencfs/object"
)

// Stager takes the begin of contents whose end is not known yet; *object.Bucket is one.
type Stager interface {
	BeginStage(ctx context.Context, partSize int64) (*object.Stage, error)
	StagePart(ctx context.Context, s *object.Stage, n int, body io.ReaderAt) (crc uint64, err error)
	DropStage(ctx context.Context, s *object.Stage) error
}

// Sizes of the parts of a stage: a share of the cache, so that the parts under way fit, and as many bytes as one attempt should risk.
const (
	stageShare   = 64
	stageMost    = 128 << 20
	stageWorkers = 4 // parts of one file under way
)

// staging is the state of what goes to the bucket ahead of its end.
type staging struct {
	mu      sync.Mutex // guards the fields below
	running bool
	sent    map[index.Ino]bool // sealed with a stage: go from here once the bucket has them
	drops   bool               // stages that were given up are listed
	tidying bool
	rest    time.Time // nothing is removed from the bucket before
	warned  bool
}

// partSize is that of new stages.
func (s *Store) partSize() int64 {
	return min(max(s.o.Limit/stageShare/stepSize, 1)*stepSize, stageMost)
}

// largest is the size of the largest file: with somewhere to store its begin it may be larger than the cache.
func (s *Store) largest() int64 {
	if s.o.Stager == nil {
		return s.o.Limit
	}
	return min(s.partSize()*object.MaxParts, MaxSize)
}

// stageAhead begins to send the begin of the largest stream of at least so many bytes, unless something is being sent, and reports
// whether room will come of it.
func (s *Store) stageAhead(least int64) bool {
	if s.o.Stager == nil {
		return false
	}
	s.staging.mu.Lock()
	defer s.staging.mu.Unlock()
	if s.staging.running {
		return true
	}
	b := s.stageable(least)
	if b == nil {
		return false
	}
	if !s.begin() {
		s.release(b)
		return false
	}
	s.staging.running = true
	go func() {
		defer s.wg.Done()
		defer s.release(b)
		err := s.stage(s.ctx, b)
		if err != nil {
			s.pauseStaging()
		}
		s.staging.mu.Lock()
		s.staging.running = false
		warn := err != nil && !s.staging.warned && s.ctx.Err() == nil
		s.staging.warned = err != nil
		s.staging.mu.Unlock()
		if warn {
			s.o.Logger.Warn("cache: the begin of a large file cannot be stored ahead; it is tried again", "inode", uint64(b.ino), "error", err)
		}
		if err == nil {
			s.space.wake()
		}
	}()
	return true
}

// Pauses after a failure: to send ahead, and to remove what was.
const (
	stagePause = time.Second
	dropPause  = 30 * time.Second
)

func (s *Store) pauseStaging() {
	timer := time.NewTimer(stagePause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// stageable finds the stream of at least so many bytes with the most that can go, and counts as its user; nil: there is none.
func (s *Store) stageable(least int64) *body {
	var best *body
	most := 0
	for _, b := range s.useAll() {
		n := 0
		if b.mu.TryRLock() {
			n = s.wholeParts(b, least)
			b.mu.RUnlock()
		}
		if n > most {
			best, b = b, best
			most = n
		}
		if b != nil {
			s.release(b)
		}
	}
	return best
}

// wholeParts is how many parts of a stream of at least so many bytes can go; what a writer may send once more stays. body.mu is held.
func (s *Store) wholeParts(b *body, least int64) int {
	if b.stream == nil || len(b.over) > 0 || b.log != nil || b.busy != nil || b.base == nil {
		return 0
	}
	row := b.base.rowCopy()
	if row.file == 0 || row.size < least {
		return 0
	}
	unit := s.partSize()
	if row.stage != nil {
		unit = row.stage.PartSize
	}
	return int(max(row.heldBytes()-maxResent, 0) / unit)
}

// stage sends the next parts of a stream and lets them go from here.
func (s *Store) stage(ctx context.Context, b *body) error {
	b.mu.RLock()
	n, a := min(s.wholeParts(b, 0), stageWorkers), b.base
	if n == 0 {
		b.mu.RUnlock()
		return nil
	}
	now := a.rowCopy().stage
	s.mu.Lock()
	a.refs++
	s.mu.Unlock()
	generation := b.stream.GenerationID()
	b.mu.RUnlock()
	defer s.unref(a)
	if now == nil {
		begun, err := s.o.Stager.BeginStage(ctx, s.partSize())
		if err != nil {
			return err
		}
		now = &stage{Stage: *begun, generation: generation}
		if ok, err := s.moveOn(b, a, nil, now); err != nil || !ok {
			return errors.Join(err, s.o.Stager.DropStage(context.WithoutCancel(ctx), begun))
		}
	}
	first := int(now.Stored/now.PartSize) + 1
	sums := make([]uint64, n)
	g, gctx := errgroup.WithContext(ctx)
	for i := range n {
		g.Go(func() (err error) {
			sums[i], err = s.o.Stager.StagePart(gctx, &now.Stage, first+i, &Reader{s: s, base: a, size: a.rowCopy().size})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	next := *now
	for _, sum := range sums {
		next.crc = object.CombineCRC64(next.crc, sum, next.PartSize)
		next.Stored += next.PartSize
	}
	_, err := s.moveOn(b, a, now, &next)
	return err
}

// moveOn makes next the stage of a stream and frees what it holds more than the one before; false: the stream has ended meanwhile.
func (s *Store) moveOn(b *body, a *base, was, next *stage) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in, err := s.currentLocked(b)
	if err != nil {
		return false, err
	}
	if b.base != a || b.stream == nil || a.rowCopy().stage != was || len(b.over) > 0 {
		return false, nil
	}
	leaves, secret, err := b.stream.Checkpoint(next.Stored)
	if err != nil {
		return false, err
	}
	defer clear(secret)
	next.leaves = leaves
	e := b.editLocked(in)
	e.noInode = true
	e.row.stage, e.row.secret = next, s.db.SealSecret(labelContent, secret)
	if err := s.commitLocked(b, e); err != nil {
		return false, err
	}
	if err := s.db.Sync(); err != nil { // before a part is sent that only the index knows, and before the bytes go from here
		return false, err
	}
	killpoint.At(killpoint.BodyBarrier)
	return true, s.punchFile(e.row.file, 0, next.Stored)
}

// punchFile gives the blocks of the begin of a file back.
func (s *Store) punchFile(id uint64, off, n int64) error {
	if n == 0 {
		return nil
	}
	d, err := s.files.get(id)
	if err != nil {
		return err
	}
	defer s.files.put(d)
	d.punch(off, n)
	return nil
}

// Staged reports whether a part of an inode's content left the cache before its end was known, and it is not sealed.
func (s *Store) Staged(ino index.Ino) bool {
	b := s.acquire(ino)
	defer s.release(b)
	in, err := s.readLock(b)
	if err != nil {
		return false
	}
	defer b.mu.RUnlock()
	row := b.base.rowCopy()
	return !in.Sealed && row.stage != nil
}

// loadStages reads which stages there are.
func (s *Store) loadStages() error {
	return s.db.View(func(tx *index.Tx) error {
		s.staging.sent = map[index.Ino]bool{}
		err := tx.ScanRaw(tableStages, nil, func(key, _ []byte) bool {
			if len(key) == 8 {
				s.staging.sent[index.Ino(binary.BigEndian.Uint64(key))] = true
			}
			return true
		})
		if err != nil {
			return err
		}
		return tx.ScanRaw(tableUnstaged, nil, func(_, _ []byte) bool { s.staging.drops = true; return false })
	})
}

// noteStage remembers that an inode's content has a stage, or that stages were given up.
func (s *Store) noteStage(ino index.Ino, from, to *stage) {
	if from == to {
		return
	}
	s.staging.mu.Lock()
	if to != nil {
		s.staging.sent[ino] = true
	} else {
		delete(s.staging.sent, ino)
		s.staging.drops = true
	}
	s.staging.mu.Unlock()
	if to == nil {
		s.kick()
	}
}

// tidyStages lets staged content go that the bucket has, and removes stages from the bucket that are not needed any more. It does not
// wait for the bucket.
func (s *Store) tidyStages() {
	if s.o.Stager == nil {
		return
	}
	s.staging.mu.Lock()
	defer s.staging.mu.Unlock()
	if s.staging.tidying || !s.staging.drops && len(s.staging.sent) == 0 || !s.begin() {
		return
	}
	s.staging.tidying = true
	go func() {
		defer s.wg.Done()
		err := errors.Join(s.evictStaged(), s.dropStages(s.ctx))
		s.staging.mu.Lock()
		s.staging.tidying = false
		s.staging.mu.Unlock()
		if err != nil && s.ctx.Err() == nil {
			s.o.Logger.Warn("cache: what was stored ahead cannot be removed from the bucket; it is tried again", "error", err)
		}
	}()
}

// evictStaged evicts the staged contents that the bucket has under their names.
func (s *Store) evictStaged() error {
	s.staging.mu.Lock()
	inos := make([]index.Ino, 0, len(s.staging.sent))
	for ino := range s.staging.sent {
		inos = append(inos, ino)
	}
	s.staging.mu.Unlock()
	var errs []error
	for _, ino := range inos {
		if _, err := s.evictBody(ino, true); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// dropStages removes the stages that were given up from the bucket.
func (s *Store) dropStages(ctx context.Context) error {
	var gone []*stage
	s.staging.mu.Lock()
	wait := time.Now().Before(s.staging.rest)
	s.staging.drops = s.staging.drops && wait
	s.staging.mu.Unlock()
	if wait {
		return nil
	}
	err := s.db.View(func(tx *index.Tx) error {
		return tx.ScanRaw(tableUnstaged, nil, func(_, row []byte) bool {
			if g, err := decodeStage(row); err == nil {
				gone = append(gone, g)
			}
			return true
		})
	})
	errs := []error{err}
	for _, g := range gone {
		err := s.o.Stager.DropStage(ctx, &g.Stage)
		if err == nil {
			err = s.db.Update(func(tx *index.Tx) error { return tx.DeleteRaw(tableUnstaged, g.ID[:]) })
		}
		errs = append(errs, err)
	}
	if err = errors.Join(errs...); err != nil {
		s.staging.mu.Lock()
		s.staging.drops, s.staging.rest = true, time.Now().Add(dropPause)
		s.staging.mu.Unlock()
	}
	return err
}

// awaitStaged waits until staged content can be read in the bucket: until it is uploaded, within the time of a reader.
func (s *Store) awaitStaged(ctx context.Context, b *body, in index.Inode) error {
	if !in.Sealed {
		return fmt.Errorf("inode %d: %w", b.ino, ErrAway)
	}
	timer := time.NewTimer(s.o.ReadTimeout)
	defer timer.Stop()
	for {
		changed := s.space.changed()
		if v, err := s.evictBody(b.ino, true); err != nil || v == evicted || !s.stagedBase(b) {
			return err
		}
		if s.o.Pressure != nil {
			s.o.Pressure()
		}
		poll := time.NewTimer(roomPoll)
		select {
		case <-changed:
		case <-poll.C:
		case <-timer.C:
			return fmt.Errorf("inode %d: %w", b.ino, ErrAway)
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return ErrClosed
		}
		poll.Stop()
	}
}

// stagedBase reports whether the begin of the content is not here.
func (s *Store) stagedBase(b *body) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.staged()
}
