package object

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// Sizes that Options replace, in bytes.
const (
	// DefaultPartSize is the size of a part of a multipart upload, unless 10,000 of them are too few.
	DefaultPartSize = 16 << 20
	// DefaultMultipartThreshold is the largest body that goes up in a single PUT.
	DefaultMultipartThreshold = MaxSinglePut
	// MaxSinglePut bounds the threshold: the MD5 of larger bodies, which a single PUT needs, is not computed.
	MaxSinglePut = cipher.MaxMD5
)

// ErrReadOnly says that the bucket was opened for reading only.
var ErrReadOnly = errors.New("the bucket is open for reading only")

// Options say which bucket to open and how content is sealed. Connection and Keyring are required.
type Options struct {
	Connection         Connection
	Prefix             string        // directory of the bucket to work in, as "backup/host"; empty: all of it
	Keyring            *keys.Keyring // its primary key seals, all of them open
	Dialect            string        // "both" (when empty), "current" or "legacy"
	PartSize           int64         // at least 100 KiB, a multiple of 16; DefaultPartSize when 0
	MultipartThreshold int64         // at most MaxSinglePut; DefaultMultipartThreshold when 0
	DefaultAttr        DefaultAttr   // attributes of objects that have none
	ReadOnly           bool          // refuse each write with ErrReadOnly
}

// Bucket is an open bucket. It is safe for concurrent use.
type Bucket struct {
	oss     *oss.Client
	prefix  string // "" or ending in "/"
	ring    *keys.Keyring
	dialect cipher.Dialect
	opt     Options
	opened  keyCache
	// uncounted says that this service does not tell the number of tags, so that each Head asks for them.
	uncounted atomic.Bool
}

// Open connects to a bucket and checks with one request that it answers. The errors are those of oss.Client.Check;
// VerifyKey checks the master key.
func Open(ctx context.Context, o Options) (*Bucket, error) {
	b, err := newBucket(o)
	if err != nil {
		return nil, err
	}
	if err := b.oss.Check(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// newBucket checks the options and sends nothing.
func newBucket(o Options) (*Bucket, error) {
	if o.Keyring == nil || o.Keyring.Primary() == nil {
		return nil, fmt.Errorf("open bucket: no master key: %w", ErrInvalid)
	}
	dialect, err := cipher.ParseDialect(o.Dialect)
	if err != nil {
		return nil, err
	}
	room, err := xattrRoom(o.Keyring.Primary(), dialect)
	if err != nil {
		return nil, err
	}
	if room < 0 {
		return nil, fmt.Errorf("envelope is %d bytes too big for an object's metadata, shorten the key's description: %w", -room, ErrInvalid)
	}
	if o.PartSize == 0 {
		o.PartSize = DefaultPartSize
	}
	if o.MultipartThreshold == 0 {
		o.MultipartThreshold = DefaultMultipartThreshold
	}
	if o.PartSize < oss.MinPart || o.PartSize > oss.MaxPutSize || o.PartSize%16 != 0 {
		return nil, fmt.Errorf("part size of %d bytes: want a multiple of 16 from %d to %d: %w", o.PartSize, oss.MinPart, int64(MaxSinglePut), ErrInvalid)
	}
	if o.MultipartThreshold < 0 || o.MultipartThreshold > MaxSinglePut {
		return nil, fmt.Errorf("multipart threshold of %d bytes: want 0 to %d: %w", o.MultipartThreshold, int64(MaxSinglePut), ErrInvalid)
	}
	client, prefix, err := connect(o)
	if err != nil {
		return nil, err
	}
	return &Bucket{oss: client, prefix: prefix, ring: o.Keyring, dialect: dialect, opt: o}, nil
}

// connect makes the client and the clean prefix.
func connect(o Options) (*oss.Client, string, error) {
	prefix, err := CleanPrefix(o.Prefix)
	if err != nil {
		return nil, "", err
	}
	cfg := o.Connection
	cfg.CheckPrefix = prefix
	client, err := oss.Open(cfg)
	return client, prefix, err
}

// Close drops idle connections. Calls under way go on.
func (b *Bucket) Close() error { return b.oss.Close() }

// Prefix is the mounted prefix: empty, or ending in "/".
func (b *Bucket) Prefix() string { return b.prefix }

// Endpoint is the URL in use, after defaults and derivation.
func (b *Bucket) Endpoint() string { return b.oss.Endpoint() }

// Name is the name of the bucket.
func (b *Bucket) Name() string { return b.oss.Bucket() }

// ReadOnly reports whether writes are refused.
func (b *Bucket) ReadOnly() bool { return b.opt.ReadOnly }

// MultipartThreshold is the largest body in bytes that goes up in a single PUT.
func (b *Bucket) MultipartThreshold() int64 { return b.opt.MultipartThreshold }

// writable is the name in the bucket of a key that is about to be written.
func (b *Bucket) writable(key string) (string, error) {
	if b.opt.ReadOnly {
		return "", ErrReadOnly
	}
	return b.full(key)
}

// WrapLocal wraps a secret of this machine, such as the key of the local cache, under the primary master key.
func (b *Bucket) WrapLocal(ctx context.Context, secret []byte) ([]byte, error) {
	return b.ring.Primary().WrapLocal(ctx, secret)
}

// UnwrapLocal opens what WrapLocal made, with any key of the keyring.
func (b *Bucket) UnwrapLocal(ctx context.Context, wrapped []byte) ([]byte, error) {
	err := keys.ErrUnwrap
	for _, k := range b.ring.All() {
		var secret []byte
		if secret, err = k.UnwrapLocal(ctx, wrapped); err == nil {
			return secret, nil
		}
		if !errors.Is(err, keys.ErrUnwrap) {
			break
		}
	}
	return nil, fmt.Errorf("open a local key: %w", err)
}
