package cache

import (
	"context"
	"io"
	"time"

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
	// NewUpload draws the id of a Put of a body.
	NewUpload(key string, generation object.ID, size int64) object.ID
	// WriteOnly reports whether this host has no key for reading, and MayWrite where it may not write.
	WriteOnly() bool
	MayWrite(key string) error

	List(context.Context, object.ListRequest) (object.Page, error)
	Head(ctx context.Context, key string) (object.Info, error)
	Get(context.Context, object.GetRequest) (*object.Download, error)

	Put(context.Context, object.PutRequest) (object.Info, error)
	Copy(context.Context, object.CopyRequest) (object.Info, error)
	SetAttr(context.Context, object.TagRequest) error
	// Remove deletes, and tells the version that this made in a bucket with versioning.
	Remove(ctx context.Context, key string) (version string, err error)
	// Versions, HeadVersion and RemoveVersion are about the versions of a key, the newest first.
	Versions(ctx context.Context, key, under string, limit int) ([]object.Version, error)
	HeadVersion(ctx context.Context, key, version string) (object.Info, error)
	RemoveVersion(ctx context.Context, key, version string) error
	// TakeLock, RenewLock and ReleaseLock keep other hosts with locks from replacing or removing a key.
	TakeLock(ctx context.Context, key string, life time.Duration) (*object.Lock, error)
	RenewLock(ctx context.Context, l *object.Lock) error
	ReleaseLock(ctx context.Context, l *object.Lock) error
	AbortMultipart(ctx context.Context, state []byte) error
	// AbortBegun removes all multipart uploads of just this key, of which nothing else is known.
	AbortBegun(ctx context.Context, key string) error
	// DropLeaf removes the leaf-tag object of a generation that no object has any more.
	DropLeaf(ctx context.Context, generation object.ID) error

	// BeginStage, StagePart and DropStage store the begin of a file that is larger than the cache.
	BeginStage(ctx context.Context, partSize int64) (*object.Stage, error)
	StagePart(ctx context.Context, s *object.Stage, n int, body io.ReaderAt) (crc uint64, err error)
	DropStage(ctx context.Context, s *object.Stage) error

	// Authentic reports whether nothing of others is expected under a key.
	Authentic(key string) bool
	// SetHistory tells the bucket what this cache remembers of keys, and Trust is which objects of others it accepts.
	SetHistory(object.History)
	Trust() object.Trust
	// Retired reports whether nothing counts any more that rests on the word of a volume key, and RetiredVolumes lists these keys.
	Retired(volume object.ID) bool
	RetiredVolumes() []object.ID

	// NewSealing begins a content under a fresh key, and never waits for KMS.
	NewSealing() (*object.Sealing, error)

	// WrapLocal and UnwrapLocal keep the local key under the volume key and the master key; LocalStale tells that these are others
	// by now, so that it should be wrapped anew.
	WrapLocal(ctx context.Context, secret []byte) ([]byte, error)
	UnwrapLocal(ctx context.Context, wrapped []byte) ([]byte, error)
	LocalStale(wrapped []byte) bool
}

var _ Bucket = (*object.Bucket)(nil)
