package oss

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// PutOptions refine Put. The zero value writes a plain object over whatever is there.
type PutOptions struct {
	Meta            map[string]string // full lower-case names, x-oss-meta-*
	ContentType     string            // application/octet-stream when empty
	Headers         map[string]string // Info.Headers of an object that is written anew; they count more than ContentType
	Tagging         string            // url-encoded tags, see EncodeTagging
	ForbidOverwrite bool              // fail with ErrExists instead of replacing; void in versioned buckets
	ContentMD5      [16]byte          // checked by OSS before the object is replaced, when HasMD5
	HasMD5          bool
	CRC64           uint64 // expected CRC of the body when HasCRC; otherwise it is computed while sending
	HasCRC          bool
}

// CopyOptions refine Copy. The zero value copies bytes, metadata and tags.
type CopyOptions struct {
	SourceVersion   string            // version of the source; empty: the current one
	SourceIfMatch   string            // ETag the source must have, or the call fails with ErrPrecondition
	ForbidOverwrite bool              // fail with ErrExists instead of replacing; void in versioned buckets
	ReplaceMeta     map[string]string // metadata of the copy; nil keeps the source's
	Headers         map[string]string // with ReplaceMeta: as in PutOptions
	StorageClass    string            // of the copy; empty: the bucket's
	ReplaceTagging  *string           // url-encoded tags of the copy; nil keeps the source's
}

// Head describes an object. It is a read.
func (c *Client) Head(ctx context.Context, key string) (Info, error) { return c.head(ctx, key, "") }

// head describes the current version, or another one.
func (c *Client) head(ctx context.Context, key, version string) (Info, error) {
	const op = "HeadObject"
	if err := checkKey(op, key); err != nil {
		return Info{}, err
	}
	a, err := c.call(ctx, request{op: op, method: "HEAD", key: key, params: versionParam(version), repeat: true})
	if err != nil {
		return Info{}, err
	}
	a.discard(0, nil)
	info, err := a.info()
	if err != nil {
		return Info{}, err
	}
	if info.Size, err = a.length(); err != nil {
		return Info{}, a.fail(ErrUnavailable, err)
	}
	return info, nil
}

// Put stores size bytes of body as one object and compares the CRC that OSS computed. It is a write: one attempt.
// Body must yield exactly size bytes; if it is an io.Seeker it is read from where it stands, and may be rewound to
// there. It is not used any more when Put returns.
func (c *Client) Put(ctx context.Context, key string, body io.Reader, size int64, o PutOptions) (Info, error) {
	const op = "PutObject"
	if err := checkKey(op, key); err != nil {
		return Info{}, err
	}
	send, err := bodyOf(op, key, body, size, !o.HasCRC)
	if err != nil {
		return Info{}, err
	}
	h := make(map[string]string, len(o.Meta)+8)
	h["Content-Type"] = firstOf(o.ContentType, "application/octet-stream")
	putKept(h, o.Headers)
	if err := putMeta(op, key, h, o.Meta); err != nil {
		return Info{}, err
	}
	if o.HasMD5 {
		putMD5(h, o.ContentMD5)
	}
	if o.Tagging != "" {
		h["x-oss-tagging"] = o.Tagging
	}
	forbidOverwrite(h, o.ForbidOverwrite)
	a, err := c.call(ctx, request{op: op, method: "PUT", key: key, header: h, body: send,
		finish: func(a *answer) error { return a.stored(send, size, o.CRC64, o.HasCRC) }})
	if err != nil {
		return Info{}, err
	}
	info, err := a.info()
	if err != nil {
		return Info{}, err
	}
	if info.ETag == "" {
		return Info{}, a.fail(ErrUnavailable, errors.New("answer without ETag"))
	}
	info.Size = size
	return info, nil
}

// bodyOf prepares a body of size bytes; nil for none.
func bodyOf(op, key string, r io.Reader, size int64, withCRC bool) (*sendBody, error) {
	if size < 0 || size > MaxPutSize {
		return nil, invalid(op, key, "body of %d bytes: 0 to %d are possible in one request", size, int64(MaxPutSize))
	}
	if size > 0 && r == nil {
		return nil, invalid(op, key, "no body")
	}
	if size > 0 {
		return newSendBody(r, size, withCRC), nil
	}
	if r != nil {
		if err := (&sendBody{src: r}).probe(); err != nil {
			return nil, &Error{Op: op, Key: key, kind: ErrBody, Err: err, unsent: true}
		}
	}
	return nil, nil
}

