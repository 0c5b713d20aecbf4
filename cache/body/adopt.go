package body

import (
	"context"
	"errors"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Adopt keeps content that the caller fetched: data is the ciphertext of the whole object that a key held in the version of d. It is not kept,
// without an error, when it is here already, too large for a segment, or when the index does not record that version as the present content
// of the inode.
func (s *Store) Adopt(ctx context.Context, ino index.Ino, key string, data []byte, d *object.Download) error {
	if len(data) == 0 || len(data) > s.o.SmallMax || s.ctx.Err() != nil {
		return nil
	}
	s.ahead(ctx, int64(len(data)))
	b := s.acquire(ino)
	defer s.release(b)
	b.mu.Lock()
	defer b.mu.Unlock()
	in, err := s.currentLocked(b)
	if errors.Is(err, ErrStale) || errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || b.hereLocked(in) || in.Size != int64(len(data)) {
		return err
	}
	err = s.keepLocked(b, in, data, originOf(d), func(tx *index.Tx) error {
		o, recorded, err := tx.Object(key)
		if err == nil && (!recorded || o.Ino != ino || o.Gen != in.Gen || o.ETag != d.Info.ETag) {
			err = errKeep
		}
		return err
	})
	if errors.Is(err, errKeep) {
		return nil
	}
	return err
}
