package emulator

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"strconv"
)

func (c *call) appendObject() error {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	if c.param("position") == "" {
		return refuse(http.StatusBadRequest, "MissingArgument", ecNoPosition, "The position parameter is missing.").with("ArgumentName", "position")
	}
	position, err := strconv.ParseInt(c.param("position"), 10, 64)
	if err != nil || position < 0 {
		return errArgument("position", c.param("position"), "The position must be a non-negative integer.")
	}
	w, err := c.wanted(b)
	if err != nil {
		return err
	}
	if err := c.s.checkCSE(w.headers, false); err != nil {
		return err
	}
	if b.versioned() != "" && c.s.opt.AppendInVersioned == Refuse {
		return refuse(http.StatusBadRequest, "OperationNotSupported", ecNotAppendable, "AppendObject is not supported in this versioned bucket.")
	}
	got, err := c.receive(c.s.opt.MaxPutSize)
	if err != nil {
		return err
	}
	v, err := c.grow(b, w, position, got)
	if err != nil {
		return err
	}
	c.set("ETag", `"`+v.ETag+`"`)
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(v.CRC, 10))
	c.set("x-oss-next-append-position", strconv.FormatInt(v.Size, 10))
	c.setVersion(v)
	return c.done(http.StatusOK)
}

// grow appends what was received to the object at exactly its end, or makes the object. It takes over
// got's references.
func (c *call) grow(b *bucket, w wanted, position int64, got *received) (*version, error) {
	lock := c.s.store.stripe(c.bucket, c.key)
	lock.Lock()
	defer lock.Unlock()
	old := b.latest(c.key)
	if old != nil {
		defer old.release()
		if old.Marker {
			old = nil
		}
	}
	if err := c.checkAppend(b, old, position, got.size); err != nil {
		got.drop()
		return nil, err
	}
	v := c.newVersion(w, typeAppendable)
	v.Size, v.CRC, v.body = got.size, got.crc, got.body
	before := ""
	if old != nil {
		old.body.acquire()
		v.body = append(append(body{}, old.body...), got.body...)
		v.Headers, v.Tags, v.ACL, v.Class = old.Headers, old.Tags, old.ACL, old.Class
		v.Size, v.CRC, before = old.Size+got.size, crcCombine(old.CRC, got.crc, got.size), old.ETag
	}
	v.ETag = fmt.Sprintf("%X", md5.Sum([]byte(before+md5Text(got.md5))))
	if old == nil || b.versioned() == "" {
		return v, c.s.store.put(b, v)
	}
	// In a versioned bucket an append extends the current version in place.
	v.Version, v.Seq = old.Version, old.Seq
	return v, c.s.store.replace(b, old, v)
}

func (c *call) checkAppend(b *bucket, old *version, position, size int64) error {
	var end int64
	if old != nil {
		end = old.Size
		if old.Type != typeAppendable {
			return refuse(http.StatusConflict, "ObjectNotAppendable", ecNotAppendable, "The object is not appendable")
		}
		if c.forbidsOverwrite(b) && position == 0 {
			return errExists(ecExists)
		}
	}
	if position != end {
		next := strconv.FormatInt(end, 10)
		return refuse(http.StatusConflict, "PositionNotEqualToLength", ecPosition, "Position is not equal to file length").
			withHeader("x-oss-next-append-position", next)
	}
	if end+size > c.s.opt.MaxPutSize {
		return refuse(http.StatusBadRequest, "EntityTooLarge", ecTooLarge, "An appendable object cannot exceed %d bytes.", c.s.opt.MaxPutSize)
	}
	return nil
}
