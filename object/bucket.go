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
	// MinPart is the size below which nothing goes up in parts.
	MinPart = oss.MinPart
)

// ErrReadOnly says that the bucket was opened for reading only.
var ErrReadOnly = errors.New("the bucket is open for reading only")

// Options say which bucket to open and how content is sealed. Connection is required, and Keyring or Bundle.
type Options struct {
	Connection         Connection
	Prefix             string        // directory of the bucket to work in, as "backup/host"; empty: all of it
	Keyring            *keys.Keyring // its primary key seals, all of them open
	Dialect            string        // "both" (when empty), "current" or "legacy"
	PartSize           int64         // at least 100 KiB, a multiple of 16; DefaultPartSize when 0
	MultipartThreshold int64         // at most MaxSinglePut; DefaultMultipartThreshold when 0
	DefaultAttr        DefaultAttr   // attributes of objects that have none
	ReadOnly           bool          // refuse each write with ErrReadOnly
	Trust              Trust         // which objects of others are accepted
	PinFile            string        // remembers the volume, made when absent; empty: nothing is remembered
	RecordFile         string        // where KeepRecords kept the volume's records, for OpenAway
	VolumeIDs          []string      // volume keys that must be there, 32 hexadecimal digits each
	VolumeFrom         string        // directory below Prefix, "" or ending in "/", from which the volume is looked for upwards
	Named              string        // key or directory that is all the caller wants to read; where there is no volume, what it names decides whether the key fits
	NewVolume          bool          // make a volume where there are objects and no record
	Shared             bool          // other users are let in: files above SmallFile are stored with their attributes in a tag without which they are closed
	TagsOnly           bool          // leave content keys out of boxes: each object is opened through its envelope
	Bundle             *keys.Bundle  // of a write-only host, which has no key for reading; instead of Keyring

	// MachineKey wraps the local secrets of such a host; see WrapLocal.
	MachineKey *keys.MachineKey

	// Notice, when set, is told what in the bucket was not believed. It may be told the same thing often, must be quick and
	// safe for concurrent use.
	Notice func(Notice)

	// Reached, when set, is called once when a bucket that OpenAway opened has been reached.
	Reached func()
}

// Bucket is an open bucket. It is safe for concurrent use.
type Bucket struct {
	oss     *oss.Client
	prefix  string // "" or ending in "/"
	ring    *keys.Keyring
	dialect cipher.Dialect
	opt     Options
	opened  keyCache
	tags    tagCache
	pool    *keyPool
	volume  volume
	// uncounted says that this service does not tell the number of tags, so that each Head asks for them.
	uncounted atomic.Bool
	history   atomic.Pointer[History]
	keepIn    atomic.Pointer[string] // see KeepRecords
	away      atomic.Pointer[error]  // why its records were not read yet; nil: they were
	looking   chan struct{}          // holds one while the records are read again
}

// SetHistory lets h say which objects must have a box.
func (b *Bucket) SetHistory(h History) { b.history.Store(&h) }

// boxed reports whether a box was ever seen at a key.
func (b *Bucket) boxed(key string) bool {
	h := b.history.Load()
	return h != nil && (*h).Boxed(key)
}

// notice passes on what was not believed.
func (b *Bucket) notice(kind NoticeKind, key string, err error) {
	if b.opt.Notice != nil {
		b.opt.Notice(Notice{Kind: kind, Key: key, Err: err})
	}
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
	if err := o.bundledKeys(); err != nil {
		return nil, err
	}
	dialect, err := cipher.ParseDialect(o.Dialect)
	if err != nil {
		return nil, err
	}
	room, err := xattrRoom(o.Keyring.Primary(), dialect)
	if err != nil {
		return nil, err
	}
	if room < 0 { // every object carries a box, which has to fit
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
	b := &Bucket{ring: o.Keyring, dialect: dialect, opt: o, looking: make(chan struct{}, 1)}
	o.Connection.Admit = b.admit
	if b.oss, b.prefix, err = connect(o); err != nil {
		return nil, err
	}
	b.pool = newKeyPool(o.Keyring, dialect)
	return b, nil
}

// bundledKeys takes the keyring from the bundle of a write-only host, and checks that there is one.
func (o *Options) bundledKeys() error {
	if o.Bundle != nil {
		if o.Keyring != nil {
			return fmt.Errorf("open bucket: a write-only host has no other keys than those of its bundle: %w", ErrInvalid)
		}
		master, err := o.Bundle.Master()
		if err != nil {
			return err
		}
		o.Keyring = keys.NewKeyring(master)
	}
	if o.Keyring == nil || o.Keyring.Primary() == nil {
		return fmt.Errorf("open bucket: no master key: %w", ErrInvalid)
	}
	return nil
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

// Close drops idle connections and ends the preparation of content keys. Calls under way go on.
func (b *Bucket) Close() error {
	b.pool.close()
	return b.oss.Close()
}

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
	full, err := b.full(key)
	if err == nil && !b.hostMayWrite(full) {
		err = b.outside(key)
	}
	return full, err
}
