package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// newVolume makes the volume of a bucket that has none, or finds the one that another host has made meanwhile: its record comes
// before its first object, so whoever sees an object sees the record when he looks again.
func (b *Bucket) newVolume(ctx context.Context, pinned *pins) (*records, error) {
	none := newRecords(b, pinned)
	none.root = b.prefix
	if len(pinned.Keys) > 0 || len(b.opt.VolumeIDs) > 0 {
		return none, nil // problem says what is missing
	}
	empty, err := b.isEmpty(ctx)
	if err != nil {
		return nil, err
	}
	if !empty {
		if s, err := b.findRecords(ctx, pinned); err != nil || len(s.entries) > 0 {
			return s, err
		}
	}
	if !empty {
		if err := b.trySamples(ctx); err != nil {
			return nil, err
		}
	}
	accepted := b.opt.ReadOnly && len(b.opt.Trust.AcceptForeign) > 0 || !b.opt.ReadOnly && b.opt.NewVolume
	if !empty && !accepted {
		return nil, fmt.Errorf("%q: %w", b.prefix, ErrNoRecord)
	}
	if b.opt.ReadOnly {
		b.volume.setMissing()
		return none, nil
	}
	s, err := b.makeVolume(ctx, pinned, empty)
	if err != nil {
		return nil, fmt.Errorf("make the volume record: %w", err)
	}
	b.volume.setMade()
	return s, nil
}

// isEmpty reports whether nothing lies below the prefix but volume records.
func (b *Bucket) isEmpty(ctx context.Context) (bool, error) {
	records := 0
	err := b.oss.ListAll(ctx, oss.ListOptions{Prefix: b.prefix}, func(p oss.Page) error {
		for _, e := range p.Objects {
			if !strings.HasPrefix(e.Key, b.prefix+volumeDir) && e.Key != b.prefix {
				return errNotEmpty
			}
			if records++; records > maxRecordObjects {
				return errManyRecords
			}
		}
		return nil
	})
	if errors.Is(err, errNotEmpty) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether the bucket is empty: %w", err)
	}
	return true, nil
}

// errNotEmpty ends the look of isEmpty.
var errNotEmpty = errors.New("the prefix is not empty")

// makeVolume draws a volume key and stores its record with a slot for the primary master key. Another host may do the same at this moment:
// what it made for this place counts as much, and one of the two has seen the other by now, and vouches for it.
func (b *Bucket) makeVolume(ctx context.Context, pinned *pins, authentic bool) (*records, error) {
	k, err := keys.NewVolumeKey(1, authentic)
	if err != nil {
		return nil, err
	}
	r := keys.NewRecord(k, b.here(b.prefix))
	r.Made = time.Now().Unix()
	if err := r.AddSlot(ctx, k, b.ring.Primary()); err != nil {
		return nil, err
	}
	if err := b.storeRecord(ctx, b.prefix, r, k); err != nil {
		return nil, err
	}
	v := &Volumes{records: newRecords(b, pinned)}
	v.root, v.fresh = b.prefix, true
	if err := v.reload(ctx); err != nil {
		return nil, err
	}
	return v.records, v.vouch(ctx, k.ID())
}

// storeRecord writes a revision that does not exist yet, and reads it back: in a versioned bucket OSS does not refuse to overwrite,
// so that the last of two writers wins. ErrExists says that another host was faster.
func (b *Bucket) storeRecord(ctx context.Context, root string, r *keys.Record, k *keys.VolumeKey) error {
	if b.opt.ReadOnly {
		return ErrReadOnly
	}
	text, err := r.Marshal(k)
	if err != nil {
		return err
	}
	key := recordKey(root, r)
	err = b.repeat(ctx, func() error {
		_, err := b.oss.Put(ctx, key, bytes.NewReader(text), int64(len(text)), oss.PutOptions{
			ContentType: "application/json", ForbidOverwrite: true, CRC64: oss.CRC64(0, text), HasCRC: true})
		return err
	})
	if err != nil && !errors.Is(err, oss.ErrExists) {
		return err
	}
	stored, readErr := b.readSmallObject(ctx, key, maxRecord)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if !bytes.Equal(stored, text) {
		return fmt.Errorf("volume record %q: another host wrote it at the same time: %w", key, oss.ErrExists)
	}
	return nil
}

// errTooBig says that an object is larger than one of ours of its kind can be.
var errTooBig = errors.New("too large")

// readSmallObject reads an object of ours that is not encrypted, of at most limit bytes.
func (b *Bucket) readSmallObject(ctx context.Context, full string, limit int64) (text []byte, err error) {
	err = b.repeat(ctx, func() error {
		body, info, err := b.oss.Get(ctx, full, oss.GetOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		if info.Size > limit {
			return fmt.Errorf("object %.100q has %d bytes, more than %d: %w", full, info.Size, limit, errTooBig)
		}
		text, err = io.ReadAll(io.LimitReader(body, limit+1))
		return err
	})
	return text, err
}
