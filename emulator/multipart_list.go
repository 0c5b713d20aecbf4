package emulator

import (
	"hash/crc64"
	"io"
	"sort"
	"strconv"
	"strings"
)

// crcWriter computes a CRC-64.
type crcWriter struct{ sum uint64 }

func (w *crcWriter) Write(p []byte) (int, error) {
	w.sum = crc64.Update(w.sum, crcTable, p)
	return len(p), nil
}

// tee writes to both.
type tee struct{ a, b io.Writer }

func (t *tee) Write(p []byte) (int, error) {
	if n, err := t.a.Write(p); err != nil {
		return n, err
	}
	return t.b.Write(p)
}

// uploadsOf returns the uploads of a bucket by key, then id.
func (st *store) uploadsOf(bucket string) []*upload {
	st.mu.RLock()
	var list []*upload
	for _, u := range st.uploads {
		if u.Bucket == bucket {
			list = append(list, u)
		}
	}
	st.mu.RUnlock()
	sort.Slice(list, func(i, j int) bool {
		if list[i].Key != list[j].Key {
			return list[i].Key < list[j].Key
		}
		return list[i].ID < list[j].ID
	})
	return list
}

// cseListed are the envelope fields that a listing of parts names, and their elements.
var cseListed = [][2]string{
	{"key", "ClientEncryptionKey"}, {"start", "ClientEncryptionStart"}, {"cek-alg", "ClientEncryptionCekAlg"},
	{"wrap-alg", "ClientEncryptionWrapAlg"}, {"data-size", "ClientEncryptionDataSize"}, {"part-size", "ClientEncryptionPartSize"},
}

func (c *call) listParts() error {
	if _, err := c.s.store.bucket(c.bucket); err != nil {
		return err
	}
	e, err := c.encoder()
	if err != nil {
		return err
	}
	limit, err := c.limit("max-parts", 1000, 1000)
	if err != nil {
		return err
	}
	marker := 0
	if text := c.param("part-number-marker"); text != "" {
		if marker, err = strconv.Atoi(text); err != nil || marker < 0 {
			return errArgument("part-number-marker", text, "The part number marker must be an integer.")
		}
	}
	u, err := c.s.store.upload(c.bucket, c.key, c.param("uploadId"))
	if err != nil {
		return err
	}
	u.mu.Lock()
	parts := u.allPartsLocked()
	u.mu.Unlock()
	parts = parts[sort.Search(len(parts), func(i int) bool { return parts[i].Number > marker }):]
	truncated := len(parts) > limit
	if truncated {
		parts = parts[:limit]
	}
	x := newXML("ListPartsResult")
	e.name(x)
	x.text("Bucket", c.bucket)
	x.text("Key", e.encode(c.key))
	x.text("UploadId", u.ID)
	x.text("StorageClass", u.Class)
	next := 0 // there is always one: the Python SDK insists
	if len(parts) > 0 {
		next = parts[len(parts)-1].Number
	}
	x.number("PartNumberMarker", int64(marker))
	x.number("NextPartNumberMarker", int64(next))
	x.number("MaxParts", int64(limit))
	x.truth("IsTruncated", truncated)
	for _, f := range cseListed {
		if value := u.Headers[csePrefix+f[0]]; value != "" {
			x.text(f[1], value)
		}
	}
	for _, p := range parts {
		x.begin("Part")
		x.number("PartNumber", int64(p.Number))
		x.text("LastModified", isoTime(p.Modified))
		x.text("ETag", `"`+p.ETag+`"`)
		x.text("HashCrc64ecma", strconv.FormatUint(p.CRC, 10))
		x.number("Size", p.Size)
		x.close()
	}
	return c.xml(x.end())
}

// uploadPage is one page of uploads.
type uploadPage struct {
	uploads   []*upload
	prefixes  []string
	truncated bool
	key, id   string // where this page ends
}

// pageOfUploads collects the uploads of a sorted list that follow the markers.
func pageOfUploads(all []*upload, prefix, delimiter, keyMarker, idMarker string, limit int) uploadPage {
	var p uploadPage
	for _, u := range all {
		if !strings.HasPrefix(u.Key, prefix) || u.Key < keyMarker || (u.Key == keyMarker && (idMarker == "" || u.ID <= idMarker)) {
			continue
		}
		name, _, folded := strings.Cut(u.Key[len(prefix):], delimiter)
		name = prefix + name + delimiter
		folded = folded && delimiter != ""
		if folded && ((len(p.prefixes) > 0 && p.prefixes[len(p.prefixes)-1] == name) || name == keyMarker) {
			continue
		}
		if len(p.uploads)+len(p.prefixes) == limit {
			p.truncated = true
			return p
		}
		if folded {
			p.prefixes, p.key, p.id = append(p.prefixes, name), name, ""
			continue
		}
		p.uploads, p.key, p.id = append(p.uploads, u), u.Key, u.ID
	}
	return p
}

func (c *call) listUploads() error {
	if _, err := c.s.store.bucket(c.bucket); err != nil {
		return err
	}
	e, err := c.encoder()
	if err != nil {
		return err
	}
	limit, err := c.limit("max-uploads", 1000, 1000)
	if err != nil {
		return err
	}
	prefix, delimiter := c.param("prefix"), c.param("delimiter")
	keyMarker, idMarker := c.param("key-marker"), c.param("upload-id-marker")
	p := pageOfUploads(c.s.store.uploadsOf(c.bucket), prefix, delimiter, keyMarker, idMarker, limit)
	x := newXML("ListMultipartUploadsResult")
	e.name(x)
	x.text("Bucket", c.bucket)
	x.text("KeyMarker", e.encode(keyMarker))
	x.text("UploadIdMarker", idMarker)
	x.text("NextKeyMarker", e.encode(p.key))
	x.text("NextUploadIdMarker", p.id)
	x.text("Delimiter", e.encode(delimiter))
	x.text("Prefix", e.encode(prefix))
	x.number("MaxUploads", int64(limit))
	x.truth("IsTruncated", p.truncated)
	for _, u := range p.uploads {
		x.begin("Upload")
		x.text("Key", e.encode(u.Key))
		x.text("UploadId", u.ID)
		x.text("StorageClass", u.Class)
		x.text("Initiated", isoTime(u.Initiated))
		x.close()
	}
	for _, name := range p.prefixes {
		x.begin("CommonPrefixes")
		x.text("Prefix", e.encode(name))
		x.close()
	}
	return c.xml(x.end())
}
