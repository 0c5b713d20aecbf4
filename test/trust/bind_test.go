package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// rsaEstate is an estate under an RSA key.
func rsaEstate(t *testing.T) *estate {
	t.Helper()
	return newEstate(t, func(*emulator.Server) keys.MasterKey { return got[*keys.RSA](t)(rsaKey()) })
}

// volumesFrom opens the records of a bucket with further keys, and takes those made for another place.
func (e *estate) volumesFrom(t *testing.T, bucket string, o object.Options, code string, from keys.Place, more ...keys.MasterKey) *object.Volumes {
	t.Helper()
	o.Connection, o.Keyring = e.connection(bucket), keys.NewKeyring(e.master, more...)
	v, err := object.OpenVolumesFrom(context.Background(), o, code, from)
	must(t, err)
	t.Cleanup(func() { must(t, v.Close()) })
	return v
}

// TestCopiedBucket: in a copy of a bucket the volume is not one, by no command, until its owner says where it comes from. Then it is, and the
// slots of those whose keys were not there are lost only when he says so.
func TestCopiedBucket(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	original := e.all(t, secondBucket)
	e.set(t, "copied", original)
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"mount", func() error { return e.open(t, "copied", object.Options{}).VerifyKey(ctx) }},
		{"read-only", func() error { return e.open(t, "copied", object.Options{ReadOnly: true}).VerifyKey(ctx) }},
		{"accept foreign", func() error {
			return e.open(t, "copied", object.Options{ReadOnly: true, Trust: object.Trust{AcceptForeign: []string{""}}}).VerifyKey(ctx)
		}},
		{"key add", func() error {
			_, err := e.volumes(t, "copied", object.Options{}).AddSlot(ctx, got[*keys.RSA](t)(keys.GenerateRSA(2048, nil)))
			return err
		}},
		{"bind without saying from where", func() error {
			_, err := e.volumes(t, "copied", object.Options{}).Bind(ctx, true)
			return err
		}},
		{"bind from elsewhere", func() error {
			_, err := e.volumesFrom(t, "copied", object.Options{}, "", keys.Place{Bucket: testenv.Bucket}).Bind(ctx, true)
			return err
		}},
		{"import", func() error {
			text, err := e.volumes(t, secondBucket, object.Options{}).Export()
			must(t, err)
			_, err = e.volumes(t, "copied", object.Options{}).Import(ctx, text, true)
			return err
		}},
	} {
		if err := c.do(); !errors.Is(err, object.ErrElsewhere) {
			t.Errorf("%s: got %v, want ErrElsewhere", c.name, err)
		}
	}
	from := keys.Place{Bucket: secondBucket}
	if _, err := e.volumesFrom(t, "copied", object.Options{}, "", from).Bind(ctx, false); !errors.Is(err, object.ErrLockout) || !strings.Contains(err.Error(), e.colleague.ID()) {
		t.Errorf("the colleague's slot is lost: got %v", err)
	}
	done, err := e.volumesFrom(t, "copied", object.Options{}, "", from, e.colleague).Bind(ctx, false)
	must(t, err)
	if len(done.Keys) != 2 || len(done.Kept) != 0 {
		t.Errorf("bound %+v, want both volume keys", done)
	}
	for name, master := range map[string]keys.MasterKey{"owner": e.master, "colleague": e.colleague} {
		b := e.open(t, "copied", object.Options{Keyring: keys.NewKeyring(master)})
		must(t, b.VerifyKey(ctx))
		wantFile(t, b, "ours", name)
		if v := b.Volume(); len(v.Keys) != 2 || v.Epoch != 2 || !v.Authentic {
			t.Errorf("%s: volume %+v", name, v)
		}
	}
	again, err := e.volumes(t, "copied", object.Options{}).Bind(ctx, false)
	if err != nil || len(again.Keys) != 0 {
		t.Errorf("bound again: %+v, %v", again, err)
	}
	if after := e.all(t, secondBucket); len(after) != len(original) {
		t.Error("the bucket that was copied has changed")
	}
}

// TestImportIntoACopy: the file of records does the same where the copy has none.
func TestImportIntoACopy(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	text, err := e.volumes(t, secondBucket, object.Options{}).Export()
	must(t, err)
	for key, s := range e.all(t, secondBucket) {
		if !strings.HasPrefix(key, volumeDir) {
			must(t, e.s.WriteObject("copied", key, s.h, s.body))
		}
	}
	from := keys.Place{Bucket: secondBucket}
	done, err := e.volumesFrom(t, "copied", object.Options{}, "", from, e.colleague).Import(ctx, text, false)
	if err != nil || len(done.Stored) != 2 {
		t.Fatalf("imported %+v, %v", done, err)
	}
	b := e.open(t, "copied", object.Options{Keyring: keys.NewKeyring(e.colleague)})
	must(t, b.VerifyKey(ctx))
	wantFile(t, b, "ours", "copy")
}

