package object

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	sdkcrypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// addSlot gives another master key a slot in the volume's record, as a key command does.
func addSlot(t *testing.T, b *Bucket, key keys.MasterKey) {
	t.Helper()
	k := b.volume.seals()
	r := b.volume.records[k.ID()].Next()
	if err := r.AddSlot(t.Context(), k, key); err != nil {
		t.Fatal(err)
	}
	if err := b.storeRecord(t.Context(), b.volume.root, r, k); err != nil {
		t.Fatal(err)
	}
}

// rotated opens the bucket of o with a new primary key, which gets a slot, in front of the old ones.
func rotated(t *testing.T, o Options, primary keys.MasterKey, old ...keys.MasterKey) *Bucket {
	t.Helper()
	o.Keyring = keys.NewKeyring(old[0], old[1:]...)
	addSlot(t, opened(t, o), primary)
	o.Keyring = keys.NewKeyring(primary, old...)
	return opened(t, o)
}

// rewrap runs Rewrap, which has to come to its end.
func rewrap(t *testing.T, b *Bucket, o RewrapOptions) RewrapReport {
	t.Helper()
	rep, err := b.Rewrap(t.Context(), o)
	if err != nil {
		t.Fatalf("rewrap: %v, report %+v", err, rep)
	}
	return rep
}

// storedAs is what the emulator holds under a key: bytes, headers, tags and ETag.
func storedAs(t *testing.T, s *emulator.Server, key string) string {
	t.Helper()
	body, h, err := s.ReadObject(testBucket, key)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x %v", body, h)
}

// etags lists the ETags of a bucket by key.
func etags(s *emulator.Server) map[string]string {
	m := make(map[string]string)
	for _, o := range s.Objects(testBucket) {
		if !strings.Contains(o.Key, ".ossencfs/volume/") {
			m[o.Key] = o.ETag
		}
	}
	return m
}

