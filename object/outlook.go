package object

import (
	"errors"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// Outlook is what a failed request means for the ones after it.
type Outlook uint8

// The outlooks. What no row of the table names is Passing.
const (
	// Passing says that the same request may succeed by itself, or that what it met is looked at anew before the next one.
	Passing Outlook = iota
	// RefusedAll says that no request will succeed before somebody does something: credentials, a quota, the KMS key.
	RefusedAll
	// RefusedHere says that this object is refused until somebody does something about it; others are not concerned.
	RefusedHere
)

// String is the outlook as docs/FAULTS.md names it.
func (v Outlook) String() string {
	switch v {
	case RefusedAll:
		return "all wait"
	case RefusedHere:
		return "this file alone waits"
	default:
		return "tried again"
	}
}

// outlook is a row of the table.
type outlook struct {
	err error
	is  Outlook
}

// outlooks is the one table of what failures mean, in the order of trial: an error that wraps an outage is an outage. It names every sentinel
// of this package and of the two below that a request can meet; docs/FAULTS.md shows it.
var outlooks = []outlook{
	{ErrStageLost, RefusedHere}, // which is known by an upload that is gone
	{oss.ErrUnreachable, Passing},
	{oss.ErrUnavailable, Passing},
	{oss.ErrThrottled, Passing},
	{oss.ErrClock, Passing}, // corrected with the next answer
	{oss.ErrBadDigest, Passing},
	{oss.ErrTruncated, Passing},
	{oss.ErrNoSuchUpload, Passing},
	{keys.ErrKMSUnreachable, Passing},
	{ErrLocked, Passing},
	{ErrNoLocks, Passing},
	{ErrChanged, Passing},

	{oss.ErrNoSuchBucket, RefusedAll},
	{oss.ErrCredentials, RefusedAll},
	{oss.ErrNoCredentials, RefusedAll},
	{oss.ErrWrongEndpoint, RefusedAll},
	{oss.ErrQuota, RefusedAll},
	{keys.ErrKMSDenied, RefusedAll},
	{keys.ErrConfig, RefusedAll},
	{ErrReadOnly, RefusedAll},
	{ErrHostRefused, RefusedAll},
	{ErrNoVolume, RefusedAll},
	{ErrUnbound, RefusedAll},
	{ErrUnvouched, RefusedAll},
	{ErrForReading, RefusedAll},
	{ErrApart, RefusedAll},
	{ErrElsewhere, RefusedAll},
	{ErrNoRecord, RefusedAll},
	{ErrRecordMissing, RefusedAll},
	{ErrRecordRolledBack, RefusedAll},
	{ErrRecordForged, RefusedAll},
	{ErrShutOut, RefusedAll},
	{ErrWrongKey, RefusedAll},
	{ErrNoMachineKey, RefusedAll},
	{keys.ErrNoSlot, RefusedAll},

	{oss.ErrImmutable, RefusedHere},
	{oss.ErrArchived, RefusedHere},
	{oss.ErrDenied, RefusedHere}, // a policy may be about one name; where it is about all, each finds out
	{oss.ErrUnsupported, RefusedHere},
	{oss.ErrInvalid, RefusedHere},
	{oss.ErrBody, RefusedHere},
	{ErrSymlink, RefusedHere},
	{ErrMarkerContent, RefusedHere},
	{ErrTagRoom, RefusedHere},
	{ErrXattrTooBig, RefusedHere},
	{ErrName, RefusedHere},
	{ErrReserved, RefusedHere},
	{ErrNestedVolume, RefusedHere},
	{ErrOutside, RefusedHere},
	{ErrWriteOnly, RefusedHere},
	{ErrTampered, RefusedHere},
	{ErrUnauthentic, RefusedHere},
	{ErrStripped, RefusedHere},
	{ErrMoved, RefusedHere},
	{ErrRetired, RefusedHere},
	{ErrState, RefusedHere},
	{cipher.ErrTampered, RefusedHere},
	{cipher.ErrCannotOpen, RefusedHere},
	{cipher.ErrNoKey, RefusedHere},
	{cipher.ErrPartial, RefusedHere},
	{cipher.ErrMalformed, RefusedHere},
	{cipher.ErrUnknownCEK, RefusedHere},
	{cipher.ErrUnknownWrap, RefusedHere},
	{cipher.ErrIVForm, RefusedHere},
	{keys.ErrPublicOnly, RefusedHere},

	{oss.ErrNotFound, Passing},
	{oss.ErrExists, Passing},
	{oss.ErrPrecondition, Passing},
	{oss.ErrRange, Passing},
}

// OutlookOf is what a failed request means for the ones after it.
func OutlookOf(err error) Outlook {
	for _, v := range outlooks {
		if errors.Is(err, v.err) {
			return v.is
		}
	}
	return Passing
}
