package emulator

import (
	"net/http"
	"net/url"
	"sort"
	"strings"
	"unicode/utf8"
)

// maxKeyBytes is the longest object name, in bytes of UTF-8.
const maxKeyBytes = 1023

// metaPrefix begins the names of user metadata headers, as they are stored: in lower case.
const metaPrefix = "x-oss-meta-"

func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// checkKey applies OSS's rules for object names.
func checkKey(key string) error {
	if key == "" || len(key) > maxKeyBytes || key[0] == '/' || key[0] == '\\' || !utf8.ValidString(key) {
		return refuse(http.StatusBadRequest, "InvalidObjectName", ecObjectName, "The specified object is not valid.").with("ObjectName", strings.ToValidUTF8(key, "?"))
	}
	return nil
}

// storedHeaders picks from a request the headers that become the object's own, names in lower case, and
// checks the user metadata among them.
func (s *Server) storedHeaders(h http.Header) (map[string]string, error) {
	out := map[string]string{}
	total := 0
	for name, values := range h {
		low := strings.ToLower(name)
		switch low {
		case "content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires":
			if values[0] != "" {
				out[low] = values[0]
			}
			continue
		}
		if !strings.HasPrefix(low, metaPrefix) {
			continue
		}
		value := strings.Join(values, ",")
		if err := s.checkMeta(low, value); err != nil {
			return nil, err
		}
		total += len(low) + len(value)
		out[low] = value
	}
	if total >= s.opt.MaxUserMeta {
		return nil, refuse(http.StatusBadRequest, "MetadataTooLarge", ecMetaSize, "The user metadata is %d bytes; it must be less than %d.", total, s.opt.MaxUserMeta)
	}
	return out, nil
}

func (s *Server) checkMeta(name, value string) error {
	for _, c := range []byte(name[len(metaPrefix):]) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return refuse(http.StatusBadRequest, "InvalidArgument", ecMetaName, "The key of a user metadata header contains invalid characters.").with("ArgumentName", name)
		}
	}
	if s.opt.MetaValues == Allow && utf8.ValidString(value) {
		return nil
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' {
			return refuse(http.StatusBadRequest, "InvalidArgument", ecMetaValue, "The value of a user metadata header contains invalid characters.").with("ArgumentName", name)
		}
	}
	return nil
}

// Limits of object tags.
const (
	maxTags      = 10
	maxTagKey    = 128
	maxTagValue  = 256
	tagSpecials  = " +-=._:/"
	tagsRuleText = "The object tags you specified are not valid."
)

// newTags are the tags that a request wants its object to have.
func (c *call) newTags() (map[string]string, error) {
	if c.s.opt.Lacks.has(LacksTagging | IgnoresTags) {
		return nil, nil //nolint:nilnil // no tags
	}
	return parseTagging(c.header("x-oss-tagging"))
}

// parseTagging reads the x-oss-tagging header: k=v pairs, url-encoded.
func parseTagging(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "InvalidArgument", ecTags, tagsRuleText)
	}
	tags := make(map[string]string, len(values))
	for k, v := range values {
		if len(v) != 1 {
			return nil, refuse(http.StatusBadRequest, "InvalidTag", ecTags, "%s", tagsRuleText)
		}
		tags[k] = v[0]
	}
	return tags, checkTags(tags)
}

// checkTags applies OSS's rules for tags.
func checkTags(tags map[string]string) error {
	bad := func() error { return refuse(http.StatusBadRequest, "InvalidTag", ecTags, "%s", tagsRuleText) }
	if len(tags) > maxTags {
		return bad()
	}
	for k, v := range tags {
		if k == "" || utf8.RuneCountInString(k) > maxTagKey || utf8.RuneCountInString(v) > maxTagValue {
			return bad()
		}
		for _, c := range []byte(k + v) {
			letter := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
			if !letter && strings.IndexByte(tagSpecials, c) < 0 {
				return bad()
			}
		}
	}
	return nil
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// percent encodes everything but RFC 3986's unreserved characters, and, when slash is set, keeps '/'.
func percent(s string, slash bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 8)
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && slash:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}
