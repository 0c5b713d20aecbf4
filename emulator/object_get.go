package emulator

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// found returns the version a read request names; the caller releases it.
func (c *call) found() (*version, error) {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return nil, err
	}
	id := c.param("versionId")
	v := b.find(c.key, id)
	if v == nil {
		if id != "" {
			return nil, refuse(http.StatusNotFound, "NoSuchVersion", ecNoSuchVersion, "The specified version does not exist.").with("VersionId", id)
		}
		return nil, errNoSuchKey(c.key)
	}
	if v.Marker {
		defer v.release()
		c.set("x-oss-delete-marker", "true")
		c.set("x-oss-version-id", v.Version)
		if id != "" {
			return nil, refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", ecMethod, "The specified version is a delete marker.")
		}
		return nil, errNoSuchKey(c.key)
	}
	return v, nil
}

// resolved returns the version a request names and the one whose content it has: for a symlink, its
// target's. The caller releases both by calling free.
func (c *call) resolved() (own, content *version, free func(), err error) {
	own, err = c.found()
	if err != nil {
		return nil, nil, nil, err
	}
	if own.Type != typeSymlink {
		return own, own, own.release, nil
	}
	content, err = c.targetOf(own)
	if err != nil {
		own.release()
		return nil, nil, nil, err
	}
	return own, content, func() { own.release(); content.release() }, nil
}

// targetOf returns the object a symlink points to; the caller releases it.
func (c *call) targetOf(link *version) (*version, error) {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return nil, err
	}
	v := b.latest(link.Target)
	if v == nil {
		return nil, refuse(http.StatusNotFound, "SymlinkTargetNotExist", ecSymlinkTarget, "The target object you specified does not exist.").with("TargetKey", link.Target)
	}
	switch {
	case v.Marker:
		err = refuse(http.StatusNotFound, "SymlinkTargetNotExist", ecSymlinkTarget, "The target object you specified does not exist.").with("TargetKey", link.Target)
	case v.Type == typeSymlink:
		err = refuse(http.StatusBadRequest, "InvalidTargetType", ecSymlinkTarget, "The symbolic link's target object type is invalid.").with("TargetKey", link.Target)
	}
	if err != nil {
		v.release()
		return nil, err
	}
	return v, nil
}

// describe sets the response headers of an object. Through a symlink, size and checksums are the target's
// and everything else is the symlink's own.
func (c *call) describe(own, content *version) {
	for name, value := range own.Headers {
		c.set(name, value)
	}
	if _, ok := own.Headers["content-type"]; !ok {
		c.set("content-type", "application/octet-stream")
	}
	c.set("ETag", `"`+content.ETag+`"`)
	c.set("Last-Modified", httpTime(content.Modified))
	c.set("Accept-Ranges", "bytes")
	c.set("x-oss-object-type", own.Type)
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(content.CRC, 10))
	c.set("x-oss-storage-class", own.Class)
	if restore := own.restoreInfo(c.now()); restore != "" {
		c.set("x-oss-restore", restore)
	}
	c.set("x-oss-server-time", "1")
	if content.MD5 != "" {
		c.set("Content-MD5", content.MD5)
	}
	if n := len(own.Tags); n > 0 && c.s.opt.TaggingCount == Allow {
		c.set("x-oss-tagging-count", strconv.Itoa(n))
	}
	if own.Type == typeAppendable {
		c.set("x-oss-next-append-position", strconv.FormatInt(own.Size, 10))
	}
	c.setVersion(own)
}

// setVersion names the version in buckets that have or had versioning.
func (c *call) setVersion(v *version) {
	if b, err := c.s.store.bucket(c.bucket); err == nil && b.versioned() != "" {
		c.set("x-oss-version-id", v.Version)
	}
}

// preconditions checks the conditional headers named prefix+"match" and so on.
func (c *call) preconditions(v *version, match, noneMatch, modifiedSince, unmodifiedSince string) error {
	if want := c.header(match); want != "" && !etagListed(want, v.ETag) {
		return errPrecondition(match)
	}
	if since, err := http.ParseTime(c.header(unmodifiedSince)); err == nil && v.Modified.Truncate(time.Second).After(since) {
		return errPrecondition(unmodifiedSince)
	}
	if not := c.header(noneMatch); not != "" {
		if etagListed(not, v.ETag) {
			return errNotModified()
		}
		return nil
	}
	if since, err := http.ParseTime(c.header(modifiedSince)); err == nil && !v.Modified.Truncate(time.Second).After(since) {
		return errNotModified()
	}
	return nil
}

