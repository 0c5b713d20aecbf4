package keys

import (
	"errors"
	"testing"
)

// TestOneRecoveryCodeForTwoRecords: the volume keys of two epochs open with the code that was made for the first.
func TestOneRecoveryCodeForTwoRecords(t *testing.T) {
	cheapRecovery(t)
	v1, v2, k := newVolume(t), newVolume(t), loadRSA1(t)
	r1, r2 := recordFor(t, v1, k), recordFor(t, v2, k)
	code, err := r1.AddRecovery(v1)
	if err != nil {
		t.Fatal(err)
	}
	if err := r2.AddRecoveryCode(v2, code); err != nil {
		t.Fatal(err)
	}
	for v, r := range map[*VolumeKey]*Record{v1: r1, v2: r2} {
		r = mustParse(t, mustMarshal(t, r, v))
		if got, err := r.OpenRecovery(code); err != nil || got.secret != v.secret {
			t.Errorf("volume %s: got %v, %v", v.ID(), got, err)
		}
	}
	if s1, s2 := r1.Slots[1], r2.Slots[1]; s1.Key == s2.Key || string(s1.Salt) == string(s2.Salt) {
		t.Errorf("both slots have salt %x", s1.Salt)
	}
	typo := []byte(code)
	typo[0] ^= 1
	for name, tc := range map[string]struct {
		v    *VolumeKey
		code string
		want error
	}{
		"mistyped":          {v1, string(typo), ErrRecoveryCode},
		"of another volume": {v2, code, ErrForged},
	} {
		if err := r1.AddRecoveryCode(tc.v, tc.code); !errors.Is(err, tc.want) || len(r1.Slots) != 2 {
			t.Errorf("%s: got %v and %d slots, want %v and 2", name, err, len(r1.Slots), tc.want)
		}
	}
}
