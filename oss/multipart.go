package oss

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// InitOptions refine InitiateMultipart.
type InitOptions struct {
	Meta            map[string]string // full lower-case names, x-oss-meta-*
	ContentType     string            // application/octet-stream when empty
	Headers         map[string]string // as in PutOptions
	Tagging         string            // url-encoded tags, see EncodeTagging
	ForbidOverwrite bool              // fail with ErrExists when the object exists already
}

// PartOptions refine UploadPart.
type PartOptions struct {
	Meta       map[string]string // the client-side-encryption headers of InitOptions, which OSS wants repeated
	ContentMD5 [16]byte          // checked by OSS when HasMD5
	HasMD5     bool
	CRC64      uint64 // expected CRC of the part when HasCRC; otherwise it is computed while sending
	HasCRC     bool
}

// CompleteOptions refine CompleteMultipart.
type CompleteOptions struct {
	ForbidOverwrite bool   // fail with ErrExists instead of replacing
	CRC64           uint64 // expected CRC of the whole object when HasCRC; otherwise combined from the parts
	HasCRC          bool
}

// Part is an uploaded part.
type Part struct {
	Number int    // 1 to 10,000
	ETag   string // without quotes
	Size   int64
	CRC64  uint64 // of the part, when HasCRC
	HasCRC bool
}

// Upload is a multipart upload under way.
type Upload struct {
	Key       string
	ID        string
	Initiated time.Time
}

// InitiateMultipart begins an upload and returns its id. It is a write: one attempt; an unknown outcome leaves at
// most an upload to be found with ListUploads.
func (c *Client) InitiateMultipart(ctx context.Context, key string, o InitOptions) (string, error) {
	const op = "InitiateMultipartUpload"
	if err := checkKey(op, key); err != nil {
		return "", err
	}
	h := make(map[string]string, len(o.Meta)+6)
	h["Content-Type"] = firstOf(o.ContentType, "application/octet-stream")
	putKept(h, o.Headers)
	if err := putMeta(op, key, h, o.Meta); err != nil {
		return "", err
	}
	if o.Tagging != "" {
		h["x-oss-tagging"] = o.Tagging
	}
	forbidOverwrite(h, o.ForbidOverwrite)
	r := request{op: op, method: "POST", key: key, header: h, params: map[string]any{"uploads": nil, "encoding-type": "url"}}
	a, doc, err := c.document(ctx, r)
	if err != nil {
		return "", err
	}
	var d struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		UploadID string   `xml:"UploadId"`
	}
	if err := a.decode(doc, &d); err != nil {
		return "", err
	}
	if d.UploadID == "" {
		return "", a.fail(ErrUnavailable, errors.New("answer without upload id"))
	}
	if err := checkIdentifier("upload id", d.UploadID); err != nil {
		return "", a.fail(ErrUnavailable, err)
	}
	return d.UploadID, nil
}

// UploadPart stores size bytes of body as part n and compares the CRC that OSS computed. The same bytes may be sent
// again without harm, so it is retried like a read when body is an io.Seeker.
func (c *Client) UploadPart(ctx context.Context, key, uploadID string, n int, body io.Reader, size int64, o PartOptions) (Part, error) {
	const op = "UploadPart"
	if err := checkUpload(op, key, uploadID); err != nil {
		return Part{}, err
	}
	if n < 1 || n > MaxParts {
		return Part{}, invalid(op, key, "part number %d: want 1 to %d", n, MaxParts)
	}
	send, err := bodyOf(op, key, body, size, !o.HasCRC)
	if err != nil {
		return Part{}, err
	}
	h := make(map[string]string, len(o.Meta)+4)
	if err := putMeta(op, key, h, o.Meta); err != nil {
		return Part{}, err
	}
	if o.HasMD5 {
		putMD5(h, o.ContentMD5)
	}
	a, err := c.call(ctx, request{op: op, method: "PUT", key: key, header: h, body: send, repeat: true,
		params: map[string]any{"partNumber": strconv.Itoa(n), "uploadId": uploadID},
		finish: func(a *answer) error { return a.stored(send, size, o.CRC64, o.HasCRC) }})
	if err != nil {
		return Part{}, err
	}
	info, err := a.info()
	if err != nil {
		return Part{}, err
	}
	if info.ETag == "" {
		return Part{}, a.fail(ErrUnavailable, errors.New("answer without ETag"))
	}
	return Part{Number: n, ETag: info.ETag, Size: size, CRC64: info.CRC64, HasCRC: info.HasCRC}, nil
}

