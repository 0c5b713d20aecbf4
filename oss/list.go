package oss

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxKeys is the largest page OSS gives.
const maxKeys = 1000

// ListOptions choose a page of a listing. The zero value begins at the bucket's first key.
type ListOptions struct {
	Prefix     string // keys begin with it
	Delimiter  string // "" or "/": keys with it behind the prefix are folded into Page.Prefixes
	StartAfter string // only keys behind it, exclusive; used without Token
	Token      string // Page.NextToken of the page before
	Max        int    // most entries, prefixes included; 1000 when 0 or larger
}

// Entry is one object of a listing.
type Entry struct {
	Key          string
	Size         int64
	ETag         string // without quotes
	LastModified time.Time
	Type         string // Normal, Multipart, Appendable or Symlink
}

// Page is a part of a listing, in the order of the keys' bytes.
type Page struct {
	Objects   []Entry
	Prefixes  []string // folded keys, each ending in the delimiter
	NextToken string   // for the next page; empty at the end
}

// listDocument is the answer to ListObjectsV2 with url encoding.
type listDocument struct {
	XMLName     xml.Name `xml:"ListBucketResult"`
	Encoding    string   `xml:"EncodingType"`
	IsTruncated bool
	NextToken   string `xml:"NextContinuationToken"`
	Contents    []struct {
		Key          string
		LastModified string
		ETag         string
		Type         string
		Size         int64
	}
	CommonPrefixes []struct{ Prefix string }
}

// List returns one page of keys. It is a read. A page that leaves the prefix, repeats its token or claims to go on
// without a token is refused with ErrUnavailable.
func (c *Client) List(ctx context.Context, o ListOptions) (Page, error) {
	return c.list(ctx, o, request{op: "ListObjectsV2", method: "GET", repeat: true})
}

// list fills in and sends the request of a page.
func (c *Client) list(ctx context.Context, o ListOptions, r request) (Page, error) {
	n := o.Max
	if n <= 0 || n > maxKeys {
		n = maxKeys
	}
	params := map[string]any{"list-type": "2", "encoding-type": "url", "max-keys": strconv.Itoa(n)}
	for name, v := range map[string]string{"prefix": o.Prefix, "delimiter": o.Delimiter, "continuation-token": o.Token} {
		if v != "" {
			params[name] = v
		}
	}
	if o.Token == "" && o.StartAfter != "" {
		params["start-after"] = o.StartAfter
	}
	r.params = params
	a, doc, err := c.document(ctx, r)
	if err != nil {
		return Page{}, err
	}
	page, err := parseList(doc, o)
	if err != nil {
		e := a.fail(ErrUnavailable, err)
		e.Key = o.Prefix
		return Page{}, e
	}
	return page, nil
}

// parseList reads and checks a page.
func parseList(doc []byte, o ListOptions) (Page, error) {
	var d listDocument
	if err := xml.NewDecoder(bytes.NewReader(doc)).Decode(&d); err != nil {
		return Page{}, fmt.Errorf("listing is not the expected XML: %w", err)
	}
	if d.Encoding != "url" {
		return Page{}, errors.New("listing is not url-encoded as asked")
	}
	p := Page{Objects: make([]Entry, 0, len(d.Contents))}
	for _, x := range d.Contents {
		key, err := listedKey(x.Key, o)
		if err != nil {
			return Page{}, err
		}
		if x.Size < 0 {
			return Page{}, fmt.Errorf("listed key %q has size %d", key, x.Size)
		}
		e := Entry{Key: key, Size: x.Size, ETag: unquote(x.ETag), Type: x.Type}
		if e.LastModified, err = time.Parse(time.RFC3339, x.LastModified); err != nil {
			return Page{}, fmt.Errorf("listed key %q: %w", key, err)
		}
		p.Objects = append(p.Objects, e)
	}
	for _, x := range d.CommonPrefixes {
		key, err := listedKey(x.Prefix, o)
		if err != nil {
			return Page{}, err
		}
		p.Prefixes = append(p.Prefixes, key)
	}
	if !d.IsTruncated {
		return p, nil
	}
	p.NextToken = d.NextToken
	if token, err := url.QueryUnescape(d.NextToken); err == nil && strings.Contains(d.NextToken, "%") {
		p.NextToken = token
	}
	if p.NextToken == "" || p.NextToken == o.Token {
		return Page{}, errors.New("listing goes on but its token does not")
	}
	return p, nil
}

// listedKey decodes a key of a page and checks that it belongs there.
func listedKey(encoded string, o ListOptions) (string, error) {
	key, err := url.QueryUnescape(encoded)
	if err != nil {
		return "", fmt.Errorf("listed key %q: %w", encoded, err)
	}
	if !strings.HasPrefix(key, o.Prefix) || key == "" {
		return "", fmt.Errorf("listed key %q is outside of the prefix %q", key, o.Prefix)
	}
	if o.Token == "" && o.StartAfter != "" && key <= o.StartAfter && !strings.HasPrefix(o.StartAfter, key) {
		return "", fmt.Errorf("listed key %q is not behind %q", key, o.StartAfter)
	}
	return key, nil
}

// ListAll calls each for every page from o on, until the end, an error, or an error of each. A server that goes
// round in circles is caught: the last name of a page must lie behind the last of the page before.
func (c *Client) ListAll(ctx context.Context, o ListOptions, each func(Page) error) error {
	last := ""
	for {
		page, err := c.List(ctx, o)
		if err != nil {
			return err
		}
		end := page.last()
		if page.NextToken != "" && end != "" && end <= last {
			return &Error{Op: "ListObjectsV2", Key: o.Prefix, kind: ErrUnavailable,
				Err: fmt.Errorf("listing does not advance: %q after %q", end, last)}
		}
		last = max(last, end)
		if err := each(page); err != nil {
			return err
		}
		if page.NextToken == "" {
			return nil
		}
		o.Token = page.NextToken
	}
}

// last is the greatest name on the page.
func (p Page) last() string {
	end := ""
	if n := len(p.Objects); n > 0 {
		end = p.Objects[n-1].Key
	}
	if n := len(p.Prefixes); n > 0 {
		end = max(end, p.Prefixes[n-1])
	}
	return end
}
