package cache

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// history tells the bucket what the index remembers. It implements object.History.
type history struct{ c *Cache }

var _ object.History = history{}

// Boxed reports whether a key is one at which no object without a box is accepted. When the index cannot be read, it is.
func (h history) Boxed(key string) bool {
	boxed := true
	err := h.c.db.View(func(tx *index.Tx) (err error) {
		boxed, err = tx.Boxed(key)
		return err
	})
	if err != nil && !errors.Is(err, index.ErrClosed) {
		h.c.o.Logger.Error("read the history of an object", "path", h.c.keyPath(key), "error", err)
	}
	return boxed || err != nil
}

// setInfo writes into a row what is known of the object. Nothing that a refused one says is believed.
func setInfo(o *index.Object, info *object.Info) {
	o.State, o.Reason = info.State, object.ReasonOf(info.Refusal)
	o.Upload, o.Generation, o.Volume = info.Upload, info.Generation, index.ID(info.Volume)
	if o.State == object.StateRefused {
		o.Upload, o.Generation, o.Volume = index.ID{}, index.ID{}, index.ID{}
	}
}

// defaultAttr is shown of an object that is refused.
func (c *Cache) defaultAttr(dir bool, modified time.Time) object.Attr {
	a := object.Attr{Mode: unix.S_IFREG | 0o666&^c.o.Umask, UID: c.o.UID, GID: c.o.GID, Mtime: object.Nanoseconds(modified)}
	if dir {
		a.Mode = unix.S_IFDIR | 0o777&^c.o.Umask
	}
	return a
}

// homeRow is the row that holds the present content of an inode, that of its own key first.
func homeRow(tx *index.Tx, i *index.Inode) (home index.Object, found bool, err error) {
	rows, err := tx.ObjectsOf(i.Ino)
	if err != nil || len(rows) == 0 {
		return home, false, err
	}
	path, linked := tx.Path(i.Ino)
	for _, o := range rows {
		if o.Gen == i.Gen && (!found || linked && o.Key == path) {
			home, found = o, true
		}
	}
	return home, found, nil
}

// trusted fails when the content of a file may not be handed out: with ErrUntrusted when its object is refused, with ErrAccess when
// this host has no key for it. Content that is here was verified on its way.
func (c *Cache) trusted(ino Ino) error {
	i, err := c.inode(ino)
	if err != nil || isDir(&i) || !i.Sealed || i.CachedGen == i.Gen {
		return err
	}
	var o index.Object
	err = c.db.View(func(tx *index.Tx) (err error) {
		o, _, err = homeRow(tx, &i)
		return err
	})
	switch {
	case err != nil:
		return err
	case o.State == object.StateRefused:
		return fmt.Errorf("%w: %w", ErrUntrusted, o.Reason.Err())
	case o.State == object.StateSealed:
		return fmt.Errorf("%w: %w", ErrAccess, object.ErrWriteOnly)
	}
	return nil
}

// changeable is trusted for changes of attributes: they cannot be added to an object that is refused, but to one that this host
// cannot read.
func (c *Cache) changeable(ino Ino) error { return ignore(c.trusted(ino), ErrAccess) }

// refuse notes that an object turned out to be none of ours when its content was read.
func (c *Cache) refuse(key, etag string, cause error) {
	reason := object.ReasonOf(cause)
	if reason == object.ReasonNone {
		return
	}
	err := c.db.Update(func(tx *index.Tx) error {
		o, recorded, err := tx.Object(key)
		if err != nil || !recorded || o.ETag != etag || o.State == object.StateRefused {
			return err
		}
		o.State, o.Reason = object.StateRefused, reason
		_, err = tx.SawObject(o)
		return err
	})
	if err != nil && !errors.Is(err, index.ErrClosed) {
		c.o.Logger.Error("note a refused object", "path", c.keyPath(key), "error", err)
	}
}

// trustMeta is where the index keeps under which rules objects of others were accepted.
const trustMeta = "trust"

// rejudge has objects looked at again at their next use: at each start the refused ones, because what they lacked may be there now;
// after a change of the rules all that are not authentic.
func (c *Cache) rejudge() error {
	rules := []byte(fmt.Sprintf("%+v", c.bucket.Trust()))
	changed := false
	err := c.db.View(func(tx *index.Tx) error {
		before, known, err := tx.Meta(trustMeta)
		changed = known && !bytes.Equal(before, rules)
		return err
	})
	if err != nil {
		return err
	}
	for after, more := "", true; more; {
		var keys []string
		err := c.db.View(func(tx *index.Tx) (err error) {
			if changed {
				keys, err = notAuthentic(tx, after)
			} else {
				err = tx.Refused(after, func(key string) bool { keys = append(keys, key); return len(keys) < importBatch })
			}
			return err
		})
		if err != nil {
			return err
		}
		if more = len(keys) == importBatch; more {
			after = keys[len(keys)-1]
		}
		if err := c.judgeAgain(keys); err != nil {
			return err
		}
	}
	return c.db.Update(func(tx *index.Tx) error { return tx.PutMeta(trustMeta, rules) })
}

// notAuthentic lists the next keys whose objects were judged and are not authentic.
func notAuthentic(tx *index.Tx, after string) (keys []string, err error) {
	err = tx.ObjectsAfter(after, func(o index.Object) bool {
		if o.State == object.StateForeign || o.State == object.StatePlain || o.State == object.StateRefused {
			keys = append(keys, o.Key)
		}
		return len(keys) < importBatch
	})
	return keys, err
}

// judgeAgain forgets what was thought of some objects.
func (c *Cache) judgeAgain(keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	return c.db.Update(func(tx *index.Tx) error {
		for _, key := range keys {
			o, recorded, err := tx.Object(key)
			if err != nil {
				return err
			}
			if !recorded {
				continue
			}
			o.State, o.Reason = object.StateUnknown, object.ReasonNone
			if _, err := tx.SawObject(o); err != nil {
				return err
			}
			i, ok, err := tx.Inode(o.Ino)
			if err != nil {
				return err
			}
			if !ok || !c.cleanAt(&i, &o) {
				continue
			}
			i.AttrKnown = false
			if err := tx.PutInode(i); err != nil {
				return err
			}
		}
		return nil
	})
}
