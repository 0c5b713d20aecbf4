package emulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// storageClasses are the classes OSS knows.
var storageClasses = map[string]bool{"Standard": true, "IA": true, "Archive": true, "ColdArchive": true, "DeepColdArchive": true}

// objectACLs are the access rules an object can have.
var objectACLs = map[string]bool{"default": true, "private": true, "public-read": true, "public-read-write": true}

// wanted is what a writing request says about the object it makes, beside its body.
type wanted struct {
	headers map[string]string
	tags    map[string]string
	acl     string
	class   string
}

// wanted reads the headers that become part of the object.
func (c *call) wanted(b *bucket) (wanted, error) {
	var w wanted
	var err error
	if w.headers, err = c.s.storedHeaders(c.r.Header); err != nil {
		return w, err
	}
	if w.tags, err = c.newTags(); err != nil {
		return w, err
	}
	w.acl = c.header("x-oss-object-acl")
	if w.acl != "" && !objectACLs[w.acl] {
		return w, refuse(http.StatusBadRequest, "InvalidArgument", ecACL, "no such object access control exists").with("ArgumentName", "x-oss-object-acl").with("ArgumentValue", w.acl)
	}
	w.class = c.header("x-oss-storage-class")
	if w.class == "" {
		b.mu.RLock()
		w.class = b.config.Class
		b.mu.RUnlock()
	}
	if !storageClasses[w.class] {
		return w, refuse(http.StatusBadRequest, "InvalidArgument", ecStorageClass, "no such storage class exists").with("ArgumentName", "x-oss-storage-class").with("ArgumentValue", w.class)
	}
	return w, nil
}

// forbidsOverwrite says whether a request must not replace: the header counts only in buckets without
// versioning.
func (c *call) forbidsOverwrite(b *bucket) bool {
	return strings.EqualFold(c.header("x-oss-forbid-overwrite"), "true") && b.versioned() == ""
}

// exists says whether the key has a version that is not a delete marker.
func (b *bucket) exists(key string) bool {
	v := b.latest(key)
	if v == nil {
		return false
	}
	defer v.release()
	return !v.Marker
}

func (c *call) putObject() error {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	w, err := c.wanted(b)
	if err != nil {
		return err
	}
	if err := c.s.checkCSE(w.headers, false); err != nil {
		return err
	}
	if c.forbidsOverwrite(b) && b.exists(c.key) {
		return errExists(ecExists)
	}
	got, err := c.receive(c.s.opt.MaxPutSize)
	if err != nil {
		return err
	}
	v := c.newVersion(w, typeNormal)
	v.Size, v.CRC, v.body = got.size, got.crc, got.body
	v.ETag, v.MD5 = fmt.Sprintf("%X", got.md5), md5Text(got.md5)
	if err := c.commit(b, v, ecExists); err != nil {
		return err
	}
	c.set("ETag", `"`+v.ETag+`"`)
	c.set("Content-MD5", v.MD5)
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(v.CRC, 10))
	c.setVersion(v)
	return c.done(http.StatusOK)
}

// newVersion starts a version of the request's key.
func (c *call) newVersion(w wanted, kind string) *version {
	return &version{meta: meta{
		Key: c.key, Type: kind, Modified: c.now(),
		Headers: w.headers, Tags: w.tags, ACL: w.acl, Class: w.class,
	}}
}

// commit makes v the newest version of its key, or refuses to overwrite with this EC. It takes over v's
// references.
func (c *call) commit(b *bucket, v *version, ec string) error {
	lock := c.s.store.stripe(c.bucket, v.Key)
	lock.Lock()
	defer lock.Unlock()
	if c.forbidsOverwrite(b) && b.exists(v.Key) {
		v.release()
		return errExists(ec)
	}
	return c.s.store.put(b, v)
}
