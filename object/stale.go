package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/oss"
)

// Upload is a multipart upload under way, of this program or of another one; OSS does not tell whose.
type Upload struct {
	Key       string // relative key
	ID        string // OSS's name of the upload
	Initiated time.Time
}

// ListUploads calls each for every page of multipart uploads below the prefix that began before a moment, until the
// end or an error of each.
func (b *Bucket) ListUploads(ctx context.Context, before time.Time, each func([]Upload) error) error {
	return b.oss.ListUploads(ctx, b.prefix, func(page []oss.Upload) error {
		var old []Upload
		for _, u := range page {
			if u.Initiated.Before(before) {
				old = append(old, Upload{Key: strings.TrimPrefix(u.Key, b.prefix), ID: u.ID, Initiated: u.Initiated})
			}
		}
		if len(old) == 0 {
			return nil
		}
		return each(old)
	})
}

// AbortUpload removes a multipart upload and its parts; one that is gone already is no error.
func (b *Bucket) AbortUpload(ctx context.Context, u Upload) error {
	if b.opt.ReadOnly {
		return ErrReadOnly
	}
	return abortUpload(ctx, b.oss, b.prefix+u.Key, u.ID)
}

// AbortMultipart removes the multipart upload of a state that Put saved; one that is gone already is no error. A state
// that cannot be read is ErrState.
func (b *Bucket) AbortMultipart(ctx context.Context, state []byte) error {
	if b.opt.ReadOnly {
		return ErrReadOnly
	}
	s, err := parsePartState(state)
	if err != nil {
		return err
	}
	if full := string(s.FullKey); !strings.HasPrefix(full, b.prefix) {
		return fmt.Errorf("%w: %.100q is not below %q", ErrState, full, b.prefix)
	}
	return abortUpload(ctx, b.oss, string(s.FullKey), s.UploadID)
}

// AbortBegun removes all multipart uploads of just this key: of one that was begun and whose id was not saved nothing else is known.
// Somebody else who uploads under the same key begins again.
func (b *Bucket) AbortBegun(ctx context.Context, key string) error {
	if b.opt.ReadOnly {
		return ErrReadOnly
	}
	full := b.prefix + key
	var begun []string
	err := b.oss.ListUploads(ctx, full, func(page []oss.Upload) error {
		for _, u := range page {
			if u.Key == full {
				begun = append(begun, u.ID)
			}
		}
		return nil
	})
	for _, id := range begun {
		err = errors.Join(err, abortUpload(ctx, b.oss, full, id))
	}
	return err
}

// abortUpload aborts an upload that may be gone.
func abortUpload(ctx context.Context, c *oss.Client, full, id string) error {
	if err := c.AbortMultipart(ctx, full, id); err != nil && !errors.Is(err, oss.ErrNoSuchUpload) {
		return err
	}
	return nil
}