// sdkMultipart lets the official SDK store text in parts.
func sdkMultipart(t *testing.T, b *sdkcrypto.CryptoBucket, key string, text []byte, partSize int64) {
	t.Helper()
	crypto := &sdkcrypto.PartCryptoContext{DataSize: int64(len(text)), PartSize: partSize}
	up, err := b.InitiateMultipartUpload(key, crypto)
	if err != nil {
		t.Fatal(err)
	}
	var parts []sdk.UploadPart
	for piece := range slices.Chunk(text, int(partSize)) {
		p, err := b.UploadPart(up, bytes.NewReader(piece), int64(len(piece)), len(parts)+1, *crypto)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	if _, err := b.CompleteMultipartUpload(up, parts); err != nil {
		t.Fatal(err)
	}
}

// sdkReads checks what the official SDK reads under a master key.
func sdkReads(t *testing.T, b *sdkcrypto.CryptoBucket, key string, want []byte) {
	t.Helper()
	body, err := b.GetObject(key)
	if err != nil {
		t.Errorf("the SDK cannot open %s: %v", key, err)
		return
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the SDK reads %d other bytes of %s, %v", len(got), key, err)
	}
}

// zoo is one object of each kind that Rewrap renews: plaintext and what Head says, by key.
type zoo struct {
	text map[string][]byte
	info map[string]Info
}

// newZoo fills a bucket by ways of ours and of the official SDK.
func newZoo(t *testing.T, s *emulator.Server, b *Bucket, theirs *sdkcrypto.CryptoBucket) *zoo {
	t.Helper()
	z := &zoo{text: map[string][]byte{}, info: map[string]Info{}}
	ctx := t.Context()
	ours := func(key string, text []byte) Info {
		r := request(t, key, text)
		if len(text)%2 == 1 {
			r.Attr.Xattrs = map[string][]byte{"user.a": []byte("value of " + key)}
		}
		if isDirKey(key) {
			r.Attr.Mode = ModeDir | 0o751
		}
		z.text[key] = text
		return put(t, b, r)
	}
	for key, size := range map[string]int{"empty": 0, "dir/": 0, "small": 17, "dir/two-parts": 3<<19 + 1, "parts": 5<<19 + 7, Hidden + "park/01": 33, "tagged": 41, "renamed": 43, "odd name &+%": 5} {
		ours(key, random(size))
	}
	if err := b.VerifyKey(ctx); err != nil { // makes the canary
		t.Fatal(err)
	}
	z.text[canaryKey] = []byte(canaryText)
	// Attributes by a tag, beside tags of others.
	change := TagRequest{Key: "tagged", Attr: Attr{Mode: ModeRegular | 0o4711, UID: 77, GID: 78, Mtime: -5}, Generation: head(t, b, "tagged").Generation, Upload: NewID()}
	if err := b.oss.PutTagging(ctx, b.prefix+"tagged", map[string]string{"theirs": "1", "other": "a b"}); err != nil {
		t.Fatal(err)
	}
	if err := b.SetAttr(ctx, change); err != nil {
		t.Fatal(err)
	}
	// Renamed by us, with attributes of its own.
	c := CopyRequest{Src: "renamed", Dst: "renamed-2", Attr: Attr{Mode: ModeRegular | 0o600, UID: 9, Mtime: 7}, Generation: head(t, b, "renamed").Generation, Upload: NewID()}
	if _, err := b.Copy(ctx, c); err != nil {
		t.Fatal(err)
	}
	z.text[c.Dst] = z.text[c.Src]
	// Of others.
	z.text["sdk"], z.text["sdk-parts"] = random(300_001), random(350_003)
	if err := theirs.PutObject(b.prefix+"sdk", bytes.NewReader(z.text["sdk"]), sdk.ContentType("text/x-test"), sdk.CacheControl("no-store"), sdk.ObjectStorageClass(sdk.StorageIA)); err != nil {
		t.Fatal(err)
	}
	sdkMultipart(t, theirs, b.prefix+"sdk-parts", z.text["sdk-parts"], 100<<10)
	if err := b.SetAttr(ctx, TagRequest{Key: "sdk-parts", Attr: Attr{Mode: ModeRegular | 0o604, UID: 1}, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	for key := range z.text {
		z.info[key] = head(t, b, key)
	}
	return z
}

// check compares what a bucket shows with what it showed before.
func (z *zoo) check(t *testing.T, b *Bucket) {
	t.Helper()
	for key, text := range z.text {
		wantText(t, b, key, string(text))
		was, now := z.info[key], head(t, b, key)
		if now.Attr.Mode != was.Attr.Mode || now.Attr.UID != was.Attr.UID || now.Attr.GID != was.Attr.GID || now.Attr.Mtime != was.Attr.Mtime {
			t.Errorf("%s: attributes %+v, want %+v", key, now.Attr, was.Attr)
		}
		if !maps.EqualFunc(now.Attr.Xattrs, was.Attr.Xattrs, bytes.Equal) {
			t.Errorf("%s: xattrs %v, want %v", key, now.Attr.Xattrs, was.Attr.Xattrs)
		}
		if now.State != was.State || now.Generation != was.Generation || now.ETag != was.ETag || now.OthersTags != was.OthersTags || now.XattrErr != nil {
			t.Errorf("%s: got %+v, want as before %+v", key, now, was)
		}
	}
}

// TestRewrap renews one object of each kind and checks that the new key alone opens all of them afterwards, that nothing else of
// them has changed, and that a second run finds nothing to do.
func TestRewrap(t *testing.T) {
	for _, dialect := range []string{"both", "current", "legacy"} {
		for _, tagsOnly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/tags-only=%v", dialect, tagsOnly), func(t *testing.T) {
				s := emulated(t, emulator.Options{})
				old, fresh := masterRSA(t, 0), masterRSA(t, 1)
				o := Options{Connection: connection(s), Prefix: "p", Dialect: dialect, TagsOnly: tagsOnly, Keyring: keys.NewKeyring(old)}
				b := opened(t, o)
				z := newZoo(t, s, b, sdkCrypto(t, s, old))
				b = rotated(t, o, fresh, old)
				var told RewrapProgress
				if rep := rewrap(t, b, RewrapOptions{DryRun: true, Progress: func(p RewrapProgress) { told = p }}); int(rep.Rewrapped) != len(z.text) || told.Objects != told.TotalObjects || told.Bytes != told.TotalBytes {
					t.Errorf("dry run: %+v, %+v", rep, told)
				}
				z.check(t, b)
				before := etags(s)
				rep := rewrap(t, b, RewrapOptions{})
				if int(rep.Rewrapped) != len(z.text) || rep.Foreign != 2 || rep.Objects != rep.Rewrapped || !rep.Complete() || len(rep.Problems) != 0 {
					t.Errorf("report %+v, want %d objects", rep, len(z.text))
				}
				if after := etags(s); !maps.Equal(before, after) {
					t.Errorf("ETags have changed: %v, before %v", after, before)
				}
				o.Keyring = keys.NewKeyring(fresh)
				only := opened(t, o)
				z.check(t, only)
				if err := only.VerifyKey(t.Context()); err != nil || only.uncounted.Load() {
					t.Errorf("the canary has lost its tag, or %v", err)
				}
				strict := o
				strict.Trust.Strict = true
				z.check(t, opened(t, strict))
				for key, was := range z.info {
					now := head(t, only, key)
					if was.State == StateAuthentic && (now.Upload == was.Upload || now.Change != 0 && key != canaryKey || now.KeyID != fresh.ID()) {
						t.Errorf("%s: upload %v, change %d, under %s", key, now.Upload, now.Change, now.KeyID)
					}
				}
				if tags, err := only.oss.GetTagging(t.Context(), "p/tagged"); err != nil || !maps.Equal(tags, map[string]string{"theirs": "1", "other": "a b"}) {
					t.Errorf("tags %v, %v", tags, err)
				}
				if _, h, err := s.ReadObject(testBucket, "p/sdk"); err != nil || h.Get("Content-Type") != "text/x-test" || h.Get("Cache-Control") != "no-store" {
					t.Errorf("headers of others: %v, %v", h, err)
				}
				if got, err := only.oss.Head(t.Context(), "p/sdk"); err != nil || got.Headers["x-oss-storage-class"] != "IA" {
					t.Errorf("storage class: %v, %v", got.Headers, err)
				}
				if dialect != "legacy" { // which the Go SDK does not read
					for key, text := range z.text {
						sdkReads(t, sdkCrypto(t, s, fresh), "p/"+key, text)
					}
				}
				s.ResetRequests()
				if rep := rewrap(t, only, RewrapOptions{}); int(rep.Done) != len(z.text) || rep.Rewrapped != 0 {
					t.Errorf("second run: %+v", rep)
				}
				if n := s.Requests(); n["PutObject"]+n["InitiateMultipartUpload"]+n["GetObject"] != 0 {
					t.Errorf("second run: requests %v", n)
				}
			})
		}
	}
}

