package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// newVolume makes the volume of a bucket that has none, or finds the one that another host has made meanwhile: its record comes
// before its first object, so whoever sees an object sees the record when he looks again.
func (b *Bucket) newVolume(ctx context.Context, pinned *pins) (*found, error) {
	if len(pinned.Keys) > 0 || len(b.opt.VolumeIDs) > 0 {
		return &found{root: b.prefix}, nil // checkPins says what is missing
	}
	empty, err := b.isEmpty(ctx)
	if err != nil {
		return nil, err
	}
	if !empty {
		if f, err := b.findRecords(ctx, pinned); err != nil || !f.empty() {
			return f, err
		}
		if err := b.trySamples(ctx); err != nil {
			return nil, err
		}
	}
	if b.opt.ReadOnly {
		return &found{root: b.prefix}, nil
	}
	if !empty && !b.opt.NewVolume {
		return nil, fmt.Errorf("%q: %w", b.prefix, ErrNoRecord)
	}
	if err := b.makeVolume(ctx, 1, empty); err != nil {
		return nil, fmt.Errorf("make the volume record: %w", err)
	}
	b.volume.setMade()
	return b.findRecords(ctx, pinned)
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

// makeVolume draws a volume key and stores its record with a slot for the primary master key.
func (b *Bucket) makeVolume(ctx context.Context, epoch uint32, authentic bool) error {
	k, err := keys.NewVolumeKey(epoch, authentic)
	if err != nil {
		return err
	}
	r := keys.NewRecord(k, keys.Place{})
	if err := r.AddSlot(ctx, k, b.ring.Primary()); err != nil {
		return err
	}
	root := b.volume.root
	if root == "" {
		root = b.prefix
	}
	return b.storeRecord(ctx, root, r, k)
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
