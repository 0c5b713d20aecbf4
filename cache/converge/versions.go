package converge

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// In a bucket with versioning nothing that is overwritten or deleted is gone: it lies below. So after each request that may have
// covered something (PUT, COPY, DELETE) the version below ours is looked at. It is the one that the look of rule O showed, or
// somebody wrote in between: then it is brought back (Importer.Covered). Whether a bucket has versioning is told by the answer itself,
// which names the version that the request made. The request counts as answered only afterwards, so that after a crash the look that
// decides its outcome does the same.

// deepLook is how many versions are looked at where a request may have been executed more than once.
const deepLook = 16

// coverable reports whether a request can take somebody's content away. Parking keys are ours alone; markers have no content.
func coverable(p *index.Pend) bool {
	return p.Op != index.Tag && !isParkKey(p.Key) && !index.IsDirKey(p.Key)
}

// saw notes what the look before a request showed: the version that it will cover, and without versioning the uploads that it
// replaces, which travel with it so that their writers can tell.
func saw(p *index.Pend, found *object.Info) {
	p.Covers, p.Over = "", nil
	switch {
	case found == nil:
	case found.Version != "":
		p.Covers = found.Version
	case p.Op != index.Delete:
		for _, id := range found.Past() {
			p.Over = append(p.Over, index.ID(id))
		}
	}
}

// overOf is Pend.Over for the store.
func overOf(p *index.Pend) []object.ID {
	over := make([]object.ID, len(p.Over))
	for n, id := range p.Over {
		over[n] = object.ID(id)
	}
	return over
}

// uncover looks below the version that a request of ours has just made; version is empty without versioning.
func (c *Converger) uncover(p *index.Pend, version string) error {
	if version == "" || c.o.Exclusive || !coverable(p) {
		return nil
	}
	limit := 1
	if p.Attempts > 1 {
		limit = deepLook
	}
	return c.lookBelow(p, version, limit, p.Attempts > 1)
}

// uncoverUnknown does the same for a request whose outcome is unknown and whose time is over. found is what its key holds.
func (c *Converger) uncoverUnknown(p *index.Pend, found *object.Info) error {
	versioned := p.Covers != "" || found != nil && found.Version != ""
	if !versioned || c.o.Exclusive || !coverable(p) {
		return nil
	}
	return c.lookBelow(p, "", deepLook, true)
}

// lookBelow lists versions of a key, those below one of ours or all, and brings back what lies directly below one of ours and was not
// expected there. repeated says that there may be further versions of ours.
func (c *Converger) lookBelow(p *index.Pend, under string, limit int, repeated bool) error {
	ctx, cancel := context.WithTimeout(c.ctx, callTime)
	defer cancel()
	list, err := c.o.Store.Versions(ctx, p.Key, under, limit)
	if errors.Is(err, object.ErrDenied) {
		c.counts.unchecked.Add(1)
		c.deniedOnce.Do(func() {
			c.log.Warn("versions cannot be listed, so that what others write at the same moment is not found below: the permission oss:ListObjectVersions is missing",
				"error", err)
		})
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the versions of %q: %w", p.Key, err)
	}
	below, taken := under != "", false
	var marks []string // delete markers of ours that lie above what is looked at, the lowest last
	if below && p.Op == index.Delete {
		marks = append(marks, under)
	}
	for n := range list {
		v := &list[n]
		if v.ID == p.Covers {
			return nil
		}
		mine := false
		if repeated {
			if mine, err = c.ours(ctx, p, v); err != nil {
				return err
			}
		}
		switch {
		case mine && p.Op == index.Delete:
			marks = append(marks, v.ID)
		case !mine && below && v.Marker:
			return nil // what they deleted they had seen
		case !mine && below:
			if taken {
				marks = nil
			}
			if err := c.bringBack(ctx, p, v, marks); err != nil {
				return err
			}
			taken = true
		case !mine && !v.Marker:
			taken = true // another one is the object
		}
		below = mine
	}
	return nil
}

// ours reports whether a version is one that the same request made.
func (c *Converger) ours(ctx context.Context, p *index.Pend, v *object.Version) (bool, error) {
	if p.Op == index.Delete || v.Marker {
		return p.Op == index.Delete && v.Marker, nil
	}
	info, err := c.o.Store.HeadVersion(ctx, p.Key, v.ID)
	if errors.Is(err, object.ErrNotFound) {
		return false, nil
	}
	return err == nil && info.Upload == object.ID(p.Upload), err
}

// bringBack hands over a version that a request of ours covered without having seen it. marks are delete markers of ours above it.
func (c *Converger) bringBack(ctx context.Context, p *index.Pend, v *object.Version, marks []string) error {
	c.counts.conflicts.Add(1)
	c.log.Warn("a version that somebody else wrote at the same moment is brought back", "key", p.Key, "version", v.ID, "request", p.Op.String())
	if err := c.o.Importer.Covered(ctx, p.Key, *v, marks); err != nil {
		return fmt.Errorf("bring back a version of %q: %w", p.Key, err)
	}
	return nil
}

// unsettled is a failure after a request was answered: its outcome counts as unknown, whatever kind of failure it is.
type unsettled struct{ err error }

// Error says what failed.
func (e *unsettled) Error() string { return e.err.Error() }
