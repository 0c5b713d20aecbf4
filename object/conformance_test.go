package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// testBucket is the bucket of the emulator in all tests.
const testBucket = "bucket"

// rsaKeys are the master keys of all tests; making one takes long.
var rsaKeys = sync.OnceValues(func() (two [2]*keys.RSA, err error) {
	for i := range two {
		if two[i], err = keys.GenerateRSA(2048, nil); err != nil {
			return two, err
		}
	}
	return two, nil
})

// masterRSA is one of two different RSA keys.
func masterRSA(t *testing.T, i int) *keys.RSA {
	t.Helper()
	two, err := rsaKeys()
	if err != nil {
		t.Fatal(err)
	}
	return two[i]
}

// emulated starts an emulator for the test.
func emulated(t *testing.T, o emulator.Options) *emulator.Server {
	t.Helper()
	o.Buckets = []string{testBucket}
	s, err := emulator.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connection reaches the emulator's bucket.
func connection(s *emulator.Server) Connection {
	return Connection{Endpoint: s.Endpoint(), Region: s.Region(), Bucket: testBucket,
		Credentials: oss.Static{ID: s.AccessKeyID(), Secret: s.AccessKeySecret()}, Retries: -1}
}

// masterKMS is the emulator's KMS key.
func masterKMS(t *testing.T, s *emulator.Server) *keys.KMS {
	t.Helper()
	k, err := keys.NewKMS(keys.KMSConfig{KeyID: s.KMSKeyID(), Region: s.Region(), Endpoint: s.KMSEndpoint(),
		Credentials: func(context.Context) (string, string, string, error) {
			return s.AccessKeyID(), s.AccessKeySecret(), "", nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// opened opens a bucket with its volume, which is made where there is none, be there objects or not. Bodies above 1 MiB go up in
// parts of 1 MiB.
func opened(t *testing.T, o Options) *Bucket {
	t.Helper()
	o.NewVolume = true
	o.Trust.AcceptForeign = []string{""}
	b := unopened(t, o)
	if err := b.OpenVolume(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// unopened opens a bucket without its volume.
func unopened(t *testing.T, o Options) *Bucket {
	t.Helper()
	if o.PartSize == 0 {
		o.PartSize, o.MultipartThreshold = 1<<20, 1<<20
	}
	if o.Keyring == nil {
		o.Keyring = keys.NewKeyring(masterRSA(t, 0))
	}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestConformance checks what this package promises about a bucket on the emulator, for each kind of master key and
// dialect, and on a true bucket when OSSENCFS_TEST_BUCKET, OSS_ENDPOINT or OSS_REGION and credentials are in the
// environment.
func TestConformance(t *testing.T) {
	s := emulated(t, emulator.Options{})
	ring := keys.NewKeyring(masterRSA(t, 0))
	for _, tt := range []struct {
		name, dialect string
		ring          *keys.Keyring
	}{
		{"rsa-both", "both", ring},
		{"rsa-current", "current", ring},
		{"rsa-legacy", "legacy", ring},
		{"kms-both", "both", keys.NewKeyring(masterKMS(t, s))},
	} {
		t.Run("emulator/"+tt.name, func(t *testing.T) {
			conform(t, Options{Connection: connection(s), Prefix: tt.name, Keyring: tt.ring, Dialect: tt.dialect})
		})
	}
	bucket := os.Getenv("OSSENCFS_TEST_BUCKET")
	if bucket == "" {
		return // no bucket given: the emulator is the suite
	}
	t.Run("bucket", func(t *testing.T) {
		o := Options{Keyring: ring, Prefix: "ossencfs-test-" + rand.Text(), Connection: Connection{Bucket: bucket,
			Endpoint: os.Getenv("OSS_ENDPOINT"), Region: os.Getenv("OSS_REGION"), Credentials: oss.DefaultCredentials()}}
		b := opened(t, o)
		t.Cleanup(func() { empty(t, b) })
		conform(t, o)
	})
}

// empty removes what the suite left below the prefix, the hidden area included.
func empty(t *testing.T, b *Bucket) {
	ctx := context.Background()
	err := b.oss.ListAll(ctx, oss.ListOptions{Prefix: b.prefix}, func(p oss.Page) error {
		for _, e := range p.Objects {
			if err := b.oss.Delete(ctx, e.Key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("clean up %s: %v", b.prefix, err)
	}
}

func conform(t *testing.T, o Options) {
	prefix := o.Prefix
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *Bucket)
	}{
		{"content", conformContent},
		{"attributes", conformAttributes},
		{"conditions", conformConditions},
		{"copies", conformCopies},
		{"tags", conformTags},
		{"listing", conformListing},
		{"multipart", conformMultipart},
		{"files", conformFiles},
		{"plain", conformPlain},
		{"canary", conformCanary},
		{"local", conformLocal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o.Prefix = prefix + "/" + tt.name
			tt.run(t, opened(t, o))
		})
	}
}

// sealedBody seals text.
func sealedBody(t *testing.T, text []byte) (*Sealed, *bytes.Reader) {
	t.Helper()
	s, err := NewSealing()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(text))
	if err := s.Seal(out, text); err != nil {
		t.Fatal(err)
	}
	return s.Finish(), bytes.NewReader(out)
}

// request is a PutRequest of a fresh sealing of text.
func request(t *testing.T, key string, text []byte) PutRequest {
	t.Helper()
	sealed, body := sealedBody(t, text)
	return PutRequest{Key: key, Body: body, Sealed: sealed, Upload: NewID(), Attr: Attr{Mode: ModeRegular | 0o640, UID: 3, GID: 4, Mtime: 1700000000_000000005}}
}

// put stores text and fails the test when it cannot.
func put(t *testing.T, b *Bucket, r PutRequest) Info {
	t.Helper()
	info, err := b.Put(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// read gets plaintext by way of Get.
func read(t *testing.T, b *Bucket, r GetRequest) (string, *Download, error) {
	t.Helper()
	d, err := b.Get(t.Context(), r)
	if err != nil {
		return "", nil, err
	}
	defer d.Body.Close()
	text, err := io.ReadAll(d.Body)
	d.Content.XORKeyStreamAt(text, text, r.Off)
	return string(text), d, err
}

// wantText checks the plaintext of an object.
func wantText(t *testing.T, b *Bucket, key, want string) {
	t.Helper()
	got, _, err := read(t, b, GetRequest{Key: key})
	if err != nil || got != want {
		t.Errorf("%s: got %.40q, %v, want %.40q", key, got, err, want)
	}
}

// head describes an object and fails the test when it cannot.
func head(t *testing.T, b *Bucket, key string) Info {
	t.Helper()
	info, err := b.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func conformContent(t *testing.T, b *Bucket) {
	for _, size := range []int{0, 1, 15, 16, 17, 70001} {
		text := make([]byte, size)
		_, _ = rand.Read(text)
		r := request(t, fmt.Sprintf("f%d", size), text)
		sent := int64(0)
		r.Progress = func(n int64) { sent += n }
		info := put(t, b, r)
		wantText(t, b, r.Key, string(text))
		if info.Size != int64(size) || sent != int64(size) || info.ETag == "" || !info.Encrypted || info.Generation != generationOf(r.Sealed) || info.Upload != r.Upload {
			t.Errorf("%d bytes: sent %d, info %+v", size, sent, info)
		}
		stored, _, err := b.oss.Get(t.Context(), b.prefix+r.Key, oss.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(stored)
		if stored.Close(); err != nil || size > 16 && bytes.Contains(raw, text) {
			t.Errorf("%d bytes: stored as plaintext, or %v", size, err)
		}
	}
	whole, d, err := read(t, b, GetRequest{Key: "f70001"})
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range [][2]int64{{0, 1}, {1, 20}, {16, 16}, {33333, 4096}, {70000, 1}, {70000, 500}} {
		want := whole[span[0]:min(span[0]+span[1], 70001)]
		got, part, err := read(t, b, GetRequest{Key: "f70001", Off: span[0], Len: span[1], ETag: d.Info.ETag, Content: d.Content})
		if err != nil || got != want || part.TotalSize != 70001 {
			t.Errorf("range %v: %d bytes of %d, %v", span, len(got), part.TotalSize, err)
		}
	}
	if _, _, err := read(t, b, GetRequest{Key: "f17", Off: 17}); !errors.Is(err, ErrRange) {
		t.Errorf("range behind the end: got %v", err)
	}
	if _, _, err := read(t, b, GetRequest{Key: "f17", Content: d.Content}); !errors.Is(err, ErrInvalid) {
		t.Errorf("content key without ETag: got %v", err)
	}
}

func conformAttributes(t *testing.T, b *Bucket) {
	long := strings.Repeat("v", 400)
	for name, tt := range map[string]struct {
		key  string
		attr Attr
		text string
	}{
		"file":      {"file", Attr{Mode: ModeRegular | 0o4755, UID: 4294967294, GID: 1, Mtime: -1}, "x"},
		"xattrs":    {"xattrs", Attr{Mode: ModeRegular | 0o600, Xattrs: map[string][]byte{"user.long": []byte(long), "user.empty": {}, "user.bin": {0, 255}}}, "x"},
		"symlink":   {"link", Attr{Mode: ModeSymlink | 0o777, Mtime: 1}, "target/of link"},
		"directory": {"dir/", Attr{Mode: ModeDir | 0o1777, UID: 1, GID: 2, Mtime: 1700000000_000000001}, ""},
		"root":      {"", Attr{Mode: ModeDir | 0o700, UID: 1, GID: 2, Mtime: 3}, ""},
		"device":    {"dev", Attr{Mode: ModeBlock | 0o660, Rdev: 0x801}, ""},
		"fifo":      {"fifo", Attr{Mode: ModeFIFO | 0o600}, ""},
		"odd name":  {"a b+c%20&é\\ü?x=#", Attr{Mode: ModeRegular | 0o600}, "x"},
	} {
		r := request(t, tt.key, []byte(tt.text))
		r.Attr = tt.attr
		put(t, b, r)
		got := head(t, b, tt.key)
		if !sameAttr(got.Attr, tt.attr) || !got.HasAttr || got.XattrErr != nil || got.Size != int64(len(tt.text)) || got.Upload != r.Upload ||
			got.Generation != generationOf(r.Sealed) || !got.Encrypted || got.TagCount != 0 || time.Since(got.Modified).Abs() > time.Hour {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.attr)
		}
		wantText(t, b, tt.key, tt.text)
	}
	raw, err := b.oss.Head(t.Context(), b.prefix+"xattrs")
	if err != nil || strings.Contains(fmt.Sprint(raw.Meta), "user.") {
		t.Errorf("extended attributes in the clear, or %v: %v", err, raw.Meta)
	}
	r := request(t, "big", nil)
	r.Attr.Xattrs = map[string][]byte{"user.big": make([]byte, 8000)}
	if _, err := b.Put(t.Context(), r); !errors.Is(err, ErrXattrTooBig) {
		t.Errorf("extended attributes of 8000 bytes: got %v", err)
	}
	r.Attr.Xattrs["user.big"] = make([]byte, (b.XattrRoom()-len(metaSealedXattr))*3/4-60)
	if err := b.CheckXattrs(r.Attr.Xattrs); err != nil || XattrSize(r.Attr.Xattrs) > b.XattrRoom() {
		t.Errorf("as much as there is room for: %v", err)
	}
	put(t, b, r)
}

func conformConditions(t *testing.T, b *Bucket) {
	ctx := t.Context()
	if _, err := b.Head(ctx, "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("head of nothing: got %v", err)
	}
	if _, err := b.Get(ctx, GetRequest{Key: "none"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of nothing: got %v", err)
	}
	first := put(t, b, request(t, "f", []byte("first")))
	again := request(t, "f", []byte("second"))
	again.IfAbsent = true
	if _, err := b.Put(ctx, again); !errors.Is(err, ErrExists) {
		t.Errorf("put if absent: got %v", err)
	}
	wantText(t, b, "f", "first")
	put(t, b, request(t, "f", []byte("third")))
	if _, err := b.Get(ctx, GetRequest{Key: "f", ETag: first.ETag}); !errors.Is(err, ErrPrecondition) {
		t.Errorf("get of a version that is gone: got %v", err)
	}
	for range 2 {
		if err := b.Delete(ctx, "f"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, err := b.Head(ctx, "f"); !errors.Is(err, ErrNotFound) {
		t.Errorf("head after delete: got %v", err)
	}
	for _, key := range []string{"a//b", "../x", strings.Repeat("n", 300), strings.Repeat("long/", 204)} {
		if _, err := b.Put(ctx, request(t, key, nil)); !errors.Is(err, ErrName) {
			t.Errorf("put %.10q: got %v", key, err)
		}
	}
	rotten := request(t, "g", []byte("what was sealed"))
	put(t, b, request(t, "g", []byte("old version")))
	rotten.Body = strings.NewReader("what was sealeD")
	if _, err := b.Put(ctx, rotten); !errors.Is(err, ErrBadDigest) {
		t.Errorf("put of rotten bytes: got %v", err)
	}
	wantText(t, b, "g", "old version")
}

func conformCopies(t *testing.T, b *Bucket) {
	ctx := t.Context()
	r := request(t, "src", []byte("content"))
	r.Attr.Xattrs = map[string][]byte{"user.a": []byte("1")}
	src := put(t, b, r)
	attr := Attr{Mode: ModeRegular | 0o600, UID: 8, GID: 9, Mtime: 42}
	c := CopyRequest{Src: "src", SrcETag: src.ETag, Dst: "dir/dst é", Attr: attr, Generation: src.Generation, Upload: NewID(), IfAbsent: true}
	info, err := b.Copy(ctx, c)
	if err != nil || info.ETag == "" || info.Upload != c.Upload || info.Generation != src.Generation {
		t.Fatalf("copy: %+v, %v", info, err)
	}
	wantText(t, b, c.Dst, "content")
	got := head(t, b, c.Dst)
	want := attr
	want.Xattrs = r.Attr.Xattrs
	if !sameAttr(got.Attr, want) || got.Upload != c.Upload || got.Generation != src.Generation || got.ETag != info.ETag || got.OthersTags {
		t.Errorf("copy: got %+v, want %+v", got, want)
	}
	if _, err := b.Copy(ctx, c); !errors.Is(err, ErrExists) {
		t.Errorf("copy onto an existing object: got %v", err)
	}
	c.IfAbsent, c.SrcETag = false, "0123456789ABCDEF0123456789ABCDEF"
	if _, err := b.Copy(ctx, c); !errors.Is(err, ErrPrecondition) {
		t.Errorf("copy of another version: got %v", err)
	}
	c.SrcETag, c.Src = "", "none"
	if _, err := b.Copy(ctx, c); !errors.Is(err, ErrNotFound) {
		t.Errorf("copy of nothing: got %v", err)
	}
	c.Src = c.Dst
	if _, err := b.Copy(ctx, c); !errors.Is(err, ErrInvalid) {
		t.Errorf("copy onto itself: got %v", err)
	}
}

func conformTags(t *testing.T, b *Bucket) {
	ctx := t.Context()
	info := put(t, b, request(t, "f", []byte("content")))
	if err := b.oss.PutTagging(ctx, b.prefix+"f", map[string]string{"team": "blue", "keep": "1"}); err != nil {
		t.Fatal(err)
	}
	attr := Attr{Mode: ModeRegular | 0o400, UID: 1, GID: 2, Mtime: -5}
	change := TagRequest{Key: "f", Attr: attr, Generation: info.Generation, Upload: NewID()}
	if err := b.SetAttr(ctx, change); err != nil {
		t.Fatal(err)
	}
	got := head(t, b, "f")
	if !sameAttr(got.Attr, attr) || got.Upload != change.Upload || got.ETag != info.ETag || got.TagCount != 3 || !got.OthersTags {
		t.Errorf("after a tag: got %+v", got)
	}
	c := CopyRequest{Src: "f", Dst: "g", Attr: attr, Generation: info.Generation, Upload: NewID()}
	if _, err := b.Copy(ctx, c); err != nil {
		t.Fatal(err)
	}
	for key, upload := range map[string]ID{"f": change.Upload, "g": c.Upload} {
		tags, err := b.oss.GetTagging(ctx, b.prefix+key)
		if err != nil || tags["team"] != "blue" || tags["keep"] != "1" || len(tags) != 3 || head(t, b, key).Upload != upload {
			t.Errorf("tags of %s: got %v, %v", key, tags, err)
		}
	}
	stray := change
	stray.Generation = NewID()
	if err := b.SetAttr(ctx, stray); err != nil {
		t.Fatal(err)
	}
	if got := head(t, b, "f"); got.Attr.Mode != ModeRegular|0o640 || got.Upload != info.Upload {
		t.Errorf("tag of another generation counts: got %+v", got)
	}
	full := map[string]string{}
	for i := range oss.MaxTags {
		full[fmt.Sprint("t", i)] = "x"
	}
	if err := b.oss.PutTagging(ctx, b.prefix+"f", full); err != nil {
		t.Fatal(err)
	}
	if err := b.SetAttr(ctx, change); !errors.Is(err, ErrTagRoom) {
		t.Errorf("no tag free: got %v", err)
	}
	if err := b.SetAttr(ctx, TagRequest{Key: "none", Attr: attr}); !errors.Is(err, ErrNotFound) {
		t.Errorf("tag on nothing: got %v", err)
	}
	put(t, b, request(t, "f", []byte("new content")))
	if got := head(t, b, "f"); got.TagCount != 0 || got.Attr.Mode != ModeRegular|0o640 {
		t.Errorf("after a new put: got %+v", got)
	}
}
