package cache

import (
	"errors"

	"github.com/ossencfs/ossencfs/cache/body"
	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// What calls fail with; package fs has the errno of each. Errors that wrap none of these are failures of the bucket or of
// the local disk.
var (
	// ErrNotFound: no such name, or the inode is gone.
	ErrNotFound = errors.New("no such file or directory")
	// ErrExist: the name is taken.
	ErrExist = errors.New("file exists")
	// ErrTaken: the bucket has something under the name that is never shown, such as a symbolic link of OSS's own.
	ErrTaken = errors.New("the name is taken in the bucket by what cannot be shown")
	// ErrNotDir: a directory was needed.
	ErrNotDir = errors.New("not a directory")
	// ErrIsDir: a file was needed.
	ErrIsDir = errors.New("is a directory")
	// ErrNotEmpty: the directory has entries.
	ErrNotEmpty = errors.New("directory not empty")
	// ErrInvalid: the argument makes no sense, or OSS cannot hold the name.
	ErrInvalid = errors.New("invalid argument")
	// ErrNameTooLong: a component above MaxName or a key above what OSS takes, that of a descendant included.
	ErrNameTooLong = errors.New("file name too long")
	// ErrNotPermitted: nobody may do this.
	ErrNotPermitted = errors.New("operation not permitted")
	// ErrAccess: the name is reserved, or who asks may not.
	ErrAccess = errors.New("permission denied")
	// ErrReadOnly: the mount is read-only.
	ErrReadOnly = errors.New("read-only file system")
	// ErrNoAttr: no such extended attribute.
	ErrNoAttr = errors.New("no such attribute")
	// ErrAttrExists: the extended attribute exists.
	ErrAttrExists = errors.New("attribute exists")
	// ErrTooBig: the file would be larger than an object can be.
	ErrTooBig = body.ErrTooLarge
	// ErrNotSupported: this kind of file system does not do that.
	ErrNotSupported = errors.New("operation not supported")
	// ErrNoOffset: no data or hole at or after the offset.
	ErrNoOffset = body.ErrNoOffset
	// ErrNoSpace: the local disk or the cache is full of what cannot be uploaded, the file is larger than the cache, or the
	// extended attributes do not fit in their header.
	ErrNoSpace = body.ErrNoSpace
	// ErrLocked, ErrWrongSecret, ErrFormat and ErrCorrupt: the cache folder is in use, of another key, of another version, or damaged.
	ErrLocked      = index.ErrLocked
	ErrWrongSecret = index.ErrWrongSecret
	ErrFormat      = index.ErrFormat
	ErrCorrupt     = index.ErrCorrupt
	// ErrDiskFull: the disk of the cache has no room for another file.
	ErrDiskFull = index.ErrFull
	// ErrUntrusted: the object was not written by a key holder of the volume, or was changed since; its content is not handed out.
	ErrUntrusted = body.ErrUntrusted
	// ErrWriteOnly: this host can write to the volume and not read it.
	ErrWriteOnly = object.ErrWriteOnly
	// ErrDenied, ErrCredentials and ErrKeyDenied: the bucket, or KMS, refuses us.
	ErrDenied      = object.ErrDenied
	ErrCredentials = object.ErrCredentials
	ErrKeyDenied   = object.ErrKMSDenied
	// ErrNoBucket: there is no such bucket any more.
	ErrNoBucket = object.ErrNoSuchBucket
	// ErrArchived: the object must be restored before it can be read.
	ErrArchived = object.ErrArchived
	// ErrImmutable: a retention policy protects the object.
	ErrImmutable = object.ErrImmutable
	// ErrUnsupported: the server does not know a request that OSS has.
	ErrUnsupported = object.ErrUnsupported
	// ErrQuota: a limit on stored bytes or an unpaid account.
	ErrQuota = object.ErrQuota
	// ErrUnavailable, ErrThrottled, ErrUnreachable and ErrKeyUnreachable: the bucket, or KMS, gave no usable answer while we waited.
	ErrUnavailable    = object.ErrUnavailable
	ErrThrottled      = object.ErrThrottled
	ErrUnreachable    = object.ErrUnreachable
	ErrKeyUnreachable = object.ErrKMSUnreachable
	// ErrAway: the begin of a file larger than the cache cannot be read before it is closed and uploaded.
	ErrAway = body.ErrAway
	// ErrStale: others changed the object of an open file.
	ErrStale = body.ErrStale
	// ErrNoContent: the inode was removed while a call was under way.
	ErrNoContent = body.ErrNotFound
	// ErrAppeared: the name is taken since it was looked up, and has to be looked up again.
	ErrAppeared = errors.New("file came into being meanwhile")
	// ErrOutdated: others changed mode or owner, so that who may do this has to be checked again.
	ErrOutdated = errors.New("mode or owner changed meanwhile")
	// ErrGone: the inode was removed.
	ErrGone = errors.New("inode was removed")
	// ErrBusy: the inode is in use.
	ErrBusy = errors.New("resource busy")
	// ErrForeignCache: the cache folder belongs to another bucket or prefix.
	ErrForeignCache = errors.New("cache folder belongs to another bucket")
)
