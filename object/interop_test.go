package object

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	sdkcrypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// sdkClient is the official Go SDK at the emulator.
func sdkClient(t *testing.T, s *emulator.Server) *sdk.Client {
	t.Helper()
	c, err := sdk.New(s.Endpoint(), s.AccessKeyID(), s.AccessKeySecret(), sdk.ForcePathStyle(true))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sdkCrypto is its encrypting bucket under a master key of ours.
func sdkCrypto(t *testing.T, s *emulator.Server, k *keys.RSA) *sdkcrypto.CryptoBucket {
	t.Helper()
	private, err := k.MarshalPrivate(nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := k.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	master, err := sdkcrypto.CreateMasterRsa(k.MatDesc(), string(public), string(private))
	if err != nil {
		t.Fatal(err)
	}
	b, err := sdkcrypto.GetCryptoBucket(sdkClient(t, s), testBucket, sdkcrypto.CreateAesCtrCipher(master))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOfficialSDKReads checks that the official Go SDK reads what Put and PutFile write: whole and in ranges, single
// and multipart, also after a copy.
func TestOfficialSDKReads(t *testing.T) {
	s := emulated(t, emulator.Options{})
	theirs := sdkCrypto(t, s, masterRSA(t, 0))
	for _, dialect := range []string{"both", "current"} {
		b := opened(t, Options{Connection: connection(s), Prefix: dialect, Dialect: dialect})
		for _, size := range []int{0, 1, 17, 4096, 5<<19 + 5} {
			text := random(size)
			r := request(t, fmt.Sprint(size), text)
			r.Attr.Xattrs = map[string][]byte{"user.a": []byte("1")}
			info := put(t, b, r)
			if _, err := b.Copy(t.Context(), CopyRequest{Src: r.Key, Dst: r.Key + "c", Attr: r.Attr, Generation: info.Generation, Upload: NewID()}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.PutFile(t.Context(), FileRequest{Key: r.Key + "f", Source: bytes.NewReader(text), Size: int64(size)}); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{r.Key, r.Key + "c", r.Key + "f"} {
				body, err := theirs.GetObject(dialect + "/" + key)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(body)
				if body.Close(); err != nil || !bytes.Equal(got, text) {
					t.Errorf("%s %s: the SDK reads %d bytes that differ, or %v", dialect, key, len(got), err)
				}
			}
			if size < 100 {
				continue
			}
			body, err := theirs.GetObject(dialect+"/"+r.Key, sdk.Range(int64(size-77), int64(size-1)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(body)
			if body.Close(); err != nil || !bytes.Equal(got, text[size-77:]) {
				t.Errorf("%s %d: range differs, or %v", dialect, size, err)
			}
		}
	}
}

// TestOfficialSDKWrites checks that Get reads what the official Go SDK writes, and that Copy keeps it readable.
func TestOfficialSDKWrites(t *testing.T) {
	s := emulated(t, emulator.Options{})
	theirs := sdkCrypto(t, s, masterRSA(t, 0))
	b := opened(t, Options{Connection: connection(s)})
	text := random(300_001)
	if err := theirs.PutObject("single", bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	const partSize = 100 << 10
	crypto := &sdkcrypto.PartCryptoContext{DataSize: int64(len(text)), PartSize: partSize}
	up, err := theirs.InitiateMultipartUpload("parts", crypto)
	if err != nil {
		t.Fatal(err)
	}
	var parts []sdk.UploadPart
	for piece := range slices.Chunk(text, partSize) {
		p, err := theirs.UploadPart(up, bytes.NewReader(piece), int64(len(piece)), len(parts)+1, *crypto)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	if _, err := theirs.CompleteMultipartUpload(up, parts); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"single", "parts"} {
		wantText(t, b, key, string(text))
		info := head(t, b, key)
		if !info.Encrypted || !info.Generation.IsZero() || info.HasAttr {
			t.Errorf("%s: head %+v", key, info)
		}
		c := CopyRequest{Src: key, Dst: key + "-copy", Attr: Attr{Mode: ModeRegular | 0o600}, Upload: NewID()}
		if _, err := b.Copy(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		wantText(t, b, c.Dst, string(text))
		if got := head(t, b, c.Dst); got.Attr.Mode != c.Attr.Mode || got.Upload != c.Upload {
			t.Errorf("%s: head of the copy %+v", key, got)
		}
	}
}

// TestNativeSymlink checks that a symbolic link of OSS's own is refused, since its target would come out as if it
// were plain.
func TestNativeSymlink(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	put(t, b, request(t, "target", []byte("content")))
	theirs, err := sdkClient(t, s).Bucket(testBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.PutSymlink("link", "target"); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := b.Head(ctx, "link"); !isSymlink(err) {
		t.Errorf("head: got %v", err)
	}
	if _, err := b.Get(ctx, GetRequest{Key: "link"}); !isSymlink(err) {
		t.Errorf("get: got %v", err)
	}
	p, err := b.List(ctx, ListRequest{})
	if err != nil || len(p.Objects) != 1 || len(p.Unusable) != 1 || !isSymlink(p.Unusable[0].Reason) {
		t.Errorf("list: got %+v, %v", p, err)
	}
	rep, err := Inspect(ctx, Options{Connection: connection(s)}, "link")
	if err != nil || !strings.Contains(rep.Problem, "symbolic link") {
		t.Errorf("inspect: %+v, %v", rep, err)
	}
}

func TestInspect(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s), Prefix: "p"}
	b := opened(t, o)
	ctx := t.Context()
	r := request(t, "f", []byte("content"))
	r.Attr.Xattrs = map[string][]byte{"user.a": []byte("1")}
	info := put(t, b, r)
	rep, err := Inspect(ctx, Options{Connection: o.Connection, Prefix: "/p/"}, "f")
	if err != nil || rep.Key != "p/f" || rep.Size != 7 || rep.Envelope == nil || len(rep.Envelope.Sets) != 2 || rep.Foreign || rep.SealedXattr == 0 ||
		rep.Upload != info.Upload.String() || rep.Generation != info.Generation.String() || rep.Mode != r.Attr.Mode || rep.AttrFromTag || rep.Problem != "" || len(rep.Headers) < 12 {
		t.Errorf("got %+v, %v", rep, err)
	}
	change := TagRequest{Key: "f", Attr: Attr{Mode: ModeRegular | 0o600}, Generation: info.Generation, Upload: NewID()}
	if err := b.SetAttr(ctx, change); err != nil {
		t.Fatal(err)
	}
	if rep, err = Inspect(ctx, o, "f"); err != nil || !rep.AttrFromTag || rep.Mode != change.Attr.Mode || rep.Upload != change.Upload.String() {
		t.Errorf("after a tag: got %+v, %v", rep, err)
	}
	if _, err := Inspect(ctx, o, "none"); !isNotFound(err) {
		t.Errorf("inspect nothing: got %v", err)
	}
	if err := s.AlterObject(testBucket, "p/f", func(h http.Header, body []byte) []byte {
		for name := range h {
			if strings.HasSuffix(strings.ToLower(name), "-start") {
				delete(h, name)
			}
		}
		return body
	}); err != nil {
		t.Fatal(err)
	}
	if rep, err = Inspect(ctx, o, "f"); err != nil || rep.Envelope != nil || rep.Problem == "" {
		t.Errorf("damaged envelope: got %+v, %v", rep, err)
	}
	if got := head(t, b, "f"); !got.Encrypted || got.State != StateRefused || !errors.Is(got.Refusal, ErrTampered) || got.HasAttr {
		t.Errorf("head with a damaged envelope: got %+v", got)
	}
}
