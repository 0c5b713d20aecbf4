package object

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// side is a set of records that lie beside each other in the fuzz target, and what is true of them.
type side struct {
	texts   [][]byte
	genuine [][]byte // what their makers wrote; texts beyond that are the attacker's
	ours    []keys.VolumeID
	retired keys.VolumeID
}

// besides makes the records: two epochs of this place, of which the second retired the first; one of this place that nobody vouches for;
// the owner's of another place; what its colleague makes of that for this place; and one of format 1.
func besides(f *testing.F, here keys.Place) side {
	f.Helper()
	two, err := rsaKeys()
	ok := func(err error) {
		f.Helper()
		if err != nil {
			f.Fatal(err)
		}
	}
	ok(err)
	volume := func(epoch uint32) *keys.VolumeKey {
		k, err := keys.NewVolumeKey(epoch, true)
		ok(err)
		return k
	}
	var s side
	record := func(k *keys.VolumeKey, at keys.Place, change func(r *keys.Record) error) {
		r := keys.NewRecord(k, at)
		ok(r.AddSlot(f.Context(), k, two[0]))
		ok(change(r))
		text, err := r.Marshal(k)
		ok(err)
		s.texts = append(s.texts, text)
	}
	none := func(*keys.Record) error { return nil }
	first, second, lone, other, old := volume(1), volume(2), volume(7), volume(9), volume(8)
	record(first, here, none)
	record(second, here, func(r *keys.Record) error { return errors.Join(r.Endorse(first), r.Retire(first.ID())) })
	record(lone, here, func(r *keys.Record) error { return r.Retire(second.ID()) })
	record(other, keys.Place{Bucket: "second", Region: here.Region}, none)
	record(other, here, func(r *keys.Record) error {
		theirs, err := keys.ParseRecord(s.texts[3])
		r.Slots = theirs.Slots // bound to another place
		return err
	})
	record(old, keys.Place{}, none)
	s.genuine = slices.Clone(s.texts)
	s.ours, s.retired = []keys.VolumeID{first.ID(), second.ID()}, first.ID()
	return s
}

// FuzzRecordsBesideRecords lays records beside each other, some of them changed, and asks what counts: on a machine that knows the second
// epoch, one that knows the first, and a new one. Nothing counts but what the owner made for this place and what is connected with what is
// known, in any order.
func FuzzRecordsBesideRecords(f *testing.F) {
	two, err := rsaKeys()
	if err != nil {
		f.Fatal(err)
	}
	b, err := newBucket(Options{Connection: Connection{Endpoint: "127.0.0.1:1", Region: "cn-hangzhou", Bucket: testBucket, Credentials: oss.Static{}},
		Keyring: keys.NewKeyring(two[0])})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = b.Close() })
	s := besides(f, b.here(""))
	f.Add([]byte{1, 0, 1}, []byte{}, uint8(0))
	f.Add([]byte{2, 5, 4, 3, 2, 1, 0}, s.texts[4], uint8(0xff))
	f.Add([]byte{0, 0, 1, 2, 3}, bytes.Replace(s.texts[2], []byte(`"epoch": 7`), []byte(`"epoch": 3`), 1), uint8(4))
	f.Add([]byte{1, 1, 0, 5}, bytes.Replace(s.texts[3], []byte(`"second"`), []byte(`"`+testBucket+`"`), 1), uint8(4))
	f.Fuzz(func(t *testing.T, picks, text []byte, at uint8) {
		if len(picks) == 0 || len(picks) > 12 {
			return
		}
		known := int(picks[0]) % 3 // 0: nothing, 1: the first epoch, 2: the second
		r := newRecords(b, &pins{})
		if known > 0 {
			r.trusted[s.ours[known-1]] = true
		}
		texts := [][]byte{text}
		for _, n := range picks[1:] {
			one := s.texts[int(n)%len(s.texts)]
			if n >= 128 && len(one) > 0 { // changed in one byte
				one = bytes.Clone(one)
				one[int(at)*len(one)/256] ^= n
			}
			texts = append(texts, one)
		}
		for _, text := range texts {
			p, err := keys.ParseRecord(text)
			if err != nil || r.find(p.ID) != nil || r.belongs(p) != nil {
				continue
			}
			k, err := r.open(t.Context(), p, true)
			if err != nil {
				continue
			}
			if !slices.ContainsFunc(s.genuine, func(g []byte) bool { return sameRecord(t, g, text) }) {
				t.Fatalf("a record that the owner did not make opens:\n%s", text)
			}
			r.entries = append(r.entries, &volumeEntry{id: p.ID, record: p, secret: k, revisions: []string{recordKey("", p)}})
		}
		slices.SortFunc(r.entries, func(a, b *volumeEntry) int { return slices.Compare(a.id[:], b.id[:]) })
		r.stand()
		for _, e := range r.opened() {
			switch {
			case known > 0 && !slices.Contains(s.ours, e.id):
				t.Errorf("%s counts beside what is known", e.id)
			case known == 0 && r.apart != nil:
				t.Errorf("%s counts though the records are apart", e.id)
			case !e.record.Bound():
				t.Errorf("%s counts unbound", e.id)
			}
		}
		if both := r.find(s.ours[0]) != nil && r.find(s.ours[1]) != nil && r.find(s.ours[1]).secret != nil; r.retired[s.retired] != both {
			t.Errorf("retired is %v, both epochs count: %v", r.retired, both)
		}
		if w := r.writer(); w != nil && r.retired[w.id] {
			t.Errorf("%s seals, which is retired", w.id)
		}
	})
}

// sameRecord reports whether two texts are the same record, whatever white space.
func sameRecord(t *testing.T, a, b []byte) bool {
	t.Helper()
	x, err := keys.ParseRecord(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := keys.ParseRecord(b)
	return err == nil && x.Same(y)
}
