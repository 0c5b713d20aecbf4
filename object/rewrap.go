package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
)

// ForeignRewrap says what Rewrap does with encrypted objects that have no box.
type ForeignRewrap int

// The ways with objects of others. None gives them a box: rewrapping proves nothing about who wrote them.
const (
	ForeignRenew ForeignRewrap = iota // their envelopes are renewed, in the dialects that they have
	ForeignSkip                       // they stay as they are
)

// RewrapOptions refine Rewrap. The zero value rewraps everything.
type RewrapOptions struct {
	Foreign ForeignRewrap // encrypted objects without a box that the bucket's Trust accepts
	After   string        // of Checkpoint: begin behind this key; empty: at the first one
	Workers int           // objects at the same time; 0: 8
	Rate    int64         // most bytes of content a second; 0: no limit
	DryRun  bool          // count what would be done, by one HEAD for each object, and write nothing

	// Checkpoint, when set, is told now and then, in the order of the keys and one call at a time, behind which key a later run has to
	// go on: everything up to it needs no further look. An error ends the run.
	Checkpoint func(after string) error
	// Progress, when set, is told after each object, one call at a time.
	Progress func(RewrapProgress)
}

// RewrapProgress is how far a Rewrap has come.
type RewrapProgress struct {
	Objects, Bytes           int64 // looked at so far, done before or left alone included
	TotalObjects, TotalBytes int64 // to look at; -1 until the listing has come to its end
}

// RewrapProblem is an object that was left as it is, and why.
type RewrapProblem struct {
	Key string // relative key
	Err error
}

// RewrapReport counts what Rewrap did with each object, or would do.
type RewrapReport struct {
	Objects   int64 // looked at
	Rewrapped int64 // under the primary key now, those of others included
	Foreign   int64 // of these: without a box
	Bytes     int64 // of content written, or to be written
	Done      int64 // were under the primary key already
	Plain     int64 // not encrypted
	Skipped   int64 // of others, left out as asked
	Gone      int64 // deleted meanwhile
	Refused   int64 // not believed or not readable: left alone
	Changed   int64 // others kept writing to them: left alone; another run finds out
	Failed    int64 // for a passing reason; another run may do it

	// Under counts the objects that are sealed, or whose attributes are signed, under each volume key, before this run wrote them again: by the
	// key's id.
	Under map[string]int64
	// Examples are keys of such objects, for each volume key; at most 20.
	Examples map[string][]string

	Problems []RewrapProblem // the first of those that are refused, changed or failed
}

// Complete reports whether nothing is left that another run could do.
func (r *RewrapReport) Complete() bool { return r.Changed == 0 && r.Failed == 0 }

const (
	rewrapWorkers  = 8
	rewrapAhead    = 4096      // objects that are listed and wait for a worker
	rewrapMemory   = 128 << 20 // bytes of bodies that are held for single PUTs; a body has at most MaxSinglePut
	rewrapLooks    = 3         // how often an object that changes meanwhile is begun anew
	rewrapStep     = 64        // objects between two calls of Checkpoint
	rewrapProblems = 1000      // kept in the report
	rewrapFailures = 32        // in a row end the run: it is not the objects
)

