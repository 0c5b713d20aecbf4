package object

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// hidden takes records out of the bucket, and tells how to put them back: their owner can do both.
func hidden(t *testing.T, s *emulator.Server, id string) (show func()) {
	t.Helper()
	texts := map[string][]byte{}
	for _, o := range s.Objects(testBucket) {
		if strings.HasPrefix(o.Key, volumeDir+id+"/") {
			text, _, err := s.ReadObject(testBucket, o.Key)
			must(t, err)
			texts[o.Key] = text
			must(t, s.RemoveObject(testBucket, o.Key))
		}
	}
	if len(texts) == 0 {
		t.Fatalf("%s has no record", id)
	}
	return func() {
		for key, text := range texts {
			must(t, s.WriteObject(testBucket, key, nil, text))
		}
	}
}

// TestRetiredIsRemembered: a volume key that this machine saw retired stays so, whatever records the bucket's owner hides: here the one that retired it, after
// a third was made without the word of the first. Who restores it on purpose is heard.
func TestRetiredIsRemembered(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	opened(t, o)
	machine, admin := o, o
	machine.PinFile, admin.PinFile = filepath.Join(t.TempDir(), "pin"), filepath.Join(t.TempDir(), "pin")
	opened(t, admin)
	k := masterRSA(t, 0)
	retire := func(epoch uint32) []keys.VolumeID {
		v := volumesOf(t, admin, "", k)
		_, err := v.NewEpoch(t.Context(), EpochRequest{})
		must(t, err)
		list, err := v.Retiring(epoch, false)
		must(t, err)
		must(t, v.Retire(t.Context(), list))
		return list
	}
	first := retire(1)[0]
	opened(t, machine) // it sees the first retired by the second
	show := hidden(t, s, first.String())
	second := retire(2)[0]
	opened(t, machine)
	show()
	hidden(t, s, second.String())
	for _, when := range []string{"for the first time", "again"} {
		b := opened(t, machine)
		if !b.Retired(ID(first)) || b.Volume().Epoch != 3 {
			t.Errorf("%s: the first epoch is retired: %v, it seals under epoch %d", when, b.Retired(ID(first)), b.Volume().Epoch)
		}
		if _, retired := b.volume.counting(first); !retired {
			t.Errorf("%s: what is sealed under the first epoch counts", when)
		}
	}
	v := volumesOf(t, machine, "", k)
	if list, still, err := v.Restore(t.Context(), 1); err != nil || len(list) != 1 || len(still) != 0 {
		t.Fatalf("restore: %v, still %v, %v", list, still, err)
	}
	if b := opened(t, machine); b.Retired(ID(first)) {
		t.Error("the machine that restored the first epoch holds it for retired")
	}
}

// TestRestoredIsHeard: a machine that remembers a volume key as retired hears that another one has restored it.
func TestRestoredIsHeard(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	opened(t, o)
	machine := o
	machine.PinFile = filepath.Join(t.TempDir(), "pin")
	v := volumesOf(t, o, "", masterRSA(t, 0))
	_, err := v.NewEpoch(t.Context(), EpochRequest{})
	must(t, err)
	list, err := v.Retiring(1, false)
	must(t, err)
	for range 2 { // and again, after it was forgotten
		must(t, v.Retire(t.Context(), list))
		if b := opened(t, machine); !b.Retired(ID(list[0])) {
			t.Error("it is not retired")
		}
		if _, _, err := v.Restore(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if b := opened(t, machine); b.Retired(ID(list[0])) {
			t.Error("it is still retired after it was restored")
		}
	}
}

// TestRestoredByHalf: a former holder of the middle one of three epochs keeps its record from being changed, so that the first stays retired by it. That is
// said, and no more is claimed.
func TestRestoredByHalf(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	opened(t, o)
	v := volumesOf(t, o, "", masterRSA(t, 0))
	var ids []keys.VolumeID
	for epoch := range uint32(2) {
		_, err := v.NewEpoch(t.Context(), EpochRequest{})
		must(t, err)
		list, err := v.Retiring(epoch+1, false)
		must(t, err)
		must(t, v.Retire(t.Context(), list))
		ids = append(ids, list...)
	}
	middle := v.find(ids[1])
	last := middle.record.Next()
	last.Revision = 99_999_999
	must(t, v.b.storeRecord(t.Context(), "", last, middle.secret))
	v = volumesOf(t, o, "", masterRSA(t, 0))
	again, still, err := v.Restore(t.Context(), 1)
	if err != nil || len(again) != 0 || len(still) != 2 || still[0].ID != ids[0] || !slices.Equal(still[0].By, ids[1:]) {
		t.Errorf("again %v, still %+v, %v", again, still, err)
	}
	for _, o := range s.Objects(testBucket) {
		if strings.HasPrefix(o.Key, volumeDir+ids[1].String()) {
			must(t, s.RemoveObject(testBucket, o.Key))
		}
	}
	if b := opened(t, o); b.Retired(ID(ids[0])) {
		t.Errorf("after the record of the middle one was removed these are retired: %v", b.RetiredVolumes())
	}
}
