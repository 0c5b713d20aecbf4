package object

import (
	"slices"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
)

// TestPast: what an object was written over, the newest first. The upload in the headers of a copy is the source's, and stands where the
// tag puts it.
func TestPast(t *testing.T) {
	ids := make([]ID, MaxOver+2)
	for n := range ids {
		ids[n] = NewID()
	}
	for name, tt := range map[string]struct {
		info Info
		want []ID
	}{
		"of others":       {Info{}, nil},
		"put":             {Info{Upload: ids[0], Stored: ids[0], Over: ids[1:3]}, ids[:3]},
		"put, then tag":   {Info{Upload: ids[0], Stored: ids[1], Over: ids[2:3]}, ids[:3]},
		"copy, then tag":  {Info{Upload: ids[0], Stored: ids[2], Over: ids[1:4]}, ids[:4]},
		"more than fit":   {Info{Upload: ids[0], Stored: ids[0], Over: ids[1:]}, ids[:MaxOver]},
		"more, after tag": {Info{Upload: ids[0], Stored: ids[1], Over: ids[2:]}, ids[:MaxOver]},
	} {
		if got := tt.info.Past(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

// TestVersionIsJudgedByItsOwnTags: what a key holder moved out of a host's prefixes stays authentic as an older version, and what the bucket's
// owner put there does not become so by what a key holder moved there later.
func TestVersionIsJudgedByItsOwnTags(t *testing.T) {
	s := emulated(t, emulator.Options{Versioning: true})
	reader := unopened(t, Options{Connection: connection(s)})
	must(t, reader.OpenVolume(t.Context()))
	host := mustHosted(t, s, exported(t, reader, "a/"))
	put(t, host, request(t, "a/x", []byte("of the host")))
	info := head(t, reader, "a/x")
	move := func() {
		_, err := reader.Copy(t.Context(), CopyRequest{Src: "a/x", Dst: "b/x", Attr: info.Attr, Generation: info.Generation, Upload: NewID()})
		must(t, err)
	}
	body, h, err := s.ReadObject(testBucket, "a/x")
	must(t, err)
	must(t, s.WriteObject(testBucket, "b/x", h, body)) // as the bucket's owner can
	move()
	put(t, reader, request(t, "b/x", []byte("of the reader")))
	move()
	list, err := reader.Versions(t.Context(), "b/x", "", 10)
	must(t, err)
	want := []State{StateAuthentic, StateAuthentic, StateAuthentic, StateRefused}
	if len(list) != len(want) {
		t.Fatalf("%d versions, want %d", len(list), len(want))
	}
	for n, v := range list {
		if got, err := reader.HeadVersion(t.Context(), "b/x", v.ID); err != nil || got.State != want[n] {
			t.Errorf("version %d, the newest is 0: %v, %v, want %v", n, got.State, err, want[n])
		}
	}
	must(t, reader.Delete(t.Context(), "b/x"))
	if got, err := reader.HeadVersion(t.Context(), "b/x", list[1].ID); err != nil || got.State != StateAuthentic {
		t.Errorf("below a delete marker: %v, %v", got.State, err)
	}
	if got, err := reader.HeadVersion(t.Context(), "b/x", list[2].ID); err != nil || got.State != StateAuthentic {
		t.Errorf("moved, below a delete marker: %v, %v", got.State, err)
	}
}