// etagListed says whether a list of entity tags, quoted or not, holds etag.
func etagListed(list, etag string) bool {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.Trim(strings.TrimSpace(item), `"`)
		if item == "*" || strings.EqualFold(item, etag) {
			return true
		}
	}
	return false
}

func (c *call) conditions(v *version) error {
	err := c.preconditions(v, "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
	var e *apiError
	if errors.As(err, &e) && e.status == http.StatusNotModified {
		c.set("ETag", `"`+v.ETag+`"`)
		c.set("Last-Modified", httpTime(v.Modified))
	}
	return err
}

func (c *call) headObject() error {
	own, content, free, err := c.resolved()
	if err != nil {
		return err
	}
	defer free()
	if err := c.conditions(content); err != nil {
		return err
	}
	c.describe(own, content)
	c.set("Content-Length", strconv.FormatInt(content.Size, 10))
	c.begin(http.StatusOK)
	return nil
}

func (c *call) getObjectMeta() error {
	v, err := c.found()
	if err != nil {
		return err
	}
	defer v.release()
	c.set("ETag", `"`+v.ETag+`"`)
	c.set("Last-Modified", httpTime(v.Modified))
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(v.CRC, 10))
	c.setVersion(v)
	c.set("Content-Length", strconv.FormatInt(v.Size, 10))
	if c.r.Method != http.MethodHead {
		c.set("Content-Length", "0")
	}
	c.begin(http.StatusOK)
	return nil
}

func (c *call) getObject() error {
	own, content, free, err := c.resolved()
	if err != nil {
		return err
	}
	defer free()
	if err := c.conditions(content); err != nil {
		return err
	}
	if err := c.checkFrozen(content); err != nil {
		return err
	}
	standard := c.header("x-oss-range-behavior") == "standard"
	off, n, partial, err := parseRange(c.header("Range"), content.Size, standard)
	if err != nil {
		c.set("Content-Range", "bytes */"+strconv.FormatInt(content.Size, 10))
		return err
	}
	c.describe(own, content)
	for name, values := range c.q {
		if field, ok := strings.CutPrefix(name, "response-"); ok && values[0] != "" {
			c.set(field, values[0])
		}
	}
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		delete(c.w.Header(), "Content-MD5")
		c.set("Content-Range", "bytes "+strconv.FormatInt(off, 10)+"-"+strconv.FormatInt(off+n-1, 10)+"/"+strconv.FormatInt(content.Size, 10))
	}
	c.set("Content-Length", strconv.FormatInt(n, 10))
	c.begin(status)
	if err := content.body.copyTo(c.w, off, n); err != nil {
		// The status is out: a body that ends early is all that can still be said.
		c.s.opt.Logger.Debug("emulator response ended early", "key", c.key, "err", err)
		dropConn(c.w)
		return nil
	}
	c.s.count.out(n)
	return nil
}

// parseRange reads a Range header as OSS does: one range, and one that does not lie within the object is
// ignored (the whole object is sent), unless the client asks for the standard behaviour.
func parseRange(header string, size int64, standard bool) (off, n int64, partial bool, err error) {
	whole := func() (int64, int64, bool, error) { return 0, size, false, nil }
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || strings.Contains(last, ",") {
		return whole()
	}
	outside := func() (int64, int64, bool, error) {
		if standard {
			return 0, 0, false, refuse(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", ecRange, "The requested range cannot be satisfied.").with("Range", header)
		}
		return whole()
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		switch {
		case err != nil:
			return whole()
		case n <= 0 || size == 0 || (n > size && !standard):
			return outside()
		}
		n = min(n, size)
		return size - n, n, true, nil
	}
	off, err = strconv.ParseInt(first, 10, 64)
	if err != nil || off < 0 {
		return whole()
	}
	if off >= size {
		return outside()
	}
	if last == "" {
		return off, size - off, true, nil
	}
	end, err := strconv.ParseInt(last, 10, 64)
	switch {
	case err != nil || end < off:
		return whole()
	case end >= size && !standard:
		return whole()
	}
	return off, min(end, size-1) - off + 1, true, nil
}

// md5Text renders a digest as Content-MD5 does.
func md5Text(sum [16]byte) string { return base64.StdEncoding.EncodeToString(sum[:]) }
