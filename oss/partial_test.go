package oss

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestPartialServers: an answer that belongs to another request is taken for what it is, and one that has more than is documented is no such answer.
func TestPartialServers(t *testing.T) {
	const tags = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
	page := listing([]string{"a"}, nil, "")
	with := func(element string) string {
		return strings.Replace(page, "<EncodingType>", element+"<EncodingType>", 1)
	}
	for name, tt := range map[string]struct {
		answer, etag string
		call         func(*testing.T, *Client) error
		want         error
	}{
		"listing":                 {page, "", listed, nil},
		"listing of version 1":    {with("<Marker></Marker>"), "", listed, ErrUnsupported},
		"listing with an element": {with("<Marker></Marker><KeyCount>1</KeyCount>"), "", listed, nil},
		"tags":                    {tags, "", tagged, nil},
		"tags with an ETag":       {tags, `"E"`, tagged, nil},
		"the object":              {"some content", `"E"`, tagged, ErrUnsupported},
		"neither":                 {"some content", "", tagged, ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int64) {
				if tt.etag != "" {
					w.Header().Set("ETag", tt.etag)
				}
				_, _ = io.WriteString(w, tt.answer)
			})
			if err := tt.call(t, f.client(t, func(c *Config) { c.Retries = -1 })); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func listed(t *testing.T, c *Client) error {
	_, err := c.List(t.Context(), ListOptions{})
	return err
}

func tagged(t *testing.T, c *Client) error {
	_, err := c.GetTagging(t.Context(), "k")
	return err
}
