package emulator

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// refusedAs fails unless err is a refusal by OSS with this EC.
func refusedAs(t *testing.T, err error, ec string) {
	t.Helper()
	var e sdk.ServiceError
	if !errors.As(err, &e) {
		t.Errorf("got error %v, want a refusal with EC %s", err, ec)
		return
	}
	if e.Ec != ec {
		t.Errorf("got EC %s (%s: %s), want %s", e.Ec, e.Code, e.Message, ec)
	}
}

func TestMultipartV1(t *testing.T) {
	for store, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(store, func(t *testing.T) {
			s := start(t, Options{Dir: dir})
			b := sdkBucket(t, s)
			data := randomBytes(2*DefaultMinPartSize + 333)
			up, err := b.InitiateMultipartUpload("multi", sdk.Meta("a", "b"))
			if err != nil {
				t.Fatal(err)
			}
			var parts []sdk.UploadPart
			for n := 1; n <= 3; n++ {
				chunk := data[(n-1)*DefaultMinPartSize : min(n*DefaultMinPartSize, len(data))]
				p, err := b.UploadPart(up, bytes.NewReader(chunk), int64(len(chunk)), n)
				if err != nil {
					t.Fatalf("part %d: %v", n, err)
				}
				parts = append(parts, p)
			}
			listed, err := b.ListUploadedParts(up, sdk.MaxParts(2))
			if err != nil || len(listed.UploadedParts) != 2 || !listed.IsTruncated || listed.NextPartNumberMarker != "2" {
				t.Errorf("list parts: %+v, %v", listed, err)
			}
			uploads, err := b.ListMultipartUploads()
			if err != nil || len(uploads.Uploads) != 1 || uploads.Uploads[0].Key != "multi" {
				t.Errorf("list uploads: %+v, %v", uploads, err)
			}
			wrong := append([]sdk.UploadPart{}, parts...)
			wrong[1].ETag = wrong[0].ETag
			_, err = b.CompleteMultipartUpload(up, wrong)
			refusedAs(t, err, ecInvalidPart)
			done, err := b.CompleteMultipartUpload(up, parts)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(strings.Trim(done.ETag, `"`), "-3") {
				t.Errorf("etag %q has no part count", done.ETag)
			}
			if got := getAll(t, b, "multi"); !bytes.Equal(got, data) {
				t.Error("content differs")
			}
			h, err := b.GetObjectDetailedMeta("multi")
			if err != nil || h.Get("X-Oss-Meta-A") != "b" || h.Get("X-Oss-Object-Type") != "Multipart" {
				t.Errorf("head: %v, %v", h, err)
			}
			if want := fmt.Sprint(crcOf(data)); h.Get("X-Oss-Hash-Crc64ecma") != want {
				t.Errorf("crc %s, want %s", h.Get("X-Oss-Hash-Crc64ecma"), want)
			}
			_, err = b.CompleteMultipartUpload(up, parts)
			refusedAs(t, err, ecNoSuchUpload)
			if got := getAll(t, b, "multi", sdk.Range(DefaultMinPartSize-5, DefaultMinPartSize+5)); !bytes.Equal(got, data[DefaultMinPartSize-5:DefaultMinPartSize+6]) {
				t.Error("range over a part boundary differs")
			}
		})
	}
}

