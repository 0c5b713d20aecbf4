package object

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// TestLookThatFailsIsTold: a mount that cannot learn of new volume keys says so.
func TestLookThatFailsIsTold(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer emulator.Fault
		want   error // of the notice
	}{
		{"denied", emulator.Fault{Status: 403, Code: "AccessDenied"}, ErrDenied},
		{"nonsense", emulator.Fault{Status: 400, Code: "InvalidArgument"}, ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			var told []error
			b := opened(t, Options{Connection: connection(s), Notice: func(n Notice) {
				if n.Kind == NoticeRecord {
					told = append(told, n.Err)
				}
			}})
			tc.answer.Operation = "ListObjectsV2"
			s.AddFault(tc.answer)
			b.volume.setLooked(b.volume.lastLook().Add(-lookEvery))
			putWords(t, b, "f")
			if len(told) != 1 || !errors.Is(told[0], tc.want) {
				t.Errorf("told %v, want %v", told, tc.want)
			}
		})
	}
}

// retiredEpoch is a volume whose first key was retired, seen by two buckets that were open before: one that goes on writing under it, as a
// former holder does, and one that has only read since.
func retiredEpoch(t *testing.T) (former, reader *Bucket, list []keys.VolumeID) {
	t.Helper()
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	former = opened(t, o)
	putWords(t, former, "ours")
	reader = opened(t, o)
	v := volumesOf(t, o, "", masterRSA(t, 0))
	if _, err := v.NewEpoch(t.Context(), EpochRequest{Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, o).Rewrap(t.Context(), RewrapOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := v.Retiring(1, false)
	must(t, err)
	must(t, v.Retire(t.Context(), list))
	return former, reader, list
}

func putWords(t *testing.T, b *Bucket, key string) {
	t.Helper()
	if _, err := b.PutFile(t.Context(), FileRequest{Key: key, Source: strings.NewReader("words"), Size: 5, Attr: Attr{Mode: ModeRegular | 0o600}}); err != nil {
		t.Fatal(err)
	}
}

// TestReaderLearnsOfRetirement: a bucket that is only read refuses within five minutes of use what a former holder forges under a retired key.
func TestReaderLearnsOfRetirement(t *testing.T) {
	former, reader, _ := retiredEpoch(t)
	putWords(t, former, "forged")
	reader.volume.setLooked(reader.volume.lastLook().Add(-lookEvery))
	var out bytes.Buffer
	if _, err := reader.GetFile(t.Context(), "forged", &out, nil); !errors.Is(err, ErrRetired) || out.Len() > 0 {
		t.Errorf("got %q, %v, want ErrRetired", out.String(), err)
	}
}

// TestAttributesUnderTheNewKey: a bucket whose files only get other attributes takes up a new volume key for their tags, too.
func TestAttributesUnderTheNewKey(t *testing.T) {
	other, reader, list := retiredEpoch(t)
	info, err := other.Head(t.Context(), "ours")
	must(t, err)
	reader.volume.setLooked(reader.volume.lastLook().Add(-lookEvery))
	attr := info.Attr
	attr.Mode = ModeRegular | 0o400
	must(t, reader.SetAttr(t.Context(), TagRequest{Key: "ours", Upload: NewID(), Generation: info.Generation, Attr: attr}))
	if w := reader.Volume().Writer; w == list[0].String() {
		t.Errorf("it signs under %s, which was retired", w)
	}
	if info, err = reader.Head(t.Context(), "ours"); err != nil || info.Attr.Mode != attr.Mode {
		t.Errorf("mode %o, %v, want %o", info.Attr.Mode, err, attr.Mode)
	}
}

// TestTagsMoveToTheNewEpoch: attributes that a mount signed under the old volume key after the object was sealed under the new one are counted
// before the old key is retired, and survive that after another run of Rewrap; so do those of an object of others.
func TestTagsMoveToTheNewEpoch(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	late := opened(t, o) // does not look again for five minutes
	putWords(t, late, "ours")
	must(t, s.WriteObject(testBucket, "plain", nil, []byte("words")))
	old := late.Volume().Writer
	v := volumesOf(t, o, "", masterRSA(t, 0))
	if _, err := v.NewEpoch(t.Context(), EpochRequest{Force: true}); err != nil {
		t.Fatal(err)
	}
	b := opened(t, o)
	rewrap := func(dry bool) RewrapReport {
		report, err := b.Rewrap(t.Context(), RewrapOptions{DryRun: dry})
		must(t, err)
		return report
	}
	rewrap(false)
	names := []string{"ours", "plain"}
	for _, name := range names {
		info, err := b.Head(t.Context(), name)
		must(t, err)
		attr := info.Attr
		attr.Mode = ModeRegular | 0o400
		must(t, late.SetAttr(t.Context(), TagRequest{Key: name, Upload: NewID(), Generation: info.Generation, Attr: attr}))
	}
	if under := rewrap(true).Under[old]; under != 2 {
		t.Errorf("%d objects are under the old key, want 2", under)
	}
	rewrap(false)
	if under := rewrap(true).Under[old]; under != 0 {
		t.Errorf("%d objects are under the old key after all were renewed", under)
	}
	list, err := v.Retiring(1, false)
	must(t, err)
	must(t, v.Retire(t.Context(), list))
	for _, name := range names {
		if info, err := opened(t, o).Head(t.Context(), name); err != nil || info.Attr.Mode != ModeRegular|0o400 {
			t.Errorf("%s: mode %o, %v, want 0400", name, info.Attr.Mode, err)
		}
	}
}

// TestHostTagsMoveToTheNewEpoch: what a write-only host set on an object of others, and nothing else, is set after a rewrap under a new volume key,
// too, be it in the main tag or in one of its own.
func TestHostTagsMoveToTheNewEpoch(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	b := opened(t, o)
	host, err := hosted(t, s, exported(t, b, ""), func(o *Options) { o.Trust.AcceptForeign = []string{""} })
	must(t, err)
	old := b.Volume().Writer
	names := []string{"plain", "beside"}
	for _, name := range names {
		must(t, s.WriteObject(testBucket, name, http.Header{"X-Oss-Meta-Uid": {"5"}, "X-Oss-Meta-Gid": {"6"}, "X-Oss-Meta-Mode": {"33184"}}, []byte("words")))
	}
	must(t, b.SetAttr(t.Context(), TagRequest{Key: "beside", Upload: NewID(), Attr: Attr{Mode: ModeRegular | 0o640, UID: 5, GID: 6}}))
	for _, name := range names {
		change := TagRequest{Key: name, Upload: NewID(), Attr: Attr{Mode: ModeRegular | 0o600}, Unproven: AllFields &^ FieldMode}
		must(t, host.SetAttr(t.Context(), change))
	}
	v := volumesOf(t, o, "", masterRSA(t, 0))
	if _, err := v.NewEpoch(t.Context(), EpochRequest{Force: true}); err != nil {
		t.Fatal(err)
	}
	b = opened(t, o)
	for run, want := range []int64{2, 0} {
		report, err := b.Rewrap(t.Context(), RewrapOptions{})
		must(t, err)
		if under := report.Under[old]; under != want {
			t.Errorf("run %d: %d objects are under the old key, want %d", run, under, want)
		}
	}
	list, err := v.Retiring(1, false)
	must(t, err)
	must(t, v.Retire(t.Context(), list))
	for _, name := range names {
		if got := head(t, opened(t, o), name).Attr; got.Mode != ModeRegular|0o600 || got.UID != 5 || got.GID != 6 {
			t.Errorf("%s: got mode %o of %d:%d, want 0600 of 5:6", name, got.Mode, got.UID, got.GID)
		}
	}
}

// TestRewrapPassesRetired: objects under a retired volume key, of which the bucket's owner can put back as many as there ever were, are refused as
// others are, and do not end a rewrap.
func TestRewrapPassesRetired(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	b := opened(t, o)
	for i := range rewrapFailures + 1 {
		putWords(t, b, fmt.Sprintf("old%02d", i))
	}
	v := volumesOf(t, o, "", masterRSA(t, 0))
	if _, err := v.NewEpoch(t.Context(), EpochRequest{Force: true}); err != nil {
		t.Fatal(err)
	}
	list, err := v.Retiring(1, false)
	must(t, err)
	must(t, v.Retire(t.Context(), list))
	b = opened(t, o)
	report, err := b.Rewrap(t.Context(), RewrapOptions{Workers: 1})
	if err != nil || report.Refused != rewrapFailures+1 || !report.Complete() {
		t.Errorf("%v, report %+v, want all refused", err, report)
	}
}

// TestPlantedRecordsAreReadOnce: what lies among the records and counts for nothing is read and reported once, and read again when it changes.
func TestPlantedRecordsAreReadOnce(t *testing.T) {
	s := emulated(t, emulator.Options{})
	told := 0
	b := opened(t, Options{Connection: connection(s), Notice: func(n Notice) {
		if n.Kind == NoticeRecord {
			told++
		}
	}})
	const planted = 20
	key := func(i int) string { return fmt.Sprintf("%s%032x/00000001", volumeDir, i+1) }
	for i := range planted {
		must(t, s.WriteObject(testBucket, key(i), nil, []byte("{}")))
	}
	for look, want := range []struct{ reads, told int }{{planted, planted}, {0, planted}, {1, planted + 1}} {
		if look == 2 {
			must(t, s.WriteObject(testBucket, key(3), nil, []byte("{ }")))
		}
		s.ResetRequests()
		must(t, b.look(t.Context(), b.volume.lastLook()))
		if n := s.Requests()["GetObject"]; n != want.reads || told != want.told {
			t.Errorf("look %d: %d reads and %d notices, want %+v", look, n, told, want)
		}
	}
}

// TestDeniedSlotIsTriedAgain: what KMS denied is not believed for ever: a slot that has another name of the key opens once KMS permits it again, and
// it is not asked with each look.
func TestDeniedSlotIsTriedAgain(t *testing.T) {
	s := emulated(t, emulator.Options{})
	owner := Options{Connection: connection(s), Keyring: keys.NewKeyring(masterKMS(t, s))}
	opened(t, owner)
	reader := unopened(t, Options{Connection: connection(s), Keyring: keys.NewKeyring(masterKMS(t, s)), ReadOnly: true})
	must(t, reader.OpenVolume(t.Context()))
	v := volumesOf(t, owner, "", masterKMS(t, s))
	_, err := v.NewEpoch(t.Context(), EpochRequest{Force: true})
	must(t, err)
	_, err = v.change(t.Context(), v.writer().id, func(next *keys.Record, _ *keys.VolumeKey) (bool, error) {
		next.Slots[0].Key = "kms:alias/ours"
		return true, nil
	})
	must(t, err)
	putWords(t, opened(t, owner), "new")
	fault := s.AddFault(emulator.Fault{Operation: "Decrypt", Status: 403, Code: "Forbidden.NoPermission"})
	s.ResetRequests()
	for range 3 {
		must(t, reader.look(t.Context(), time.Now()))
	}
	if n := s.Requests()["Decrypt"]; n != 1 {
		t.Errorf("%d calls while it is denied, want 1", n)
	}
	s.RemoveFault(fault)
	must(t, reader.look(t.Context(), time.Now()))
	if n := len(reader.volume.all()); n != 1 {
		t.Errorf("%d volume keys at once", n)
	}
	reader.volume.mu.Lock()
	for key, n := range reader.volume.verdicts {
		n.when = n.when.Add(-lookEvery)
		reader.volume.verdicts[key] = n
	}
	reader.volume.mu.Unlock()
	must(t, reader.look(t.Context(), time.Now()))
	if n := len(reader.volume.all()); n != 2 {
		t.Errorf("%d volume keys after it was permitted, want 2", n)
	}
	var out bytes.Buffer
	if _, err := reader.GetFile(t.Context(), "new", &out, nil); err != nil || out.String() != "words" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

// TestOfARetiredOrigin: a body that came from the bucket under a volume key is not stored any more once that was retired, also by a bucket that has to
// look before it knows; what rests on no key is.
func TestOfARetiredOrigin(t *testing.T) {
	_, reader, list := retiredEpoch(t)
	reader.volume.setLooked(reader.volume.lastLook().Add(-lookEvery))
	put := func(origin ID) error {
		sealed, body := sealedBody(t, []byte("words"))
		_, err := reader.Put(t.Context(), PutRequest{Key: "again", Body: body, Sealed: sealed, Origin: origin, Upload: NewID(), Attr: Attr{Mode: ModeRegular | 0o600}})
		return err
	}
	for _, origin := range []ID{ID(list[0]), SomeVolume} {
		if err := put(origin); !errors.Is(err, ErrRetired) || !NoEffect(err) {
			t.Errorf("%s: got %v, want ErrRetired without effect", origin, err)
		}
	}
	must(t, put(ID{}))
	info, err := reader.Head(t.Context(), "ours")
	must(t, err)
	if reader.Retired(info.Volume) || info.Volume.IsZero() {
		t.Errorf("what was rewrapped rests on %s", info.Volume)
	}
	must(t, put(info.Volume))
}

// TestLookGoesOn: a look that ends before all records were read that somebody planted is not in vain: the next one goes on from there.
func TestLookGoesOn(t *testing.T) {
	const planted, step = 20, 5
	s := emulated(t, emulator.Options{})
	told := 0
	b := opened(t, Options{Connection: connection(s), Notice: func(n Notice) {
		if n.Kind == NoticeRecord {
			told++
		}
	}})
	other, err := keys.NewVolumeKey(1, true)
	must(t, err)
	r := keys.NewRecord(other, keys.Place{Bucket: testBucket})
	must(t, r.AddSlot(t.Context(), other, masterRSA(t, 1)))
	text, err := r.Marshal(other)
	must(t, err)
	for n := range planted {
		id := fmt.Sprintf("%032x", n+1)
		must(t, s.WriteObject(testBucket, fmt.Sprintf("%s%s/%08d", volumeDir, id, 1), nil, bytes.ReplaceAll(text, []byte(other.ID().String()), []byte(id))))
	}
	for look := 0; ; look++ {
		id := s.AddFault(emulator.Fault{Operation: "GetObject", Key: volumeDir + "**", Skip: step, Status: 404, Code: "NoSuchBucket"})
		err := b.look(t.Context(), time.Now())
		s.RemoveFault(id)
		if err == nil {
			break
		}
		if look > planted/step {
			t.Fatalf("look %d: %v", look, err)
		}
	}
	for range 2 {
		if must(t, b.look(t.Context(), time.Now())); told != planted {
			t.Errorf("%d notices, want one of each of %d", told, planted)
		}
	}
}
