package verify

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	sdkcrypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

const bucketName = "verify"

// rsaKey is the master key of all worlds.
var rsaKey = sync.OnceValues(func() (*keys.RSA, error) { return keys.GenerateRSA(2048, nil) })

// world is a bucket that was written as a mount writes it.
type world struct {
	server *emulator.Server
	master *keys.RSA
	store  *object.Bucket
	stored map[string]stored // as it was before any damage
}

// stored is one object of the bucket.
type stored struct {
	h    http.Header
	body []byte
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newWorld makes an empty bucket with a volume.
func newWorld(t *testing.T) *world {
	t.Helper()
	master, err := rsaKey()
	must(t, err)
	w := &world{master: master, stored: map[string]stored{}}
	w.server, err = emulator.Start(emulator.Options{Buckets: []string{bucketName}})
	must(t, err)
	t.Cleanup(func() { must(t, w.server.Close()) })
	w.store = w.open(t, object.Options{})
	return w
}

// open opens the bucket.
func (w *world) open(t *testing.T, o object.Options) *object.Bucket {
	t.Helper()
	o.Keyring = keys.NewKeyring(w.master)
	o.Connection = object.Connection{Endpoint: w.server.Endpoint(), Region: w.server.Region(), Bucket: bucketName,
		Credentials: object.StaticCredentials{ID: w.server.AccessKeyID(), Secret: w.server.AccessKeySecret()}}
	b, err := object.Open(context.Background(), o)
	must(t, err)
	must(t, b.VerifyKey(context.Background()))
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

// pattern is n bytes that look like nothing else.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	v := uint32(seed) * 2654435761
	for i := range p {
		v = v*1664525 + 1013904223
		p[i] = byte(v >> 24)
	}
	return p
}

const leafSize = 1 << 20

// put stores a file.
func (w *world) put(t *testing.T, key string, data []byte, attr object.Attr) object.Info {
	t.Helper()
	if attr.Mode == 0 {
		attr.Mode = object.ModeRegular | 0o640
	}
	info, err := w.store.PutFile(context.Background(), object.FileRequest{Key: key, Source: bytes.NewReader(data), Size: int64(len(data)), Attr: attr})
	must(t, err)
	return info
}

// fill writes one file of each sort, and remembers how the bucket stands.
func (w *world) fill(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	w.put(t, "f", pattern(300_000, 1), object.Attr{})
	w.put(t, "other", pattern(300_000, 2), object.Attr{})
	w.put(t, "big", pattern(3*leafSize+5, 3), object.Attr{})
	w.put(t, "x", pattern(1000, 4), object.Attr{Xattrs: map[string][]byte{"user.note": []byte("sealed")}})
	w.put(t, "empty", nil, object.Attr{})
	w.put(t, "link", []byte("some/target"), object.Attr{Mode: object.ModeSymlink | 0o777})
	w.put(t, "d/", nil, object.Attr{Mode: object.ModeDir | 0o750})
	w.put(t, "d/inner", pattern(10, 5), object.Attr{})
	info := w.put(t, "t", pattern(1000, 6), object.Attr{})
	attr := object.Attr{Mode: object.ModeRegular | 0o604}
	must(t, w.store.SetAttr(ctx, object.TagRequest{Key: "t", Attr: attr, Generation: info.Generation, Upload: object.NewID()}))
	info = w.put(t, "before", pattern(1000, 7), object.Attr{})
	_, err := w.store.Copy(ctx, object.CopyRequest{Src: "before", Dst: "renamed", Attr: attr, Generation: info.Generation, Upload: object.NewID()})
	must(t, err)
	must(t, w.store.Delete(ctx, "before"))
	w.remember(t)
}

// remember takes the state of the bucket.
func (w *world) remember(t *testing.T) {
	t.Helper()
	for _, o := range w.server.Objects(bucketName) {
		body, h, err := w.server.ReadObject(bucketName, o.Key)
		must(t, err)
		w.stored[o.Key] = stored{h, body}
	}
}

// restore puts the bucket back into the state before any damage.
func (w *world) restore(t *testing.T) {
	t.Helper()
	for _, o := range w.server.Objects(bucketName) {
		must(t, w.server.RemoveObject(bucketName, o.Key)) // tags go with it
	}
	for key, s := range w.stored {
		w.write(t, key, s)
	}
}

// write stores an object as the owner of the bucket can.
func (w *world) write(t *testing.T, key string, s stored) {
	t.Helper()
	must(t, w.server.WriteObject(bucketName, key, s.h.Clone(), bytes.Clone(s.body)))
}

// alter changes an object's headers, or what its body becomes.
func (w *world) alter(t *testing.T, key string, change func(h http.Header, body []byte) []byte) {
	t.Helper()
	must(t, w.server.AlterObject(bucketName, key, change))
}

// header replaces one character in the middle of a header's value.
func (w *world) header(t *testing.T, key, name string) {
	t.Helper()
	w.alter(t, key, func(h http.Header, body []byte) []byte {
		value := []byte(h.Get(name))
		if len(value) == 0 {
			t.Fatalf("%s has no header %s", key, name)
		}
		if c := &value[len(value)/2]; *c != 'A' {
			*c = 'A'
		} else {
			*c = 'B'
		}
		h.Set(name, string(value))
		return body
	})
}

// flip changes one bit of a body.
func (w *world) flip(t *testing.T, key string, off int) {
	t.Helper()
	w.alter(t, key, func(_ http.Header, body []byte) []byte {
		body[off] ^= 1
		return body
	})
}

// sdkObject writes an object as the official SDK does, under the world's public key.
func (w *world) sdkObject(t *testing.T, key string, data []byte) {
	t.Helper()
	public, err := w.master.MarshalPublic()
	must(t, err)
	client, err := sdk.New(w.server.Endpoint(), w.server.AccessKeyID(), w.server.AccessKeySecret(),
		sdk.Region(w.server.Region()), sdk.AuthVersion(sdk.AuthV4), sdk.ForcePathStyle(true))
	must(t, err)
	master, err := sdkcrypto.CreateMasterRsa(nil, string(public), "")
	must(t, err)
	bucket, err := sdkcrypto.GetCryptoBucket(client, bucketName, sdkcrypto.CreateAesCtrCipher(master))
	must(t, err)
	must(t, bucket.PutObject(key, bytes.NewReader(data)))
}

// plainClient is the official SDK without encryption.
func (w *world) plainClient(t *testing.T) *sdk.Bucket {
	t.Helper()
	client, err := sdk.New(w.server.Endpoint(), w.server.AccessKeyID(), w.server.AccessKeySecret(),
		sdk.Region(w.server.Region()), sdk.AuthVersion(sdk.AuthV4), sdk.ForcePathStyle(true))
	must(t, err)
	bucket, err := client.Bucket(bucketName)
	must(t, err)
	return bucket
}

// verify runs a verification in which nothing is too young to count as given up.
func verify(t *testing.T, b *object.Bucket, o object.VerifyOptions) object.VerifyReport {
	t.Helper()
	o.Stale = time.Nanosecond
	r, err := b.Verify(context.Background(), o)
	must(t, err)
	return r
}

// lines are the findings of a report as "kind key".
func lines(r object.VerifyReport) []string {
	list := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		list = append(list, fmt.Sprintf("%s %s", f.Kind, f.Key))
	}
	slices.Sort(list)
	return list
}

// wantFindings compares a report with what should be in it.
func wantFindings(t *testing.T, r object.VerifyReport, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := lines(r); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q\n%+v", got, want, r.Findings)
	}
}

// readAll reads plaintext.
func readAll(t *testing.T, b *object.Bucket, key string) []byte {
	t.Helper()
	var buf bytes.Buffer
	_, err := b.GetFile(context.Background(), key, &buf, nil)
	must(t, err)
	return buf.Bytes()
}
