package trust

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// kmsKey is a master key in the emulator's KMS.
func kmsKey(t *testing.T, s *emulator.Server, id string) *keys.KMS {
	t.Helper()
	return got[*keys.KMS](t)(keys.NewKMS(keys.KMSConfig{KeyID: id, Region: s.Region(), Endpoint: s.KMSEndpoint(), QPS: 10_000,
		Credentials: func(context.Context) (string, string, string, error) {
			return s.AccessKeyID(), s.AccessKeySecret(), "", nil
		}}))
}

func kmsEstate(t *testing.T) *estate {
	return newEstate(t, func(s *emulator.Server) keys.MasterKey { return kmsKey(t, s, s.KMSKeyID()) })
}

// like is the facts of a record of another volume at the same place.
func like(r *keys.Record, n int) *keys.Record {
	other := r.Next()
	other.ID[0] ^= byte(n%255 + 1)
	other.ID[1] ^= byte(n / 255)
	return other
}

// floods are what somebody plants among the records, who holds no key. Each ends with the number of what it planted.
var floods = []struct {
	name string
	do   func(t *testing.T, e *estate, ours *keys.Record) int
}{
	{"slots of other names", func(t *testing.T, e *estate, ours *keys.Record) int {
		blob := []byte("of nobody")
		if ours.Slots[0].Type == "kms" {
			blob = ours.Slots[0].Wrapped
		}
		for i := range 5 {
			var slots []keys.Slot
			for n := range 64 {
				slots = append(slots, keys.Slot{Type: "kms", Key: fmt.Sprint("kms:made-up-", n), Wrapped: blob})
			}
			e.plantJunk(t, like(ours, i), 1, slots...)
		}
		return 5
	}},
	{"slots of our name", func(t *testing.T, e *estate, ours *keys.Record) int {
		for i := range 64 {
			e.plantJunk(t, like(ours, i), 1, ours.Slots[0])
		}
		return 64
	}},
	{"our record, over and over", func(t *testing.T, e *estate, ours *keys.Record) int {
		for n := range uint32(100) {
			e.plantJunk(t, ours, 99_999_900+n, ours.Slots...)
		}
		return 100
	}},
	{"our record with other facts", func(t *testing.T, e *estate, ours *keys.Record) int {
		for n := range uint32(100) {
			other := ours.Next()
			other.Public = make([]byte, 32)
			_, _ = rand.Read(other.Public)
			e.plantJunk(t, other, 99_999_900+n, ours.Slots...)
		}
		return 100
	}},
}

// TestPlantedRecordsCostNothing: on a machine that knows the volume no key is tried on records that nobody vouches for, nor on further revisions of
// ours; on a new one a few calls are spent on all of them together. The volume opens all the same, and verify tries no key either.
func TestPlantedRecordsCostNothing(t *testing.T) {
	for _, kind := range []struct {
		name   string
		estate func(*testing.T) *estate
		ops    func(e *estate) int
	}{
		{"KMS", kmsEstate, func(e *estate) int { return e.s.Requests()["Decrypt"] + e.s.Requests()["Encrypt"] }},
		{"RSA", rsaEstate, func(e *estate) int { return int(e.master.(*keys.RSA).PrivateOps()) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			e := kind.estate(t)
			ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
			for _, flood := range floods {
				for _, m := range machines {
					e.set(t, testenv.Bucket, e.before)
					o := m.o(t, e)
					e.ahead.Add(int64(2 * time.Second))
					planted := flood.do(t, e, ours)
					before := kind.ops(e)
					b := e.open(t, testenv.Bucket, o)
					if err := b.VerifyKey(context.Background()); err != nil {
						t.Errorf("%s, %s: %v", flood.name, m.name, err)
						continue
					}
					most := 2 // our slot, and the canary
					if m.name == "new" && kind.name == "KMS" {
						most += 8
					}
					if n := kind.ops(e) - before; n > most {
						t.Errorf("%s, %s: %d operations, want at most %d", flood.name, m.name, n, most)
					}
					before = kind.ops(e)
					report, err := b.Verify(context.Background(), object.VerifyOptions{})
					must(t, err)
					found := 0
					for _, f := range report.Findings {
						if f.Kind == object.FoundRecord {
							found++
						}
					}
					if n := kind.ops(e) - before; n > 0 || found != planted {
						t.Errorf("%s, %s: verify: %d operations, %d findings of %d", flood.name, m.name, n, found, planted)
					}
				}
			}
		})
	}
}

