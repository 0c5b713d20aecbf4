package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/oss"
)

// A bucket that cannot be reached is opened with the records that this machine read last (Options.RecordFile). They are believed no more than
// those in a bucket: the master key has to open them, and none may be older than what is pinned. What has happened to the volume since is not
// known, so nothing is asked of the bucket, and nothing sealed for it, before its own records were read.

// Away reports whether an error is no word of the bucket's: a mount of what this machine knows can go on without.
func Away(err error) bool {
	if errors.Is(err, keys.ErrKMSUnreachable) {
		return false
	}
	return oss.Outage(err) || errors.Is(err, oss.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded)
}

// OpenAway opens a bucket that cannot be reached, for the reason given, with what Options.RecordFile and Options.PinFile remember. Requests fail
// until its records can be read, which each of them tries first. When the records do not open, or there are none, the error is that reason.
func OpenAway(ctx context.Context, o Options, why error) (*Bucket, error) {
	if o.RecordFile == "" || o.Bundle != nil {
		return nil, why
	}
	b, err := newBucket(o)
	if err != nil {
		return nil, err
	}
	b.uncounted.Store(true) // until the canary was seen
	b.away.Store(&why)
	err = b.openKept(ctx)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, fs.ErrNotExist):
		err = why
	case errors.Is(err, ErrWrongKey), errors.Is(err, keys.ErrKMSUnreachable), errors.Is(err, keys.ErrKMSDenied):
		err = fmt.Errorf("%w; the volume records that are kept in %s do not open either: %w", why, o.RecordFile, err)
	default:
		err = fmt.Errorf("%w; the volume records that are kept in %s cannot be used: %v", why, o.RecordFile, err) //nolint:errorlint // hints about its kind are about records in the bucket
	}
	return nil, errors.Join(err, b.Close())
}

// openKept opens the volume with the records that are kept. A machine that remembers no volume believes none.
func (b *Bucket) openKept(ctx context.Context) error {
	pinned, err := loadPins(b.opt.PinFile)
	if err != nil {
		return err
	}
	if len(pinned.Keys) == 0 {
		return fs.ErrNotExist
	}
	text, err := localfile.Read(ctx, b.opt.RecordFile, localfile.Own, MaxExport)
	if err != nil {
		return err
	}
	root, list, err := parseExport(text)
	if err != nil {
		return err
	}
	s := newRecords(b, pinned)
	s.kept = make(map[string]*keys.Record, len(list))
	for _, r := range list {
		s.kept[recordKey(root, r)] = r
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	if err := s.shut(); err != nil {
		return err
	}
	return b.adoptRecords(s)
}

// KeepRecords stores the records that count in a file, for OpenAway, and again whenever they change. A file in place of which another cannot be
// stored opens as long as nothing newer is pinned.
func (b *Bucket) KeepRecords(path string) error {
	b.keepIn.Store(&path)
	return b.keepRecords()
}

// keepRecords stores what KeepRecords is to keep, if it is not there already.
func (b *Bucket) keepRecords() error {
	path := b.keepIn.Load()
	if path == nil {
		return nil
	}
	v := &b.volume
	v.mu.RLock()
	text, err := exportRecords(v.root, v.records, v.keys)
	v.mu.RUnlock()
	if err != nil || text == nil {
		return err
	}
	if old, err := localfile.Read(context.Background(), *path, localfile.Own, MaxExport); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return writeWhole(*path, text)
}

// Away is why the records of a bucket that OpenAway opened could not be read yet; nil: they were.
func (b *Bucket) Away() error {
	why := b.away.Load()
	if why == nil {
		return nil
	}
	v := &b.volume
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.triedErr != nil {
		return v.triedErr
	}
	return *why
}

type admitKey struct{}

// admitted marks the requests that read the records of a bucket which was opened without them.
func admitted(ctx context.Context) context.Context { return context.WithValue(ctx, admitKey{}, true) }

// admit lets no other request pass before the records were read.
func (b *Bucket) admit(ctx context.Context) error {
	if b.away.Load() == nil || ctx.Value(admitKey{}) != nil {
		return nil
	}
	return b.meet(ctx)
}

// arrive is called once, when the records of a bucket that was opened without them agree with what this machine knows.
func (b *Bucket) arrive(ctx context.Context) {
	if b.readCanary(ctx) != nil {
		b.uncounted.Store(true) // tags are asked for
	}
	if b.opt.Reached != nil {
		b.opt.Reached()
	}
}
