package cache

import (
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// unprovenDir is what nobody has vouched for of a directory that only shows by what is in it. Where others write, that is how their programs
// make directories. Elsewhere its marker, which told the mode, may have been taken away.
func (c *Cache) unprovenDir(key string) object.Fields {
	if c.bucket.Authentic(key) {
		return object.FieldMode
	}
	return 0
}

// unprovenMeta is where the index keeps under which rules the attributes were judged that nobody has vouched for. A cache of before has not.
const unprovenMeta = "unproven"

// judgeAttributes notes which attributes nobody has vouched for, in a cache of before and after a change of the rules. Changes that are not in the bucket
// yet stay as they were made, as a whole.
func (c *Cache) judgeAttributes() error {
	rules := fmt.Sprintf("1 %t %t %+v", c.bucket.WriteOnly(), c.bucket.Authentic(""), c.bucket.Trust())
	var judged map[Ino]object.Fields
	err := c.db.View(func(tx *index.Tx) error {
		before, _, err := tx.Meta(unprovenMeta)
		if err != nil || string(before) == rules {
			return err
		}
		judged, err = c.unproven(tx)
		return err
	})
	batch := make([]Ino, 0, importBatch)
	flush := func() error {
		defer func() { batch = batch[:0] }()
		return c.db.Update(func(tx *index.Tx) error {
			for _, ino := range batch {
				i, ok, err := tx.Inode(ino)
				if err != nil {
					return err
				}
				if i.Unproven = judged[ino]; !ok {
					continue
				}
				if err := tx.PutInode(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for ino := range judged {
		if batch = append(batch, ino); err == nil && len(batch) == importBatch {
			err = flush()
		}
	}
	if err == nil && judged != nil {
		err = errors.Join(flush(), c.db.Update(func(tx *index.Tx) error { return tx.PutMeta(unprovenMeta, []byte(rules)) }))
	}
	return err
}

// unproven finds the inodes of which something else is to be noted than is.
func (c *Cache) unproven(tx *index.Tx) (map[Ino]object.Fields, error) {
	found := make(map[Ino]object.Fields)
	var failed error
	err := tx.Inodes(func(i index.Inode) bool {
		key, linked := tx.Path(i.Ino)
		if !linked || i.Ino == Root && !i.Marker {
			return true
		}
		var o index.Object
		var recorded bool
		if o, recorded, failed = tx.Object(key); failed != nil {
			return false
		}
		now := i.Unproven
		switch {
		case isDir(&i) && !i.Marker && !recorded:
			now = c.unprovenDir(key)
		case c.bucket.WriteOnly() && recorded && i.Unproven == 0 && o.Ino == i.Ino && o.Gen == i.Gen && o.AttrVer == i.AttrVer:
			now = object.AllFields
		}
		if now != i.Unproven {
			found[i.Ino] = now
		}
		return true
	})
	return found, orErr(err, failed)
}
