package oss

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
)

// bucketUnderTest is where the conformance suite runs: a client and a prefix of its own, empty at start.
type bucketUnderTest struct {
	*Client
	prefix string
}

// TestConformance checks what this package promises about a bucket on the emulator, with each signature version,
// and on a true bucket when OSSENCFS_TEST_BUCKET, OSS_ENDPOINT or OSS_REGION and credentials are in the environment.
func TestConformance(t *testing.T) {
	s := emulated(t, emulator.Options{TLS: true})
	for _, version := range []SignVersion{SignV4, SignV1} {
		t.Run("emulator/"+string(version), func(t *testing.T) {
			cfg := emulatedConfig(s)
			cfg.SignVersion = version
			conform(t, bucketUnderTest{opened(t, cfg), "suite-" + string(version) + "/"})
		})
	}
	bucket := os.Getenv("OSSENCFS_TEST_BUCKET")
	if bucket == "" {
		return // no bucket given: the emulator is the suite
	}
	t.Run("bucket", func(t *testing.T) {
		c := opened(t, Config{Bucket: bucket, Endpoint: os.Getenv("OSS_ENDPOINT"), Region: os.Getenv("OSS_REGION"), Credentials: Env{}})
		b := bucketUnderTest{c, fmt.Sprintf("ossencfs-test-%s/", rand.Text())}
		t.Cleanup(func() { b.empty(t) })
		conform(t, b)
	})
}

// empty removes what the suite left below its prefix.
func (b bucketUnderTest) empty(t *testing.T) {
	ctx := context.Background()
	var keys []string
	err := b.ListAll(ctx, ListOptions{Prefix: b.prefix}, func(p Page) error {
		for _, e := range p.Objects {
			keys = append(keys, e.Key)
		}
		return nil
	})
	left, derr := b.DeleteBatch(ctx, keys)
	if err != nil || derr != nil || len(left) > 0 {
		t.Errorf("clean up %s: %v, %v, left %q", b.prefix, err, derr, left)
	}
}

