package object

import (
	"context"
	"fmt"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// rewrapOutcome is what came of an object.
type rewrapOutcome int

const (
	rewrapRenewed        rewrapOutcome = iota // or would be
	rewrapRenewedForeign                      // the same, without a box
	rewrapDone
	rewrapPlain
	rewrapSkipped
	rewrapGone
	rewrapRefused
	rewrapChanged
	rewrapFailed
)

// list puts all objects into the queue, in the order of their keys. Volume records and leaf tags are not encrypted.
func (r *rewrapper) list(ctx context.Context, queue chan<- *rewrapItem) error {
	b := r.b
	o := oss.ListOptions{Prefix: b.prefix}
	if r.o.After != "" {
		o.StartAfter = b.prefix + r.o.After
	}
	err := b.oss.ListAll(ctx, o, func(p oss.Page) error {
		for _, e := range p.Objects {
			if b.isUnwrapped(e.Key) {
				continue
			}
			it := &rewrapItem{key: strings.TrimPrefix(e.Key, b.prefix), full: e.Key, size: e.Size}
			r.add(it)
			select {
			case queue <- it:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed = true
	return nil
}

// isUnwrapped tells the objects of this program that have no envelope.
func (b *Bucket) isUnwrapped(full string) bool {
	for _, root := range []string{b.prefix, b.volume.root} {
		if strings.HasPrefix(full, root+volumeDir) || strings.HasPrefix(full, root+leafDir) || strings.HasPrefix(full, root+lockDir) {
			return true
		}
	}
	return false
}

// add notes an object of the listing.
func (r *rewrapper) add(it *rewrapItem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(r.pending, it)
	r.progress.TotalObjects++
	r.progress.TotalBytes += it.size
}

// note counts what came of an object. Its error ends the run.
func (r *rewrapper) note(it *rewrapItem, out rewrapOutcome, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(it, out)
	if err != nil && len(r.report.Problems) < rewrapProblems {
		r.report.Problems = append(r.report.Problems, RewrapProblem{Key: it.key, Err: err})
	}
	it.closed, it.settled = true, out != rewrapChanged && out != rewrapFailed
	r.advance()
	if r.o.Progress != nil {
		p := r.progress
		if !r.listed {
			p.TotalObjects, p.TotalBytes = -1, -1
		}
		r.o.Progress(p)
	}
	if out != rewrapFailed {
		r.failures = 0
	} else if r.failures++; r.failures == rewrapFailures {
		return fmt.Errorf("%d objects in a row failed, the last one with: %w", rewrapFailures, err)
	}
	if r.news >= rewrapStep {
		return r.tell()
	}
	return nil
}

// maxExamples bounds the examples for each volume key.
const maxExamples = 20

// under notes that an object needs a volume key.
func (rep *RewrapReport) under(id keys.VolumeID, key string) {
	name := id.String()
	if rep.Under[name]++; len(rep.Examples[name]) < maxExamples {
		rep.Examples[name] = append(rep.Examples[name], key)
	}
}

// count adds to the report; mu is held.
func (r *rewrapper) count(it *rewrapItem, out rewrapOutcome) {
	rep := &r.report
	rep.Objects++
	if !it.under.IsZero() {
		rep.under(it.under, it.key)
	}
	if !it.tagUnder.IsZero() && it.tagUnder != it.under {
		rep.under(it.tagUnder, it.key)
	}
	r.progress.Objects++
	r.progress.Bytes += it.size
	switch out {
	case rewrapRenewedForeign:
		rep.Foreign++
		fallthrough
	case rewrapRenewed:
		rep.Rewrapped++
		rep.Bytes += it.size
	case rewrapDone:
		rep.Done++
	case rewrapPlain:
		rep.Plain++
	case rewrapSkipped:
		rep.Skipped++
	case rewrapGone:
		rep.Gone++
	case rewrapRefused:
		rep.Refused++
	case rewrapChanged:
		rep.Changed++
	case rewrapFailed:
		rep.Failed++
	}
}

// advance moves the point up to which all is settled; mu is held.
func (r *rewrapper) advance() {
	n := 0
	for ; n < len(r.pending) && r.pending[n].closed; n++ {
		if r.held = r.held || !r.pending[n].settled; !r.held {
			r.last = r.pending[n].key
			r.news++
		}
	}
	clear(r.pending[:n])
	r.pending = r.pending[n:]
}

// checkpoint tells the last point at the end of the run.
func (r *rewrapper) checkpoint() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tell()
}

// tell calls Checkpoint where there is news; mu is held.
func (r *rewrapper) tell() error {
	r.news = 0
	if r.o.Checkpoint == nil || r.o.DryRun || r.last == r.told || r.last == r.o.After {
		return nil
	}
	r.told = r.last
	if err := r.o.Checkpoint(r.last); err != nil {
		return fmt.Errorf("save the checkpoint: %w", err)
	}
	return nil
}
