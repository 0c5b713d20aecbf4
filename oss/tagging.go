package oss

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// Limits of OSS on tags (OSS.md §0.13), in characters where not said otherwise.
const (
	MaxTags     = 10
	MaxTagKey   = 128
	MaxTagValue = 256
)

// taggingDocument is the body of both tagging calls.
type taggingDocument struct {
	XMLName xml.Name `xml:"Tagging"`
	Tags    []tag    `xml:"TagSet>Tag"`
}

type tag struct{ Key, Value string }

// EncodeTagging is the form of tags in PutOptions and CopyOptions: k=v&k2=v2, url-encoded, in the order of the keys.
func EncodeTagging(tags map[string]string) string {
	var b strings.Builder
	for _, t := range sortedTags(tags) {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escapeKey(t.Key) + "=" + escapeKey(t.Value))
	}
	return b.String()
}

func sortedTags(tags map[string]string) []tag {
	list := make([]tag, 0, len(tags))
	for k, v := range tags {
		list = append(list, tag{k, v})
	}
	slices.SortFunc(list, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// GetTagging reads an object's tags; an empty map when it has none. It is a read.
func (c *Client) GetTagging(ctx context.Context, key string) (map[string]string, error) {
	return c.GetVersionTagging(ctx, key, "")
}

// GetVersionTagging reads the tags of one version of an object; of the current one when version is empty. It is a read.
func (c *Client) GetVersionTagging(ctx context.Context, key, version string) (map[string]string, error) {
	const op = "GetObjectTagging"
	if err := checkKey(op, key); err != nil {
		return nil, err
	}
	params := map[string]any{"tagging": nil}
	if version != "" {
		params["versionId"] = version
	}
	a, doc, err := c.document(ctx, request{op: op, method: "GET", key: key, params: params, repeat: true})
	if err != nil {
		return nil, err
	}
	var d taggingDocument
	if err := a.decode(doc, &d); err != nil {
		if a.header.Get("ETag") != "" {
			return nil, a.fail(ErrUnsupported, fmt.Errorf("the answer is the object: %w", err))
		}
		return nil, err
	}
	tags := make(map[string]string, len(d.Tags))
	for _, t := range d.Tags {
		if _, twice := tags[t.Key]; twice || len(tags) == MaxTags {
			return nil, a.fail(ErrUnavailable, fmt.Errorf("more than %d tags, or one twice", MaxTags))
		}
		tags[t.Key] = t.Value
	}
	return tags, nil
}

// PutTagging replaces an object's tags without touching its bytes, metadata or modification time. An empty map
// removes them. It is a write: one attempt.
func (c *Client) PutTagging(ctx context.Context, key string, tags map[string]string) error {
	const op = "PutObjectTagging"
	if err := checkKey(op, key); err != nil {
		return err
	}
	if err := checkTags(op, key, tags); err != nil {
		return err
	}
	doc, err := xml.Marshal(taggingDocument{Tags: sortedTags(tags)})
	if err != nil {
		return invalid(op, key, "tags: %v", err)
	}
	r := request{op: op, method: "PUT", key: key, params: map[string]any{"tagging": nil}, body: documentBody(doc)}
	r.header = map[string]string{"Content-Type": "application/xml"}
	a, err := c.call(ctx, r)
	if err != nil {
		return err
	}
	a.discard(int64(len(doc)), nil)
	return nil
}

// checkTags refuses tags that OSS cannot hold.
func checkTags(op, key string, tags map[string]string) error {
	if len(tags) > MaxTags {
		return invalid(op, key, "%d tags, at most %d are possible", len(tags), MaxTags)
	}
	for k, v := range tags {
		if k == "" || len(k) > MaxTagKey || len(v) > MaxTagValue || !tagChars(k) || !tagChars(v) {
			return invalid(op, key, "tag %q: keys of 1 to %d and values of up to %d letters, digits, spaces and +-=._:/ are possible",
				k, MaxTagKey, MaxTagValue)
		}
	}
	return nil
}

// tagChars reports whether OSS allows all characters of s in a tag.
func tagChars(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(" +-=._:/", rune(c)) {
			return false
		}
	}
	return true
}
