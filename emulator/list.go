package emulator

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Page sizes of listings.
const (
	defaultMaxKeys = 100
	maxMaxKeys     = 1000
)

// limit reads a page size.
func (c *call) limit(name string, def, highest int) (int, error) {
	text := c.param(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > highest {
		return 0, errArgument(name, text, "Argument "+name+" must be an integer between 1 and "+strconv.Itoa(highest)+".")
	}
	return n, nil
}

// encoder writes names as the client's encoding-type wants them.
type encoder struct{ url bool }

func (c *call) encoder() (encoder, error) {
	switch t := c.param("encoding-type"); t {
	case "":
		return encoder{}, nil
	case "url":
		return encoder{true}, nil
	default:
		return encoder{}, errArgument("encoding-type", t, "Invalid encoding-type.")
	}
}

func (e encoder) encode(name string) string {
	if e.url {
		return percent(name, false)
	}
	return name
}

func (e encoder) name(x *xmlDoc) {
	if e.url {
		x.text("EncodingType", "url")
	}
}

// page is one page of a listing.
type page struct {
	items     []item
	truncated bool
	next      string // the last name on this page
}

// item is an object or, when v is nil, a common prefix.
type item struct {
	name string
	v    *version // not acquired: only its meta may be read
}

// after returns the smallest string that follows all strings beginning with prefix, "" if there is none.
func after(prefix string) string {
	b := []byte(prefix)
	for len(b) > 0 {
		if b[len(b)-1] < 0xff {
			b[len(b)-1]++
			return string(b)
		}
		b = b[:len(b)-1]
	}
	return ""
}

// list collects the page that follows marker: keys under prefix, those with delimiter after it folded into
// common prefixes, which are jumped over and not walked.
func (b *bucket) list(prefix, delimiter, marker string, limit int) page {
	b.mu.RLock()
	defer b.mu.RUnlock()
	from := prefix
	if marker > from {
		from = marker
	}
	if delimiter != "" && strings.HasSuffix(marker, delimiter) && strings.HasPrefix(marker, prefix) && len(marker) > len(prefix) {
		// The marker is a common prefix of the page before: its keys are behind us.
		if from = after(marker); from == "" {
			return page{}
		}
	}
	var p page
	for k := b.keys.Seek(from); ; {
		key, list, ok := k.Next()
		if !ok || !strings.HasPrefix(key, prefix) {
			return p
		}
		if key == marker || list[0].Marker {
			continue
		}
		name, v := key, list[0]
		if delimiter != "" {
			if i := strings.Index(key[len(prefix):], delimiter); i >= 0 {
				name, v = key[:len(prefix)+i+len(delimiter)], nil
			}
		}
		if len(p.items) == limit {
			p.truncated = true
			return p
		}
		p.items = append(p.items, item{name, v})
		p.next = name
		if v == nil {
			next := after(name)
			if next == "" {
				return p
			}
			k = b.keys.Seek(next)
		}
	}
}

// writeObject writes one Contents element.
func writeObject(x *xmlDoc, e encoder, v *version, owner bool, now time.Time) {
	x.begin("Contents")
	x.text("Key", e.encode(v.Key))
	x.text("LastModified", isoTime(v.Modified))
	x.text("ETag", `"`+v.ETag+`"`)
	x.text("Type", v.Type)
	x.number("Size", v.Size)
	x.text("StorageClass", v.Class)
	v.writeRestore(x, now)
	if owner {
		writeOwner(x)
	}
	x.close()
}

func (p *page) write(x *xmlDoc, e encoder, owner bool, now time.Time) {
	for _, it := range p.items {
		if it.v != nil {
			writeObject(x, e, it.v, owner, now)
		}
	}
	for _, it := range p.items {
		if it.v == nil {
			x.begin("CommonPrefixes")
			x.text("Prefix", e.encode(it.name))
			x.close()
		}
	}
}

// listing reads the parameters that both versions of listing have.
func (c *call) listing() (b *bucket, e encoder, limit int, err error) {
	if b, err = c.s.store.bucket(c.bucket); err != nil {
		return nil, e, 0, err
	}
	if e, err = c.encoder(); err != nil {
		return nil, e, 0, err
	}
	limit, err = c.limit("max-keys", defaultMaxKeys, maxMaxKeys)
	return b, e, limit, err
}

func (c *call) listObjects() error {
	b, e, limit, err := c.listing()
	if err != nil {
		return err
	}
	prefix, delimiter, marker := c.param("prefix"), c.param("delimiter"), c.param("marker")
	p := b.list(prefix, delimiter, marker, limit)
	x := newXML("ListBucketResult")
	x.text("Name", c.bucket)
	x.text("Prefix", e.encode(prefix))
	x.text("Marker", e.encode(marker))
	x.number("MaxKeys", int64(limit))
	x.text("Delimiter", e.encode(delimiter))
	e.name(x)
	x.truth("IsTruncated", p.truncated)
	if p.truncated {
		x.text("NextMarker", e.encode(p.next))
	}
	p.write(x, e, true, c.now())
	return c.xml(x.end())
}

func (c *call) listObjectsV2() error {
	b, e, limit, err := c.listing()
	if err != nil {
		return err
	}
	prefix, delimiter, start, token := c.param("prefix"), c.param("delimiter"), c.param("start-after"), c.param("continuation-token")
	marker := start
	if c.q.Has("continuation-token") {
		raw, err := base64.StdEncoding.DecodeString(token)
		if err != nil || len(raw) == 0 {
			return errArgument("continuation-token", token, "The continuation token is not valid.")
		}
		marker = string(raw)
	}
	p := b.list(prefix, delimiter, marker, limit)
	x := newXML("ListBucketResult")
	x.text("Name", c.bucket)
	x.text("Prefix", e.encode(prefix))
	if start != "" {
		x.text("StartAfter", e.encode(start))
	}
	if token != "" {
		x.text("ContinuationToken", token)
	}
	x.number("MaxKeys", int64(limit))
	x.text("Delimiter", e.encode(delimiter))
	e.name(x)
	x.truth("IsTruncated", p.truncated)
	if p.truncated {
		x.text("NextContinuationToken", base64.StdEncoding.EncodeToString([]byte(p.next)))
	}
	x.number("KeyCount", int64(len(p.items)))
	p.write(x, e, c.param("fetch-owner") == "true", c.now())
	return c.xml(x.end())
}
