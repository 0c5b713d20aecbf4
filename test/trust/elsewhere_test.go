package trust

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// attacks are what the attacker does to the first bucket. alone: without a record of its own it cannot be opened.
var attacks = []struct {
	name    string
	alone   bool
	do      func(t *testing.T, e *estate)
	planted bool // a record that opens, and has to be reported where the command goes on
}{
	{"record of another volume, beside", false, func(t *testing.T, e *estate) { e.plantSecond(t) }, true},
	{"record of another volume, in its place", true, func(t *testing.T, e *estate) { e.removeRecords(t); e.plantSecond(t) }, false},
	{"unbound record of another volume, beside", false, func(t *testing.T, e *estate) { e.plantUnbound(t) }, true},
	{"unbound record of another volume, in its place", true, func(t *testing.T, e *estate) { e.removeRecords(t); e.plantUnbound(t) }, false},
	{"record that a colleague made of an unbound one, beside", false, func(t *testing.T, e *estate) { e.plantOnUnbound(t) }, true},
	{"record that a colleague made of an unbound one, in its place", true, func(t *testing.T, e *estate) { e.removeRecords(t); e.plantOnUnbound(t) }, false},
	{"record that a colleague made of another volume, beside", false, func(t *testing.T, e *estate) { e.plantByColleague(t) }, true},
	{"record that a colleague made of another volume, in its place", true, func(t *testing.T, e *estate) { e.removeRecords(t); e.plantByColleague(t) }, false},
	{"older record", false, func(t *testing.T, e *estate) {
		e.removeRecords(t)
		for key, s := range e.older {
			if strings.HasPrefix(key, volumeDir) {
				e.plant(t, key, s)
			}
		}
	}, false},
	{"missing record", true, func(t *testing.T, e *estate) { e.removeRecords(t) }, false},
	{"record of another directory, beside", false, func(t *testing.T, e *estate) { e.plantInner(t) }, true},
	{"record of another directory, in its place", true, func(t *testing.T, e *estate) { e.removeRecords(t); e.plantInner(t) }, false},
	{"copy of another bucket, in its place", true, func(t *testing.T, e *estate) { e.set(t, testenv.Bucket, e.all(t, secondBucket)) }, false},
	{"copy of another bucket, in a directory", false, func(t *testing.T, e *estate) {
		for key, s := range e.all(t, secondBucket) {
			e.plant(t, "copy/"+key, s)
		}
	}, false},
}

// plantInner brings the records of a directory to the root of its bucket.
func (e *estate) plantInner(t *testing.T) {
	for key, s := range e.inner {
		if strings.HasPrefix(key, "inner/"+volumeDir) {
			e.plant(t, strings.TrimPrefix(key, "inner/"), s)
		}
	}
}

// machine is what a host knows before it meets the attacked bucket.
type machine struct {
	name string
	o    func(t *testing.T, e *estate) object.Options
}

var machines = []machine{
	{"pinned", func(t *testing.T, e *estate) object.Options {
		o := object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json"), Trust: object.Trust{Strict: true}}
		after := e.all(t, testenv.Bucket)
		e.set(t, testenv.Bucket, e.before)
		must(t, e.open(t, testenv.Bucket, o).VerifyKey(context.Background()))
		e.set(t, testenv.Bucket, after)
		return o
	}},
	{"told", func(_ *testing.T, e *estate) object.Options { return object.Options{VolumeIDs: e.ours} }},
	{"new", func(*testing.T, *estate) object.Options { return object.Options{} }},
}

