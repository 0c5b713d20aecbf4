package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
)

// here is the place of the tests' volumes.
var here = Place{Bucket: "bucket", Region: "cn-hangzhou", Root: "dir/"}

func TestPlace(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    Place
		is   bool
	}{
		{"itself", here, true},
		{"region not known", Place{Bucket: "bucket", Root: "dir/"}, true},
		{"another region", Place{Bucket: "bucket", Region: "cn-beijing", Root: "dir/"}, false},
		{"another bucket", Place{Bucket: "other", Region: "cn-hangzhou", Root: "dir/"}, false},
		{"another directory", Place{Bucket: "bucket", Region: "cn-hangzhou"}, false},
		{"no place", Place{}, false},
	} {
		if here.Is(tt.p) != tt.is || tt.p.Is(here) != tt.is {
			t.Errorf("%s: got %v, want %v", tt.name, !tt.is, tt.is)
		}
		if err := tt.p.check(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, p := range []Place{{Root: "dir/"}, {Bucket: "b", Root: "dir"}, {Bucket: "b\n"}, {Bucket: "b", Region: "a\x1b"}, {Bucket: "b", Root: "\xff/"}} {
		if p.check() == nil {
			t.Errorf("%+v passes", p)
		}
	}
	if got := here.String() + " " + (Place{Bucket: "b"}).String(); got != "oss://bucket/dir oss://b" {
		t.Errorf("places print as %q", got)
	}
}

// TestRecordElsewhere: what a record says of its place was said by an owner of the master key, not only by a holder of the volume key, who
// may be a colleague with a slot in another bucket of the same owner.
func TestRecordElsewhere(t *testing.T) {
	ctx := context.Background()
	mine := loadRSA1(t)
	v := newVolume(t)
	r := NewRecord(v, here)
	if err := r.AddSlot(ctx, v, mine); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(r *Record){
		"moved by a holder of the volume key": func(r *Record) { r.Place.Bucket = "another" },
		"another directory":                   func(r *Record) { r.Place.Root = "" },
		"another region":                      func(r *Record) { r.Place.Region = "cn-beijing" },
		"made one of format 1":                func(r *Record) { r.Place = Place{} },
		"its slot called unbound":             func(r *Record) { r.Slots[0].Unbound = true },
	} {
		next := r.Next()
		change(next)
		text, err := next.Marshal(v)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := ParseRecord(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := got.Open(ctx, NewKeyring(mine)); !errors.Is(err, ErrForged) {
			t.Errorf("%s: got %v, want ErrForged", name, err)
		}
	}
}

// TestKeptSlot: a slot of format 1 opens a record of format 2, which is not bound for its owner.
func TestKeptSlot(t *testing.T) {
	ctx := context.Background()
	mine, his := loadRSA1(t), loadRSA2(t)
	v := newVolume(t)
	old := NewRecord(v, Place{})
	for _, k := range []MasterKey{mine, his} {
		if err := old.AddSlot(ctx, v, k); err != nil {
			t.Fatal(err)
		}
	}
	r := NewRecord(v, here)
	if err := r.AddSlot(ctx, v, mine); err != nil {
		t.Fatal(err)
	}
	if err := r.KeepSlot(old.Slots[1]); err != nil {
		t.Fatal(err)
	}
	text, err := r.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for key, bound := range map[MasterKey]bool{mine: true, his: false} {
		got, err := ParseRecord(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := got.Open(ctx, NewKeyring(key)); err != nil || got.Bound() != bound {
			t.Errorf("%s: bound is %v, %v, want %v", key.ID(), got.Bound(), err, bound)
		}
	}
}

// TestEndorsement: who gives his word, and for what.
func TestEndorsement(t *testing.T) {
	ctx := context.Background()
	mine := loadRSA1(t)
	first, second, third := newVolume(t), newVolume(t), newVolume(t)
	r := NewRecord(second, here)
	if err := errors.Join(r.AddSlot(ctx, second, mine), r.Endorse(first), r.Retire(first.ID())); err != nil {
		t.Fatal(err)
	}
	text, err := r.Marshal(second)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseRecord(text)
	if err != nil {
		t.Fatal(err)
	}
	if !got.EndorsedBy(first) || got.EndorsedBy(third) || len(got.Retired) != 1 || got.Retired[0] != first.ID() {
		t.Errorf("endorsed by the first %v, by the third %v, retired %v", got.EndorsedBy(first), got.EndorsedBy(third), got.Retired)
	}
	got.Place.Bucket = "another"
	if got.EndorsedBy(first) {
		t.Error("an endorsement counts for another bucket")
	}
	got.Place = here
	got.Endorsements[0].By = third.ID()
	if got.EndorsedBy(third) {
		t.Error("an endorsement counts for another endorser")
	}
	got.Restore(first.ID())
	if len(got.Retired) != 0 {
		t.Error("a retired key was not restored")
	}
	for name, err := range map[string]error{
		"by itself":     got.Endorse(second),
		"retire itself": got.Retire(second.ID()),
		"of format 1":   NewRecord(second, Place{}).Endorse(first),
	} {
		if !errors.Is(err, ErrRecord) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestManyEndorsements: a record takes all that it can say of other volume keys beside as many slots as it can have; one more is refused, whoever wrote it.
func TestManyEndorsements(t *testing.T) {
	mine, v := loadRSA1(t), newVolume(t)
	r := NewRecord(v, here)
	if err := r.AddSlot(context.Background(), v, mine); err != nil {
		t.Fatal(err)
	}
	for n := len(r.Slots); n < maxSlots; n++ {
		s := r.Slots[0]
		s.Key += fmt.Sprint("-", n)
		s.Wrapped = bytes.Repeat([]byte{byte(n)}, 4096/8)
		r.Slots = append(r.Slots, s)
	}
	for n := range maxRetired {
		if n < MaxEndorsements {
			if err := r.Endorse(newVolume(t)); err != nil {
				t.Fatalf("endorsement %d: %v", n+1, err)
			}
		}
		if err := r.Retire(VolumeID{1, byte(n), byte(n >> 8)}); err != nil {
			t.Fatalf("retired key %d: %v", n+1, err)
		}
	}
	text, err := r.Marshal(v)
	if err == nil {
		_, err = ParseRecord(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Endorse(newVolume(t)); !errors.Is(err, ErrRecord) {
		t.Errorf("one endorsement more: got %v, want ErrRecord", err)
	}
	r.Endorsements = append(r.Endorsements, Endorsement{By: VolumeID{9}, MAC: make([]byte, macSize)})
	if err := r.checkOthers(); !errors.Is(err, ErrRecord) {
		t.Errorf("a record with one more: got %v, want ErrRecord", err)
	}
}
