package cache

import (
	"context"
	"strings"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/terminal"
)

// virtualPrefix begins the names of extended attributes that tell what is known of an object. They are read-only and not listed,
// because cp -a and rsync -X would copy them.
const virtualPrefix = "user.ossencfs."

// isVirtual reports whether a name is kept for virtual attributes.
func isVirtual(name string) bool { return strings.HasPrefix(name, virtualPrefix) }

// virtual reads a virtual attribute. Those that the index does not keep cost a request.
func (c *Cache) virtual(ctx context.Context, ino Ino, name string) ([]byte, error) {
	i, err := c.knownInode(ctx, ino)
	if err != nil {
		return nil, err
	}
	var o index.Object
	held, dirty := false, false
	err = c.db.View(func(tx *index.Tx) (err error) {
		if o, held, err = homeRow(tx, &i); err != nil {
			return err
		}
		if path, linked := tx.Path(ino); linked {
			settled, err := tx.Settled(path)
			dirty = !settled
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	value := ""
	switch strings.TrimPrefix(name, virtualPrefix) {
	case "state":
		value = stateText(&i, &o, held)
	case "etag":
		value = o.ETag
	case "generation":
		if o.Generation != (index.ID{}) {
			value = object.ID(o.Generation).String()
		}
	case "verified":
		value = yesNo(held && o.State == object.StateAuthentic)
	case "dirty":
		value = yesNo(dirty)
	case "error":
		if why := c.refusal(ino, false); why != nil {
			value = why.Error()
		}
	case "dialect":
		value, err = c.described(ctx, held, &o, func(info *object.Info) string { return info.Dialect })
	case "key":
		value, err = c.described(ctx, held, &o, func(info *object.Info) string { return info.KeyID })
	}
	if err == nil && value == "" {
		err = ErrNoAttr
	}
	return []byte(terminal.Text(value)), err // errors quote the server
}

// stateText tells who wrote the object of an inode. A directory that only shows by what is in it has none.
func stateText(i *index.Inode, o *index.Object, held bool) string {
	switch {
	case !held && isDir(i) && !i.Marker:
		return ""
	case !held:
		return "local"
	case o.State == object.StateRefused && o.Reason != object.ReasonNone:
		return o.State.String() + ": " + o.Reason.Err().Error()
	}
	return o.State.String()
}

// described asks the bucket about the object of a row; without one (held) the answer is empty.
func (c *Cache) described(ctx context.Context, held bool, o *index.Object, answer func(*object.Info) string) (string, error) {
	if !held {
		return "", nil
	}
	info, err := c.describe(ctx, o.Key)
	if isMissing(err) {
		return "", nil
	}
	return answer(&info), err
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