func TestMultipartRefusals(t *testing.T) {
	s := start(t, Options{MaxParts: 5})
	b := sdkBucket(t, s)
	up, err := b.InitiateMultipartUpload("m")
	if err != nil {
		t.Fatal(err)
	}
	small, err := b.UploadPart(up, strings.NewReader("tiny"), 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	last, err := b.UploadPart(up, strings.NewReader("tiny"), 4, 2)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.CompleteMultipartUpload(up, []sdk.UploadPart{small, last})
	refusedAs(t, err, ecPartTooSmall)
	_, err = b.UploadPart(up, strings.NewReader("x"), 1, 6)
	refusedAs(t, err, ecPartNumber)
	if err := b.PutObject("m", strings.NewReader("there")); err != nil {
		t.Fatal(err)
	}
	_, err = b.CompleteMultipartUpload(up, []sdk.UploadPart{small}, sdk.ForbidOverWrite(true))
	refusedAs(t, err, ecExistsAtComplete)
	if err := b.AbortMultipartUpload(up); err != nil {
		t.Fatal(err)
	}
	refusedAs(t, b.AbortMultipartUpload(up), ecNoSuchUpload)
	_, err = b.UploadPart(up, strings.NewReader("x"), 1, 1)
	refusedAs(t, err, ecNoSuchUpload)
}

func TestPartCopyAndResumableUpload(t *testing.T) {
	s := start(t, Options{Dir: t.TempDir()})
	b := sdkBucket(t, s)
	data := randomBytes(350 << 10)
	if err := b.PutObject("src", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := b.CopyFile(testBucket, "src", "dst", 100<<10); err != nil {
		t.Fatalf("copy in parts: %v", err)
	}
	if got := getAll(t, b, "dst"); !bytes.Equal(got, data) {
		t.Error("copy in parts differs")
	}
}

func TestCopy(t *testing.T) {
	s := start(t, Options{Buckets: []string{testBucket, "other-bucket"}})
	b := sdkBucket(t, s)
	tags := sdk.Tagging{Tags: []sdk.Tag{{Key: "k", Value: "v 1"}}}
	if err := b.PutObject("a/ü+%", strings.NewReader("content"), sdk.Meta("m", "1"), sdk.SetTagging(tags)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CopyObject("a/ü+%", "b", sdk.Meta("m", "ignored")); err != nil {
		t.Fatal(err)
	}
	h, err := b.GetObjectDetailedMeta("b")
	if err != nil || h.Get("X-Oss-Meta-M") != "1" || h.Get("X-Oss-Tagging-Count") != "1" {
		t.Errorf("copied headers: %v, %v", h, err)
	}
	if _, err := b.CopyObject("b", "c", sdk.Meta("m", "2"), sdk.MetadataDirective(sdk.MetaReplace), sdk.TaggingDirective(sdk.TaggingReplace)); err != nil {
		t.Fatal(err)
	}
	h, err = b.GetObjectDetailedMeta("c")
	if err != nil || h.Get("X-Oss-Meta-M") != "2" || h.Get("X-Oss-Tagging-Count") != "" {
		t.Errorf("replaced headers: %v, %v", h, err)
	}
	if _, err := b.CopyObjectTo("other-bucket", "x", "b"); err != nil {
		t.Errorf("copy to another bucket: %v", err)
	}
	_, err = b.CopyObject("b", "c", sdk.ForbidOverWrite(true))
	refusedAs(t, err, ecExists)
	_, err = b.CopyObject("b", "d", sdk.CopySourceIfMatch(`"00"`))
	refusedAs(t, err, ecPrecondition)
	_, err = b.CopyObject("missing", "d")
	refusedAs(t, err, ecNoSuchKey)
	if err := b.SetObjectMeta("b", sdk.Meta("n", "3")); err != nil {
		t.Errorf("self-copy of a plain object: %v", err)
	}
	if h, err = b.GetObjectDetailedMeta("b"); err != nil || h.Get("X-Oss-Meta-N") != "3" || h.Get("X-Oss-Meta-M") != "" {
		t.Errorf("headers after a self-copy: %v, %v", h, err)
	}
}

func TestAppend(t *testing.T) {
	for store, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(store, func(t *testing.T) {
			s := start(t, Options{Dir: dir})
			b := sdkBucket(t, s)
			var want []byte
			for _, n := range []int{5, 0, 130 << 10, 7} {
				chunk := randomBytes(n)
				next, err := b.AppendObject("log", bytes.NewReader(chunk), int64(len(want)), sdk.InitCRC(crcOf(want)))
				if err != nil {
					t.Fatalf("append %d at %d: %v", n, len(want), err)
				}
				want = append(want, chunk...)
				if next != int64(len(want)) {
					t.Errorf("next position %d, want %d", next, len(want))
				}
			}
			if got := getAll(t, b, "log"); !bytes.Equal(got, want) {
				t.Error("content differs")
			}
			_, err := b.AppendObject("log", strings.NewReader("x"), 3)
			refusedAs(t, err, ecPosition)
			if err := b.PutObject("plain", strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
			_, err = b.AppendObject("plain", strings.NewReader("x"), 1)
			refusedAs(t, err, ecNotAppendable)
			_, err = b.CopyObject("log", "copy")
			refusedAs(t, err, ecCopySource)
		})
	}
}

func TestTaggingSymlinkACL(t *testing.T) {
	s := start(t, Options{Dir: t.TempDir()})
	b := sdkBucket(t, s)
	if err := b.PutObject("o", strings.NewReader("target content"), sdk.Meta("own", "target")); err != nil {
		t.Fatal(err)
	}
	before, err := b.GetObjectDetailedMeta("o")
	if err != nil {
		t.Fatal(err)
	}
	tags := sdk.Tagging{Tags: []sdk.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "x/y:z"}}}
	if err := b.PutObjectTagging("o", tags); err != nil {
		t.Fatal(err)
	}
	got, err := b.GetObjectTagging("o")
	if err != nil || len(got.Tags) != 2 || got.Tags[1].Value != "x/y:z" {
		t.Errorf("tags %+v, %v", got, err)
	}
	after, err := b.GetObjectDetailedMeta("o")
	if err != nil || after.Get("ETag") != before.Get("ETag") || after.Get("Last-Modified") != before.Get("Last-Modified") || after.Get("X-Oss-Tagging-Count") != "2" {
		t.Errorf("head after tagging: %v, %v", after, err)
	}
	refusedAs(t, b.PutObjectTagging("o", sdk.Tagging{Tags: []sdk.Tag{{Key: "a", Value: "bad!"}}}), ecTags)
	if err := b.DeleteObjectTagging("o"); err != nil {
		t.Error(err)
	}
	if err := b.PutSymlink("link", "o", sdk.Meta("own", "link")); err != nil {
		t.Fatal(err)
	}
	h, err := b.GetSymlink("link")
	if err != nil || h.Get("X-Oss-Symlink-Target") != "o" {
		t.Errorf("symlink: %v, %v", h, err)
	}
	if text := getAll(t, b, "link"); string(text) != "target content" {
		t.Errorf("through the link: %q", text)
	}
	if h, err = b.GetObjectDetailedMeta("link"); err != nil || h.Get("X-Oss-Meta-Own") != "link" || h.Get("X-Oss-Object-Type") != "Symlink" {
		t.Errorf("head of the link: %v, %v", h, err)
	}
	if err := b.PutSymlink("dangling", "nothing"); err != nil {
		t.Fatal(err)
	}
	_, err = b.GetObject("dangling")
	refusedAs(t, err, ecSymlinkTarget)
	if err := b.SetObjectACL("o", sdk.ACLPublicRead); err != nil {
		t.Fatal(err)
	}
	if acl, err := b.GetObjectACL("o"); err != nil || acl.ACL != "public-read" {
		t.Errorf("acl %+v, %v", acl, err)
	}
	resp, err := http.Get(s.Endpoint() + "/" + testBucket + "/o")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("anonymous get of a public object: %v, %v", resp, err)
	}
	if err == nil {
		resp.Body.Close()
	}
}

