package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/ossencfs/ossencfs/oss"
)

const (
	defaultVerifyWorkers = 16
	maxVerifyWorkers     = 256
	defaultStaleAfter    = 24 * time.Hour
)

// VerifyOptions say what Verify looks at, and how. The zero value looks at the headers of everything below the prefix.
type VerifyOptions struct {
	Path    string        // an object, or a directory and what is below it; empty: everything
	Deep    bool          // read and verify every byte
	Repair  bool          // mend what can be mended without deleting content
	Workers int           // requests at a time; 16 when 0
	After   string        // begin behind this key, where an earlier run stopped
	Stale   time.Duration // age from which what is unfinished counts as given up; a day when 0
	Memory  Memory        // what this machine knows of the bucket; nil: nothing

	BytesPerSecond int64 // bound for reading content; 0: none

	// Found, when set, is told each finding, one at a time.
	Found func(Finding)
	// Progress, when set, is told how many more objects and bytes were verified. It is called from several goroutines.
	Progress func(objects, bytes int64)
	// Checkpoint, when set, is told now and then a key up to which everything is verified: After of a run that goes on. One call at a time.
	Checkpoint func(key string)
}

// verification is a Verify under way.
type verification struct {
	b     *Bucket
	o     VerifyOptions
	dir   string // prefix in the bucket of what is below VerifyOptions.Path
	whole bool   // all of the volume is looked at, so that what belongs to nothing is known
	limit *rate.Limiter
	front *frontier

	objects, bytes atomic.Int64
	noRecord       sync.Once

	mu     sync.Mutex // guards the fields below
	report VerifyReport
	leaves map[ID]*leafObject
}

// Verify compares what the bucket holds with what was sealed. It asks for the headers of each object below the prefix, the hidden
// area included, or with Deep reads each once. An object with a box costs no operation of the master key. What is wrong is a finding
// and no error; an error means that not everything was looked at, and the report says what was found so far. A
// write-only host cannot verify: ErrWriteOnly. The volume must be open.
func (b *Bucket) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	v, err := b.newVerification(o)
	if err != nil {
		return VerifyReport{}, err
	}
	err = v.run(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Objects, v.report.Bytes = v.objects.Load(), v.bytes.Load()
	return v.report.sorted(), err
}

// newVerification checks the options.
func (b *Bucket) newVerification(o VerifyOptions) (*verification, error) {
	o.Path = strings.TrimSuffix(o.Path, "/")
	switch {
	case b.volume.host != nil:
		return nil, fmt.Errorf("verify: %w", ErrWriteOnly)
	case o.Repair && b.opt.ReadOnly:
		return nil, fmt.Errorf("verify and repair: %w", ErrReadOnly)
	case o.Workers < 0 || o.Workers > maxVerifyWorkers || o.BytesPerSecond < 0:
		return nil, fmt.Errorf("verify with %d workers at %d bytes per second: %w", o.Workers, o.BytesPerSecond, ErrInvalid)
	}
	if o.Workers == 0 {
		o.Workers = defaultVerifyWorkers
	}
	if o.Stale == 0 {
		o.Stale = defaultStaleAfter
	}
	v := &verification{b: b, o: o, dir: b.prefix + o.Path, front: newFrontier(o.After, o.Checkpoint), leaves: make(map[ID]*leafObject)}
	if o.Path != "" {
		v.dir += "/"
	}
	v.whole = v.dir == b.volume.rootPrefix()
	if o.BytesPerSecond > 0 {
		v.limit = rate.NewLimiter(rate.Limit(o.BytesPerSecond), int(min(max(o.BytesPerSecond, sweepBuffer), 1<<30)))
	}
	return v, nil
}

// run looks at everything.
func (v *verification) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{v.listLeaves, v.walk, v.strayLeaves, v.uploads} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// within reports whether a relative key belongs to what is looked at.
func (v *verification) within(key string) bool {
	rest, ok := strings.CutPrefix(key, v.o.Path)
	return ok && (v.o.Path == "" || rest == "" || rest[0] == '/')
}

// stale reports whether something of this age was given up.
func (v *verification) stale(since time.Time) bool { return time.Since(since) > v.o.Stale }

// found reports something about an object that is in the bucket; nil: that is not.
func (v *verification) found(ctx context.Context, kind FindingKind, key string, e *Entry, why error) error {
	f := Finding{Kind: kind, Key: key}
	if why != nil {
		f.Detail = why.Error()
	}
	if v.o.Repair && v.o.Memory != nil && kinds[kind].upload {
		again, err := v.o.Memory.UploadAgain(ctx, key, e)
		if err != nil {
			return fmt.Errorf("repair %.100q: %w", key, err)
		}
		if again {
			f.Repaired = "it is uploaded again from the cache"
		}
	}
	v.tell(f)
	return nil
}

// tell reports a finding.
func (v *verification) tell(f Finding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Add(f)
	if v.o.Found != nil {
		v.o.Found(f)
	}
}

// advance counts what was verified.
func (v *verification) advance(objects, bytes int64) {
	v.objects.Add(objects)
	v.bytes.Add(bytes)
	if v.o.Progress != nil {
		v.o.Progress(objects, bytes)
	}
}

// setback decides what a failed request means: when it is about one object alone, the others are looked at all the same.
func (v *verification) setback(ctx context.Context, key string, err error) error {
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	for _, kind := range []error{ErrNoSuchBucket, ErrCredentials, ErrNoCredentials, ErrWrongEndpoint, ErrUnreachable, ErrClock, ErrKMSUnreachable,
		ErrRecordMissing, ErrRecordRolledBack, ErrRecordForged} {
		if errors.Is(err, kind) {
			return err
		}
	}
	if Retryable(err) {
		if _, listErr := v.b.oss.List(ctx, oss.ListOptions{Prefix: v.dir, Max: 1}); listErr != nil {
			return err
		}
	}
	v.tell(Finding{Kind: FoundUnreadable, Key: key, Detail: err.Error()})
	return nil
}
