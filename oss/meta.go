package oss

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of OSS on keys and metadata (OSS.md §0.12, §5.3).
const (
	MaxKeyLen  = 1023      // bytes of an object key
	MaxMetaLen = 8 << 10   // bytes of all x-oss-meta-* names and values together
	MaxPutSize = 5 << 30   // bytes of a single PutObject, and of one part
	MaxParts   = 10_000    // parts of a multipart upload
	MinPart    = 100 << 10 // bytes of each part but the last
	// MaxObjectSize is the most bytes of an object: all parts at their largest, 48.8 TiB.
	MaxObjectSize = MaxParts * MaxPutSize
)

// metaPrefix begins the names of user metadata.
const metaPrefix = "x-oss-meta-"

// Info describes an object as an answer's header does.
type Info struct {
	Key          string
	ETag         string            // without quotes; changes whenever the bytes may have changed
	Size         int64             // of the whole object in bytes, for ranged reads too
	LastModified time.Time         // zero when the answer has none (Put)
	Date         time.Time         // of the answer, by the server's clock; zero when it tells none
	Asked        time.Time         // the server's clock when the request left here, or a little before; zero without a Date
	CRC64        uint64            // of the whole object, when HasCRC
	HasCRC       bool              // whether OSS reported a CRC
	Type         string            // Normal, Multipart, Appendable or Symlink
	Meta         map[string]string // full lower-case header names, x-oss-meta-*, to values
	TagCount     int               // number of tags; 0 when OSS does not tell
	VersionID    string            // empty without versioning

	// Headers are those beside the metadata that a PUT would have to repeat to keep them; see keptHeaders.
	Headers map[string]string
}

// keptHeaders say how an object is served and stored, and belong to it. Its access rule is not among what OSS shows.
var keptHeaders = []string{
	"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires", "x-oss-storage-class",
}

// keep reads the kept headers; what no request could carry is left out.
func keep(h http.Header) map[string]string {
	kept := make(map[string]string, 2)
	for _, name := range keptHeaders {
		if v := h.Get(name); v != "" && checkMeta(metaPrefix+"x", v) == nil {
			kept[name] = v
		}
	}
	return kept
}

// putKept adds kept headers to those of a request.
func putKept(h, kept map[string]string) {
	for _, name := range keptHeaders {
		if v := kept[name]; v != "" {
			h[name] = v
		}
	}
}

// infoOf reads an answer's header. Size is left to the caller. A header that says two things is refused: readers would differ in
// which they believe. So is an ETag that could not be sent back.
func infoOf(key string, h http.Header) (Info, error) {
	info := Info{Key: key, ETag: unquote(h.Get("ETag")), Type: h.Get("x-oss-object-type"), VersionID: h.Get("x-oss-version-id")}
	if err := checkIdentifier("ETag", info.ETag); err != nil {
		return Info{}, err
	}
	if err := checkIdentifier("version id", info.VersionID); err != nil {
		return Info{}, err
	}
	info.LastModified, _ = http.ParseTime(h.Get("Last-Modified"))
	info.Date, _ = http.ParseTime(h.Get("Date"))
	info.CRC64, info.HasCRC = crcOf(h)
	info.TagCount, _ = strconv.Atoi(h.Get("x-oss-tagging-count"))
	info.Headers = keep(h)
	for name, values := range h {
		lower := strings.ToLower(name)
		if single(lower) && len(values) > 1 {
			return Info{}, fmt.Errorf("header %.100q stands there %d times", lower, len(values))
		}
		if !strings.HasPrefix(lower, metaPrefix) || len(values) == 0 {
			continue
		}
		if info.Meta == nil {
			info.Meta = make(map[string]string, 12)
		}
		if _, twice := info.Meta[lower]; twice {
			return Info{}, fmt.Errorf("header %.100q stands there in two spellings", lower)
		}
		info.Meta[lower] = values[0]
	}
	return info, nil
}

// single reports whether a header that describes an object may be there once only; name is lower case.
func single(name string) bool {
	return strings.HasPrefix(name, metaPrefix) || name == "etag" || name == "content-range" || name == "last-modified" ||
		name == "x-oss-hash-crc64ecma" || name == "x-oss-object-type"
}

// info is infoOf of an answer, which must be done with when it fails.
func (a *answer) info() (Info, error) {
	info, err := infoOf(a.key, a.header)
	if err != nil {
		return Info{}, a.fail(ErrUnavailable, err)
	}
	if !info.Date.IsZero() {
		info.Asked = info.Date.Add(-a.took)
	}
	return info, nil
}

// crcOf reads the server's CRC-64.
func crcOf(h http.Header) (uint64, bool) {
	v, err := strconv.ParseUint(h.Get("x-oss-hash-crc64ecma"), 10, 64)
	return v, err == nil
}

func unquote(etag string) string { return strings.Trim(etag, `"`) }

// checkKey refuses keys that OSS cannot hold.
func checkKey(op, key string) error {
	switch {
	case key == "":
		return invalid(op, key, "the object key is empty")
	case len(key) > MaxKeyLen:
		return invalid(op, key[:64]+"...", "the object key has %d bytes, at most %d are possible", len(key), MaxKeyLen)
	case key[0] == '/' || key[0] == '\\':
		return invalid(op, key, "an object key cannot begin with %q", key[:1])
	}
	return nil
}

// putMeta adds user metadata to a request's header after checking it against the rules of OSS.
func putMeta(op, key string, h map[string]string, meta map[string]string) error {
	total := 0
	for name, value := range meta {
		if err := checkMeta(name, value); err != nil {
			return invalid(op, key, "metadata %q: %v", name, err)
		}
		total += len(name) - len(metaPrefix) + len(value)
		h[name] = value
	}
	if total > MaxMetaLen {
		return invalid(op, key, "metadata has %d bytes, at most %d are possible", total, MaxMetaLen)
	}
	return nil
}

// CanCarry reports whether a request can carry a header of user metadata; name is lower case.
func CanCarry(name, value string) bool { return checkMeta(name, value) == nil }

// checkMeta allows names of lower-case letters, digits and hyphens and values of visible ASCII and inner spaces.
func checkMeta(name, value string) error {
	rest, ok := strings.CutPrefix(name, metaPrefix)
	if !ok || rest == "" {
		return fmt.Errorf("the name does not begin with %s", metaPrefix)
	}
	for _, c := range []byte(rest) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("byte %q in the name", c)
		}
	}
	for _, c := range []byte(value) {
		if c < 0x20 || c > 0x7e {
			return fmt.Errorf("byte %q in the value", c)
		}
	}
	if strings.TrimSpace(value) != value {
		return fmt.Errorf("the value begins or ends with a space")
	}
	return nil
}

// putMD5 adds a Content-MD5.
func putMD5(h map[string]string, sum [16]byte) {
	h["Content-MD5"] = base64.StdEncoding.EncodeToString(sum[:])
}

// escapeKey encodes a key for a header that carries a path (x-oss-copy-source).
func escapeKey(key string) string {
	return strings.ReplaceAll(url.QueryEscape(key), "+", "%20")
}
