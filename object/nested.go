package object

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/oss"
)

// ErrNestedVolume says that a directory below the mounted prefix is the root of another volume. Objects written there from here would be
// refused by the mounts of that volume, and the other way round.
var ErrNestedVolume = errors.New("the directory belongs to another volume, which has to be mounted by itself")

// maxNested is how many objects below a directory are read in search of the record of another volume.
const maxNested = 32

// checkNested refuses a directory that shows a hidden area of its own with a record of a volume key that is not ours. Only what is a record
// by its content closes the directory: whoever may write there can put anything under such a name, and so does a raw copy of a bucket. What
// is none is reported once.
func (b *Bucket) checkNested(ctx context.Context, dir string, got oss.Page) error {
	root := b.prefix + dir
	if dir == "" || !slices.Contains(got.Prefixes, root+Hidden) {
		return nil
	}
	list, err := b.listRecords(ctx, root)
	if errors.Is(err, errManyRecords) {
		b.notice(NoticeRecord, dir+volumeDir, err)
	} else if err != nil {
		return err
	}
	var doubt error
	left := maxNested
	for id, revisions := range groupRevisions(root, maps.Keys(list)) {
		if b.volume.key(id) != nil || b.volume.public != nil && b.volume.public.ID == id {
			continue
		}
		for _, key := range revisions[:min(left, len(revisions))] {
			left--
			r, err := b.readRecord(ctx, root, id, key)
			if err == nil {
				err = b.belongs(r, root)
			}
			switch {
			case err == nil:
				return fmt.Errorf("list %.100q: volume %s: %w", strings.TrimSuffix(dir, "/"), id, ErrNestedVolume)
			case ctx.Err() != nil || Retryable(err):
				return err
			case doubt == nil:
				doubt = err
				b.notice(NoticeRecord, strings.TrimPrefix(key, b.prefix), err)
			}
		}
	}
	return nil
}
