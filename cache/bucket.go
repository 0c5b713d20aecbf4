package cache

import (
	"context"

	"github.com/ossencfs/ossencfs/object"
)

// Bucket is what the cache needs of the bucket; *object.Bucket is one. Keys are relative to the mounted prefix.
type Bucket interface {
	// Prefix, Name and Endpoint tell which bucket this is, and KeyRoom how long a key may be.
	Prefix() string
	Name() string
	Endpoint() string
	KeyRoom() int
	// CheckXattrs refuses extended attributes that do not fit in an object's headers.
	CheckXattrs(map[string][]byte) error
	MultipartThreshold() int64

	List(context.Context, object.ListRequest) (object.Page, error)
	Head(ctx context.Context, key string) (object.Info, error)
	Get(context.Context, object.GetRequest) (*object.Download, error)

	Put(context.Context, object.PutRequest) (object.Info, error)
	Copy(context.Context, object.CopyRequest) (object.Info, error)
	SetAttr(context.Context, object.TagRequest) error
	Delete(ctx context.Context, key string) error
	AbortMultipart(ctx context.Context, state []byte) error

	// WrapLocal and UnwrapLocal keep the local key under the master key.
	WrapLocal(ctx context.Context, secret []byte) ([]byte, error)
	UnwrapLocal(ctx context.Context, wrapped []byte) ([]byte, error)
}

var _ Bucket = (*object.Bucket)(nil)
