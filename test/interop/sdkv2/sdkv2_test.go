// Package sdkv2 proves the emulator with the official Go SDK v2, which the product does not use, and the encrypting clients of both Go SDKs
// with each other. Like the emulator's own tests these meet no other code of ours.
package sdkv2

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	sdk2creds "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	sdk2crypto "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/crypto"
	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
	sdkcrypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"

	"github.com/ossencfs/ossencfs/emulator"
)

const (
	testBucket = "test-bucket"

	// EC codes of OSS.
	ecSignature = "0002-00000040"
	ecNoSuchKey = "0026-00000001"
)

// start runs a server for one test.
func start(t *testing.T, o emulator.Options) *emulator.Server {
	t.Helper()
	o.Buckets = []string{testBucket}
	s, err := emulator.Start(o)
	if err != nil {
		t.Fatalf("start emulator: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close emulator: %v", err)
		}
	})
	return s
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// sdk2Client is the official Go SDK v2 on s.
func sdk2Client(s *emulator.Server, change ...func(*sdk2.Config)) *sdk2.Client {
	conf := sdk2.LoadDefaultConfig().WithRegion(s.Region()).WithEndpoint(s.Endpoint()).WithUsePathStyle(true).
		WithRetryMaxAttempts(1).
		WithCredentialsProvider(sdk2creds.NewStaticCredentialsProvider(s.AccessKeyID(), s.AccessKeySecret()))
	for _, f := range change {
		f(conf)
	}
	return sdk2.NewClient(conf)
}

// refusedAsV2 fails unless err is a refusal by OSS with this EC.
func refusedAsV2(t *testing.T, err error, ec string) {
	t.Helper()
	var e *sdk2.ServiceError
	if !errors.As(err, &e) || e.EC != ec {
		t.Errorf("got error %v, want a refusal with EC %s", err, ec)
	}
}

func TestV2SDKRefusal(t *testing.T) {
	s := start(t, emulator.Options{})
	c := sdk2Client(s, func(o *sdk2.Config) {
		o.WithCredentialsProvider(sdk2creds.NewStaticCredentialsProvider(s.AccessKeyID(), "wrong"))
	})
	_, err := c.HeadObject(context.Background(), &sdk2.HeadObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr("k")})
	refusedAsV2(t, err, ecSignature)
}

// testKey is an RSA key in the PEM forms the SDKs take.
func testKey(t *testing.T) (public, private string) {
	t.Helper()
	key, err := rsa.GenerateKey(crand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
		string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func TestSDKv2(t *testing.T) {
	ctx := context.Background()
	for _, version := range []sdk2.SignatureVersionType{sdk2.SignatureVersionV1, sdk2.SignatureVersionV4} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			s := start(t, emulator.Options{})
			c := sdk2Client(s, func(o *sdk2.Config) {
				o.WithSignatureVersion(version).WithAdditionalHeaders([]string{"host", "content-length"})
			})
			data := randomBytes(300 << 10)
			key := "dir/ü +%"
			if _, err := c.PutObject(ctx, &sdk2.PutObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr(key), Body: bytes.NewReader(data), Metadata: map[string]string{"a": "b"}}); err != nil {
				t.Fatal(err)
			}
			got, err := c.GetObject(ctx, &sdk2.GetObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr(key)})
			if err != nil {
				t.Fatal(err)
			}
			defer got.Body.Close()
			if b, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(b, data) || got.Metadata["a"] != "b" {
				t.Errorf("content or metadata %v differs: %v", got.Metadata, err)
			}
			up := c.NewUploader(func(o *sdk2.UploaderOptions) { o.PartSize = 100 << 10; o.ParallelNum = 3 })
			if _, err := up.UploadFrom(ctx, &sdk2.PutObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr("up")}, bytes.NewReader(data)); err != nil {
				t.Errorf("uploader: %v", err)
			}
			if _, err := c.CopyObject(ctx, &sdk2.CopyObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr("copy"), SourceKey: sdk2.Ptr(key)}); err != nil {
				t.Errorf("copy: %v", err)
			}
			if _, err := c.AppendObject(ctx, &sdk2.AppendObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr("log"), Position: sdk2.Ptr(int64(0)), Body: strings.NewReader("x")}); err != nil {
				t.Errorf("append: %v", err)
			}
			n := 0
			for p := c.NewListObjectsV2Paginator(&sdk2.ListObjectsV2Request{Bucket: sdk2.Ptr(testBucket), MaxKeys: 2}); p.HasNext(); {
				page, err := p.NextPage(ctx)
				if err != nil {
					t.Fatal(err)
				}
				n += len(page.Contents)
			}
			if n != 4 {
				t.Errorf("listed %d objects, want 4", n)
			}
			if _, err := c.DeleteMultipleObjects(ctx, &sdk2.DeleteMultipleObjectsRequest{Bucket: sdk2.Ptr(testBucket), Objects: []sdk2.DeleteObject{{Key: sdk2.Ptr(key)}}}); err != nil {
				t.Errorf("batch delete: %v", err)
			}
			_, err = c.HeadObject(ctx, &sdk2.HeadObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr(key)})
			refusedAsV2(t, err, ecNoSuchKey)
			signed, err := c.Presign(ctx, &sdk2.GetObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr("up")}, sdk2.PresignExpires(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequest(signed.Method, signed.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range signed.SignedHeaders {
				req.Header.Set(k, v)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(b, data) {
				t.Errorf("presigned get: %s, %v", resp.Status, err)
			}
		})
	}
}

