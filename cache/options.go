package cache

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ossencfs/ossencfs/cache/body"
	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// IndexFormat names the layout of the index in a cache folder: a program that has another cannot go on with a mount.
const IndexFormat = index.Format

// Defaults of Options.
const (
	DefaultLimit   = 10 << 30
	DefaultMetaTTL = 60 * time.Second
)

// MinLimit is the smallest Options.Limit in bytes.
const MinLimit = body.MinLimit

// Options say what to open. Bucket and Dir are required.
type Options struct {
	Bucket Bucket
	// Dir is the folder of the cache; it is made with mode 0700. One mount at a time.
	Dir string
	// Limit is the size of the cache in bytes; DefaultLimit when 0.
	Limit int64
	// Settle is how long after its last change a file is uploaded; 0 is converge's default.
	Settle time.Duration
	// LateLimit is the longest life of a request: after it nothing of it can happen any more; 0 is converge's default.
	LateLimit time.Duration
	// MetaTTL is after how long changes by others show; DefaultMetaTTL when 0.
	MetaTTL time.Duration
	// Workers is the number of requests that change the bucket at once; 0 is converge's default.
	Workers int
	// ReadWait, AttrWait and ListWait bound how long a program waits for content, for the attributes of one object and for the first
	// listing of a directory; 0 is 60, 30 and 60 seconds.
	ReadWait, AttrWait, ListWait time.Duration
	// ReadOnly refuses every change.
	ReadOnly bool
	// FsyncRemote and CloseRemote make fsync and close wait for the bucket.
	FsyncRemote, CloseRemote bool
	// Exclusive says that nobody else writes to the prefix: looks before overwriting are left out.
	Exclusive bool
	// CreateRemote makes files that must not exist, and directories, in the bucket at once: of two hosts one is the first.
	CreateRemote bool
	// Locks locks an object in the bucket before it is replaced or removed, at two more requests. All hosts must.
	Locks bool
	// Shared says that other users of this machine are let in, so that the modes that are shown count.
	Shared bool
	// UID, GID and Umask are for the root and for objects that carry no attributes.
	UID, GID, Umask uint32
	// Host names this machine in conflict copies; its host name when empty.
	Host string
	// Life counts the processes that serve one mount, from 1 on; 0: the mount ends with its process. Above 1 the cache takes over from
	// the life before: the kernel has files open and knows names.
	Life uint16
	// Notice, when set, is told of objects that vanished and of older versions that came back. It must be quick.
	Notice func(object.Notice)
	// Logger gets what goes wrong; slog.Default when nil.
	Logger *slog.Logger
}

// withDefaults fills in what was left out and refuses what makes no sense.
func (o Options) withDefaults() (Options, error) {
	if o.Bucket == nil || o.Dir == "" {
		return o, fmt.Errorf("open cache: bucket and folder are needed: %w", ErrInvalid)
	}
	if o.Limit < 0 || o.MetaTTL < 0 || o.Settle < 0 || o.LateLimit < 0 || o.Workers < 0 {
		return o, fmt.Errorf("open cache: a size or time is negative: %w", ErrInvalid)
	}
	if o.Limit == 0 {
		o.Limit = DefaultLimit
	}
	if o.MetaTTL == 0 {
		o.MetaTTL = DefaultMetaTTL
	}
	o.ReadWait, o.AttrWait, o.ListWait = orDefault(o.ReadWait, readWait), orDefault(o.AttrWait, headWait), orDefault(o.ListWait, firstListWait)
	if o.Host == "" {
		o.Host, _ = os.Hostname() // empty is said as "unknown"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

// orDefault is d, or def when it says nothing.
func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// identity names what the folder is a cache of. Endpoints of one bucket differ (internal, accelerated), so they are not in it.
func (o *Options) identity() string {
	return "oss://" + o.Bucket.Name() + "/" + o.Bucket.Prefix()
}
