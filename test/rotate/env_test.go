// Package rotate proves what becomes of a bucket when its master key changes: by the mount, by the official SDK, and when it is killed
// in between.
package rotate

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	kmssdk "github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	sdkcrypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// The master keys of all tests, made once: RSA keys take long.
var (
	rsa2048 = sync.OnceValues(func() (*keys.RSA, error) { return keys.GenerateRSA(2048, nil) })
	rsa4096 = sync.OnceValues(func() (*keys.RSA, error) { return keys.GenerateRSA(4096, map[string]string{"year": "2"}) })
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got returns a value that must have been made.
func got[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// options reach the emulator's bucket.
func options(s *emulator.Server, ring ...keys.MasterKey) object.Options {
	return object.Options{
		Connection: object.Connection{Bucket: testenv.Bucket, Endpoint: s.Endpoint(), Region: s.Region(),
			Credentials: object.StaticCredentials{ID: s.AccessKeyID(), Secret: s.AccessKeySecret()}},
		Keyring: keys.NewKeyring(ring[0], ring[1:]...), PartSize: 1 << 20, MultipartThreshold: 1 << 20,
	}
}

// open opens the bucket and its volume, until the test ends.
func open(t testing.TB, o object.Options) *object.Bucket {
	t.Helper()
	b, err := object.Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, b.OpenVolume(t.Context()))
	return b
}

// addSlot lets another master key open the volume.
func addSlot(t testing.TB, o object.Options, key keys.MasterKey) {
	t.Helper()
	v, err := object.OpenVolumes(t.Context(), o, "")
	must(t, err)
	defer v.Close()
	if n, err := v.AddSlot(t.Context(), key); err != nil || n != 1 {
		t.Fatalf("add slot: %d records, %v", n, err)
	}
}

// reader is an object as the official Go SDK sees it with one master key alone.
type reader struct{ bucket *sdkcrypto.CryptoBucket }

// sdkReader makes one for an RSA key, or for the emulator's KMS key.
func sdkReader(t testing.TB, s *emulator.Server, bucket string, key keys.MasterKey) reader {
	t.Helper()
	var master sdkcrypto.MasterCipher
	switch k := key.(type) {
	case *keys.RSA:
		private := got[[]byte](t)(k.MarshalPrivate(nil))
		public := got[[]byte](t)(k.MarshalPublic())
		master = got[sdkcrypto.MasterCipher](t)(sdkcrypto.CreateMasterRsa(k.MatDesc(), string(public), string(private)))
	case *keys.KMS:
		master = got[sdkcrypto.MasterCipher](t)(sdkcrypto.CreateMasterAliKms(k.MatDesc(), s.KMSKeyID(), kmsClient(t, s)))
	default:
		t.Fatalf("key of kind %T", key)
	}
	client := got[*sdk.Client](t)(sdk.New(s.Endpoint(), s.AccessKeyID(), s.AccessKeySecret(), sdk.ForcePathStyle(true)))
	return reader{got[*sdkcrypto.CryptoBucket](t)(sdkcrypto.GetCryptoBucket(client, bucket, sdkcrypto.CreateAesCtrCipher(master)))}
}

// kmsClient is the official client of KMS. It speaks HTTPS whatever it is told, so that its connections say that they are secure.
func kmsClient(t testing.TB, s *emulator.Server) *kmssdk.Client {
	t.Helper()
	c := got[*kmssdk.Client](t)(kmssdk.NewClientWithAccessKey(s.Region(), s.AccessKeyID(), s.AccessKeySecret()))
	c.Domain = strings.TrimPrefix(s.KMSEndpoint(), "http://")
	transport := &http.Transport{DialTLSContext: (&net.Dialer{}).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	c.SetTransport(transport)
	return c
}

// multipart lets the SDK store text in parts.
func multipart(t testing.TB, b *sdkcrypto.CryptoBucket, key string, text []byte, partSize int) {
	t.Helper()
	crypto := &sdkcrypto.PartCryptoContext{DataSize: int64(len(text)), PartSize: int64(partSize)}
	up := got[sdk.InitiateMultipartUploadResult](t)(b.InitiateMultipartUpload(key, crypto))
	var parts []sdk.UploadPart
	for piece := range slices.Chunk(text, partSize) {
		parts = append(parts, got[sdk.UploadPart](t)(b.UploadPart(up, bytes.NewReader(piece), int64(len(piece)), len(parts)+1, *crypto)))
	}
	got[sdk.CompleteMultipartUploadResult](t)(b.CompleteMultipartUpload(up, parts))
}

// want compares what the SDK reads.
func (r reader) want(key string, text []byte) error {
	body, err := r.bucket.GetObject(key)
	if err != nil {
		return fmt.Errorf("the SDK cannot open %s: %w", key, err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(data, text) {
		return fmt.Errorf("the SDK reads %d bytes of %s that differ, or %w", len(data), key, err)
	}
	return nil
}

// counts is a report without its problems.
func counts(r object.RewrapReport) string {
	text := fmt.Sprintf("%+v", r)
	return text[:strings.Index(text, " Problems:")]
}
