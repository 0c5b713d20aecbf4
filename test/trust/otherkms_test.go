package trust

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// colleagueKMS is a KMS key of somebody else in the account of the estate's owner. The owner may decrypt with it, as with every key of the account, and its
// owner may not encrypt with the estate's.
func (e *estate) colleagueKMS(t *testing.T) *keys.KMS {
	t.Helper()
	c := got[*kms.Client](t)(kms.NewClientWithAccessKey(e.s.Region(), e.s.AccessKeyID(), e.s.AccessKeySecret()))
	c.Domain = strings.TrimPrefix(e.s.KMSEndpoint(), "http://")
	c.GetConfig().WithScheme("HTTP")
	made := got[*kms.CreateKeyResponse](t)(c.CreateKey(kms.CreateCreateKeyRequest()))
	k := kmsKey(t, e.s, made.KeyMetadata.KeyId)
	t.Cleanup(k.Close)
	return k
}

// TestSlotOfAnotherKMSKey: KMS decrypts the blobs of every key that an account may use. A colleague who can encrypt with another one cannot make a slot of ours
// by that, whatever he calls it: neither an epoch for which an old key vouches that he once held, nor a volume for a new machine.
func TestSlotOfAnotherKMSKey(t *testing.T) {
	for _, c := range []struct {
		name string
		call func(e *estate, his string) string
	}{
		{"by its own name", func(_ *estate, his string) string { return his }},
		{"by our name", func(e *estate, _ string) string { return "kms:" + e.s.KMSKeyID() }},
		{"by our ARN", func(e *estate, _ string) string { return "kms:acs:kms:cn-hangzhou:123456:key/" + e.s.KMSKeyID() }},
		{"by an alias", func(*estate, string) string { return "kms:alias/ours" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := kmsEstate(t)
			ctx := context.Background()
			pinned := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")}
			running := e.open(t, testenv.Bucket, pinned)
			must(t, running.VerifyKey(ctx))
			ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
			old := got[*keys.VolumeKey](t)(ours.Open(ctx, keys.NewKeyring(e.master)))
			epoch := got[object.Epoch](t)(e.volumes(t, testenv.Bucket, pinned).NewEpoch(ctx, object.EpochRequest{Force: true}))
			k := got[*keys.VolumeKey](t)(keys.NewVolumeKey(epoch.Number+1, true))
			r := keys.NewRecord(k, ours.Place)
			r.Made = time.Now().Unix()
			must(t, r.AddSlot(ctx, k, e.colleagueKMS(t)))
			r.Slots[0].Key = c.call(e, r.Slots[0].Key)
			must(t, r.Endorse(old))
			text := got[[]byte](t)(r.Marshal(k))
			e.plant(t, volumeDir+k.ID().String()+"/00000001", stored{body: text})
			for name, o := range map[string]object.Options{"pinned": pinned, "told": {VolumeIDs: e.ours}, "new": {}} {
				b := e.open(t, testenv.Bucket, o)
				must(t, b.VerifyKey(ctx))
				if v := b.Volume(); v.Writer != epoch.ID || slices.Contains(v.Keys, k.ID().String()) {
					t.Errorf("%s: it seals under %s, epoch %d, want %s", name, v.Writer, v.Epoch, epoch.ID)
				}
			}
			e.removeRecords(t)
			e.plant(t, volumeDir+k.ID().String()+"/00000001", stored{body: text})
			if b := e.open(t, testenv.Bucket, object.Options{}); b.VerifyKey(ctx) == nil {
				t.Errorf("a new machine takes his volume: %+v", b.Volume())
			}
		})
	}
}