// TestRewrapLeavesAlone checks what is not rewrapped: it stays as it is, byte by byte, and is reported.
func TestRewrapLeavesAlone(t *testing.T) {
	s := emulated(t, emulator.Options{})
	old, fresh := masterRSA(t, 0), masterRSA(t, 1)
	o := Options{Connection: connection(s), Keyring: keys.NewKeyring(old)}
	text := random(2<<20 + 5)
	put(t, opened(t, Options{Connection: connection(s), Prefix: "other", Keyring: keys.NewKeyring(old)}), request(t, "x", text[:9]))
	b := opened(t, o)
	alter := func(key string, change func(h http.Header, body []byte) []byte) {
		if err := s.AlterObject(testBucket, key, change); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"good", "flipped-body", "flipped-header", "flipped-box"} {
		put(t, b, request(t, key, text))
	}
	theirs := sdkCrypto(t, s, old)
	if err := theirs.PutObject("sdk", bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	alter("flipped-body", func(_ http.Header, p []byte) []byte { p[1<<20] ^= 1; return p })
	alter("flipped-header", func(h http.Header, p []byte) []byte {
		h.Set("x-oss-meta-client-side-encryption-matdesc", "{}")
		return p
	})
	alter("flipped-box", func(h http.Header, p []byte) []byte {
		h.Set("x-oss-meta-ossencfs-box", strings.Replace(h.Get("x-oss-meta-ossencfs-box"), "A", "B", 3))
		return p
	})
	if err := s.WriteObject(testBucket, "plain", http.Header{}, text); err != nil {
		t.Fatal(err)
	}
	b = rotated(t, o, fresh, old)
	left := []string{"flipped-body", "flipped-header", "flipped-box", "plain", "sdk", "other/x"}
	before := map[string]string{}
	for _, key := range left {
		before[key] = storedAs(t, s, key)
	}
	rep := rewrap(t, b, RewrapOptions{Foreign: ForeignSkip})
	// Below other/ lies another volume: its box is not ours to renew, and its record is not encrypted.
	if rep.Rewrapped != 1 || rep.Refused != 4 || rep.Plain != 2 || rep.Skipped != 1 || len(rep.Problems) != 4 {
		t.Errorf("report %+v", rep)
	}
	for _, key := range left {
		if storedAs(t, s, key) != before[key] {
			t.Errorf("%s was changed", key)
		}
	}
	for _, p := range rep.Problems {
		if want := map[string]error{"other/x": errUnknownBox}[p.Key]; want != nil && !errors.Is(p.Err, want) || want == nil && !errors.Is(p.Err, ErrTampered) {
			t.Errorf("%s: %v", p.Key, p.Err)
		}
	}
	// A wrong key for what others wrote.
	other, err := keys.GenerateRSA(2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sdkCrypto(t, s, other).PutObject("sdk", bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	sdkBefore := storedAs(t, s, "sdk")
	if rep := rewrap(t, b, RewrapOptions{}); rep.Refused != 5 || rep.Rewrapped != 0 || storedAs(t, s, "sdk") != sdkBefore {
		t.Errorf("an object under an unknown key: %+v", rep)
	}
	if _, err := b.Rewrap(t.Context(), RewrapOptions{}); err != nil {
		t.Error(err)
	}
	o.Keyring = keys.NewKeyring(other, fresh)
	if _, err := opened(t, o).Rewrap(t.Context(), RewrapOptions{}); !errors.Is(err, keys.ErrNoSlot) {
		t.Errorf("without a slot for the new key: got %v", err)
	}
	o.Keyring, o.ReadOnly = keys.NewKeyring(fresh), true
	if _, err := opened(t, o).Rewrap(t.Context(), RewrapOptions{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("read-only: got %v", err)
	}
}

// TestRewrapMoved checks that an object which others moved does not become authentic at its new name.
func TestRewrapMoved(t *testing.T) {
	s := emulated(t, emulator.Options{})
	old, fresh := masterRSA(t, 0), masterRSA(t, 1)
	o := Options{Connection: connection(s), Keyring: keys.NewKeyring(old)}
	b := opened(t, o)
	put(t, b, request(t, "a", []byte("text")))
	bucket, err := sdkClient(t, s).Bucket(testBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.CopyObject("a", "moved"); err != nil {
		t.Fatal(err)
	}
	b = rotated(t, o, fresh, old)
	if rep := rewrap(t, b, RewrapOptions{}); rep.Rewrapped != 2 {
		t.Errorf("report %+v", rep)
	}
	o.Keyring = keys.NewKeyring(fresh)
	wantText(t, opened(t, o), "moved", "text")
	o.Trust.Strict = true
	strict := opened(t, o)
	if info := head(t, strict, "moved"); info.State != StateRefused || !errors.Is(info.Refusal, ErrMoved) {
		t.Errorf("a moved object has become %v", info.State)
	}
	if info := head(t, strict, "a"); info.State != StateAuthentic {
		t.Errorf("the other one has become %v, %v", info.State, info.Refusal)
	}
}
