package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/oss"
)

// ErrNestedVolume says that a directory below the mounted prefix is the root of another volume. Objects written there from here would be
// refused by the mounts of that volume, and the other way round.
var ErrNestedVolume = errors.New("the directory belongs to another volume, which has to be mounted by itself")

// checkNested refuses a directory that shows a hidden area of its own with records of volume keys that are not ours.
func (b *Bucket) checkNested(ctx context.Context, dir string, got oss.Page) error {
	area := b.prefix + dir + Hidden
	if dir == "" || !slices.Contains(got.Prefixes, area) {
		return nil
	}
	seen := 0
	return b.oss.ListAll(ctx, oss.ListOptions{Prefix: b.prefix + dir + volumeDir}, func(p oss.Page) error {
		var list []string
		for _, e := range p.Objects {
			list = append(list, e.Key)
		}
		if seen += len(list); seen > maxRecordObjects {
			return errManyRecords
		}
		for id := range groupRevisions(b.prefix+dir, slices.Values(list)) {
			if b.volume.key(id) == nil && (b.volume.public == nil || b.volume.public.ID != id) {
				return fmt.Errorf("list %.100q: volume %s: %w", strings.TrimSuffix(dir, "/"), id, ErrNestedVolume)
			}
		}
		return nil
	})
}
