package oss

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// Version is one version of an object in a bucket with versioning, or the note that it was deleted.
type Version struct {
	ID           string
	ETag         string // without quotes; empty for a delete marker
	Size         int64
	LastModified time.Time
	Marker       bool // a delete marker
}

// maxVersions bounds a page of ListVersions.
const maxVersions = 100

// ListVersions returns up to limit versions of one key, the newest first: from the top, or those below the version under. It is a read.
func (c *Client) ListVersions(ctx context.Context, key, under string, limit int) ([]Version, error) {
	const op = "ListObjectVersions"
	if err := checkKey(op, key); err != nil {
		return nil, err
	}
	limit = max(1, min(limit, maxVersions))
	r := request{op: op, method: "GET", repeat: true, params: map[string]any{
		"versions": nil, "prefix": key, "max-keys": strconv.Itoa(limit), "encoding-type": "url"}}
	if under != "" {
		r.params["key-marker"], r.params["version-id-marker"] = key, under
	}
	a, doc, err := c.document(ctx, r)
	if err != nil {
		return nil, err
	}
	list, err := parseVersions(doc, key, limit)
	if err != nil {
		e := a.fail(ErrUnavailable, err)
		e.Key = key
		return nil, e
	}
	return list, nil
}

// versionsDocument is the answer to ListObjectVersions. Versions and delete markers stand among the other elements, in one order.
type versionsDocument struct {
	XMLName  xml.Name        `xml:"ListVersionsResult"`
	Encoding string          `xml:"EncodingType"`
	Items    []listedVersion `xml:",any"`
}

type listedVersion struct {
	XMLName      xml.Name
	Key          string
	VersionID    string `xml:"VersionId"`
	LastModified string
	ETag         string
	Size         int64
}

// parseVersions reads the versions of one key; other keys that begin with it end the list.
func parseVersions(doc []byte, key string, limit int) ([]Version, error) {
	var d versionsDocument
	if err := decodeXML(doc, &d); err != nil {
		return nil, fmt.Errorf("list of versions is not the expected XML: %w", err)
	}
	if d.Encoding != "url" {
		return nil, errors.New("list of versions is not url-encoded as asked")
	}
	var list []Version
	for n := range d.Items {
		x := &d.Items[n]
		kind := x.XMLName.Local
		if kind != "Version" && kind != "DeleteMarker" {
			continue
		}
		if name, err := url.QueryUnescape(x.Key); err != nil || name != key {
			break
		}
		if len(list) == limit {
			return nil, fmt.Errorf("list of versions has more than the %d asked for", limit)
		}
		v, err := x.version(kind == "DeleteMarker")
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// version checks one element.
func (x *listedVersion) version(marker bool) (Version, error) {
	v := Version{ID: x.VersionID, Marker: marker}
	if err := checkIdentifier("version id", v.ID); err != nil || v.ID == "" {
		return v, fmt.Errorf("listed version %.100q", v.ID)
	}
	var err error
	if v.LastModified, err = time.Parse(time.RFC3339, x.LastModified); err != nil || v.LastModified.Year() > maxYear {
		return v, fmt.Errorf("listed version with the time %.100q", x.LastModified)
	}
	if marker {
		return v, nil
	}
	v.ETag, v.Size = unquote(x.ETag), x.Size
	if err := checkIdentifier("ETag", v.ETag); err != nil || v.ETag == "" || v.Size < 0 || v.Size > MaxObjectSize {
		return v, fmt.Errorf("listed version with the ETag %.100q and %d bytes", x.ETag, x.Size)
	}
	return v, nil
}

// versionParam names one version in a request; nil for the current one.
func versionParam(version string) map[string]any {
	if version == "" {
		return nil
	}
	return map[string]any{"versionId": version}
}

// HeadVersion describes one version of an object. It is a read.
func (c *Client) HeadVersion(ctx context.Context, key, version string) (Info, error) {
	return c.head(ctx, key, version)
}

// Remove removes an object as Delete does and tells the version that this made: the id of a delete marker in a bucket with
// versioning, empty in others. It is a write: one attempt.
func (c *Client) Remove(ctx context.Context, key string) (version string, err error) {
	return c.remove(ctx, key, "")
}

// RemoveVersion removes one version for good, a delete marker too; one that does not exist is no error. It is a write: one attempt.
func (c *Client) RemoveVersion(ctx context.Context, key, version string) error {
	if err := checkIdentifier("version id", version); err != nil || version == "" {
		return invalid("DeleteObject", key, "version id %.100q", version)
	}
	_, err := c.remove(ctx, key, version)
	return err
}

// remove sends one DELETE.
func (c *Client) remove(ctx context.Context, key, version string) (made string, err error) {
	const op = "DeleteObject"
	if err := checkKey(op, key); err != nil {
		return "", err
	}
	a, err := c.call(ctx, request{op: op, method: "DELETE", key: key, params: versionParam(version)})
	if err != nil {
		return "", err
	}
	a.discard(0, nil)
	made = a.header.Get("x-oss-version-id")
	if checkIdentifier("version id", made) != nil {
		made = ""
	}
	return made, nil
}
