package cache

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ossencfs/ossencfs/object"
)

// readWait bounds the wait for content.
const readWait = 60 * time.Second

// Pauses of a reader while the bucket is out of reach: doubled each time, with jitter.
const (
	firstOutagePause = 500 * time.Millisecond
	lastOutagePause  = 5 * time.Second
)

// patientBucket is the bucket as programs see it: while it is out of reach, reads go on asking until their deadline ends.
type patientBucket struct {
	Bucket
	listWait time.Duration // listings have no deadline, since they may be long: this is how long a page may fail
}

// List asks for a page.
func (p patientBucket) List(ctx context.Context, r object.ListRequest) (page object.Page, err error) {
	giveUp := time.Now().Add(p.listWait)
	err = outlast(ctx, giveUp, func() error { page, err = p.Bucket.List(ctx, r); return err })
	return page, err
}

// Head asks for attributes.
func (p patientBucket) Head(ctx context.Context, key string) (info object.Info, err error) {
	err = outlast(ctx, time.Time{}, func() error { info, err = p.Bucket.Head(ctx, key); return err })
	return info, err
}

// Get asks for content.
func (p patientBucket) Get(ctx context.Context, r object.GetRequest) (d *object.Download, err error) {
	err = outlast(ctx, time.Time{}, func() error { d, err = p.Bucket.Get(ctx, r); return err })
	return d, err
}

// outlast repeats a read as long as the bucket is out of reach and ctx and giveUp, if set, allow. A read without any end is not repeated.
func outlast(ctx context.Context, giveUp time.Time, read func() error) error {
	if end, bounded := ctx.Deadline(); bounded && (giveUp.IsZero() || end.Before(giveUp)) {
		giveUp = end
	}
	for pause := firstOutagePause; ; pause = min(2*pause, lastOutagePause) {
		err := read()
		if err == nil || !object.Outage(err) {
			return err
		}
		d := max(pause/2+rand.N(pause/2), object.RetryAfter(err)) //nolint:gosec // jitter
		if time.Now().Add(d).After(giveUp) {
			return err
		}
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}
