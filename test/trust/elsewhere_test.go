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

// estate is one owner with several buckets under one master key. A colleague has a slot in the second one only, which is an epoch ahead; the
// attacker can write to the first, which is testenv.Bucket.
type estate struct {
	s             *emulator.Server
	master        keys.MasterKey
	colleague     *keys.RSA
	ours          []string          // ids of the volume keys of the first bucket
	before        map[string]stored // the first bucket before any attack
	older         map[string]stored // its record before the last change
	inner         map[string]stored // the volume of a directory that was there before, and is gone
	bundle        *keys.Bundle      // of a write-only host of it
	colleagueKeys []*keys.VolumeKey // what the colleague can open
}

const secondBucket = "second"

// newEstate makes both buckets.
func newEstate(t *testing.T, master func(s *emulator.Server) keys.MasterKey) *estate {
	t.Helper()
	s, err := emulator.Start(emulator.Options{Buckets: []string{testenv.Bucket, secondBucket, "copied"}})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	e := &estate{s: s, master: master(s)}
	e.colleague, err = keys.GenerateRSA(2048, nil)
	must(t, err)
	ctx := context.Background()
	must(t, e.open(t, testenv.Bucket, object.Options{Prefix: "inner"}).VerifyKey(ctx))
	e.inner = e.all(t, testenv.Bucket)
	e.set(t, testenv.Bucket, nil)
	for _, bucket := range []string{testenv.Bucket, secondBucket} {
		b := e.open(t, bucket, object.Options{})
		must(t, b.VerifyKey(ctx))
		putFile(t, b, "ours")
		putFile(t, b, "planted-in-"+bucket)
	}
	v := e.volumes(t, secondBucket, object.Options{})
	_, err = v.AddSlot(ctx, e.colleague)
	must(t, err)
	_, err = v.NewEpoch(ctx, object.EpochRequest{Add: []keys.MasterKey{e.colleague}})
	must(t, err)
	for _, key := range e.recordsOf(secondBucket, "") {
		r := e.record(t, secondBucket, key)
		k, err := r.Open(ctx, keys.NewKeyring(e.colleague))
		must(t, err)
		e.colleagueKeys = append(e.colleagueKeys, k)
	}
	e.older = e.all(t, testenv.Bucket)
	v = e.volumes(t, testenv.Bucket, object.Options{})
	host, err := keys.NewHostKey("web", []string{""})
	must(t, err)
	rsa, ok := e.master.(*keys.RSA)
	if !ok {
		rsa = e.colleague // whose public half wraps for the SDKs
	}
	e.bundle, err = v.AddHost(ctx, host, rsa)
	must(t, err)
	for _, r := range v.Describe() {
		e.ours = append(e.ours, r.ID)
	}
	e.before = e.all(t, testenv.Bucket)
	return e
}

func (e *estate) connection(bucket string) object.Connection {
	return object.Connection{Endpoint: e.s.Endpoint(), Region: e.s.Region(), Bucket: bucket,
		Credentials: object.StaticCredentials{ID: e.s.AccessKeyID(), Secret: e.s.AccessKeySecret()}}
}

func (e *estate) open(t *testing.T, bucket string, o object.Options) *object.Bucket {
	t.Helper()
	o.Connection = e.connection(bucket)
	if o.Bundle == nil && o.Keyring == nil {
		o.Keyring = keys.NewKeyring(e.master)
	}
	b, err := object.Open(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

func (e *estate) volumes(t *testing.T, bucket string, o object.Options) *object.Volumes {
	t.Helper()
	o.Connection, o.Keyring = e.connection(bucket), keys.NewKeyring(e.master)
	v, err := object.OpenVolumes(context.Background(), o, "")
	must(t, err)
	t.Cleanup(func() { must(t, v.Close()) })
	return v
}

// all is everything in a bucket.
func (e *estate) all(t *testing.T, bucket string) map[string]stored {
	t.Helper()
	out := map[string]stored{}
	for _, o := range e.s.Objects(bucket) {
		body, h, err := e.s.ReadObject(bucket, o.Key)
		must(t, err)
		out[o.Key] = stored{h, body}
	}
	return out
}

// recordsOf lists the records below a root.
func (e *estate) recordsOf(bucket, root string) (list []string) {
	for _, o := range e.s.Objects(bucket) {
		if strings.HasPrefix(o.Key, root+volumeDir) {
			list = append(list, o.Key)
		}
	}
	return list
}

func (e *estate) record(t *testing.T, bucket, key string) *keys.Record {
	t.Helper()
	body, _, err := e.s.ReadObject(bucket, key)
	must(t, err)
	r, err := keys.ParseRecord(body)
	must(t, err)
	return r
}

// set makes a bucket hold just these objects.
func (e *estate) set(t *testing.T, bucket string, want map[string]stored) {
	t.Helper()
	for _, o := range e.s.Objects(bucket) {
		must(t, e.s.RemoveObject(bucket, o.Key))
	}
	for key, s := range want {
		must(t, e.s.WriteObject(bucket, key, s.h.Clone(), bytes.Clone(s.body)))
	}
}

// plant puts an object into the first bucket.
func (e *estate) plant(t *testing.T, key string, s stored) {
	t.Helper()
	must(t, e.s.WriteObject(testenv.Bucket, key, s.h.Clone(), bytes.Clone(s.body)))
}

// plantSecond brings what the second bucket has into the first: records and one file.
func (e *estate) plantSecond(t *testing.T) {
	for key, s := range e.all(t, secondBucket) {
		if strings.HasPrefix(key, volumeDir) || key == "planted-in-"+secondBucket {
			e.plant(t, key, s)
		}
	}
}

// plantUnbound plants records of the second bucket in the form of the version before, which the attacker may have kept.
func (e *estate) plantUnbound(t *testing.T) {
	e.plantSecond(t)
	for _, key := range e.recordsOf(secondBucket, "") {
		r := e.record(t, secondBucket, key)
		k, err := r.Open(context.Background(), keys.NewKeyring(e.master))
		must(t, err)
		old := keys.NewRecord(k, keys.Place{})
		old.Revision = r.Revision
		must(t, errors.Join(old.AddSlot(context.Background(), k, e.master), old.AddSlot(context.Background(), k, e.colleague)))
		text, err := old.Marshal(k)
		must(t, err)
		e.plant(t, key, stored{body: text})
	}
}

// plantByColleague plants records that the colleague made for the first bucket with what he has: the volume keys of the second, and the
// slots of the owner there.
func (e *estate) plantByColleague(t *testing.T) {
	e.plantSecond(t)
	for n, key := range e.recordsOf(secondBucket, "") {
		r := e.record(t, secondBucket, key)
		forged := keys.NewRecord(e.colleagueKeys[n], keys.Place{Bucket: testenv.Bucket, Region: e.s.Region()})
		forged.Slots, forged.Revision = r.Slots, r.Revision
		for _, other := range e.colleagueKeys {
			if other.ID() != r.ID {
				must(t, forged.Endorse(other))
			}
		}
		text, err := forged.Marshal(e.colleagueKeys[n])
		must(t, err)
		e.plant(t, key, stored{body: text})
	}
}

func (e *estate) removeRecords(t *testing.T) {
	for _, key := range e.recordsOf(testenv.Bucket, "") {
		must(t, e.s.RemoveObject(testenv.Bucket, key))
	}
}

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
	for key, s := range e.all(t, testenv.Bucket) {
		value := s.h.Get(cipher.BoxHeader)
		if value == "" || key == "planted-in-"+secondBucket {
			continue
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

// got is a value without its error.
func got[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
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