// TestTooManyPlanted: where what was planted stands before our record, a new machine says why it stopped, and one that is told the id goes on. It
// is that it stops, and does not take the key for a wrong one, or the volume for a forged one.
func TestTooManyPlanted(t *testing.T) {
	e := kmsEstate(t)
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	e.removeRecords(t)
	for i := range 20 {
		e.plantJunk(t, like(ours, i), 1, ours.Slots[0])
	}
	e.ahead.Add(int64(2 * time.Second))
	for key, s := range e.before {
		if strings.HasPrefix(key, volumeDir) {
			e.plant(t, key, s)
		}
	}
	e.s.ResetRequests()
	if err := e.open(t, testenv.Bucket, object.Options{}).VerifyKey(context.Background()); !errors.Is(err, keys.ErrEffort) {
		t.Errorf("new: got %v, want ErrEffort", err)
	}
	if n := e.s.Requests()["Decrypt"]; n > 8 {
		t.Errorf("new: %d calls", n)
	}
	must(t, e.open(t, testenv.Bucket, object.Options{VolumeIDs: e.ours}).VerifyKey(context.Background()))
}

// TestPlantedBeforeAChange: what stood beside our record before it was changed, and is older than it now, keeps no machine out that knows the volume.
func TestPlantedBeforeAChange(t *testing.T) {
	e := kmsEstate(t)
	ctx := context.Background()
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	for _, m := range machines[:2] {
		e.set(t, testenv.Bucket, e.before)
		o := m.o(t, e)
		floods[len(floods)-1].do(t, e, ours)
		e.ahead.Add(int64(2 * time.Second))
		must(t, v2(e.volumes(t, testenv.Bucket, object.Options{VolumeIDs: e.ours}).AddSlot(ctx, e.colleague)))
		e.s.ResetRequests()
		if err := e.open(t, testenv.Bucket, o).VerifyKey(ctx); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if n := e.s.Requests()["Decrypt"]; n > 3 {
			t.Errorf("%s: %d calls", m.name, n)
		}
	}
}

// TestCodesArePlanted: a recovery code is tried on a few planted slots, and not on all.
func TestCodesArePlanted(t *testing.T) {
	e := rsaEstate(t)
	code, err := e.volumes(t, testenv.Bucket, object.Options{}).AddRecovery(context.Background())
	must(t, err)
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	var slot keys.Slot
	for _, s := range ours.Slots {
		if s.Type == "recovery" {
			slot = s
		}
	}
	e.ahead.Add(int64(2 * time.Second))
	for i := range 64 {
		e.plantJunk(t, like(ours, i), 1, slot)
	}
	e.plantJunk(t, ours, 99_999_999, slot)
	v, err := object.OpenVolumes(context.Background(), object.Options{Connection: e.connection(testenv.Bucket)}, code)
	must(t, err)
	t.Cleanup(func() { must(t, v.Close()) })
	opened, tried, left := 0, 0, 0
	for _, r := range v.Describe() {
		switch {
		case r.Opens:
			opened++
		case errors.Is(r.Problem, keys.ErrRecoveryCode):
			tried++
		case errors.Is(r.Problem, keys.ErrEffort):
			left++
		}
	}
	if opened != 1 || tried > 8 || tried+left != 64 {
		t.Errorf("%d open, %d were tried, %d were left", opened, tried, left)
	}
}

// TestSlotAmongMany: a slot under another name of our KMS key opens, wherever it stands among many slots of others.
func TestSlotAmongMany(t *testing.T) {
	e := kmsEstate(t)
	ctx := context.Background()
	ours := e.record(t, testenv.Bucket, e.recordsOf(testenv.Bucket, "")[0])
	key := e.recordsOf(testenv.Bucket, "")[0]
	k := got[*keys.VolumeKey](t)(ours.Open(ctx, keys.NewKeyring(e.master)))
	r := ours.Next()
	r.Revision = ours.Revision
	own := r.Slots[0]
	own.Key = "kms:acs:kms:cn-hangzhou:123456:key/" + e.s.KMSKeyID()
	r.Slots = nil
	for n := range 50 {
		junk := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "blob of somebody else %d", n))
		r.Slots = append(r.Slots, keys.Slot{Type: "kms", Key: fmt.Sprint("kms:of-others-", n), Wrapped: []byte(junk)})
	}
	r.Slots = append(r.Slots, own)
	text, err := r.Marshal(k)
	must(t, err)
	e.plant(t, key, stored{body: text})
	e.s.ResetRequests()
	must(t, e.open(t, testenv.Bucket, object.Options{}).VerifyKey(ctx))
	if n := e.s.Requests()["Decrypt"]; n > 2 {
		t.Errorf("%d calls", n)
	}
}
