package oss

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/xml"
	"net/url"
	"strings"
	"unicode/utf8"
)

// MaxBatch is the most keys of one DeleteBatch request.
const MaxBatch = 1000

// documentBody wraps an XML request.
func documentBody(doc []byte) *sendBody {
	return newSendBody(bytes.NewReader(doc), int64(len(doc)), false)
}

// DeleteBatch removes many objects, up to 1,000 in a request, and returns the keys of which OSS did not say that they
// are gone, with the first error. Keys that XML cannot carry are deleted one by one. Objects that do not exist count
// as removed. It is a write: one attempt per request, and none after the first failure.
func (c *Client) DeleteBatch(ctx context.Context, keys []string) (failed []string, err error) {
	const op = "DeleteMultipleObjects"
	var plain, odd []string
	for _, k := range keys {
		if err := checkKey(op, k); err != nil {
			return keys, err
		}
		if xmlSafe(k) {
			plain = append(plain, k)
		} else {
			odd = append(odd, k)
		}
	}
	for len(plain) > 0 {
		n := min(len(plain), MaxBatch)
		left, err := c.deleteSome(ctx, op, plain[:n])
		failed = append(failed, left...)
		plain = plain[n:]
		if err != nil {
			return append(append(failed, plain...), odd...), err
		}
	}
	for i, k := range odd {
		if err := c.Delete(ctx, k); err != nil {
			return append(failed, odd[i:]...), err
		}
	}
	return failed, nil
}

// xmlSafe reports whether a key survives as text of an XML 1.0 document.
func xmlSafe(key string) bool {
	if !utf8.ValidString(key) {
		return false
	}
	for _, r := range key {
		if r < 0x20 || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return true
}

// deleteDocument lists the keys to delete.
type deleteDocument struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Objects []deleteObject `xml:"Object"`
}

type deleteObject struct{ Key string }

// deletedDocument lists the keys that are gone.
type deletedDocument struct {
	XMLName  xml.Name `xml:"DeleteResult"`
	Encoding string   `xml:"EncodingType"`
	Deleted  []struct{ Key string }
}

// deleteSome sends one request and returns the keys that its answer does not confirm.
func (c *Client) deleteSome(ctx context.Context, op string, keys []string) ([]string, error) {
	d := deleteDocument{Objects: make([]deleteObject, len(keys))}
	for i, k := range keys {
		d.Objects[i].Key = k
	}
	doc, err := xml.Marshal(d)
	if err != nil {
		return keys, invalid(op, "", "keys: %v", err)
	}
	r := request{op: op, method: "POST", body: documentBody(doc), params: map[string]any{"delete": nil, "encoding-type": "url"}}
	r.header = map[string]string{"Content-Type": "application/xml"}
	putMD5(r.header, md5.Sum(doc))
	a, reply, err := c.document(ctx, r)
	if err != nil {
		return keys, err
	}
	gone, err := parseDeleted(a, reply)
	if err != nil {
		return keys, err
	}
	var failed []string
	for _, k := range keys {
		if !gone[k] {
			failed = append(failed, k)
		}
	}
	return failed, nil
}

// parseDeleted reads the set of keys that the server removed.
func parseDeleted(a *answer, doc []byte) (map[string]bool, error) {
	var d deletedDocument
	if err := a.decode(doc, &d); err != nil {
		return nil, err
	}
	gone := make(map[string]bool, len(d.Deleted))
	for _, x := range d.Deleted {
		key := x.Key
		if strings.EqualFold(d.Encoding, "url") {
			k, err := url.QueryUnescape(key)
			if err != nil {
				return nil, a.fail(ErrUnavailable, err)
			}
			key = k
		}
		gone[key] = true
	}
	return gone, nil
}
