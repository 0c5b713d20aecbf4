package emulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

func TestListingV1(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	var keys []string
	for i := range 12 {
		keys = append(keys, fmt.Sprintf("dir %d/ü+\x01%%", i), fmt.Sprintf("file&%02d", i))
	}
	for _, k := range keys {
		if err := b.PutObject(k, strings.NewReader(k)); err != nil {
			t.Fatalf("put %q: %v", k, err)
		}
	}
	var objects, prefixes []string
	opts := []sdk.Option{sdk.Delimiter("/"), sdk.MaxKeys(5)}
	token := sdk.ContinuationToken("")
	for pages := 0; ; pages++ {
		o := opts
		if pages > 0 {
			o = append(o, token)
		}
		p, err := b.ListObjectsV2(o...)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range p.Objects {
			objects = append(objects, it.Key)
		}
		prefixes = append(prefixes, p.CommonPrefixes...)
		if !p.IsTruncated {
			break
		}
		token = sdk.ContinuationToken(p.NextContinuationToken)
	}
	if len(objects) != 12 || len(prefixes) != 12 {
		t.Errorf("V2: %d objects %v and %d prefixes %v", len(objects), objects, len(prefixes), prefixes)
	}
	objects, prefixes = nil, nil
	marker := ""
	for {
		p, err := b.ListObjects(sdk.Delimiter("/"), sdk.MaxKeys(1), sdk.Marker(marker))
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range p.Objects {
			objects = append(objects, it.Key)
		}
		prefixes = append(prefixes, p.CommonPrefixes...)
		if !p.IsTruncated {
			break
		}
		marker = p.NextMarker
	}
	if len(objects) != 12 || len(prefixes) != 12 {
		t.Errorf("V1: %d objects %v and %d prefixes %v", len(objects), objects, len(prefixes), prefixes)
	}
	p, err := b.ListObjectsV2(sdk.StartAfter("file&09"))
	if err != nil || len(p.Objects) != 2 {
		t.Errorf("start-after: %+v, %v", p.Objects, err)
	}
	for _, n := range []int{0, 1001} {
		_, err := b.ListObjects(sdk.MaxKeys(n))
		refusedAs(t, err, ecArgument)
	}
	_, err = b.ListObjectsV2(sdk.ContinuationToken("!"))
	refusedAs(t, err, ecArgument)
}

func TestDefaultPageIs100(t *testing.T) {
	s := start(t, Options{})
	for i := range 101 {
		if err := s.WriteObject(testBucket, fmt.Sprintf("%03d", i), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	p, err := sdkBucket(t, s).ListObjectsV2()
	if err != nil || len(p.Objects) != 100 || !p.IsTruncated {
		t.Errorf("got %d objects, truncated %v, %v", len(p.Objects), p.IsTruncated, err)
	}
}

func TestVersioning(t *testing.T) {
	for store, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(store, func(t *testing.T) {
			s := start(t, Options{Dir: dir})
			c, b := sdkClient(t, s), sdkBucket(t, s)
			if err := b.PutObject("o", strings.NewReader("null version")); err != nil {
				t.Fatal(err)
			}
			if err := c.SetBucketVersioning(testBucket, sdk.VersioningConfig{Status: "Enabled"}); err != nil {
				t.Fatal(err)
			}
			var h http.Header
			for _, text := range []string{"one", "two"} {
				if err := b.PutObject("o", strings.NewReader(text), sdk.ForbidOverWrite(true), sdk.GetResponseHeader(&h)); err != nil {
					t.Fatalf("forbid-overwrite must not count here: %v", err)
				}
			}
			two := h.Get("X-Oss-Version-Id")
			if err := b.DeleteObject("o"); err != nil {
				t.Fatal(err)
			}
			_, err := b.GetObject("o")
			refusedAs(t, err, ecNoSuchKey)
			if got := getAll(t, b, "o", sdk.VersionId("null")); string(got) != "null version" {
				t.Errorf("null version: %q", got)
			}
			list, err := b.ListObjectVersions()
			if err != nil || len(list.ObjectVersions) != 3 || len(list.ObjectDeleteMarkers) != 1 || !list.ObjectDeleteMarkers[0].IsLatest {
				t.Fatalf("versions %+v, %v", list, err)
			}
			if list.ObjectVersions[0].VersionId != two {
				t.Errorf("newest version %q, want %q", list.ObjectVersions[0].VersionId, two)
			}
			page, err := b.ListObjectVersions(sdk.MaxKeys(2))
			if err != nil || !page.IsTruncated {
				t.Fatalf("page %+v, %v", page, err)
			}
			page, err = b.ListObjectVersions(sdk.KeyMarker(page.NextKeyMarker), sdk.VersionIdMarker(page.NextVersionIdMarker))
			if err != nil || len(page.ObjectVersions) != 2 {
				t.Errorf("second page %+v, %v", page, err)
			}
			if err := b.DeleteObject("o", sdk.VersionId(list.ObjectDeleteMarkers[0].VersionId)); err != nil {
				t.Fatal(err)
			}
			if got := getAll(t, b, "o"); string(got) != "two" {
				t.Errorf("after the marker went: %q", got)
			}
		})
	}
}

func TestBucketOperations(t *testing.T) {
	s := start(t, Options{})
	c := sdkClient(t, s)
	if err := c.CreateBucket("made-here", sdk.ACL(sdk.ACLPublicRead), sdk.StorageClass(sdk.StorageIA)); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateBucket("made-here"); err != nil {
		t.Errorf("create one's own bucket again: %v", err)
	}
	info, err := c.GetBucketInfo("made-here")
	if err != nil || info.BucketInfo.StorageClass != "IA" || info.BucketInfo.ACL != "public-read" || info.BucketInfo.Location != "oss-cn-hangzhou" {
		t.Errorf("info %+v, %v", info, err)
	}
	if loc, err := c.GetBucketLocation("made-here"); err != nil || loc != "oss-cn-hangzhou" {
		t.Errorf("location %q, %v", loc, err)
	}
	list, err := c.ListBuckets()
	if err != nil || len(list.Buckets) != 2 || list.Buckets[0].Name != "made-here" {
		t.Errorf("buckets %+v, %v", list, err)
	}
	if err := c.SetBucketACL("made-here", sdk.ACLPrivate); err != nil {
		t.Error(err)
	}
	if acl, err := c.GetBucketACL("made-here"); err != nil || acl.ACL != "private" {
		t.Errorf("acl %+v, %v", acl, err)
	}
	b, err := c.Bucket("made-here")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.PutObject("x", strings.NewReader("12345")); err != nil {
		t.Fatal(err)
	}
	if stat, err := c.GetBucketStat("made-here"); err != nil || stat.ObjectCount != 1 || stat.Storage != 5 {
		t.Errorf("stat %+v, %v", stat, err)
	}
	refusedAs(t, c.DeleteBucket("made-here"), ecBucketNotEmpty)
	if _, err := b.DeleteObjects([]string{"x", "never-there"}); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteBucket("made-here"); err != nil {
		t.Error(err)
	}
	refusedAs(t, c.DeleteBucket("made-here"), ecNoSuchBucket)
	_, err = b.GetObject("x")
	refusedAs(t, err, ecNoSuchBucket)
}