// Rewrap renews the envelope of every object below the prefix, those in the hidden area that are encrypted included, so that the primary
// key of the keyring alone opens it: GET of the ciphertext, PUT of the same bytes under new headers and a new box, because OSS changes no
// header of an encrypted object in place. Content key, IV, tags of content, generation and extended attributes stay; attributes
// of a valid tag move into headers and box, or stay in one under the key that seals now where there is no box; tags of others stay. The volume record must have a slot for the primary key before.
//
// Every byte is verified before it is written. What is refused, or does not verify, is reported and left alone. Running mounts see
// the same content under new upload ids. An object that was rewrapped before is known by its box, one of others by trying the
// primary key, so that a run that was stopped goes on where the last one ended, and a second run does nothing.
//
// OSS has no PUT on condition. Right before the request that replaces an object it is looked at, and left alone when it is not what was
// read. A write that falls between that look and the request is replaced: a mount that made it reports an older version.
//
// The error is why the run ended early; failures of single objects are in the report.
func (b *Bucket) Rewrap(ctx context.Context, o RewrapOptions) (RewrapReport, error) {
	if err := b.canRewrap(o); err != nil {
		return RewrapReport{}, fmt.Errorf("rewrap: %w", err)
	}
	if o.Workers <= 0 {
		o.Workers = rewrapWorkers
	}
	r := &rewrapper{b: b, o: o, wrapper: cipher.WrapperOf(b.ring.Primary().ID()), writer: b.volume.seals().ID(),
		room: semaphore.NewWeighted(rewrapMemory), last: o.After}
	r.report.Under, r.report.Examples = make(map[string]int64), make(map[string][]string)
	if o.Rate > 0 {
		r.pace = rate.NewLimiter(rate.Limit(o.Rate), int(min(o.Rate, rewrapBurst)))
	}
	g, gctx := errgroup.WithContext(ctx)
	queue := make(chan *rewrapItem, rewrapAhead)
	g.Go(func() error {
		defer close(queue)
		return r.list(gctx, queue)
	})
	for range o.Workers {
		g.Go(func() error {
			for it := range queue {
				if err := r.run(gctx, it); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	if cerr := r.checkpoint(); err == nil {
		err = cerr
	}
	if err != nil {
		err = fmt.Errorf("rewrap: %w", err)
	}
	return r.report, err
}

// canRewrap checks what must be there before anything is read.
func (b *Bucket) canRewrap(o RewrapOptions) error {
	writer := b.volume.seals()
	switch {
	case b.opt.ReadOnly && !o.DryRun:
		return ErrReadOnly
	case b.volume.host != nil:
		return ErrWriteOnly
	case writer == nil:
		return ErrNoVolume
	}
	primary := b.ring.Primary().ID()
	b.volume.mu.RLock()
	record := b.volume.records[writer.ID()]
	b.volume.mu.RUnlock()
	if record == nil || !slices.ContainsFunc(record.Slots, func(s keys.Slot) bool { return s.Key == primary }) {
		return fmt.Errorf("%s: %w", primary, keys.ErrNoSlot) // who has the new key alone could not open the volume
	}
	return nil
}

// rewrapper is a Rewrap under way.
type rewrapper struct {
	b       *Bucket
	o       RewrapOptions
	wrapper [8]byte       // of envelopes that are done
	writer  keys.VolumeID // of boxes that are done
	room    *semaphore.Weighted
	pace    *rate.Limiter // nil: no limit

	mu       sync.Mutex // guards the fields below, and rewrapItem.settled
	report   RewrapReport
	progress RewrapProgress
	listed   bool
	pending  []*rewrapItem // in the order of their keys: the first that is not settled, and all behind it
	last     string        // everything up to here is settled
	told     string        // the same, as Checkpoint knows it
	news     int           // settled since
	held     bool          // something before is left for another run: last stays where it is
	failures int           // in a row
}

// rewrapItem is one object of the listing.
type rewrapItem struct {
	key, full string
	size      int64
	under     keys.VolumeID // of its box; zero: it has none that counts
	tagUnder  keys.VolumeID // of its tag, likewise
	settled   bool          // another run need not look again
	closed    bool          // this run is through with it
}

// run does one object and counts what came of it. Its error ends the run.
func (r *rewrapper) run(ctx context.Context, it *rewrapItem) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	out, err := r.settle(ctx, it)
	if ctx.Err() != nil {
		return ctx.Err() // whatever else it says
	}
	if err != nil && endsRewrap(err) {
		return fmt.Errorf("object %q: %w", it.full, err)
	}
	return r.note(it, out, err)
}

// settle tries until the object has come to an end: again after passing failures, and a few times when others changed it meanwhile.
func (r *rewrapper) settle(ctx context.Context, it *rewrapItem) (out rewrapOutcome, err error) {
	a := &rewrapAttempt{r: r, it: it, upload: NewID()}
	for range rewrapLooks {
		err = r.b.repeat(ctx, func() error {
			out, err = a.try(ctx)
			return err
		})
		if !errors.Is(err, errMeanwhile) {
			break
		}
	}
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, errMeanwhile):
		return rewrapChanged, err
	case isRefusal(err):
		return rewrapRefused, err
	}
	return rewrapFailed, err
}

// endsRewrap tells the failures that all objects would have.
func endsRewrap(err error) bool {
	for _, kind := range []error{ErrKMSDenied, ErrCredentials, ErrNoCredentials, ErrNoSuchBucket, ErrWrongEndpoint, ErrClock} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// isRefusal tells the failures that are the object's own and stay.
func isRefusal(err error) bool {
	return ReasonOf(err) != ReasonNone || errors.Is(err, errUnknownBox) || OutlookOf(err) == RefusedHere && !errors.Is(err, ErrDenied)
}
