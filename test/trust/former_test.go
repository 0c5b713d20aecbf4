package trust

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// retire makes a new epoch of the second bucket and retires those before; its colleague is a former holder then.
func (e *estate) retire(t *testing.T, o object.Options) (epoch object.Epoch) {
	t.Helper()
	ctx := context.Background()
	v := e.volumes(t, secondBucket, o)
	epoch, err := v.NewEpoch(ctx, object.EpochRequest{Force: true})
	must(t, err)
	b := e.open(t, secondBucket, o)
	must(t, b.VerifyKey(ctx))
	must(t, v2(b.Rewrap(ctx, object.RewrapOptions{})))
	list, err := v.Retiring(2, false)
	must(t, err)
	must(t, v.Retire(ctx, list))
	return epoch
}

// TestFormerHolderKeepsNobodyOut: who holds retired volume keys can make their records anew. Without our slots, at the last revision, or with
// hosts that may still write, they keep nobody out, end no command, and let nothing count that was retired.
func TestFormerHolderKeepsNobodyOut(t *testing.T) {
	for name, forge := range map[string]func(t *testing.T, e *estate, r *keys.Record){
		"no slot of ours": func(t *testing.T, _ *estate, r *keys.Record) { r.Slots = []keys.Slot{strangerSlot(t)} },
		"no room":         func(*testing.T, *estate, *keys.Record) {},
	} {
		t.Run(name, func(t *testing.T) {
			e := rsaEstate(t)
			ctx := context.Background()
			o := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")}
			former := e.open(t, secondBucket, object.Options{})
			must(t, former.VerifyKey(ctx))
			must(t, e.open(t, secondBucket, o).VerifyKey(ctx))
			epoch := e.retire(t, o)
			running := e.open(t, secondBucket, o)
			must(t, running.VerifyKey(ctx))
			putFile(t, former, "forged")
			for _, k := range e.colleagueKeys {
				for _, key := range e.recordsOf(secondBucket, "") {
					if !strings.Contains(key, k.ID().String()) {
						continue
					}
					r := e.record(t, secondBucket, key).Next()
					r.Revision, r.Retired = 99_999_999, nil
					forge(t, e, r)
					text, err := r.Marshal(k)
					must(t, err)
					must(t, e.s.WriteObject(secondBucket, fmt.Sprintf("%s%s/99999999", volumeDir, k.ID()), nil, text))
				}
			}
			for name, o := range map[string]object.Options{"pinned": o, "told": {VolumeIDs: []string{epoch.ID}}, "new": {}} {
				b := e.open(t, secondBucket, o)
				if err := b.VerifyKey(ctx); err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				wantFile(t, b, "ours", name)
				if err := readFile(b, "forged"); err == nil {
					t.Errorf("%s: a forged file is read", name)
				}
				if v := b.Volume(); v.Writer != epoch.ID {
					t.Errorf("%s: it seals under %s, want %s", name, v.Writer, epoch.ID)
				}
			}
			if err := readFile(running, "forged"); err == nil {
				t.Error("a forged file is read by a running mount")
			}
			next, err := e.volumes(t, secondBucket, o).NewEpoch(ctx, object.EpochRequest{Force: true})
			must(t, err)
			must(t, v2(e.volumes(t, secondBucket, o).AddSlot(ctx, got[*keys.RSA](t)(keys.GenerateRSA(2048, nil)))))
			other := e.open(t, secondBucket, o)
			must(t, other.VerifyKey(ctx))
			putFile(t, other, "of-the-next-epoch")
			wantFile(t, running, "of-the-next-epoch", "running")
			if err := readFile(running, "forged"); err == nil || running.Volume().Writer != next.ID {
				t.Errorf("running: %+v, and the forged file: %v", running.Volume(), err)
			}
		})
	}
}