// checkUpload refuses an empty key or upload id.
func checkUpload(op, key, uploadID string) error {
	if err := checkKey(op, key); err != nil {
		return err
	}
	if uploadID == "" {
		return invalid(op, key, "the upload id is empty")
	}
	return nil
}

// ListParts returns all parts of an upload in the order of their numbers. It is a read.
func (c *Client) ListParts(ctx context.Context, key, uploadID string) ([]Part, error) {
	const op = "ListParts"
	if err := checkUpload(op, key, uploadID); err != nil {
		return nil, err
	}
	var parts []Part
	for marker := 0; ; {
		r := request{op: op, method: "GET", key: key, repeat: true,
			params: map[string]any{"uploadId": uploadID, "max-parts": "1000", "encoding-type": "url"}}
		if marker > 0 {
			r.params["part-number-marker"] = strconv.Itoa(marker)
		}
		a, doc, err := c.document(ctx, r)
		if err != nil {
			return nil, err
		}
		page, next, err := parseParts(a, doc, marker)
		if err != nil {
			return nil, err
		}
		parts = append(parts, page...)
		if next == 0 {
			return parts, nil
		}
		marker = next
	}
}

// parseParts reads a page of parts; next is 0 on the last one.
func parseParts(a *answer, doc []byte, marker int) (parts []Part, next int, err error) {
	var d struct {
		XMLName     xml.Name `xml:"ListPartsResult"`
		IsTruncated bool
		NextMarker  int `xml:"NextPartNumberMarker"`
		Parts       []struct {
			PartNumber int
			ETag       string
			Size       int64
			CRC        string `xml:"HashCrc64ecma"`
		} `xml:"Part"`
	}
	if err := a.decode(doc, &d); err != nil {
		return nil, 0, err
	}
	last := marker
	for _, x := range d.Parts {
		if x.PartNumber <= last || x.PartNumber > MaxParts || x.Size < 0 || x.Size > MaxPutSize {
			return nil, 0, a.fail(ErrUnavailable, fmt.Errorf("part %d of size %d listed after part %d", x.PartNumber, x.Size, last))
		}
		last = x.PartNumber
		p := Part{Number: x.PartNumber, ETag: unquote(x.ETag), Size: x.Size}
		if err := checkIdentifier("ETag", p.ETag); err != nil {
			return nil, 0, a.fail(ErrUnavailable, err)
		}
		if v, err := strconv.ParseUint(x.CRC, 10, 64); err == nil {
			p.CRC64, p.HasCRC = v, true
		}
		parts = append(parts, p)
	}
	if !d.IsTruncated {
		return parts, 0, nil
	}
	if d.NextMarker <= marker || d.NextMarker < last || d.NextMarker > MaxParts {
		return nil, 0, a.fail(ErrUnavailable, fmt.Errorf("list of parts does not advance behind %d", marker))
	}
	return parts, d.NextMarker, nil
}

// CompleteMultipart makes the object of the parts and compares its CRC. It is a write: one attempt.
func (c *Client) CompleteMultipart(ctx context.Context, key, uploadID string, parts []Part, o CompleteOptions) (Info, error) {
	const op = "CompleteMultipartUpload"
	if err := checkUpload(op, key, uploadID); err != nil {
		return Info{}, err
	}
	parts = slices.SortedFunc(slices.Values(parts), func(a, b Part) int { return cmp.Compare(a.Number, b.Number) })
	body, err := completeDocument(op, key, parts)
	if err != nil {
		return Info{}, err
	}
	r := request{op: op, method: "POST", key: key, long: true, body: documentBody(body),
		header: map[string]string{"Content-Type": "application/xml"},
		params: map[string]any{"uploadId": uploadID, "encoding-type": "url"}}
	forbidOverwrite(r.header, o.ForbidOverwrite)
	a, doc, err := c.document(ctx, r)
	if err != nil {
		return Info{}, err
	}
	var d struct {
		XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
		ETag    string
	}
	if err := a.decode(doc, &d); err != nil {
		return Info{}, err
	}
	info, err := a.stamped(unquote(d.ETag))
	if err != nil {
		return Info{}, err
	}
	want, known := o.CRC64, o.HasCRC
	if !known {
		want, known = combineParts(parts)
	}
	for _, p := range parts {
		info.Size += p.Size
	}
	if known && info.HasCRC && info.CRC64 != want {
		return Info{}, a.fail(ErrBadDigest, fmt.Errorf("crc64 of the parts %d, of the object %d", want, info.CRC64))
	}
	return info, nil
}

