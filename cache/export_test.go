package cache

import (
	"bytes"
	"context"
	"errors"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Doubt has the attributes of an inode asked for again, as when a listing showed that others changed them.
func (c *Cache) Doubt(ino Ino) error {
	return c.db.Update(func(tx *index.Tx) error {
		i, _, err := tx.Inode(ino)
		if err != nil {
			return err
		}
		i.AttrKnown = false
		return tx.PutInode(i)
	})
}

// LeftRetired reports whether everything was looked through that may rest on the volume keys which are retired now.
func (c *Cache) LeftRetired() (left bool, err error) {
	var list []byte
	for _, id := range c.bucket.RetiredVolumes() {
		list = append(list, id[:]...)
	}
	err = c.db.View(func(tx *index.Tx) error {
		done, _, err := tx.Meta(retiredMeta)
		left = bytes.Equal(done, list)
		return err
	})
	return left, err
}

// OriginsOfBefore makes what the cache knows of volume keys what it knows of them after the version before.
func (c *Cache) OriginsOfBefore() error {
	some := index.ID(object.SomeVolume)
	return c.db.Update(func(tx *index.Tx) error {
		var inodes []index.Inode
		err := tx.Inodes(func(i index.Inode) bool {
			if i.Origin != (index.ID{}) {
				inodes = append(inodes, i)
			}
			return true
		})
		for n := 0; n < len(inodes) && err == nil; n++ {
			inodes[n].Origin = some
			err = tx.PutInode(inodes[n])
		}
		var rows []index.Object
		err = errors.Join(err, tx.ObjectsAfter("", func(o index.Object) bool {
			if o.Volume != (index.ID{}) {
				rows = append(rows, o)
			}
			return true
		}))
		for n := 0; n < len(rows) && err == nil; n++ {
			rows[n].Volume = some
			_, err = tx.SawObject(rows[n])
		}
		return err
	})
}

// GiveReservedName names an inode as only a cache from before the name was reserved below the root has one.
func (c *Cache) GiveReservedName(ino Ino) error {
	return c.db.Update(func(tx *index.Tx) error {
		i, _, err := tx.Inode(ino)
		if err != nil {
			return err
		}
		return c.move(tx, &i, place{i.Parent, object.ReservedName})
	})
}

// ForgetUnproven makes the cache one of a version that did not tell which attributes nobody has vouched for.
func (c *Cache) ForgetUnproven(inos ...Ino) error {
	return c.db.Update(func(tx *index.Tx) error {
		for _, ino := range inos {
			i, _, err := tx.Inode(ino)
			if err != nil {
				return err
			}
			i.Unproven = 0
			if err := tx.PutInode(i); err != nil {
				return err
			}
		}
		return tx.PutMeta(unprovenMeta, nil)
	})
}

// Relist lists a directory now.
func (c *Cache) Relist(ctx context.Context, dir Ino) error { return c.list(ctx, dir) }