func TestPutRefusals(t *testing.T) {
	s := start(t, Options{MaxPutSize: 1000})
	b := sdkBucket(t, s)
	sum := md5.Sum([]byte("other"))
	bad := base64.StdEncoding.EncodeToString(sum[:])
	put := func(key, data string, opts ...sdk.Option) error {
		return b.PutObject(key, strings.NewReader(data), opts...)
	}
	if err := put("kept", "old"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		err  error
		ec   string
	}{
		{"digest of other bytes", put("kept", "new", sdk.ContentMD5(bad)), ecDigest},
		{"digest that is none", put("kept", "new", sdk.ContentMD5("x")), ecDigest},
		{"forbidden overwrite", put("kept", "new", sdk.ForbidOverWrite(true)), ecExists},
		{"too large", put("kept", strings.Repeat("x", 1001)), ecTooLarge},
		{"backslash", put(`\x`, ""), ecObjectName},
		{"long name", put(strings.Repeat("n", 1024), ""), ecObjectName},
		{"metadata of 8 KB", put("kept", "new", sdk.Meta("a", strings.Repeat("v", 8192))), ecMetaSize},
		{"metadata name", put("kept", "new", sdk.Meta("a_b", "v")), ecMetaName},
		{"metadata value", put("kept", "new", sdk.Meta("a", "ü")), ecMetaValue},
		{"storage class", put("kept", "new", sdk.ObjectStorageClass("Glass")), ecStorageClass},
		{"acl", put("kept", "new", sdk.ObjectACL("all")), ecACL},
		{"eleven tags", put("kept", "new", sdk.SetHeader("x-oss-tagging", "a=&b=&c=&d=&e=&f=&g=&h=&i=&j=&k=")), ecTags},
	} {
		t.Run(test.name, func(t *testing.T) { refusedAs(t, test.err, test.ec) })
	}
	if got := getAll(t, b, "kept"); string(got) != "old" {
		t.Errorf("a refused put left %q", got)
	}
	if err := put(strings.Repeat("n", 1023), ""); err != nil {
		t.Errorf("name of 1023 bytes: %v", err)
	}
}

