package object

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// When the records are read again while a bucket is open.
const (
	// lookEvery is how old the last look may be when something is sealed or read: a new volume key is taken up, and a retired one left, in that time.
	lookEvery = 5 * time.Minute
	// lookPause is the least time between two looks, whatever the bucket shows.
	lookPause = 250 * time.Millisecond
	// lookAgain is the age from which a look is repeated for what was not known then: a slot or a host may have been added since.
	lookAgain = 30 * time.Second
	// lookSlack is what the clocks of OSS may differ, and the whole seconds in which it tells times.
	lookSlack = 3 * time.Second
	// maxStrangers bounds the hosts that are remembered as unknown.
	maxStrangers = 1024
)

func (v *volume) setLooked(when time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looked = when
}

// lastLook is when the records were read last.
func (v *volume) lastLook() time.Time {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.looked
}

// ageOf is how old an object was when its headers came, by the server's clock; 0 where that is not told.
func ageOf(got oss.Info) time.Duration {
	if got.Date.IsZero() || got.LastModified.IsZero() {
		return 0
	}
	return got.Date.Sub(got.LastModified)
}

// lookFor reads the records again on behalf of an object of this age that needs a volume key or host that is not known. A record precedes
// the first object that needs it, so that an object older than the last look has nothing new to tell: who fills a bucket with made-up names
// does not make us look for each, and does not keep us from looking for a real one.
func (b *Bucket) lookFor(ctx context.Context, age time.Duration) error {
	if since := time.Since(b.volume.lastLook()); since < lookAgain && age > since+lookSlack {
		return nil
	}
	return b.look(ctx, time.Now())
}

// look reads the records again, unless that was begun after a moment. Who comes meanwhile waits for the same look.
func (b *Bucket) look(ctx context.Context, asked time.Time) error {
	v := &b.volume
	select {
	case b.looking <- struct{}{}:
		defer func() { <-b.looking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	v.mu.RLock()
	tried, err := v.tried, v.triedErr
	v.mu.RUnlock()
	if tried.After(asked) {
		return err
	}
	if wait := lookPause - time.Since(tried); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	began := time.Now()
	err = b.reloadVolume(admitted(ctx))
	if ctx.Err() != nil {
		return ctx.Err() // the next one may have more time
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tried, v.triedErr = began, err; err == nil {
		v.looked = began
	}
	return err
}

// meet reads the records of a bucket that was opened without them.
func (b *Bucket) meet(ctx context.Context) error {
	why := b.away.Load()
	if why == nil {
		return nil
	}
	err := b.look(ctx, time.Now().Add(-lookPause))
	switch {
	case err == nil:
		if b.away.CompareAndSwap(why, nil) {
			b.arrive(ctx)
		}
		return nil
	case b.away.Load() == nil: // somebody else's look succeeded meanwhile
		return nil
	}
	if ctx.Err() == nil && !oss.Outage(err) && !errors.Is(err, keys.ErrKMSUnreachable) {
		b.notice(NoticeRecord, volumeDir, err)
	}
	return before(err)
}

// reloadVolume reads the records again.
func (b *Bucket) reloadVolume(ctx context.Context) error {
	pinned, err := loadPins(b.opt.PinFile)
	if err != nil {
		return err
	}
	s, err := b.findRecords(ctx, pinned)
	if err != nil {
		return err
	}
	if err := s.shutNewer(); err != nil && b.away.Load() != nil && !b.opt.ReadOnly {
		return err
	}
	return b.adoptRecords(s)
}

// freshen reads the records again when that was long ago, before something is sealed, signed or believed. A look that fails does not keep anything from being
// sealed under the key that is known: whoever removes or changes records, or keeps them from being read, is told of, and achieves no more than
// that a new key is not taken up. Only where the records were not read at all yet nothing is sealed, and an error returned.
func (b *Bucket) freshen(ctx context.Context) error {
	if b.away.Load() != nil {
		return b.meet(ctx)
	}
	b.lookNow(ctx)
	return nil
}

// lookNow is freshen where the records were read before.
func (b *Bucket) lookNow(ctx context.Context) {
	v := &b.volume
	if v.host != nil || v.empty() || time.Since(v.lastLook()) < lookEvery {
		return
	}
	err := b.look(ctx, time.Now().Add(-lookPause)) // who comes at the same time as others is content with their look
	if err == nil {
		return
	}
	v.setLooked(time.Now().Add(lookAgain - lookEvery)) // try again soon, and not with each object
	if ctx.Err() == nil && !oss.Outage(err) && !errors.Is(err, keys.ErrKMSUnreachable) {
		b.notice(NoticeRecord, volumeDir, err)
	}
}

// volumeKey finds the key of a box, nil when there is none. One that is not known may have been made by another host since.
func (b *Bucket) volumeKey(ctx context.Context, id keys.VolumeID, age time.Duration) (*keys.VolumeKey, error) {
	v := &b.volume
	if k := v.key(id); k != nil || v.host != nil || b.ring == nil {
		return k, nil
	}
	if err := b.lookFor(ctx, age); err != nil {
		return nil, fmt.Errorf("look for volume %s: %w", id, err)
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if err := v.failing[id]; err != nil && v.keys[id] == nil {
		return nil, fmt.Errorf("open the record of volume %s: %w", id, err)
	}
	return v.keys[id], nil
}

// meetHost reads the records again when no record lists the host of a box: it may have been let in since.
func (b *Bucket) meetHost(ctx context.Context, id keys.HostID, age time.Duration) error {
	if b.opt.Bundle != nil || b.ring == nil || b.volume.lists(id) {
		return nil
	}
	if err := b.lookFor(ctx, age); err != nil {
		return fmt.Errorf("look for host %s: %w", id, err)
	}
	return nil
}

// meetTagger is meetHost for the host of a tag, of which nobody tells the age. Each unknown host is looked for once in a while.
func (b *Bucket) meetTagger(ctx context.Context, id keys.HostID) error {
	v := &b.volume
	v.mu.Lock()
	asked, known := v.strangers[id]
	if known && time.Since(asked) < lookAgain {
		v.mu.Unlock()
		return nil
	}
	if v.strangers == nil || len(v.strangers) >= maxStrangers {
		v.strangers = make(map[keys.HostID]time.Time)
	}
	v.strangers[id] = time.Now()
	v.mu.Unlock()
	err := b.meetHost(ctx, id, 0)
	if err != nil {
		v.mu.Lock()
		delete(v.strangers, id)
		v.mu.Unlock()
	}
	return err
}