// asBefore writes the records of a bucket as the version before did: bound to no place.
func (e *estate) asBefore(t *testing.T, bucket string, code string, masters ...keys.MasterKey) {
	t.Helper()
	ctx := context.Background()
	for _, key := range e.recordsOf(bucket, "") {
		r := e.record(t, bucket, key)
		k, err := r.Open(ctx, keys.NewKeyring(e.master))
		must(t, err)
		old := keys.NewRecord(k, keys.Place{})
		old.Revision, old.Hosts = r.Revision, r.Hosts
		for _, m := range masters {
			must(t, old.AddSlot(ctx, k, m))
		}
		if code != "" {
			must(t, old.AddRecoveryCode(k, code))
		}
		text, err := old.Marshal(k)
		must(t, err)
		must(t, e.s.WriteObject(bucket, key, nil, text))
	}
}

// TestUpgrade: a volume of the version before opens on machines that know it, or were told, is bound once by its owner, and opens
// everywhere then; a mount that was running goes on; colleagues and recovery code that were not at hand keep their way in.
func TestUpgrade(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	code, err := keys.NewRecoveryCode()
	must(t, err)
	e.asBefore(t, secondBucket, code, e.master, e.colleague)
	ids := []string{}
	for _, r := range e.volumes(t, secondBucket, object.Options{}).Describe() {
		ids = append(ids, r.ID)
		if r.Place != "" || r.Opens {
			t.Errorf("before: %+v", r)
		}
	}
	if err := e.open(t, secondBucket, object.Options{}).VerifyKey(ctx); !errors.Is(err, object.ErrUnbound) {
		t.Errorf("a new machine: got %v, want ErrUnbound", err)
	}
	pinned := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")}
	told := pinned
	told.VolumeIDs = ids
	running := e.open(t, secondBucket, told)
	must(t, running.VerifyKey(ctx))
	putFile(t, running, "while-unbound")
	if _, err := e.volumes(t, secondBucket, pinned).NewEpoch(ctx, object.EpochRequest{Force: true}); !errors.Is(err, object.ErrUnbound) {
		t.Errorf("a new volume key, for which nobody could vouch: got %v", err)
	}
	if _, err := e.volumes(t, secondBucket, pinned).AddSlot(ctx, got[*keys.RSA](t)(keys.GenerateRSA(2048, nil))); err != nil {
		t.Errorf("a slot, as the version before added it: %v", err)
	}
	done, err := e.volumes(t, secondBucket, pinned).Bind(ctx, false)
	must(t, err)
	if len(done.Keys) != 2 || len(done.Kept) != 4 { // the colleague, the slot added above, the code in each of two records
		t.Errorf("bound %+v", done)
	}
	putFile(t, running, "after")
	b := e.open(t, secondBucket, object.Options{})
	must(t, b.VerifyKey(ctx))
	for _, key := range []string{"ours", "while-unbound", "after"} {
		wantFile(t, b, key, "a new machine after the upgrade")
	}
	his := e.open(t, secondBucket, object.Options{Keyring: keys.NewKeyring(e.colleague)})
	if err := his.VerifyKey(ctx); !errors.Is(err, object.ErrUnbound) {
		t.Errorf("the colleague on a new machine: got %v, want ErrUnbound", err)
	}
	o := object.Options{Keyring: keys.NewKeyring(e.colleague), VolumeIDs: ids}
	must(t, e.open(t, secondBucket, o).VerifyKey(ctx))
	must(t, v2(e.volumesFrom(t, secondBucket, pinned, code, keys.Place{}, e.colleague).Bind(ctx, false)))
	must(t, his.VerifyKey(ctx))
	byCode, err := object.OpenVolumes(ctx, object.Options{Connection: e.connection(secondBucket)}, code)
	must(t, err)
	defer byCode.Close()
	for _, r := range byCode.Describe() {
		if !r.Opens || r.Place != "oss://"+secondBucket {
			t.Errorf("with the recovery code: %+v", r)
		}
	}
}

func v2[T any](_ T, err error) error { return err }