// completeDocument lists sorted parts for the server.
func completeDocument(op, key string, parts []Part) ([]byte, error) {
	type part struct {
		PartNumber int
		ETag       string
	}
	d := struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []part
	}{}
	if len(parts) == 0 || len(parts) > MaxParts {
		return nil, invalid(op, key, "%d parts: want 1 to %d", len(parts), MaxParts)
	}
	for i, p := range parts {
		if i > 0 && parts[i-1].Number == p.Number {
			return nil, invalid(op, key, "part %d appears twice", p.Number)
		}
		d.Part = append(d.Part, part{p.Number, `"` + p.ETag + `"`})
	}
	return xml.Marshal(d)
}

// combineParts is the CRC of the whole object, when each part's is known.
func combineParts(parts []Part) (uint64, bool) {
	sum := uint64(0)
	for _, p := range parts {
		if !p.HasCRC {
			return 0, false
		}
		sum = CombineCRC64(sum, p.CRC64, p.Size)
	}
	return sum, len(parts) > 0
}

// AbortMultipart drops an upload and its parts. It is a write: one attempt; ErrNoSuchUpload when it is gone already.
func (c *Client) AbortMultipart(ctx context.Context, key, uploadID string) error {
	const op = "AbortMultipartUpload"
	if err := checkUpload(op, key, uploadID); err != nil {
		return err
	}
	a, err := c.call(ctx, request{op: op, method: "DELETE", key: key, params: map[string]any{"uploadId": uploadID}})
	if err != nil {
		return err
	}
	a.discard(0, nil)
	return nil
}

// maxUploadPages is how many pages of uploads of one key are believed.
const maxUploadPages = 1000

// ListUploads calls each for every page of uploads under way below prefix, until the end or an error of each. It is
// a read.
func (c *Client) ListUploads(ctx context.Context, prefix string, each func([]Upload) error) error {
	const op = "ListMultipartUploads"
	key, id := "", ""
	seen := map[string]bool{} // where pages of the present key ended: their order among one key's uploads is not by id
	for {
		r := request{op: op, method: "GET", repeat: true,
			params: map[string]any{"uploads": nil, "max-uploads": "1000", "encoding-type": "url"}}
		for name, v := range map[string]string{"prefix": prefix, "key-marker": key, "upload-id-marker": id} {
			if v != "" {
				r.params[name] = v
			}
		}
		a, doc, err := c.document(ctx, r)
		if err != nil {
			return err
		}
		page, nextKey, nextID, err := parseUploads(a, doc, prefix, key)
		if err != nil {
			return err
		}
		if err := each(page); err != nil {
			return err
		}
		if nextKey == "" && nextID == "" {
			return nil
		}
		if nextKey != key {
			clear(seen)
		}
		if nextKey < key || seen[nextID] || len(seen) == maxUploadPages {
			return a.fail(ErrUnavailable, fmt.Errorf("list of uploads does not advance behind %q", key))
		}
		seen[nextID] = true
		key, id = nextKey, nextID
	}
}

// parseUploads reads a page of uploads, of keys from the marker on, and where the next begins.
func parseUploads(a *answer, doc []byte, prefix, marker string) (list []Upload, nextKey, nextID string, err error) {
	var d struct {
		XMLName     xml.Name `xml:"ListMultipartUploadsResult"`
		IsTruncated bool
		NextKey     string `xml:"NextKeyMarker"`
		NextID      string `xml:"NextUploadIdMarker"`
		Upload      []struct {
			Key       string
			UploadID  string `xml:"UploadId"`
			Initiated string
		}
	}
	if err := a.decode(doc, &d); err != nil {
		return nil, "", "", err
	}
	for _, x := range d.Upload {
		key, err := url.QueryUnescape(x.Key)
		if err != nil || !strings.HasPrefix(key, prefix) || key < marker || len(key) > MaxKeyLen || x.UploadID == "" {
			return nil, "", "", a.fail(ErrUnavailable, fmt.Errorf("listed upload of %.100q is not below %q, or before %.100q", x.Key, prefix, marker))
		}
		if err := checkIdentifier("upload id", x.UploadID); err != nil {
			return nil, "", "", a.fail(ErrUnavailable, err)
		}
		at, _ := time.Parse(time.RFC3339, x.Initiated)
		list = append(list, Upload{Key: key, ID: x.UploadID, Initiated: at})
	}
	if !d.IsTruncated {
		return list, "", "", nil
	}
	if nextKey, err = url.QueryUnescape(d.NextKey); err != nil || nextKey == "" || len(nextKey) > MaxKeyLen {
		return nil, "", "", a.fail(ErrUnavailable, errors.New("list of uploads goes on without a marker"))
	}
	if err := checkIdentifier("upload id", d.NextID); err != nil {
		return nil, "", "", a.fail(ErrUnavailable, err)
	}
	return list, nextKey, d.NextID, nil
}