// TestRetiredStaysRetired: an epoch that was made while the one before was retired still retires it, whatever a holder of the middle one does then.
func TestRetiredStaysRetired(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	meanwhile := e.volumes(t, secondBucket, object.Options{}) // begins before, and ends after
	v := e.volumes(t, secondBucket, object.Options{})
	list, err := v.Retiring(1, false)
	must(t, err)
	must(t, v.Retire(ctx, list))
	must(t, v2(meanwhile.NewEpoch(ctx, object.EpochRequest{Force: true})))
	v = e.volumes(t, secondBucket, object.Options{})
	second, err := v.Retiring(2, false)
	must(t, err)
	must(t, v.Retire(ctx, second))
	for _, k := range e.colleagueKeys { // he holds both
		for _, key := range e.recordsOf(secondBucket, "") {
			if strings.Contains(key, k.ID().String()) {
				r := e.record(t, secondBucket, key).Next()
				r.Retired = nil
				text, err := r.Marshal(k)
				must(t, err)
				must(t, e.s.WriteObject(secondBucket, fmt.Sprintf("%s%s/%08d", volumeDir, k.ID(), r.Revision), nil, text))
			}
		}
	}
	for _, r := range e.volumes(t, secondBucket, object.Options{}).Describe() {
		if r.Retired == r.Writes {
			t.Errorf("epoch %d: retired is %v", r.Epoch, r.Retired)
		}
	}
}

// TestOldMachineAfterRetirement: a machine that knows only what was retired meanwhile takes the one volume key that follows, and none of two.
func TestOldMachineAfterRetirement(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	pinned := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")}
	old := e.open(t, secondBucket, pinned)
	must(t, old.VerifyKey(ctx))
	told := object.Options{VolumeIDs: old.Volume().Keys}
	pins := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")}
	must(t, e.open(t, secondBucket, pins).VerifyKey(ctx))
	epoch := e.retire(t, pins)
	if b := e.open(t, secondBucket, told); b.VerifyKey(ctx) != nil || b.Volume().Writer != epoch.ID {
		t.Errorf("before any attack: %+v", b.Volume())
	}
	// A volume of the owner of which the former holder has the key, in the form of the version before.
	k := got[*keys.VolumeKey](t)(keys.NewVolumeKey(9, true))
	old1 := keys.NewRecord(k, keys.Place{})
	must(t, old1.AddSlot(ctx, k, e.master))
	r := keys.NewRecord(k, keys.Place{Bucket: secondBucket, Region: e.s.Region()})
	must(t, r.KeepSlot(old1.Slots[0]))
	for _, by := range e.colleagueKeys {
		must(t, r.Endorse(by))
		must(t, r.Retire(by.ID()))
	}
	text, err := r.Marshal(k)
	must(t, err)
	must(t, e.s.WriteObject(secondBucket, volumeDir+k.ID().String()+"/00000001", nil, text))
	for name, o := range map[string]object.Options{"told": told, "pinned": pinned} {
		b := e.open(t, secondBucket, o)
		err := b.VerifyKey(ctx)
		if slices.Contains(b.Volume().Keys, k.ID().String()) {
			t.Errorf("%s: the former holder's key counts: %+v, %v", name, b.Volume(), err)
		}
	}
}

// TestNewEpochStaysAuthentic: a new volume key has the flag when any key of the volume has it.
func TestNewEpochStaysAuthentic(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	first, err := ours.Open(ctx, keys.NewKeyring(e.master))
	must(t, err)
	k := got[*keys.VolumeKey](t)(keys.NewVolumeKey(2, false))
	r := keys.NewRecord(k, ours.Place)
	must(t, r.AddSlot(ctx, k, e.master))
	must(t, r.Endorse(first))
	text, err := r.Marshal(k)
	must(t, err)
	e.plant(t, volumeDir+k.ID().String()+"/00000001", stored{body: text})
	v := e.volumes(t, testenv.Bucket, object.Options{})
	must(t, v2(v.NewEpoch(ctx, object.EpochRequest{})))
	for _, r := range v.Describe() {
		if r.Writes && !r.Authentic {
			t.Errorf("epoch %d is not authentic", r.Epoch)
		}
	}
}