func conform(t *testing.T, b bucketUnderTest) {
	for _, tt := range []struct {
		name string
		run  func(*testing.T, bucketUnderTest)
	}{
		{"check", func(t *testing.T, b bucketUnderTest) {
			if err := b.Check(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		{"objects", conformObjects},
		{"ranges", conformRanges},
		{"names", conformNames},
		{"conditions", conformConditions},
		{"copies", conformCopies},
		{"tags", conformTags},
		{"listing", conformListing},
		{"multipart", conformMultipart},
		{"encrypted multipart", conformEncryptedMultipart},
		{"batch", conformBatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.run(t, bucketUnderTest{b.Client, b.prefix + strings.ReplaceAll(tt.name, " ", "-") + "/"})
		})
	}
}

// put stores an object and fails the test when it cannot.
func (b bucketUnderTest) put(t *testing.T, name, text string, o PutOptions) Info {
	t.Helper()
	info, err := b.Put(t.Context(), b.prefix+name, strings.NewReader(text), int64(len(text)), o)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// read gets a whole object or a range.
func (b bucketUnderTest) read(t *testing.T, name string, o GetOptions) (string, Info, error) {
	t.Helper()
	body, info, err := b.Get(t.Context(), b.prefix+name, o)
	if err != nil {
		return "", info, err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), info, err
}

func conformObjects(t *testing.T, b bucketUnderTest) {
	meta := map[string]string{"x-oss-meta-client-data": "AZaz09+/=", "x-oss-meta-b": "two words"}
	for name, text := range map[string]string{"some": "hello", "none": ""} {
		sum := md5.Sum([]byte(text))
		put := b.put(t, name, text, PutOptions{Meta: meta, ContentMD5: sum, HasMD5: true})
		head, err := b.Head(t.Context(), b.prefix+name)
		if err != nil {
			t.Fatal(err)
		}
		got, info, err := b.read(t, name, GetOptions{})
		if err != nil || got != text {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		for _, i := range []Info{head, info} {
			if i.ETag != put.ETag || i.ETag != fmt.Sprintf("%X", sum) || i.Size != int64(len(text)) || !i.HasCRC ||
				i.CRC64 != CRC64(0, []byte(text)) || i.Type != "Normal" || i.LastModified.IsZero() {
				t.Errorf("%s: got %+v", name, i)
			}
			if fmt.Sprint(i.Meta) != fmt.Sprint(meta) {
				t.Errorf("%s: metadata %v, want %v", name, i.Meta, meta)
			}
		}
	}
	wrong := PutOptions{ContentMD5: md5.Sum([]byte("other")), HasMD5: true}
	if _, err := b.Put(t.Context(), b.prefix+"some", strings.NewReader("text"), 4, wrong); !errors.Is(err, ErrBadDigest) {
		t.Errorf("wrong MD5: got %v, want ErrBadDigest", err)
	}
	if got, _, err := b.read(t, "some", GetOptions{}); err != nil || got != "hello" {
		t.Errorf("a refused upload replaced the object: %q, %v", got, err)
	}
	for range 2 {
		if err := b.Delete(t.Context(), b.prefix+"some"); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Head(t.Context(), b.prefix+"some"); !errors.Is(err, ErrNotFound) {
		t.Errorf("head of a deleted object: %v", err)
	}
	if _, _, err := b.read(t, "some", GetOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of a deleted object: %v", err)
	}
}

func conformRanges(t *testing.T, b bucketUnderTest) {
	b.put(t, "k", content, PutOptions{})
	for _, tt := range []struct {
		off, n int64
		want   string
	}{{0, 0, content}, {0, 1, "0"}, {3, 4, "3456"}, {9, 1, "9"}, {9, 100, "9"}, {5, 0, "56789"}, {5, 100, "56789"}, {0, 100, content}, {0, 10, content}} {
		got, info, err := b.read(t, "k", GetOptions{Off: tt.off, Len: tt.n})
		if err != nil || got != tt.want || info.Size != int64(len(content)) {
			t.Errorf("%d+%d: got %q of %d bytes, %v, want %q", tt.off, tt.n, got, info.Size, err, tt.want)
		}
	}
	for _, off := range []int64{10, 11} {
		if _, _, err := b.read(t, "k", GetOptions{Off: off, Len: 1}); !errors.Is(err, ErrRange) {
			t.Errorf("range at %d: got %v, want ErrRange", off, err)
		}
	}
}

// oddNames are object names that need care in URLs, headers, XML or signatures.
var oddNames = []string{"a b", "a+b", "a%2Fb", "ä€😀", "a?b=c&d", "#", "a'\"<>&", "~!@$^*()_-=[]{}|\\;:,.", "dir/", "a//b", "tab\tnl\ncr\r",
	"\x01control", "trailing ", "..", "a/../b", "./x", strings.Repeat("n", 800)}

func conformNames(t *testing.T, b bucketUnderTest) {
	for _, name := range oddNames {
		b.put(t, name, name, PutOptions{})
		if got, _, err := b.read(t, name, GetOptions{}); err != nil || got != name {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
		if _, err := b.Copy(t.Context(), b.prefix+name, b.prefix+"copy of "+name, CopyOptions{}); err != nil {
			t.Errorf("copy %q: %v", name, err)
		}
	}
	var listed []string
	err := b.ListAll(t.Context(), ListOptions{Prefix: b.prefix, Max: 5}, func(p Page) error {
		for _, e := range p.Objects {
			listed = append(listed, strings.TrimPrefix(e.Key, b.prefix))
		}
		return nil
	})
	var want []string
	for _, name := range oddNames {
		want = append(want, name, "copy of "+name)
	}
	slices.Sort(want)
	if err != nil || !slices.Equal(listed, want) {
		t.Errorf("listed %q, %v, want %q", listed, err, want)
	}
	var keys []string
	for _, name := range want {
		keys = append(keys, b.prefix+name)
	}
	if left, err := b.DeleteBatch(t.Context(), keys); err != nil || len(left) > 0 {
		t.Errorf("delete: left %q, %v", left, err)
	}
	if p, err := b.List(t.Context(), ListOptions{Prefix: b.prefix}); err != nil || len(p.Objects) > 0 {
		t.Errorf("after delete: %+v, %v", p, err)
	}
	for _, key := range []string{"", "/a", "\\a", strings.Repeat("x", 1024)} {
		if _, err := b.Put(t.Context(), key, nil, 0, PutOptions{}); !errors.Is(err, ErrInvalid) || !NoEffect(err) {
			t.Errorf("key %.10q: got %v, want ErrInvalid", key, err)
		}
	}
}

func conformConditions(t *testing.T, b bucketUnderTest) {
	info := b.put(t, "k", "one", PutOptions{ForbidOverwrite: true})
	if _, err := b.Put(t.Context(), b.prefix+"k", strings.NewReader("two"), 3, PutOptions{ForbidOverwrite: true}); !errors.Is(err, ErrExists) {
		t.Errorf("put: got %v, want ErrExists", err)
	}
	if got, _, err := b.read(t, "k", GetOptions{IfMatch: info.ETag}); err != nil || got != "one" {
		t.Errorf("if-match: %q, %v", got, err)
	}
	b.put(t, "k", "two", PutOptions{})
	if _, _, err := b.read(t, "k", GetOptions{IfMatch: info.ETag}); !errors.Is(err, ErrPrecondition) {
		t.Errorf("if-match on a new version: got %v, want ErrPrecondition", err)
	}
	if _, err := b.Copy(t.Context(), b.prefix+"k", b.prefix+"c", CopyOptions{SourceIfMatch: info.ETag}); !errors.Is(err, ErrPrecondition) {
		t.Errorf("copy of an old version: got %v, want ErrPrecondition", err)
	}
	if _, err := b.Copy(t.Context(), b.prefix+"k", b.prefix+"k2", CopyOptions{ForbidOverwrite: true}); err != nil {
		t.Error(err)
	}
	if _, err := b.Copy(t.Context(), b.prefix+"k", b.prefix+"k2", CopyOptions{ForbidOverwrite: true}); !errors.Is(err, ErrExists) {
		t.Errorf("copy over: got %v, want ErrExists", err)
	}
	if _, err := b.Copy(t.Context(), b.prefix+"missing", b.prefix+"c", CopyOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("copy of nothing: got %v, want ErrNotFound", err)
	}
}

func conformCopies(t *testing.T, b bucketUnderTest) {
	b.put(t, "src", "text", PutOptions{Meta: map[string]string{"x-oss-meta-a": "1"}, Tagging: EncodeTagging(map[string]string{"t": "1"})})
	none, other := "", EncodeTagging(map[string]string{"u": "a b+c"})
	for _, tt := range []struct {
		name string
		o    CopyOptions
		meta string
		tags string
	}{
		{"all", CopyOptions{}, "map[x-oss-meta-a:1]", "map[t:1]"},
		{"new metadata", CopyOptions{ReplaceMeta: map[string]string{"x-oss-meta-b": "2"}}, "map[x-oss-meta-b:2]", "map[t:1]"},
		{"no metadata", CopyOptions{ReplaceMeta: map[string]string{}}, "map[]", "map[t:1]"},
		{"new tags", CopyOptions{ReplaceTagging: &other}, "map[x-oss-meta-a:1]", "map[u:a b+c]"},
		{"no tags", CopyOptions{ReplaceTagging: &none}, "map[x-oss-meta-a:1]", "map[]"},
	} {
		dst := b.prefix + "dst " + tt.name
		copied, err := b.Copy(t.Context(), b.prefix+"src", dst, tt.o)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		head, err := b.Head(t.Context(), dst)
		tags, terr := b.GetTagging(t.Context(), dst)
		if err != nil || terr != nil || fmt.Sprint(head.Meta) != tt.meta || fmt.Sprint(tags) != tt.tags {
			t.Errorf("%s: got %v %v, %v, %v, want %s %s", tt.name, head.Meta, tags, err, terr, tt.meta, tt.tags)
		}
		if copied.ETag == "" || copied.ETag != head.ETag || copied.LastModified.IsZero() || head.TagCount != len(tags) {
			t.Errorf("%s: copy says %+v, head says %+v", tt.name, copied, head)
		}
	}
}

func conformTags(t *testing.T, b bucketUnderTest) {
	b.put(t, "k", "text", PutOptions{})
	before, err := b.Head(t.Context(), b.prefix+"k")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"ossencfs": "1 m=644:u=0/g=0", "b": ""}
	if err := b.PutTagging(t.Context(), b.prefix+"k", want); err != nil {
		t.Fatal(err)
	}
	got, err := b.GetTagging(t.Context(), b.prefix+"k")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	after, err := b.Head(t.Context(), b.prefix+"k")
	if err != nil || !after.LastModified.Equal(before.LastModified) || after.ETag != before.ETag || after.TagCount != 2 {
		t.Errorf("tags changed the object: %+v, %v", after, err)
	}
	if err := b.PutTagging(t.Context(), b.prefix+"k", nil); err != nil {
		t.Error(err)
	}
	if got, err := b.GetTagging(t.Context(), b.prefix+"k"); err != nil || len(got) != 0 {
		t.Errorf("after removal: %v, %v", got, err)
	}
	if err := b.PutTagging(t.Context(), b.prefix+"missing", want); !errors.Is(err, ErrNotFound) {
		t.Errorf("tags of nothing: %v", err)
	}
	for _, bad := range []map[string]string{{"": "v"}, {"a&b": ""}, {"k": strings.Repeat("x", 257)}} {
		if err := b.PutTagging(t.Context(), b.prefix+"k", bad); !errors.Is(err, ErrInvalid) || !NoEffect(err) {
			t.Errorf("tags %.20v: got %v, want ErrInvalid", bad, err)
		}
	}
}

func conformListing(t *testing.T, b bucketUnderTest) {
	for _, name := range []string{"a", "a-b/x", "a/1", "a/2", "b", "c/d/e"} {
		b.put(t, name, name, PutOptions{})
	}
	collect := func(o ListOptions) string {
		t.Helper()
		var names []string
		o.Prefix = b.prefix + o.Prefix
		err := b.ListAll(t.Context(), o, func(p Page) error {
			if o.Max > 0 && len(p.Objects)+len(p.Prefixes) > o.Max {
				t.Errorf("page larger than %d: %+v", o.Max, p)
			}
			for _, e := range p.Objects {
				if e.Size != int64(len(strings.TrimPrefix(e.Key, b.prefix))) || e.ETag == "" || e.LastModified.IsZero() || e.Type != "Normal" {
					t.Errorf("entry %+v", e)
				}
				names = append(names, strings.TrimPrefix(e.Key, b.prefix))
			}
			for _, k := range p.Prefixes {
				names = append(names, strings.TrimPrefix(k, b.prefix)+"*")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	for max := range 4 {
		if got, want := collect(ListOptions{Max: max}), "a a-b/x a/1 a/2 b c/d/e"; got != want {
			t.Errorf("max %d: got %s, want %s", max, got, want)
		}
		if got, want := collect(ListOptions{Max: max, Delimiter: "/"}), "a a-b/* a/* b c/*"; got != want {
			t.Errorf("delimiter, max %d: got %s, want %s", max, got, want)
		}
	}
	if got, want := collect(ListOptions{Prefix: "a/", Delimiter: "/"}), "a/1 a/2"; got != want {
		t.Errorf("prefix: got %s, want %s", got, want)
	}
	if got, want := collect(ListOptions{StartAfter: b.prefix + "a/1"}), "a/2 b c/d/e"; got != want {
		t.Errorf("start after: got %s, want %s", got, want)
	}
	if got, want := collect(ListOptions{StartAfter: b.prefix + "a/1", Delimiter: "/"}), "a/* b c/*"; got != want {
		t.Errorf("start after, delimiter: got %s, want %s", got, want)
	}
	if got := collect(ListOptions{Prefix: "none"}); got != "" {
		t.Errorf("empty prefix: got %s", got)
	}
}

func conformMultipart(t *testing.T, b bucketUnderTest) {
	ctx, key := t.Context(), b.prefix+"big file"
	part := bytes.Repeat([]byte("0123456789abcdef"), MinPart/16)
	whole := append(slices.Clone(part), "the end"...)
	id, err := b.InitiateMultipart(ctx, key, InitOptions{Meta: map[string]string{"x-oss-meta-a": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	var uploads []Upload
	err = b.ListUploads(ctx, b.prefix, func(page []Upload) error {
		uploads = append(uploads, page...)
		return nil
	})
	if err != nil || len(uploads) != 1 || uploads[0].Key != key || uploads[0].ID != id {
		t.Errorf("uploads %+v, %v", uploads, err)
	}
	for n, data := range map[int][]byte{1: []byte("replaced"), 2: whole[len(part):]} {
		if _, err := b.UploadPart(ctx, key, id, n, bytes.NewReader(data), int64(len(data)), PartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := b.UploadPart(ctx, key, id, 1, bytes.NewReader(part), int64(len(part)), PartOptions{ContentMD5: md5.Sum(part), HasMD5: true})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := b.ListParts(ctx, key, id)
	if err != nil || len(parts) != 2 || parts[0].ETag != first.ETag || parts[0].Size != int64(len(part)) || parts[1].Number != 2 {
		t.Fatalf("parts %+v, %v", parts, err)
	}
	if parts[0].HasCRC && parts[0].CRC64 != CRC64(0, part) {
		t.Errorf("part crc %d", parts[0].CRC64)
	}
	slices.Reverse(parts)
	info, err := b.CompleteMultipart(ctx, key, id, parts, CompleteOptions{CRC64: CRC64(0, whole), HasCRC: true})
	if err != nil {
		t.Fatal(err)
	}
	got, head, err := b.read(t, "big file", GetOptions{})
	if err != nil || got != string(whole) || head.ETag != info.ETag || head.Type != "Multipart" || head.Meta["x-oss-meta-a"] != "1" || info.Size != head.Size {
		t.Errorf("got %d bytes, %+v, complete says %+v, %v", len(got), head, info, err)
	}
	if _, err := b.CompleteMultipart(ctx, key, id, parts, CompleteOptions{}); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("complete again: %v", err)
	}
	if id, err = b.InitiateMultipart(ctx, key, InitOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := b.AbortMultipart(ctx, key, id); err != nil {
		t.Error(err)
	}
	if _, err := b.UploadPart(ctx, key, id, 1, strings.NewReader("x"), 1, PartOptions{}); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("part of an aborted upload: %v", err)
	}
	if err := b.AbortMultipart(ctx, key, id); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("abort again: %v", err)
	}
}

func conformEncryptedMultipart(t *testing.T, b bucketUnderTest) {
	ctx, key := t.Context(), b.prefix+"k"
	part := make([]byte, MinPart)
	meta := map[string]string{
		"x-oss-meta-client-side-encryption-key":       "a2V5",
		"x-oss-meta-client-side-encryption-start":     "c3RhcnQ=",
		"x-oss-meta-client-side-encryption-cek-alg":   "AES/CTR/NoPadding",
		"x-oss-meta-client-side-encryption-wrap-alg":  "RSA/NONE/PKCS1Padding",
		"x-oss-meta-client-side-encryption-data-size": fmt.Sprint(MinPart + 5),
		"x-oss-meta-client-side-encryption-part-size": fmt.Sprint(MinPart),
	}
	id, err := b.InitiateMultipart(ctx, key, InitOptions{Meta: meta})
	if err != nil {
		t.Fatal(err)
	}
	var parts []Part
	for n, data := range [][]byte{part, part[:5]} {
		p, err := b.UploadPart(ctx, key, id, n+1, bytes.NewReader(data), int64(len(data)), PartOptions{Meta: meta})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	if _, err := b.CompleteMultipart(ctx, key, id, parts, CompleteOptions{}); err != nil {
		t.Fatal(err)
	}
	head, err := b.Head(ctx, key)
	if err != nil || fmt.Sprint(head.Meta) != fmt.Sprint(meta) || head.Size != MinPart+5 {
		t.Errorf("got %+v, %v", head, err)
	}
	tags := EncodeTagging(map[string]string{"ossencfs": "id"})
	if _, err := b.Copy(ctx, key, b.prefix+"moved", CopyOptions{ReplaceTagging: &tags}); err != nil {
		t.Errorf("copy of an encrypted object with new tags: %v", err)
	}
	delete(meta, "x-oss-meta-client-side-encryption-key")
	if _, err := b.Put(ctx, key, strings.NewReader("x"), 1, PutOptions{Meta: meta}); !errors.Is(err, ErrInvalid) {
		t.Errorf("incomplete envelope: got %v, want ErrInvalid", err)
	}
}

func conformBatch(t *testing.T, b bucketUnderTest) {
	var keys []string
	for i := range 3 {
		name := fmt.Sprintf("k %d", i)
		b.put(t, name, "", PutOptions{})
		keys = append(keys, b.prefix+name)
	}
	left, err := b.DeleteBatch(t.Context(), append(keys, b.prefix+"missing"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
	if p, err := b.List(t.Context(), ListOptions{Prefix: b.prefix}); err != nil || len(p.Objects) > 0 {
		t.Errorf("still there: %+v, %v", p, err)
	}
	if left, err := b.DeleteBatch(t.Context(), nil); err != nil || len(left) > 0 {
		t.Errorf("nothing to delete: %q, %v", left, err)
	}
}
