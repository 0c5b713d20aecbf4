package trust

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// strangerSlot is a slot for a key that nobody here has.
func strangerSlot(t *testing.T) keys.Slot {
	t.Helper()
	ctx := context.Background()
	k := got[*keys.VolumeKey](t)(keys.NewVolumeKey(1, true))
	r := keys.NewRecord(k, keys.Place{Bucket: testenv.Bucket})
	must(t, r.AddSlot(ctx, k, got[*keys.RSA](t)(keys.GenerateRSA(2048, nil))))
	return r.Slots[0]
}

// junkOf is a record of a volume that the attacker does not hold the key of: its facts, in the form of a record, with a MAC that is none.
func (e *estate) junkOf(t *testing.T, like *keys.Record, revision uint32, slots ...keys.Slot) (key string, s stored) {
	t.Helper()
	k := got[*keys.VolumeKey](t)(keys.NewVolumeKey(like.Epoch, like.Authentic))
	r := keys.NewRecord(k, like.Place)
	r.Revision, r.Slots = revision, slots
	text, err := r.Marshal(k)
	must(t, err)
	for old, now := range map[string]string{k.ID().String(): like.ID.String(), b64(r.Public): b64(like.Public)} {
		text = []byte(strings.ReplaceAll(string(text), old, now))
	}
	return fmt.Sprintf("%s%s%s/%08d", like.Place.Root, volumeDir, like.ID, revision), stored{body: text}
}

