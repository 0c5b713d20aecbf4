package object

import (
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// epochs adds volume keys of the epochs up to a number to the first one, each with the word of those before that there is room for.
func epochs(t *testing.T, b *Bucket, upTo uint32) {
	t.Helper()
	before := b.volume.all()
	for n := uint32(2); n <= upTo; n++ {
		k, err := keys.NewVolumeKey(n, true)
		must(t, err)
		r := keys.NewRecord(k, b.here(""))
		must(t, r.AddSlot(t.Context(), k, masterRSA(t, 0)))
		for i := len(before) - 1; i >= 0 && len(r.Endorsements) < keys.MaxEndorsements; i-- {
			must(t, r.Endorse(before[i]))
		}
		must(t, b.storeRecord(t.Context(), "", r, k))
		before = append(before, k)
	}
}

// TestManyEpochs: a volume has had more keys than a record had room for, and another one is made, and all before it are retired; a machine that knows
// the first alone, and one that knows nothing, go along.
func TestManyEpochs(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	b := opened(t, o)
	known := o
	known.PinFile = filepath.Join(t.TempDir(), "pin")
	opened(t, known)
	const last = 70
	epochs(t, b, last)
	v := volumesOf(t, o, "", masterRSA(t, 0))
	epoch, err := v.NewEpoch(t.Context(), EpochRequest{})
	must(t, err)
	list, err := v.Retiring(last, false)
	must(t, err)
	must(t, v.Retire(t.Context(), list))
	for name, o := range map[string]Options{"new": o, "known": known} {
		got := opened(t, o)
		if w := got.Volume().Writer; w != epoch.ID || len(got.RetiredVolumes()) != last {
			t.Errorf("%s: it seals under %s, want %s, %d are retired", name, w, epoch.ID, len(got.RetiredVolumes()))
		}
	}
}

// TestMoreEpochsThanRoom: of more volume keys than there is room for in a record the newest vouch for it.
func TestMoreEpochsThanRoom(t *testing.T) {
	k, err := keys.NewVolumeKey(keys.MaxEndorsements+9, true)
	must(t, err)
	at := keys.Place{Bucket: testBucket}
	v := &Volumes{records: &records{}}
	for n := range uint32(keys.MaxEndorsements + 8) {
		by, err := keys.NewVolumeKey(n+1, true)
		must(t, err)
		v.entries = append(v.entries, &volumeEntry{id: by.ID(), record: keys.NewRecord(by, at), secret: by})
	}
	r := keys.NewRecord(k, at)
	if news, err := v.vouchFor(r); err != nil || !news {
		t.Fatalf("got %v, %v", news, err)
	}
	for _, e := range v.entries {
		if want := e.record.Epoch > 8; r.EndorsedBy(e.secret) != want {
			t.Errorf("epoch %d vouches: %v, want %v", e.record.Epoch, !want, want)
		}
	}
	if news, err := v.vouchFor(r); err != nil || news {
		t.Errorf("again: %v, %v", news, err)
	}
}