// stored ends the answer to an upload and compares the server's CRC with the expected one, or with the one computed
// while sending.
func (a *answer) stored(send *sendBody, size int64, want uint64, has bool) error {
	if !has && send != nil {
		want = send.crc()
	}
	var err error
	if got, ok := crcOf(a.header); ok && got != want {
		err = a.fail(ErrBadDigest, fmt.Errorf("crc64 sent %d, stored %d", want, got))
	}
	a.discard(size, err)
	return err
}

// forbidOverwrite asks OSS to refuse an existing destination.
func forbidOverwrite(h map[string]string, on bool) {
	if on {
		h["x-oss-forbid-overwrite"] = "true"
	}
}

// Copy copies src to dst inside the bucket, on the server, whatever its size. It is a write: one attempt.
func (c *Client) Copy(ctx context.Context, src, dst string, o CopyOptions) (Info, error) {
	const op = "CopyObject"
	for _, key := range []string{src, dst} {
		if err := checkKey(op, key); err != nil {
			return Info{}, err
		}
	}
	h := map[string]string{"x-oss-copy-source": "/" + c.cfg.Bucket + "/" + escapeKey(src)}
	if o.SourceVersion != "" {
		h["x-oss-copy-source"] += "?versionId=" + escapeKey(o.SourceVersion)
	}
	if o.SourceIfMatch != "" {
		h["x-oss-copy-source-if-match"] = o.SourceIfMatch
	}
	if o.ReplaceMeta != nil {
		h["x-oss-metadata-directive"] = "REPLACE"
		h["Content-Type"] = "application/octet-stream"
		putKept(h, o.Headers)
		if err := putMeta(op, dst, h, o.ReplaceMeta); err != nil {
			return Info{}, err
		}
	}
	if o.StorageClass != "" {
		h["x-oss-storage-class"] = o.StorageClass
	}
	if o.ReplaceTagging != nil {
		h["x-oss-tagging-directive"] = "Replace"
		if *o.ReplaceTagging != "" {
			h["x-oss-tagging"] = *o.ReplaceTagging
		}
	}
	forbidOverwrite(h, o.ForbidOverwrite)
	a, err := c.call(ctx, request{op: op, method: "PUT", key: dst, header: h, long: true})
	if err != nil {
		return Info{}, err
	}
	doc, err := a.drain()
	if err != nil {
		return Info{}, err
	}
	var res struct {
		XMLName      xml.Name `xml:"CopyObjectResult"`
		LastModified string
		ETag         string
	}
	if err := a.decode(doc, &res); err != nil {
		return Info{}, err
	}
	info, err := a.stamped(unquote(res.ETag))
	if err != nil {
		return Info{}, err
	}
	info.LastModified, _ = time.Parse(time.RFC3339, res.LastModified)
	return info, nil
}

// stamped is info with the ETag of the answer's document, where it has one.
func (a *answer) stamped(etag string) (Info, error) {
	info, err := a.info()
	if err != nil {
		return Info{}, err
	}
	info.ETag = firstOf(etag, info.ETag)
	if err := checkIdentifier("ETag", info.ETag); err != nil {
		return Info{}, a.fail(ErrUnavailable, err)
	}
	if info.ETag == "" {
		return Info{}, a.fail(ErrUnavailable, errors.New("answer without ETag"))
	}
	return info, nil
}

// length is the Content-Length of an object or a range of one.
func (a *answer) length() (int64, error) {
	n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64)
	switch {
	case err != nil || n < 0:
		return 0, errors.New("answer without Content-Length")
	case n > MaxObjectSize:
		return 0, fmt.Errorf("answer of %d bytes: an object has at most %d", n, int64(MaxObjectSize))
	}
	return n, nil
}

// decode reads an XML answer. An error document under a 2xx status is returned as the error it is.
func (a *answer) decode(doc []byte, v any) error {
	if e, ok := parseErrorDocument(doc); ok {
		return &Error{Op: a.op, Key: a.key, Status: a.status, Code: e.Code, EC: e.EC, Message: e.Message,
			RequestID: firstOf(a.header.Get("x-oss-request-id"), e.RequestID), kind: ErrUnavailable}
	}
	if err := decodeXML(doc, v); err != nil {
		return a.fail(ErrUnavailable, fmt.Errorf("answer is not the expected XML: %w", err))
	}
	return nil
}

// Delete removes an object; one that does not exist is no error. It is a write: one attempt.
func (c *Client) Delete(ctx context.Context, key string) error {
	_, err := c.Remove(ctx, key)
	return err
}
