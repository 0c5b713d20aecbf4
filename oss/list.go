package oss

import (
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
	Behind     string // Page.Last of the page before: all names lie behind it, or the page is refused
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
	Marker      *string  // in each answer to version 1
	KeyCount    *int     // in each answer to version 2
	Encoding    string   `xml:"EncodingType"`
	IsTruncated bool
	NextToken   string `xml:"NextContinuationToken"`
	Contents    []listedObject

	CommonPrefixes []struct{ Prefix string }
}

// listedObject is an object of a page.
type listedObject struct {
	Key          string
	LastModified string
	ETag         string
	Type         string
	Size         int64
}

// List returns one page of keys. It is a read. A page that leaves the prefix, goes back, has more entries than asked for, repeats its
// token or claims to go on without a token is refused with ErrUnavailable.
func (c *Client) List(ctx context.Context, o ListOptions) (Page, error) {
	return c.list(ctx, o, request{op: "ListObjectsV2", method: "GET", repeat: true})
}

// list fills in and sends the request of a page.
func (c *Client) list(ctx context.Context, o ListOptions, r request) (Page, error) {
	params := map[string]any{"list-type": "2", "encoding-type": "url", "max-keys": strconv.Itoa(o.max())}
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
		kind := ErrUnavailable
		if errors.Is(err, errListV1) {
			kind = ErrUnsupported
		}
		e := a.fail(kind, err)
		e.Key = o.Prefix
		return Page{}, e
	}
	return page, nil
}

// errListV1 says that a server answers with the first version of listings, which goes on in another way.
var errListV1 = errors.New("the listing is that of ListObjects")

// parseList reads and checks a page.
func parseList(doc []byte, o ListOptions) (Page, error) {
	var d listDocument
	if err := decodeXML(doc, &d); err != nil {
		return Page{}, fmt.Errorf("listing is not the expected XML: %w", err)
	}
	if d.Marker != nil && d.KeyCount == nil {
		return Page{}, errListV1
	}
	if d.Encoding != "url" {
		return Page{}, errors.New("listing is not url-encoded as asked")
	}
	if n := len(d.Contents) + len(d.CommonPrefixes); n > o.max() {
		return Page{}, fmt.Errorf("listing has %d entries on a page of %d", n, o.max())
	}
	p := Page{Objects: make([]Entry, 0, len(d.Contents))}
	last := o.Behind
	for n := range d.Contents {
		e, err := d.Contents[n].entry(o, last)
		if err != nil {
			return Page{}, err
		}
		p.Objects, last = append(p.Objects, e), e.Key
	}
	last = o.Behind
	for _, x := range d.CommonPrefixes {
		key, err := listedKey(x.Prefix, o, last)
		if err != nil {
			return Page{}, err
		}
		if _, below, folded := strings.Cut(key[len(o.Prefix):], o.Delimiter); o.Delimiter == "" || !folded || below != "" {
			return Page{}, fmt.Errorf("listed prefix %.100q folds no name in %.100q", key, o.Prefix)
		}
		p.Prefixes, last = append(p.Prefixes, key), key
	}
	if d.IsTruncated {
		return p, p.takeToken(d.NextToken, o.Token)
	}
	return p, nil
}

// max is how many entries the page may have.
func (o ListOptions) max() int {
	if o.Max <= 0 || o.Max > maxKeys {
		return maxKeys
	}
	return o.Max
}

// takeToken notes how the listing goes on.
func (p *Page) takeToken(next, old string) error {
	p.NextToken = next
	if token, err := url.QueryUnescape(next); err == nil && strings.Contains(next, "%") {
		p.NextToken = token
	}
	if p.NextToken == "" || p.NextToken == old {
		return errors.New("listing goes on but its token does not")
	}
	if len(p.NextToken) > maxToken {
		return fmt.Errorf("listing goes on with a token of %d bytes", len(p.NextToken))
	}
	return nil
}

// maxToken bounds a token, which travels in an URL; OSS's is the base64 of a key.
const maxToken = 4 << 10

// entry checks an object of a page that stands behind last.
func (x *listedObject) entry(o ListOptions, last string) (Entry, error) {
	key, err := listedKey(x.Key, o, last)
	if err != nil {
		return Entry{}, err
	}
	if o.Delimiter != "" && strings.Contains(key[len(o.Prefix):], o.Delimiter) {
		return Entry{}, fmt.Errorf("listed key %.100q lies below %.100q, not in it", key, o.Prefix)
	}
	if x.Size < 0 || x.Size > MaxObjectSize {
		return Entry{}, fmt.Errorf("listed key %.100q has size %d", key, x.Size)
	}
	e := Entry{Key: key, Size: x.Size, ETag: unquote(x.ETag), Type: x.Type}
	if err := checkIdentifier("ETag", e.ETag); err != nil || e.ETag == "" {
		return Entry{}, fmt.Errorf("listed key %.100q has the ETag %.100q", key, x.ETag)
	}
	e.LastModified, err = time.Parse(time.RFC3339, x.LastModified)
	if err != nil || e.LastModified.Unix() < 0 || e.LastModified.Year() > maxYear {
		return Entry{}, fmt.Errorf("listed key %.100q has the time %.100q", key, x.LastModified)
	}
	return e, nil
}

// maxYear bounds times, which are kept as nanoseconds in 64 bits.
const maxYear = 2200

// listedKey decodes a key of a page and checks that it belongs there, behind the one before it.
func listedKey(encoded string, o ListOptions, last string) (string, error) {
	key, err := url.QueryUnescape(encoded)
	if err != nil {
		return "", fmt.Errorf("listed key %.100q is not url-encoded", encoded)
	}
	switch {
	case len(key) > MaxKeyLen:
		return "", fmt.Errorf("listed key %.100q has %d bytes", key, len(key))
	case !strings.HasPrefix(key, o.Prefix) || key == "":
		return "", fmt.Errorf("listed key %.100q is outside of the prefix %.100q", key, o.Prefix)
	case o.Token == "" && o.StartAfter != "" && key <= o.StartAfter && !strings.HasPrefix(o.StartAfter, key):
		return "", fmt.Errorf("listed key %.100q is not behind %.100q", key, o.StartAfter)
	case last != "" && key <= last:
		return "", fmt.Errorf("listing does not advance: %.100q after %.100q", key, last)
	}
	return key, nil
}

// ListAll calls each for every page from o on, until the end, an error, or an error of each. A server that goes
// round in circles is caught: names must go on rising, and few pages may be empty.
func (c *Client) ListAll(ctx context.Context, o ListOptions, each func(Page) error) error {
	for empty := 0; ; {
		page, err := c.List(ctx, o)
		if err != nil {
			return err
		}
		if err := each(page); err != nil {
			return err
		}
		if page.NextToken == "" {
			return nil
		}
		if last := page.Last(); last != "" {
			o.Behind, empty = last, 0
		} else if empty++; empty > MaxEmptyPages {
			return &Error{Op: "ListObjectsV2", Key: o.Prefix, kind: ErrUnavailable, Err: errors.New("listing goes on without any name")}
		}
		o.Token = page.NextToken
	}
}

// MaxEmptyPages is how many pages in a row without a name are believed to lead somewhere.
const MaxEmptyPages = 100

// Last is the greatest name on the page; empty when there is none.
func (p Page) Last() string {
	end := ""
	if n := len(p.Objects); n > 0 {
		end = p.Objects[n-1].Key
	}
	if n := len(p.Prefixes); n > 0 {
		end = max(end, p.Prefixes[n-1])
	}
	return end
}
