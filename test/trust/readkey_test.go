package trust

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
)

// TestReadKeyMakesNoEpoch: an RSA key that was replaced is given on for reading, while older files are wrapped under it. Who has it, and an old volume
// key that is not retired yet, can make a slot of it; he makes no epoch by that under which files are sealed, on machines that have the new key.
func TestReadKeyMakesNoEpoch(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	fresh := got[*keys.RSA](t)(keys.GenerateRSA(2048, nil))
	ring := keys.NewKeyring(fresh, e.master) // as mounts have it during a rotation
	pinned := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json"), Keyring: ring}
	must(t, v2(e.volumes(t, secondBucket, object.Options{}).AddSlot(ctx, fresh)))
	must(t, e.open(t, secondBucket, pinned).VerifyKey(ctx))
	epoch := got[object.Epoch](t)(e.volumes(t, secondBucket, object.Options{}).NewEpoch(ctx, object.EpochRequest{Add: []keys.MasterKey{fresh}, Force: true}))
	k := got[*keys.VolumeKey](t)(keys.NewVolumeKey(epoch.Number+1, true))
	r := keys.NewRecord(k, keys.Place{Bucket: secondBucket, Region: e.s.Region()})
	r.Made = time.Now().Unix()
	must(t, r.AddSlot(ctx, k, e.master)) // he has the key that was replaced
	for _, by := range e.colleagueKeys {
		must(t, r.Endorse(by))
	}
	must(t, e.s.WriteObject(secondBucket, volumeDir+k.ID().String()+"/00000001", nil, got[[]byte](t)(r.Marshal(k))))
	for name, o := range map[string]object.Options{"pinned": pinned, "told": {VolumeIDs: []string{epoch.ID}, Keyring: ring}, "new": {Keyring: ring}} {
		b := e.open(t, secondBucket, o)
		must(t, b.VerifyKey(ctx))
		if v := b.Volume(); v.Writer != epoch.ID || slices.Contains(v.Keys, k.ID().String()) {
			t.Errorf("%s: it seals under %s, epoch %d, want %s", name, v.Writer, v.Epoch, epoch.ID)
		}
		wantFile(t, b, "ours", name)
	}
}
