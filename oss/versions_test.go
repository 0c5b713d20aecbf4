package oss

import (
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/membound"
)

// TestVersions writes, deletes and writes a key again, and looks at what lies below.
func TestVersions(t *testing.T) {
	c := opened(t, emulatedConfig(emulated(t, emulator.Options{Versioning: true})))
	ctx := t.Context()
	put := func(key, text string) string {
		info, err := c.Put(ctx, key, strings.NewReader(text), int64(len(text)), PutOptions{})
		if err != nil || info.VersionID == "" {
			t.Fatalf("got version %q, %v", info.VersionID, err)
		}
		return info.VersionID
	}
	first := put("k k", "one")
	marker, err := c.Remove(ctx, "k k")
	if err != nil || marker == "" {
		t.Fatalf("got marker %q, %v", marker, err)
	}
	put("k k2", "another key")
	second := put("k k", "number two")
	for _, s := range []struct {
		name, under string
		limit       int
		want        []string
	}{
		{"all", "", 10, []string{second, marker, first}},
		{"one below the newest", second, 1, []string{marker}},
		{"below the marker", marker, 10, []string{first}},
		{"below all", first, 10, nil},
	} {
		list, err := c.ListVersions(ctx, "k k", s.under, s.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range list {
			got = append(got, v.ID)
			if v.Marker != (v.ID == marker) || v.Marker == (v.ETag != "") {
				t.Errorf("got %+v", v)
			}
		}
		if strings.Join(got, " ") != strings.Join(s.want, " ") {
			t.Errorf("%s: got %q, want %q", s.name, got, s.want)
		}
	}
	if info, err := c.HeadVersion(ctx, "k k", first); err != nil || info.Size != 3 || info.VersionID != first {
		t.Errorf("got %+v, %v", info, err)
	}
	if info, err := c.Copy(ctx, "k k", "copy", CopyOptions{SourceVersion: first}); err != nil || info.VersionID == "" {
		t.Errorf("got %+v, %v", info, err)
	}
	if info, err := c.Head(ctx, "copy"); err != nil || info.Size != 3 {
		t.Errorf("got %+v, %v, want a copy of the first version", info, err)
	}
	if err := c.RemoveVersion(ctx, "k k", second); err != nil {
		t.Fatal(err)
	}
	if list, err := c.ListVersions(ctx, "k k", "", 10); err != nil || len(list) != 2 || list[0].ID != marker {
		t.Errorf("got %+v, %v", list, err)
	}
}

// FuzzParseVersions: no list makes the reader panic, and what is accepted is of the key and within the limit.
func FuzzParseVersions(f *testing.F) {
	const head = "<ListVersionsResult><EncodingType>url</EncodingType>"
	f.Add([]byte(head+`<Version><Key>a%2Fb</Key><VersionId>v</VersionId><LastModified>2024-01-02T03:04:05.000Z</LastModified>`+
		`<ETag>"E"</ETag><Size>3</Size></Version><DeleteMarker><Key>a%2Fb</Key><VersionId>w</VersionId>`+
		`<LastModified>2024-01-02T03:04:05.000Z</LastModified></DeleteMarker></ListVersionsResult>`), "a/b")
	f.Add([]byte(head+"</ListVersionsResult>"), "k")
	f.Fuzz(func(t *testing.T, doc []byte, key string) {
		var list []Version
		var err error
		membound.Check(t, len(doc), 200, func() { list, err = parseVersions(doc, key, 3) })
		if err != nil {
			return
		}
		if len(list) > 3 {
			t.Fatalf("accepted %d versions", len(list))
		}
		for _, v := range list {
			if v.ID == "" || v.Size < 0 || v.Marker == (v.ETag != "") {
				t.Fatalf("accepted %+v", v)
			}
		}
	})
}