// TestPlantedRevision: a newer revision of our own record that opens with no key of ours, and that no holder of the volume key made, keeps
// nobody out, and no running mount from learning what is new.
func TestPlantedRevision(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	running := e.open(t, testenv.Bucket, object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")})
	must(t, running.VerifyKey(ctx))
	key, s := e.junkOf(t, ours, 99_999_999, strangerSlot(t))
	for _, m := range machines {
		e.set(t, testenv.Bucket, e.before)
		e.plant(t, key, s)
		o, n := m.o(t, e), &notices{}
		o.Notice = n.add
		if err := e.open(t, testenv.Bucket, o).VerifyKey(ctx); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if !n.about(key, object.NoticeRecord) {
			t.Errorf("%s: it was not reported: %+v", m.name, n.seen)
		}
	}
	epoch, err := e.volumes(t, testenv.Bucket, object.Options{VolumeIDs: e.ours}).NewEpoch(ctx, object.EpochRequest{})
	must(t, err)
	other := e.open(t, testenv.Bucket, object.Options{VolumeIDs: e.ours})
	must(t, other.VerifyKey(ctx))
	putFile(t, other, "of-the-new-epoch")
	wantFile(t, running, "of-the-new-epoch", "the mount that was running")
	if v := running.Volume(); v.Writer != epoch.ID {
		t.Errorf("it seals under %s, want %s", v.Writer, epoch.ID)
	}
}

// TestRemovedSlotStaysRemoved: a newer revision that a holder made without our slot ends our way in, though an older one is brought back.
func TestRemovedSlotStaysRemoved(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	v := e.volumes(t, testenv.Bucket, object.Options{})
	must(t, v2(v.AddSlot(ctx, e.colleague)))
	withSlot := e.all(t, testenv.Bucket)
	must(t, v2(v.RemoveSlot(ctx, e.colleague.ID(), false)))
	for key, s := range withSlot {
		if strings.HasPrefix(key, volumeDir) {
			e.plant(t, key, s)
		}
	}
	if err := e.open(t, testenv.Bucket, object.Options{Keyring: keys.NewKeyring(e.colleague)}).VerifyKey(ctx); err == nil {
		t.Error("a slot that was removed opens the volume")
	}
	must(t, e.open(t, testenv.Bucket, object.Options{}).VerifyKey(ctx))
}

// TestUnreadableRecord: an object among the records that cannot be read, as one in an archive or a symbolic link to nothing, keeps nobody out and
// ends no command.
func TestUnreadableRecord(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	stranger := volumeDir + strings.Repeat("ab", 16) + "/00000001"
	for _, answer := range []emulator.Fault{{Status: 403, Code: "InvalidObjectState"}, {Status: 403, Code: "AccessDenied"}, {Status: 400, Code: "InvalidArgument"}, {Status: 404, Code: "SymlinkTargetNotExist"}} {
		for _, key := range []string{stranger, volumeDir + e.ours[0] + "/99999999"} {
			for _, m := range machines {
				e.set(t, testenv.Bucket, e.before)
				o := m.o(t, e)
				e.plant(t, key, stored{body: []byte("{}")})
				answer.Operation, answer.Key = "GetObject", key
				id := e.s.AddFault(answer)
				n := &notices{}
				o.Notice = n.add
				if err := e.open(t, testenv.Bucket, o).VerifyKey(ctx); err != nil {
					t.Errorf("%s, %s, %s: %v", answer.Code, key, m.name, err)
				}
				if !n.about(key, object.NoticeRecord) {
					t.Errorf("%s, %s, %s: it was not reported: %+v", answer.Code, key, m.name, n.seen)
				}
				if _, err := e.volumes(t, testenv.Bucket, o).AddSlot(ctx, e.colleague); err != nil {
					t.Errorf("%s, %s, %s: change: %v", answer.Code, key, m.name, err)
				}
				e.s.RemoveFault(id)
			}
		}
	}
}

// TestPlantedRecordsStopNoCommand: records beside that name slots and hosts keep no key command from its work.
func TestPlantedRecordsStopNoCommand(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	o := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")}
	must(t, e.open(t, testenv.Bucket, o).VerifyKey(ctx))
	must(t, v2(e.volumes(t, testenv.Bucket, o).AddSlot(ctx, e.colleague)))
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	s := strangerSlot(t)
	s.Key = e.colleague.ID()
	like := ours.Next()
	like.ID[0] ^= 1
	e.plantJunk(t, like, 1, s)
	e.plantJunk(t, ours, ours.Revision+1, s) // where the next revision would be
	e.plantJunk(t, ours, ours.Revision+2, s)
	must(t, v2(e.volumes(t, testenv.Bucket, o).RemoveSlot(ctx, e.colleague.ID(), false)))
	must(t, v2(e.volumes(t, testenv.Bucket, o).NewEpoch(ctx, object.EpochRequest{})))
	must(t, e.open(t, testenv.Bucket, o).VerifyKey(ctx))
}

// plantJunk plants what junkOf makes.
func (e *estate) plantJunk(t *testing.T, like *keys.Record, revision uint32, slots ...keys.Slot) {
	key, s := e.junkOf(t, like, revision, slots...)
	e.plant(t, key, s)
}

// TestRecordInTheWay: a record planted in a directory does not hide the volume above it from a machine that was told its id.
func TestRecordInTheWay(t *testing.T) {
	e := rsaEstate(t)
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	like := ours.Next()
	like.ID[0] ^= 1
	like.Place.Root = "dir/"
	e.plantJunk(t, like, 1, strangerSlot(t))
	b := e.open(t, testenv.Bucket, object.Options{VolumeIDs: e.ours, VolumeFrom: "dir/", ReadOnly: true})
	if err := b.OpenVolume(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantFile(t, b, "ours", "told")
}

// TestImportBesidePlanted: a revision that no holder made does not keep a record from being put back.
func TestImportBesidePlanted(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	text, err := e.volumes(t, testenv.Bucket, object.Options{}).Export()
	must(t, err)
	e.removeRecords(t)
	e.plantJunk(t, ours, 99_999_999, strangerSlot(t))
	must(t, v2(e.volumes(t, testenv.Bucket, object.Options{VolumeIDs: e.ours}).Import(ctx, text, false)))
	b := e.open(t, testenv.Bucket, object.Options{})
	must(t, b.VerifyKey(ctx))
	wantFile(t, b, "ours", "after the import")
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