// commands are what the owner does then. Each returns why it was refused, and the notices that it made.
var commands = []struct {
	name string
	do   func(t *testing.T, e *estate, o object.Options) error
}{
	{"get", func(t *testing.T, e *estate, o object.Options) error {
		o.ReadOnly = true
		b := e.open(t, testenv.Bucket, o)
		if err := b.OpenVolume(context.Background()); err != nil {
			return err
		}
		wantFile(t, b, "ours", "get")
		var out bytes.Buffer
		if _, err := b.GetFile(context.Background(), "planted-in-"+secondBucket, &out, nil); err == nil || out.Len() > 0 {
			t.Errorf("a planted file is read: %d bytes, %v", out.Len(), err)
		}
		return nil
	}},
	{"put", func(t *testing.T, e *estate, o object.Options) error {
		b := e.open(t, testenv.Bucket, o)
		if err := b.OpenVolume(context.Background()); err != nil {
			return err
		}
		putFile(t, b, "new")
		return nil
	}},
	{"mount", func(t *testing.T, e *estate, o object.Options) error {
		b := e.open(t, testenv.Bucket, o)
		if err := b.VerifyKey(context.Background()); err != nil {
			return err
		}
		putFile(t, b, "new")
		wantFile(t, b, "ours", "mount")
		if v := b.Volume(); !v.Authentic || !slices.Contains(e.ours, v.Writer) {
			t.Errorf("it seals under %s, authentic is %v", v.Writer, v.Authentic)
		}
		return nil
	}},
	{"read-only", func(t *testing.T, e *estate, o object.Options) error {
		o.ReadOnly = true
		b := e.open(t, testenv.Bucket, o)
		return b.VerifyKey(context.Background())
	}},
	{"verify", func(t *testing.T, e *estate, o object.Options) error {
		o.ReadOnly = true
		b := e.open(t, testenv.Bucket, o)
		if err := b.OpenVolume(context.Background()); err != nil {
			return err
		}
		report, err := b.Verify(context.Background(), object.VerifyOptions{})
		for _, key := range e.recordsOf(testenv.Bucket, "") {
			if ours := slices.ContainsFunc(e.ours, func(id string) bool { return strings.Contains(key, id) }); !ours && !slices.ContainsFunc(report.Findings, func(f object.Finding) bool { return f.Kind == object.FoundRecord && f.Key == key }) {
				t.Errorf("verify does not find %s", key)
			}
		}
		return err
	}},
	{"key rotate", func(t *testing.T, e *estate, o object.Options) error {
		v := e.volumes(t, testenv.Bucket, o)
		_, err := v.NewEpoch(context.Background(), object.EpochRequest{Force: true})
		for _, r := range v.Describe() {
			if r.Writes && err == nil {
				e.ours = append(e.ours, r.ID)
			}
		}
		return err
	}},
	{"rewrap", func(t *testing.T, e *estate, o object.Options) error {
		b := e.open(t, testenv.Bucket, o)
		if err := b.OpenVolume(context.Background()); err != nil {
			return err
		}
		_, err := b.Rewrap(context.Background(), object.RewrapOptions{})
		return err
	}},
	{"write-only host", func(t *testing.T, e *estate, o object.Options) error {
		b := e.open(t, testenv.Bucket, object.Options{Bundle: e.bundle, Notice: o.Notice})
		if err := b.OpenVolume(context.Background()); err != nil {
			return err
		}
		putFile(t, b, "new")
		return nil
	}},
}

// refusals are the errors with which a command may end.
var refusals = []error{object.ErrElsewhere, object.ErrUnbound, object.ErrUnvouched, object.ErrApart, object.ErrRecordForged, object.ErrRecordMissing,
	object.ErrRecordRolledBack, object.ErrNoRecord, object.ErrNoVolume, keys.ErrForged}

