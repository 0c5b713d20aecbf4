package fs

import (
	"context"
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
)

// errnos is the one table of errors and errno, in the order of trial. What it does not list is EIO, and is logged.
var errnos = []struct {
	err   error
	errno unix.Errno
}{
	{cache.ErrUntrusted, unix.EIO},
	{cache.ErrWriteOnly, unix.EACCES},
	{cache.ErrNotFound, unix.ENOENT},
	{cache.ErrExist, unix.EEXIST},
	{cache.ErrTaken, unix.EEXIST},
	{cache.ErrNotDir, unix.ENOTDIR},
	{cache.ErrIsDir, unix.EISDIR},
	{cache.ErrNotEmpty, unix.ENOTEMPTY},
	{cache.ErrInvalid, unix.EINVAL},
	{cache.ErrNameTooLong, unix.ENAMETOOLONG},
	{cache.ErrNotPermitted, unix.EPERM},
	{cache.ErrAccess, unix.EACCES},
	{cache.ErrReadOnly, unix.EROFS},
	{cache.ErrNoSpace, unix.ENOSPC},
	{cache.ErrDiskFull, unix.ENOSPC},
	{cache.ErrTooBig, unix.EFBIG},
	{cache.ErrNoAttr, unix.ENODATA},
	{cache.ErrAttrExists, unix.EEXIST},
	{cache.ErrNoOffset, unix.ENXIO},
	{cache.ErrNotSupported, unix.EOPNOTSUPP},
	{cache.ErrBusy, unix.EBUSY},
	{cache.ErrAway, unix.EBUSY},
	{cache.ErrStale, unix.ESTALE},
	{cache.ErrGone, unix.ESTALE},
	{cache.ErrNoContent, unix.ESTALE},
	{cache.ErrAppeared, unix.ESTALE}, // after which the kernel looks the name up again, and checks who may open it
	{cache.ErrOutdated, unix.ESTALE}, // the same
	{context.Canceled, unix.EINTR},
}

// bucketErrnos is the part of the table that tells what is wrong with the bucket (docs/FAULTS.md). These are logged, too.
var bucketErrnos = []struct {
	err   error
	errno unix.Errno
}{
	{cache.ErrDenied, unix.EACCES},
	{cache.ErrCredentials, unix.EACCES},
	{cache.ErrKeyDenied, unix.EACCES},
	{cache.ErrImmutable, unix.EPERM},
	{cache.ErrArchived, unix.ENODATA},
	{cache.ErrUnsupported, unix.EOPNOTSUPP},
	{cache.ErrQuota, unix.EDQUOT},
	{cache.ErrNoBucket, unix.ENODEV},
	{cache.ErrUnavailable, unix.ETIMEDOUT},
	{cache.ErrThrottled, unix.ETIMEDOUT},
	{cache.ErrUnreachable, unix.ETIMEDOUT},
	{cache.ErrKeyUnreachable, unix.ETIMEDOUT},
	{context.DeadlineExceeded, unix.ETIMEDOUT},
}

// errnoOf looks an error up in the tables; known is false when it is not there.
func errnoOf(err error) (errno unix.Errno, ofBucket, known bool) {
	for _, row := range errnos {
		if errors.Is(err, row.err) {
			return row.errno, false, true
		}
	}
	for _, row := range bucketErrnos {
		if errors.Is(err, row.err) {
			return row.errno, true, true
		}
	}
	return unix.EIO, false, false
}

// status turns the outcome of a call into the kernel's answer. Errors outside the table are logged with the file's
// path and answered EIO.
func (f *fileSystem) status(op string, ino uint64, err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	errno, ofBucket, known := errnoOf(err)
	if !known || errno == unix.EIO {
		f.log.Error("file system call failed", "call", op, "path", f.cache.PathOf(cache.Ino(ino)), "error", err)
	} else if ofBucket || errors.Is(err, cache.ErrStale) {
		f.log.Warn("file system call failed", "call", op, "path", f.cache.PathOf(cache.Ino(ino)), "error", err)
	}
	return fuse.Status(errno)
}