// TestFormerHolderLetsHostsIn: a host that a former holder writes into the record of a key does not keep that key from being retired.
func TestFormerHolderLetsHostsIn(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	v := e.volumes(t, secondBucket, object.Options{})
	must(t, v2(v.NewEpoch(ctx, object.EpochRequest{Force: true})))
	host := got[*keys.HostKey](t)(keys.NewHostKey("his", []string{""}))
	for _, k := range e.colleagueKeys {
		for _, key := range e.recordsOf(secondBucket, "") {
			if strings.Contains(key, k.ID().String()) {
				r := e.record(t, secondBucket, key).Next()
				r.Revision = 99_999_999
				must(t, r.AddHost(host.Host()))
				text, err := r.Marshal(k)
				must(t, err)
				must(t, e.s.WriteObject(secondBucket, fmt.Sprintf("%s%s/99999999", volumeDir, k.ID()), nil, text))
			}
		}
	}
	v = e.volumes(t, secondBucket, object.Options{})
	list, err := v.Retiring(2, false)
	must(t, err)
	must(t, v.Retire(ctx, list))
}

// TestFormerHolderMakesNoEpoch: who holds an old volume key that is not retired yet cannot bring in a further one to seal under, not even with the key
// of another volume of the owner in the form of the version before: what opens by a slot that is bound to no place is never the newest.
func TestFormerHolderMakesNoEpoch(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	pinned := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json")}
	old := e.open(t, secondBucket, pinned)
	must(t, old.VerifyKey(ctx))
	told := object.Options{VolumeIDs: old.Volume().Keys}
	epoch, err := e.volumes(t, secondBucket, pinned).NewEpoch(ctx, object.EpochRequest{Force: true})
	must(t, err)
	k := got[*keys.VolumeKey](t)(keys.NewVolumeKey(9, true))
	old1 := keys.NewRecord(k, keys.Place{})
	must(t, old1.AddSlot(ctx, k, e.master))
	r := keys.NewRecord(k, keys.Place{Bucket: secondBucket, Region: e.s.Region()})
	must(t, r.KeepSlot(old1.Slots[0]))
	for _, by := range e.colleagueKeys {
		must(t, r.Endorse(by))
		for _, key := range e.recordsOf(secondBucket, "") { // the other direction is his to write, too
			if strings.Contains(key, by.ID().String()) {
				theirs := e.record(t, secondBucket, key).Next()
				must(t, theirs.Endorse(k))
				text, err := theirs.Marshal(by)
				must(t, err)
				must(t, e.s.WriteObject(secondBucket, fmt.Sprintf("%s%s/%08d", volumeDir, by.ID(), theirs.Revision), nil, text))
			}
		}
	}
	text, err := r.Marshal(k)
	must(t, err)
	must(t, e.s.WriteObject(secondBucket, volumeDir+k.ID().String()+"/00000001", nil, text))
	for name, o := range map[string]object.Options{"told": told, "pinned": pinned, "new": {}} {
		b := e.open(t, secondBucket, o)
		must(t, b.VerifyKey(ctx))
		if v := b.Volume(); v.Writer != epoch.ID || slices.Contains(v.Keys, k.ID().String()) {
			t.Errorf("%s: it seals under %s, epoch %d, want %s: %v", name, v.Writer, v.Epoch, epoch.ID, v.Keys)
		}
	}
}

// TestNoLastEpoch: a volume key of the last epoch that there can be, for which a former holder with kms:Encrypt can let an old one vouch, does not
// count: no new epoch could follow it, and nothing be retired any more.
func TestNoLastEpoch(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	first, err := ours.Open(ctx, keys.NewKeyring(e.master))
	must(t, err)
	k := got[*keys.VolumeKey](t)(keys.NewVolumeKey(math.MaxUint32, true))
	r := keys.NewRecord(k, ours.Place)
	must(t, r.AddSlot(ctx, k, e.master))
	must(t, r.Endorse(first))
	text, err := r.Marshal(k)
	must(t, err)
	e.plant(t, volumeDir+k.ID().String()+"/00000001", stored{body: text})
	for name, o := range map[string]object.Options{"told": {VolumeIDs: e.ours}, "pinned": machines[0].o(t, e)} {
		b := e.open(t, testenv.Bucket, o)
		must(t, b.VerifyKey(ctx))
		if v := b.Volume(); slices.Contains(v.Keys, k.ID().String()) {
			t.Errorf("%s: it counts: %+v", name, v)
		}
		if _, err := e.volumes(t, testenv.Bucket, o).NewEpoch(ctx, object.EpochRequest{}); err != nil {
			t.Errorf("%s: a new epoch: %v", name, err)
		}
	}
}
