package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// A small file whose attributes are not known is asked for by a GET, which brings the content along: a program that looks at one
// file mostly reads it, and one request costs a round trip whatever it brings. When a whole directory is looked at, content that
// nobody reads afterwards must not cost much.
const (
	// aloneMax is the largest file in bytes whose content comes with the answer to a single question.
	aloneMax = 64 << 10
	// amongManyMax is that when a whole directory is asked for.
	amongManyMax = 16 << 10
)

// askAlone learns the attributes of one inode.
func (c *Cache) askAlone(ctx context.Context, ino Ino) error { return c.ask(ctx, ino, aloneMax) }

// askAmongMany learns the attributes of an inode in a directory of which all are asked for.
func (c *Cache) askAmongMany(ctx context.Context, ino Ino) error {
	return c.ask(ctx, ino, amongManyMax)
}

// ask asks for the attributes of one inode and imports the answer; the content comes along when it has at most small bytes.
func (c *Cache) ask(ctx context.Context, ino Ino, small int64) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.AttrWait)
	defer cancel()
	i, err := c.inode(ino)
	if err != nil || i.AttrKnown {
		return err
	}
	home, err := c.home(ino)
	if err != nil {
		return err
	}
	key := home.Key
	look := c.activity.watch()
	defer look.stop()
	info, err := c.question(ctx, &i, &home, small)
	missing := isMissing(err)
	if err != nil && !missing {
		return err
	}
	if !missing {
		c.compare(ctx, &i, &info)
	}
	return c.answer(ino, func(tx *index.Tx, i *index.Inode, note *news) error {
		switch {
		case missing:
			return c.headMissing(tx, i, key, look, note)
		case object.IsFullMarker(key, info.Size):
			return c.occupied(tx, i, key, note)
		}
		return c.headFound(tx, i, key, &info, look, note)
	})
}

// answer imports what was learned of an inode, unless somebody else has meanwhile.
func (c *Cache) answer(ino Ino, adopt func(*index.Tx, *index.Inode, *news) error) error {
	var note news
	c.names.Lock()
	defer c.names.Unlock()
	err := c.db.Update(func(tx *index.Tx) error {
		note.clear()
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok || i.AttrKnown {
			return err
		}
		return adopt(tx, &i, &note)
	})
	if err == nil {
		c.spread(&note)
	}
	return err
}

// isMissing reports whether an error says that an object is not there.
func isMissing(err error) bool {
	return errors.Is(err, object.ErrNotFound) && !errors.Is(err, object.ErrNoSuchBucket)
}

// question is the request for the attributes of an inode. What keeps an object from being opened, such as a KMS that does not
// answer, does not keep its attributes from being told.
func (c *Cache) question(ctx context.Context, i *index.Inode, home *index.Object, small int64) (object.Info, error) {
	if isDir(i) || i.Size > small || i.CachedGen == i.Gen || home.ETag == "" || c.blind.Load() {
		return c.bucket.Head(ctx, home.Key)
	}
	info, err := c.fetchAlong(ctx, i, home, small)
	if err == nil || isMissing(err) || ctx.Err() != nil {
		return info, err
	}
	if errors.Is(err, object.ErrWriteOnly) {
		c.blind.Store(true)
	}
	return c.bucket.Head(ctx, home.Key)
}

// fetchAlong asks for attributes and content of a file in the version that was listed. The content is kept before the attributes are shown, so that nobody who sees them
// asks for it again; it is not kept when the index knows another version by then.
func (c *Cache) fetchAlong(ctx context.Context, i *index.Inode, home *index.Object, small int64) (object.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.AttrWait/2)
	defer cancel()
	d, err := c.bucket.Get(ctx, object.GetRequest{Key: home.Key, ETag: home.ETag, Attributes: true})
	if object.ReasonOf(err) != object.ReasonNone && !errors.Is(err, object.ErrPrecondition) && home.Modified > 0 {
		return object.Info{ // all that is shown of a refused object is what was listed
			Key: home.Key, Size: home.Size, ETag: home.ETag, Modified: time.Unix(0, home.Modified), State: object.StateRefused, Refusal: err,
		}, nil
	}
	if err != nil {
		return object.Info{}, err
	}
	defer d.Body.Close()
	info := d.Info
	if d.TotalSize < 0 || d.TotalSize > small {
		return info, nil
	}
	data, err := io.ReadAll(io.LimitReader(d.Body, d.TotalSize+1)) // the end of the body is where its checksum is compared
	if err == nil && int64(len(data)) != d.TotalSize {
		return info, nil
	}
	switch {
	case object.ReasonOf(err) != object.ReasonNone:
		info.State, info.Refusal = object.StateRefused, err
	case err == nil:
		if err := c.bodies.Adopt(ctx, i.Ino, home.Key, data, d); err != nil {
			c.o.Logger.Warn("content that came with attributes is not kept", "path", c.keyPath(home.Key), "error", err)
		}
	}
	return info, nil
}

// home is where the bucket holds an inode: the row recorded for its content, or else its own name alone.
func (c *Cache) home(ino Ino) (o index.Object, err error) {
	err = c.db.View(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return orErr(err, ErrNotFound)
		}
		var found bool
		if o, found, err = homeRow(tx, &i); err != nil || found {
			return err
		}
		if o.Key, found = tx.Path(ino); !found {
			return ErrNotFound
		}
		return nil
	})
	return o, err
}

// describe asks what an object is, for what the index does not keep of it.
func (c *Cache) describe(ctx context.Context, key string) (object.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.AttrWait)
	defer cancel()
	info, err := c.bucket.Head(ctx, key)
	if err != nil {
		return info, fmt.Errorf("describe %q: %w", key, err)
	}
	return info, nil
}
