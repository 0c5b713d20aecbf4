//go:build interop

package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	v2credentials "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	v2crypto "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/crypto"
	v1 "github.com/aliyun/aliyun-oss-go-sdk/oss"
	v1crypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"
)

// goV1 is the official Go SDK v1 with its crypto package.
type goV1 struct {
	w   *world
	kms bool
}

func (a goV1) name() string {
	if a.kms {
		return "go-v1 kms"
	}
	return "go-v1 rsa"
}

func (a goV1) bucket() (*v1crypto.CryptoBucket, error) {
	client, err := v1.New(a.w.server.Endpoint(), a.w.server.AccessKeyID(), a.w.server.AccessKeySecret(), v1.ForcePathStyle(true))
	if err != nil {
		return nil, err
	}
	var master v1crypto.MasterCipher
	if a.kms {
		config := sdk.NewConfig().WithHttpTransport(a.w.transport) // it speaks HTTPS whatever the scheme is
		client, err := kms.NewClientWithOptions(a.w.server.Region(), config,
			credentials.NewAccessKeyCredential(a.w.server.AccessKeyID(), a.w.server.AccessKeySecret()))
		if err != nil {
			return nil, err
		}
		client.Domain = a.w.kmsHost
		master, err = v1crypto.CreateMasterAliKms(nil, a.w.server.KMSKeyID(), client)
		if err != nil {
			return nil, err
		}
	} else if master, err = v1crypto.CreateMasterRsa(nil, a.w.publicPEM, a.w.privatePEM); err != nil {
		return nil, err
	}
	return v1crypto.GetCryptoBucket(client, a.w.bucket, v1crypto.CreateAesCtrCipher(master))
}

func (a goV1) put(file, object string, parts bool) error {
	bucket, err := a.bucket()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !parts {
		return bucket.PutObject(object, bytes.NewReader(data))
	}
	crypto := v1crypto.PartCryptoContext{DataSize: int64(len(data)), PartSize: partSize}
	upload, err := bucket.InitiateMultipartUpload(object, &crypto)
	if err != nil {
		return err
	}
	var done []v1.UploadPart
	for n, off := 1, 0; off < len(data); n, off = n+1, off+partSize {
		piece := data[off:min(off+partSize, len(data))]
		part, err := bucket.UploadPart(upload, bytes.NewReader(piece), int64(len(piece)), n, crypto)
		if err != nil {
			return err
		}
		done = append(done, part)
	}
	_, err = bucket.CompleteMultipartUpload(upload, done)
	return err
}

func (a goV1) get(object string, r *byteRange) (data []byte, err error) {
	defer func() {
		// The SDK dereferences nil when no master cipher of its manager fits (FORMAT.md).
		if p := recover(); p != nil {
			err = fmt.Errorf("the SDK panicked: %v", p)
		}
	}()
	bucket, err := a.bucket()
	if err != nil {
		return nil, err
	}
	var options []v1.Option
	if r != nil {
		options = append(options, v1.Range(r.first, r.last))
	}
	body, err := bucket.GetObject(object, options...)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// goV2 is the official Go SDK v2, which knows RSA only.
type goV2 struct{ w *world }

func (a goV2) name() string { return "go-v2 rsa" }

func (a goV2) client() (*v2.EncryptionClient, error) {
	config := v2.LoadDefaultConfig().
		WithCredentialsProvider(v2credentials.NewStaticCredentialsProvider(a.w.server.AccessKeyID(), a.w.server.AccessKeySecret())).
		WithRegion(a.w.server.Region()).WithEndpoint(a.w.server.Endpoint()).WithUsePathStyle(true)
	master, err := v2crypto.CreateMasterRsa(nil, a.w.publicPEM, a.w.privatePEM)
	if err != nil {
		return nil, err
	}
	return v2.NewEncryptionClient(v2.NewClient(config), master)
}

func (a goV2) put(file, object string, parts bool) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if !parts {
		_, err = client.PutObject(ctx, &v2.PutObjectRequest{Bucket: &a.w.bucket, Key: &object, Body: bytes.NewReader(data)})
		return err
	}
	upload, err := client.InitiateMultipartUpload(ctx, &v2.InitiateMultipartUploadRequest{
		Bucket: &a.w.bucket, Key: &object, CSEPartSize: v2.Ptr(int64(partSize)), CSEDataSize: v2.Ptr(int64(len(data)))})
	if err != nil {
		return err
	}
	var done []v2.UploadPart
	for n, off := int32(1), 0; off < len(data); n, off = n+1, off+partSize {
		part, err := client.UploadPart(ctx, &v2.UploadPartRequest{Bucket: &a.w.bucket, Key: &object, PartNumber: n,
			UploadId: upload.UploadId, Body: bytes.NewReader(data[off:min(off+partSize, len(data))]),
			CSEMultiPartContext: upload.CSEMultiPartContext})
		if err != nil {
			return err
		}
		done = append(done, v2.UploadPart{PartNumber: n, ETag: part.ETag})
	}
	_, err = client.CompleteMultipartUpload(ctx, &v2.CompleteMultipartUploadRequest{Bucket: &a.w.bucket, Key: &object,
		UploadId: upload.UploadId, CompleteMultipartUpload: &v2.CompleteMultipartUpload{Parts: done}})
	return err
}

func (a goV2) get(object string, r *byteRange) ([]byte, error) {
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	request := &v2.GetObjectRequest{Bucket: &a.w.bucket, Key: &object}
	if r != nil {
		request.Range = v2.Ptr(fmt.Sprintf("bytes=%d-%d", r.first, r.last))
	}
	result, err := client.GetObject(context.Background(), request)
	if err != nil {
		return nil, err
	}
	defer result.Body.Close()
	return io.ReadAll(result.Body)
}
