package object

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

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

// TestNewestEpochIsShut: a machine that comes while KMS does not open the newest epoch does not seal under the one before, which somebody is leaving: it is
// refused, whether it knows the epoch before or nothing, and goes on once KMS does. Reading goes on. A running one goes on, too.
func TestNewestEpochIsShut(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"down": {Operation: "Decrypt", Status: 503, Code: "ServiceUnavailable"}, "refused": {Operation: "Decrypt", Status: 403, Code: "Forbidden.NoPermission"},
	} {
		t.Run(name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			kms, err := keys.NewKMS(keys.KMSConfig{KeyID: s.KMSKeyID(), Region: s.Region(), Endpoint: s.KMSEndpoint(), Deadline: time.Second,
				Credentials: func(context.Context) (string, string, string, error) {
					return s.AccessKeyID(), s.AccessKeySecret(), "", nil
				}})
			must(t, err)
			t.Cleanup(kms.Close)
			o := Options{Connection: connection(s), Keyring: keys.NewKeyring(kms, masterRSA(t, 0))}
			running := opened(t, o)
			known, reading := o, o
			known.PinFile, reading.ReadOnly = filepath.Join(t.TempDir(), "pin"), true
			opened(t, known)
			must(t, v2(volumesOf(t, o, "", kms).AddSlot(t.Context(), masterRSA(t, 0))))
			epoch, err := volumesOf(t, o, "", kms).NewEpoch(t.Context(), EpochRequest{Force: true}) // without the RSA key
			must(t, err)
			id := s.AddFault(fault)
			for name, o := range map[string]Options{"new": o, "known": known} {
				if err := unopened(t, o).OpenVolume(t.Context()); !errors.Is(err, keys.ErrKMSUnreachable) && !errors.Is(err, keys.ErrKMSDenied) {
					t.Errorf("%s: got %v, want an error of KMS", name, err)
				}
			}
			if b := unopened(t, reading); b.OpenVolume(t.Context()) != nil || b.Volume().Epoch != 1 {
				t.Errorf("for reading: %+v", b.Volume())
			}
			running.volume.setLooked(running.volume.lastLook().Add(-lookEvery))
			putText(t, running, "file", "text")
			s.RemoveFault(id)
			for name, o := range map[string]Options{"new": o, "known": known} {
				if w := opened(t, o).Volume().Writer; w != epoch.ID {
					t.Errorf("%s: it seals under %s, want %s", name, w, epoch.ID)
				}
			}
		})
	}
}

func v2[T any](_ T, err error) error { return err }
