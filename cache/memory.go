package cache

import (
	"context"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Memory is what the index knows of the bucket, for a verification of it.
func (c *Cache) Memory() object.Memory { return memory{c} }

// memory implements object.Memory.
type memory struct{ c *Cache }

var _ object.Memory = memory{}

// Known tells what a row says. A key that is not settled is busy: what it holds may be another thing at any time.
func (m memory) Known(key string) (known object.Known, ok bool, err error) {
	err = m.c.db.View(func(tx *index.Tx) error {
		busy, err := tx.Queued(key)
		if err == nil && !busy {
			_, busy, err = tx.Pend(key)
		}
		if err != nil || busy {
			known, ok = object.Known{Busy: true}, true
			return err
		}
		var o index.Object
		if o, ok, err = tx.Object(key); err != nil {
			return err
		}
		known = object.Known{ETag: o.ETag, Upload: o.Upload, Generation: o.Generation}
		known.Boxed, err = tx.Boxed(key)
		return err
	})
	return known, ok, err
}

// KnownAfter lists the keys of rows.
func (m memory) KnownAfter(after string, limit int) (keys []string, err error) {
	err = m.c.db.View(func(tx *index.Tx) error {
		return tx.ObjectsAfter(after, func(o index.Object) bool {
			keys = append(keys, o.Key)
			return len(keys) < limit
		})
	})
	return keys, err
}

// Superseded looks an upload id up.
func (m memory) Superseded(upload object.ID) (old bool, err error) {
	err = m.c.db.View(func(tx *index.Tx) (err error) {
		old, err = tx.Superseded(upload)
		return err
	})
	return old, err
}

// Needed looks for a large object of a generation.
func (m memory) Needed(generation object.ID) (needed bool, err error) {
	err = m.c.db.View(func(tx *index.Tx) (err error) {
		needed, err = tx.LeafNeeded(generation)
		return err
	})
	return needed, err
}

// UploadAgain makes converge PUT a file that is whole in the cache and that the bucket was thought to have. The row then says what was
// found, as an older generation: that alone is what the look before an overwrite lets pass.
func (m memory) UploadAgain(_ context.Context, key string, found *object.Entry) (again bool, err error) {
	if m.c.o.ReadOnly {
		return false, nil
	}
	err = m.c.db.UpdateSync(func(tx *index.Tx) error {
		o, whole, err := m.whole(tx, key)
		if again = whole; err != nil || !whole {
			return err
		}
		if found == nil {
			return tx.SawGone(key)
		}
		o.ETag, o.Size, o.Modified = found.ETag, found.Size, found.Modified.UnixNano()
		o.Gen, o.Upload, o.Generation = 0, index.ID{}, index.ID{}
		o.State, o.Reason = object.StateUnknown, object.ReasonNone
		_, err = tx.SawObject(o)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("upload %q again: %w", key, err)
	}
	if again {
		m.c.o.Logger.Warn("the bucket has lost or changed a file; it is uploaded again", "path", m.c.keyPath(key))
	}
	return again, nil
}

// whole finds the row of a key whose inode has nothing to upload and is whole in the cache, attributes included.
func (m memory) whole(tx *index.Tx, key string) (o index.Object, whole bool, err error) {
	o, recorded, err := tx.Object(key)
	if err != nil || !recorded {
		return o, false, err
	}
	if _, pending, err := tx.Pend(key); err != nil || pending {
		return o, false, err
	}
	ino, named, err := tx.Resolve(key)
	if err != nil || !named || ino != o.Ino {
		return o, false, err
	}
	i, ok, err := tx.Inode(ino)
	if err != nil || !ok || isDir(&i) != index.IsDirKey(key) || isDir(&i) && !i.WantsMarker() {
		return o, false, err
	}
	counts := m.c.mayReseal(&i) && !m.c.bucket.Retired(object.ID(o.Volume))
	return o, counts && i.AttrKnown && i.Cached() && m.c.cleanAt(&i, &o), nil
}
