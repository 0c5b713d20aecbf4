package emulator

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// source opens the object that x-oss-copy-source names and checks the conditions on it; the caller
// releases it.
func (c *call) source() (*version, string, error) {
	raw := c.header("x-oss-copy-source")
	path, query, _ := strings.Cut(strings.TrimPrefix(raw, "/"), "?")
	path, err := url.PathUnescape(path)
	bucket, key, ok := strings.Cut(path, "/")
	if err != nil || !ok || bucket == "" || key == "" {
		return nil, "", errArgument("x-oss-copy-source", raw, "Copy Source must mention the source bucket and key: /sourcebucket/sourcekey.")
	}
	b, err := c.s.store.bucket(bucket)
	if err != nil {
		return nil, "", err
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, "", errArgument("x-oss-copy-source", raw, "The query of the copy source is not valid.")
	}
	v := b.find(key, params.Get("versionId"))
	if v == nil {
		return nil, "", errNoSuchKey(key)
	}
	if v.Marker {
		v.release()
		return nil, "", errNoSuchKey(key)
	}
	const pre = "X-Oss-Copy-Source-If-"
	if err := c.preconditions(v, pre+"Match", pre+"None-Match", pre+"Modified-Since", pre+"Unmodified-Since"); err != nil {
		v.release()
		return nil, "", err
	}
	if err := c.checkFrozen(v); err != nil {
		v.release()
		return nil, "", err
	}
	return v, bucket, nil
}

// directive reads a copy directive: whether to replace instead of copying.
func (c *call) directive(name string) (replace bool, err error) {
	switch value := c.header(name); strings.ToUpper(value) {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, errArgument(name, value, "The directive must be COPY or REPLACE.")
	}
}

func (c *call) copyObject() error {
	b, err := c.s.store.bucket(c.bucket)
	if err != nil {
		return err
	}
	src, from, err := c.source()
	if err != nil {
		return err
	}
	defer src.release()
	w, err := c.copyWanted(b, src, from)
	if err != nil {
		return err
	}
	if err := c.checkCopySize(src, from, w.class); err != nil {
		return err
	}
	v := c.newVersion(w, src.Type)
	v.Size, v.ETag, v.MD5, v.CRC, v.Target = src.Size, src.ETag, src.MD5, src.CRC, src.Target
	src.body.acquire()
	v.body = src.body
	if err := c.commit(b, v, ecExists); err != nil {
		return err
	}
	c.set("x-oss-hash-crc64ecma", strconv.FormatUint(v.CRC, 10))
	c.setVersion(v)
	x := newXML("CopyObjectResult")
	x.text("LastModified", isoTime(v.Modified))
	x.text("ETag", `"`+v.ETag+`"`)
	return c.xml(x.end())
}

// copyWanted decides metadata, tags and class of the copy.
func (c *call) copyWanted(b *bucket, src *version, from string) (wanted, error) {
	w, err := c.wanted(b)
	if err != nil {
		return w, err
	}
	replace, err := c.directive("x-oss-metadata-directive")
	if err != nil {
		return w, err
	}
	if from == c.bucket && src.Key == c.key && c.header("x-oss-copy-source") != "" && !strings.Contains(c.header("x-oss-copy-source"), "?versionId=") {
		replace = true // OSS replaces the metadata of an object copied onto itself whatever the directive says
	}
	if replace {
		if src.isCSE() && c.s.opt.MetadataUpdateOnCSECopy == Refuse {
			return w, errCSE("0005-00000421", "", "The metadata of a client-side encrypted object cannot be modified by CopyObject.")
		}
		if err := c.s.checkCSE(w.headers, false); err != nil && c.s.opt.MetadataUpdateOnCSECopy == Refuse {
			return w, err
		}
	} else {
		w.headers = src.Headers
	}
	replaceTags, err := c.directive("x-oss-tagging-directive")
	if err != nil {
		return w, err
	}
	if !replaceTags {
		w.tags = nil
		if c.s.opt.TagsOnCopy == Allow {
			w.tags = src.Tags
		}
	}
	return w, nil
}

func (c *call) checkCopySize(src *version, from, class string) error {
	tooLarge := func(limit int64) error {
		return refuse(http.StatusBadRequest, "EntityTooLarge", ecTooLarge, "The source object of %d bytes is larger than the %d that this copy allows; use UploadPartCopy.", src.Size, limit)
	}
	switch {
	case src.Type == typeAppendable:
		return refuse(http.StatusConflict, "ObjectNotSupported", ecCopySource, "An appendable object cannot be the source of CopyObject.")
	case src.Class != class && src.Size > maxCopyClassChange:
		return tooLarge(maxCopyClassChange)
	case (from != c.bucket || c.s.opt.LargeCopy == Refuse) && src.Size > maxCopyAcross:
		return tooLarge(maxCopyAcross)
	}
	return nil
}