// TestEncryptingSDKs stores with one official SDK's encryption and reads with the other's, by one PUT and
// in parts: the server's rules must let both pass.
func TestEncryptingSDKs(t *testing.T) {
	ctx := context.Background()
	s := start(t, emulator.Options{Dir: t.TempDir()})
	public, private := testKey(t)
	c1, err := sdk.New(s.Endpoint(), s.AccessKeyID(), s.AccessKeySecret(), sdk.ForcePathStyle(true), sdk.Region(s.Region()))
	if err != nil {
		t.Fatal(err)
	}
	m1, err := sdkcrypto.CreateMasterRsa(nil, public, private)
	if err != nil {
		t.Fatal(err)
	}
	v1, err := sdkcrypto.GetCryptoBucket(c1, testBucket, sdkcrypto.CreateAesCtrCipher(m1))
	if err != nil {
		t.Fatal(err)
	}
	m2, err := sdk2crypto.CreateMasterRsa(nil, public, private)
	if err != nil {
		t.Fatal(err)
	}
	v2, err := sdk2.NewEncryptionClient(sdk2Client(s), m2)
	if err != nil {
		t.Fatal(err)
	}
	data := randomBytes(250 << 10)
	if err := v1.PutObject("v1", bytes.NewReader(data)); err != nil {
		t.Fatalf("v1 put: %v", err)
	}
	if _, err := v2.PutObject(ctx, &sdk2.PutObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr("v2"), Body: bytes.NewReader(data)}); err != nil {
		t.Fatalf("v2 put: %v", err)
	}
	multipartV1(t, v1, data)
	if _, err := v2.NewUploader(func(o *sdk2.UploaderOptions) { o.PartSize = 100 << 10 }).UploadFrom(ctx,
		&sdk2.PutObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr("v2-parts")}, bytes.NewReader(data)); err != nil {
		t.Fatalf("v2 upload: %v", err)
	}
	for _, key := range []string{"v1", "v2", "v1-parts", "v2-parts"} {
		r, err := v1.GetObject(key)
		if err != nil {
			t.Fatalf("v1 get %s: %v", key, err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("v1 reads %s wrong: %v", key, err)
		}
		res, err := v2.GetObject(ctx, &sdk2.GetObjectRequest{Bucket: sdk2.Ptr(testBucket), Key: sdk2.Ptr(key)})
		if err != nil {
			t.Fatalf("v2 get %s: %v", key, err)
		}
		got, err = io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("v2 reads %s wrong: %v", key, err)
		}
		stored, _, err := s.ReadObject(testBucket, key)
		if err != nil || bytes.Contains(stored, data[:32]) {
			t.Errorf("%s is stored in plain text, or not at all: %v", key, err)
		}
	}
}

func multipartV1(t *testing.T, b *sdkcrypto.CryptoBucket, data []byte) {
	t.Helper()
	const size = 100 << 10
	pcc := sdkcrypto.PartCryptoContext{DataSize: int64(len(data)), PartSize: size}
	up, err := b.InitiateMultipartUpload("v1-parts", &pcc)
	if err != nil {
		t.Fatal(err)
	}
	var parts []sdk.UploadPart
	for n := 1; (n-1)*size < len(data); n++ {
		chunk := data[(n-1)*size : min(n*size, len(data))]
		p, err := b.UploadPart(up, bytes.NewReader(chunk), int64(len(chunk)), n, pcc)
		if err != nil {
			t.Fatalf("part %d: %v", n, err)
		}
		parts = append(parts, p)
	}
	if _, err := b.CompleteMultipartUpload(up, parts); err != nil {
		t.Fatal(err)
	}
}