func TestConditionsAndRanges(t *testing.T) {
	s := start(t, Options{})
	b := sdkBucket(t, s)
	if err := b.PutObject("o", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	h, err := b.GetObjectDetailedMeta("o")
	if err != nil {
		t.Fatal(err)
	}
	etag, at := h.Get("ETag"), time.Now()
	for _, test := range []struct {
		name string
		opt  sdk.Option
		ok   bool
	}{
		{"if-match", sdk.IfMatch(etag), true},
		{"if-match of another", sdk.IfMatch("00"), false},
		{"if-none-match", sdk.IfNoneMatch(etag), false},
		{"if-none-match of another", sdk.IfNoneMatch("00"), true},
		{"if-modified-since before", sdk.IfModifiedSince(at.Add(-time.Hour)), true},
		{"if-modified-since after", sdk.IfModifiedSince(at.Add(time.Hour)), false},
		{"if-unmodified-since before", sdk.IfUnmodifiedSince(at.Add(-time.Hour)), false},
		{"if-unmodified-since after", sdk.IfUnmodifiedSince(at.Add(time.Hour)), true},
	} {
		_, err := b.GetObjectDetailedMeta("o", test.opt)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	for spec, want := range map[string]string{
		"2-4": "234", "7-": "789", "-3": "789", "0-9": "0123456789", "5-20": "0123456789", "10-": "0123456789", "3-1": "0123456789",
	} {
		if got := getAll(t, b, "o", sdk.NormalizedRange(spec)); string(got) != want {
			t.Errorf("range %s: %q, want %q", spec, got, want)
		}
	}
	if got := getAll(t, b, "o", sdk.NormalizedRange("5-20"), sdk.RangeBehavior("standard")); string(got) != "56789" {
		t.Errorf("standard range 5-20: %q", got)
	}
	_, err = b.GetObject("o", sdk.NormalizedRange("10-20"), sdk.RangeBehavior("standard"))
	refusedAs(t, err, ecRange)
}