// TestRetiredEpoch: after a rotation, a rewrap and the end of the old epoch a former holder forges nothing any more: no file, no attributes,
// no volume key, and no end of the new epoch.
func TestRetiredEpoch(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	pins := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")}
	former := e.open(t, secondBucket, object.Options{}) // a mount that knows both epochs
	must(t, former.VerifyKey(ctx))
	v := e.volumes(t, secondBucket, object.Options{})
	must(t, v.Pin(pins.PinFile))
	epoch, err := v.NewEpoch(ctx, object.EpochRequest{Force: true}) // without the colleague
	must(t, err)
	if _, err := v.Retiring(2, true); !errors.Is(err, object.ErrStillWritten) {
		t.Errorf("right after the new epoch: got %v, want ErrStillWritten", err)
	}
	if _, err := v.Retiring(3, false); !errors.Is(err, object.ErrEpoch) {
		t.Errorf("the epoch in use: got %v, want ErrEpoch", err)
	}
	b := e.open(t, secondBucket, pins)
	must(t, b.VerifyKey(ctx))
	before, err := b.Rewrap(ctx, object.RewrapOptions{DryRun: true})
	must(t, err)
	report, err := b.Rewrap(ctx, object.RewrapOptions{})
	must(t, err)
	after, err := b.Rewrap(ctx, object.RewrapOptions{DryRun: true})
	must(t, err)
	if len(before.Under) == 0 || before.Under[epoch.ID] != 0 || report.Rewrapped == 0 || len(after.Under) != 1 || after.Under[epoch.ID] != after.Done {
		t.Errorf("sealed under %v before, %v after", before.Under, after.Under)
	}
	list, err := v.Retiring(2, false)
	must(t, err)
	must(t, v.Retire(ctx, list))
	if len(list) != 2 {
		t.Errorf("retired %v, want both old volume keys", list)
	}

	// What the former holder does with what he has kept.
	o := object.FileRequest{Key: "forged", Source: strings.NewReader("forged"), Size: 6, Attr: object.Attr{Mode: object.ModeRegular | 0o600}}
	_, err = former.PutFile(ctx, o)
	must(t, err)
	box, err := cipher.ParseBox(e.all(t, secondBucket)["forged"].h.Get(cipher.BoxHeader))
	must(t, err)
	if !slices.Contains(list, box.Volume) {
		t.Fatalf("the test forges nothing: it is under %s", box.Volume)
	}
	e.forgeEpoch(t, list)

	for name, o := range map[string]object.Options{"pinned": pins, "told": {VolumeIDs: []string{epoch.ID}}, "new": {}} {
		o.Trust = object.Trust{Strict: true, RequireAuthentic: true}
		b := e.open(t, secondBucket, o)
		if err := b.VerifyKey(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := readFile(b, "forged"); !errors.Is(err, object.ErrRetired) {
			t.Errorf("%s: a forged file: got %v, want ErrRetired", name, err)
		}
		wantFile(t, b, "ours", name)
		if v := b.Volume(); v.Writer != epoch.ID {
			t.Errorf("%s: it seals under %s, want %s", name, v.Writer, epoch.ID)
		}
	}
	verdict, err := e.verify(t, pins)
	must(t, err)
	if !slices.ContainsFunc(verdict.Findings, func(f object.Finding) bool { return f.Key == "forged" }) {
		t.Errorf("verify does not find the forged file: %+v", verdict)
	}
	v = e.volumes(t, secondBucket, pins)
	_, _, err = v.Restore(ctx, box.Epoch)
	must(t, err)
	again := e.open(t, secondBucket, pins)
	must(t, again.VerifyKey(ctx))
	if err := readFile(again, "forged"); err != nil {
		t.Errorf("after the end was taken back: %v", err)
	}
}

// verify verifies the second bucket.
func (e *estate) verify(t *testing.T, o object.Options) (object.VerifyReport, error) {
	t.Helper()
	b := e.open(t, secondBucket, o)
	must(t, b.OpenVolume(context.Background()))
	return b.Verify(context.Background(), object.VerifyOptions{Deep: true})
}

// forgeEpoch plants what a former holder of retired volume keys can make of them: a further volume key that they vouch for, with a slot of his own,
// and one that is said to be of the owner.
func (e *estate) forgeEpoch(t *testing.T, retired []keys.VolumeID) {
	t.Helper()
	ctx := context.Background()
	k, err := keys.NewVolumeKey(9, true)
	must(t, err)
	r := keys.NewRecord(k, keys.Place{Bucket: secondBucket, Region: e.s.Region()})
	must(t, r.AddSlot(ctx, k, e.colleague))
	for _, old := range e.colleagueKeys {
		must(t, r.Endorse(old))
	}
	for _, id := range retired {
		must(t, r.Retire(id))
	}
	s := r.Slots[0]
	s.Key = e.master.ID()
	for _, slots := range [][]keys.Slot{r.Slots, {s}} {
		forged := r.Next()
		forged.Slots = slots
		text, err := forged.Marshal(k)
		must(t, err)
		key := fmt.Sprintf("%s%s/%08d", volumeDir, k.ID(), forged.Revision)
		must(t, e.s.WriteObject(secondBucket, key, nil, bytes.Clone(text)))
		r.Revision++
	}
}
