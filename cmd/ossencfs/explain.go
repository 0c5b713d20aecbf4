package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/endpoint"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/localfile"
	"github.com/ossencfs/ossencfs/object"
)

// explanations give errors of the rooms below an exit code and a hint. The first that matches counts.
var explanations = []struct {
	kind error
	code int
	hint string
}{
	{context.Canceled, exitInterrupted, ""},
	{object.ErrTampered, exitTrust, "somebody changed the object in the bucket; in a versioned bucket an older version may still be right"},
	{keys.ErrEffort, exitTrust, "`ossencfs key list` shows the records and their slots: say with --volume-id ID which one to expect, and name a KMS key as its slot does; what somebody planted below .ossencfs/volume/ can be removed"},
	{object.ErrShutOut, exitKey, "if your key was not taken out on purpose, somebody did it who held the volume key: remove that object where an older revision is beside it, or put an exported record in its place by `ossencfs key import --force`; `ossencfs key rotate --new-epoch --rewrap` and `ossencfs key retire-epoch` end his"},
	{object.ErrWrongKey, exitKey, "the bucket holds files under another key: look at --rsa-key, --kms-key and their passphrase; `ossencfs inspect` names the key of an object"},
	{object.ErrNoRecord, exitTrust, "if this bucket was never mounted by ossencfs, mount once with --new-volume, or read it with --accept-foreign; if it was, its record .ossencfs/volume/ was removed: `ossencfs key import` puts an exported one back"},
	{object.ErrRecordMissing, exitTrust, "somebody removed the record below .ossencfs/volume/, or this is another bucket; `ossencfs key import` puts an exported record back"},
	{object.ErrRecordRolledBack, exitTrust, "somebody put an older record below .ossencfs/volume/, which may have slots of keys that were removed; `ossencfs key import` puts an exported newer one back"},
	{object.ErrRecordForged, exitTrust, "somebody changed the record below .ossencfs/volume/; `ossencfs key import` puts an exported one back"},
	{object.ErrElsewhere, exitTrust, "somebody brought the record of another bucket here; if you copied or renamed the bucket yourself: `ossencfs key bind --from oss://OLD`"},
	{object.ErrUnbound, exitTrust, "on a machine that knows the volume, or with --volume-id ID once you have made sure of the id, `ossencfs key bind` binds the records to this bucket; `ossencfs key list` shows them"},
	{object.ErrUnvouched, exitTrust, "somebody brought the record of another volume here; `ossencfs key list` shows what there is"},
	{object.ErrForReading, exitTrust, "`ossencfs key add` with that key as --rsa-key or --kms-key makes a slot for the primary one, if somebody of yours made the volume key; `ossencfs key list` shows it"},
	{object.ErrApart, exitTrust, "say which one to expect with --volume-id ID; `ossencfs key list` shows them, and a machine that knows the volume knows it"},
	{object.ErrRetired, exitTrust, "whoever wrote it has an old volume key; if it is yours, `ossencfs key retire-epoch --undo` lets it count again"},
	{object.ErrEpoch, exitUsage, "`ossencfs key list` shows the epochs"},
	{object.ErrStillWritten, exitIncomplete, "wait until running mounts have taken up the new volume key, or say --now when there are none; a write-only host gets a new bundle by `ossencfs key export-host`, and `ossencfs key remove-host` ends the old one"},
	{keys.ErrForged, exitTrust, "somebody changed it, or it belongs to another volume"},
	{object.ErrStripped, exitTrust, "somebody replaced the object in the bucket; `ossencfs inspect` shows what it is now"},
	{object.ErrUnauthentic, exitTrust, "`ossencfs inspect` shows what it is; --accept-foreign reads it all the same"},
	{object.ErrNestedVolume, exitTrust, "mount that directory by itself: oss://BUCKET/DIRECTORY"},
	{object.ErrReserved, exitUsage, "records and other things of the program lie below that name: choose another one"},
	{object.ErrMoved, exitTrust, "somebody copied or renamed it in the bucket; it is read without --strict"},
	{object.ErrHostRefused, exitKey, "who holds the master key exports a new bundle: `ossencfs key export-host`"},
	{object.ErrOutside, exitKey, "its prefixes were chosen at `ossencfs key export-host`"},
	{object.ErrWriteOnly, exitKey, "reading needs the master key, which this host does not have on purpose"},
	{object.ErrCannotOpen, exitKey, "the object was written under another key, or is damaged; `ossencfs inspect` shows its envelope"},
	{keys.ErrPassphrase, exitKey, ""},
	{keys.ErrPublicOnly, exitKey, "mounting needs the private key"},
	{keys.ErrLastSlot, exitFailure, "add another key or a recovery code first: `ossencfs key add`"},
	{object.ErrLockout, exitFailure, "--force does it all the same"},
	{object.ErrNoVolume, exitBucket, "look at the prefix; the first mount makes the volume"},
	{object.ErrExport, exitUsage, "want a file that `ossencfs key export` wrote"},
	{keys.ErrNoSlot, exitKey, "`ossencfs key list` shows the slots"},
	{keys.ErrHost, exitUsage, ""},
	{keys.ErrRecoveryCode, exitKey, "a code has 30 signs in 6 groups; it opens the volume that it was made for"},
	{keys.ErrUnwrap, exitKey, "the cache folder or object was made under another key; another --cache-dir begins a new cache"},
	{keys.ErrKMSDenied, exitCredentials, "the access key needs kms:GenerateDataKey, kms:Encrypt and kms:Decrypt for this KMS key"},
	{keys.ErrKMSUnreachable, exitUnreachable, "look at --kms-endpoint and --kms-region"},
	{object.ErrNoSuchBucket, exitBucket, "look at the bucket's name, its region and the endpoint; `ossutil mb` makes a bucket"},
	{object.ErrWrongEndpoint, exitBucket, "look at --endpoint and --region: they must be the bucket's own"},
	{object.ErrNotFound, exitBucket, ""},
	{object.ErrNoCredentials, exitCredentials, "set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or choose another source with --credentials"},
	{object.ErrCredentials, exitCredentials, "look at OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN, or at the source in --credentials"},
	{object.ErrUnsupported, exitBucket, "the server speaks the protocol of OSS in part only; docs/CONFIGURATION.md says what a mount needs of it"},
	{object.ErrDenied, exitCredentials, "the access key lacks a permission for this bucket; the README has the RAM policy"},
	{object.ErrClock, exitCredentials, "set the clock of this machine"},
	{object.ErrUnreachable, exitUnreachable, "look at --endpoint, --region and --proxy, and at the network"},
	{object.ErrUnavailable, exitUnreachable, "look at the network and try again"},
	{object.ErrThrottled, exitUnreachable, "OSS asks for fewer requests; try again later"},
	{context.DeadlineExceeded, exitUnreachable, "look at the network and the endpoints, and try again"},
	{endpoint.ErrPlain, exitUsage, plainHint},
	{keys.ErrConfig, exitUsage, ""},
	{object.ErrInvalid, exitUsage, ""},
	{object.ErrArchived, exitFailure, "restore the object first: `ossutil restore`"},
	{cache.ErrLocked, exitCache, "another mount uses this cache folder, or still uploads from it: see `ossencfs status`; a second mount needs its own --cache-dir"},
	{cache.ErrForeignCache, exitCache, "give each bucket and prefix its own --cache-dir"},
	{cache.ErrWrongSecret, exitCache, "mount with the key that made this cache folder, or choose another --cache-dir"},
	{cache.ErrFormat, exitCache, "use the version of ossencfs that used this cache folder last, or choose another --cache-dir"},
	{cache.ErrCorrupt, exitCache, "another --cache-dir begins a new cache; files that were not uploaded are only in the damaged one, so keep it"},
	{syscall.ENOSPC, exitFailure, "the local disk is full"},
}

// explain finds exit code and hints of an error. Those it was given where it arose come first, and what mends a refused file before
// them.
func explain(err error) *failure {
	f := explainKind(err)
	var refused *localfile.Refused
	if errors.As(err, &refused) && refused.Mend != "" && !slices.Contains(f.hints, refused.Mend) {
		f.hints = append([]string{refused.Mend}, f.hints...)
	}
	return f
}

func explainKind(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		if f.code != exitFailure || len(f.hints) > 0 || f.err == nil {
			return &failure{err: keepText(err, f), code: f.code, hints: f.hints}
		}
	}
	for _, e := range explanations {
		if errors.Is(err, e.kind) {
			out := &failure{err: err, code: e.code}
			if e.hint != "" {
				out.hints = []string{e.hint}
			}
			return out
		}
	}
	var n *net.OpError
	if errors.As(err, &n) {
		return &failure{err: err, code: exitUnreachable}
	}
	return &failure{err: err, code: exitFailure}
}

// keepText is the outermost error, so that its text has everything that was tried; nil for a failure that was told.
func keepText(err error, f *failure) error {
	if f.err == nil {
		return nil
	}
	return err
}