// TestRecordsOfOthers is the table of issue and answer: whatever record the attacker brings, a command is refused, or reports it and goes on
// as if it were not there. Nothing is sealed under a key that the colleague has, and nothing that he sealed is read.
func TestRecordsOfOthers(t *testing.T) {
	for name, master := range map[string]func(s *emulator.Server) keys.MasterKey{
		"rsa": func(*emulator.Server) keys.MasterKey { return got[*keys.RSA](t)(rsaKey()) },
		"kms": func(s *emulator.Server) keys.MasterKey {
			return got[*keys.KMS](t)(keys.NewKMS(keys.KMSConfig{KeyID: s.KMSKeyID(), Region: s.Region(), Endpoint: s.KMSEndpoint(), QPS: 10_000,
				Credentials: func(context.Context) (string, string, string, error) {
					return s.AccessKeyID(), s.AccessKeySecret(), "", nil
				}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t, master)
			ours := slices.Clone(e.ours)
			for _, a := range attacks {
				for _, m := range machines {
					for _, c := range commands {
						t.Run(strings.Join([]string{a.name, m.name, c.name}, "/"), func(t *testing.T) {
							e.ours = slices.Clone(ours)
							e.set(t, testenv.Bucket, e.before)
							a.do(t, e)
							o, n := m.o(t, e), &notices{}
							o.Notice = n.add
							err := c.do(t, e, o)
							e.wantHarmless(t)
							switch refused := slices.ContainsFunc(refusals, func(kind error) bool { return errors.Is(err, kind) }); {
							case err != nil && !refused:
								t.Errorf("it failed for another reason: %v", err)
							case err == nil && a.alone && c.name != "write-only host":
								t.Error("it was not refused")
							case err == nil && a.planted && len(n.seen) == 0 && c.name != "write-only host":
								t.Error("it was neither refused nor reported")
							case a.planted && err != nil:
								t.Errorf("what lies beside the record keeps its owner out: %v", err)
							}
						})
					}
				}
			}
		})
	}
}

// wantHarmless checks that nothing in the first bucket is sealed under a volume key that is not its own, but for what was planted.
func (e *estate) wantHarmless(t *testing.T) {
	t.Helper()
	theirs := map[string]bool{"": true}
	for _, s := range e.all(t, secondBucket) {
		theirs[s.h.Get(cipher.BoxHeader)] = true
	}
	for key, s := range e.all(t, testenv.Bucket) {
		value := s.h.Get(cipher.BoxHeader)
		if theirs[value] {
			continue // as it was there
		}
		box, err := cipher.ParseBox(value)
		must(t, err)
		if !slices.Contains(e.ours, box.Volume.String()) {
			t.Errorf("%s is sealed under %s, ours are %s", key, box.Volume, e.ours)
		}
	}
	for _, key := range e.recordsOf(testenv.Bucket, "") {
		r := e.record(t, testenv.Bucket, key)
		if slices.Contains(e.ours, r.ID.String()) && slices.ContainsFunc(r.Slots, func(s keys.Slot) bool { return s.Key == e.colleague.ID() }) {
			t.Errorf("%s has a slot for the colleague", key)
		}
	}
}

// TestRunningMountTakesNoOthersRecord: what is planted while a mount runs is not taken up when the records are read again, an honest new
// epoch is, and seventy made-up volumes do not keep the mount from learning it.
func TestRunningMountTakesNoOthersRecord(t *testing.T) {
	e := newEstate(t, func(*emulator.Server) keys.MasterKey { return got[*keys.RSA](t)(rsaKey()) })
	ctx := context.Background()
	n := &notices{}
	b := e.open(t, testenv.Bucket, object.Options{PinFile: filepath.Join(t.TempDir(), "pin.json"), Notice: n.add, Trust: object.Trust{Strict: true}})
	must(t, b.VerifyKey(ctx))
	before := b.Volume()
	e.plantSecond(t)
	e.plant(t, "plain", stored{body: []byte("words")})
	planted := e.all(t, testenv.Bucket)["planted-in-"+secondBucket]
	var all sync.WaitGroup
	for i := range 70 { // boxes of volumes that do not exist
		s := stored{planted.h.Clone(), planted.body}
		s.h.Set(cipher.BoxHeader, withVolume(t, s.h.Get(cipher.BoxHeader), byte(i)))
		e.plant(t, fmt.Sprint("made-up-", i), s)
	}
	for _, key := range []string{"planted-in-" + secondBucket, "plain"} {
		if err := readFile(b, key); !errors.Is(err, object.ErrUnauthentic) {
			t.Errorf("%s: got %v, want it refused", key, err)
		}
	}
	for i := range 70 {
		all.Go(func() {
			if err := readFile(b, fmt.Sprint("made-up-", i)); !errors.Is(err, object.ErrUnauthentic) {
				t.Errorf("made-up volume %d: got %v", i, err)
			}
		})
	}
	all.Wait()
	if v := b.Volume(); v.Writer != before.Writer || len(v.Keys) != 1 || !v.Authentic {
		t.Errorf("volume %+v, it was %+v", v, before)
	}
	epoch, err := e.volumes(t, testenv.Bucket, object.Options{VolumeIDs: e.ours}).NewEpoch(ctx, object.EpochRequest{})
	must(t, err)
	other := e.open(t, testenv.Bucket, object.Options{VolumeIDs: e.ours})
	must(t, other.VerifyKey(ctx))
	putFile(t, other, "of-the-new-epoch")
	wantFile(t, b, "of-the-new-epoch", "the mount that was running")
	if v := b.Volume(); v.Writer != epoch.ID || len(v.Keys) != 2 {
		t.Errorf("volume %+v, the new epoch is %+v", v, epoch)
	}
	if !slices.ContainsFunc(n.seen, func(x object.Notice) bool {
		return x.Kind == object.NoticeVolumeKey && strings.Contains(x.Err.Error(), epoch.ID)
	}) {
		t.Error("the new volume key was not reported")
	}
}

// withVolume is a box as one of another volume.
func withVolume(t *testing.T, value string, n byte) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(value)
	must(t, err)
	raw[2] ^= n + 1 // the first byte of the volume id
	return base64.StdEncoding.EncodeToString(raw)
}

