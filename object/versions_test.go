package object

import (
	"slices"
	"testing"
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