func readFile(b *object.Bucket, key string) error {
	var out bytes.Buffer
	_, err := b.GetFile(context.Background(), key, &out, nil)
	if err == nil && out.Len() == 0 {
		return errors.New("no bytes")
	}
	return err
}

// TestManyPlantedRecords: a thousand records of others cost one request each, once, whatever the bucket shows afterwards.
func TestManyPlantedRecords(t *testing.T) {
	e := rsaEstate(t)
	ctx := context.Background()
	b := e.open(t, testenv.Bucket, object.Options{VolumeIDs: e.ours})
	must(t, b.VerifyKey(ctx))
	theirs := e.record(t, secondBucket, e.recordsOf(secondBucket, "")[0])
	his := got[*keys.RSA](t)(keys.GenerateRSA(2048, nil))
	for n := range 1000 {
		k := got[*keys.VolumeKey](t)(keys.NewVolumeKey(9, true))
		r := keys.NewRecord(k, keys.Place{Bucket: testenv.Bucket, Region: e.s.Region()}) // a slot for nobody here
		must(t, r.AddSlot(ctx, k, his))
		if n%2 == 0 {
			r.Slots = theirs.Slots // a slot that is not of this volume
		}
		text, err := r.Marshal(k)
		must(t, err)
		e.plant(t, fmt.Sprintf("%s%s/%08d", volumeDir, r.ID, r.Revision), stored{body: text})
	}
	planted := e.all(t, testenv.Bucket)["ours"]
	ops := e.master.(*keys.RSA).PrivateOps()
	e.s.ResetRequests()
	for i := range 3 { // each is new, and makes the records be read again
		s := stored{planted.h.Clone(), planted.body}
		s.h.Set(cipher.BoxHeader, withVolume(t, s.h.Get(cipher.BoxHeader), byte(i)))
		key := fmt.Sprint("made-up-", i)
		e.plant(t, key, s)
		if err := readFile(b, key); !errors.Is(err, object.ErrUnauthentic) {
			t.Errorf("%s: got %v", key, err)
		}
	}
	gets, lists := e.s.Requests()["GetObject"], e.s.Requests()["ListObjectsV2"]+e.s.Requests()["GetBucketV2"]
	if more := e.master.(*keys.RSA).PrivateOps() - ops; gets > 1000+3 || more != 0 {
		t.Errorf("%d GETs, %d listings, %d RSA operations", gets, lists, more)
	}
}
