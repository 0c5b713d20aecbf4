package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// newVolume draws a volume key for a test.
func newVolume(t testing.TB) *VolumeKey {
	t.Helper()
	v, err := NewVolumeKey(1, true)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fixedVolume is a volume key that is always the same.
func fixedVolume(t testing.TB) *VolumeKey {
	t.Helper()
	id, err := ParseVolumeID("000102030405060708090a0b0c0d0e0f")
	if err != nil {
		t.Fatal(err)
	}
	v, err := newVolumeKey(id, 7, true, bytes.Repeat([]byte{0x42}, volumeSecretSize))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParseVolumeID(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"good":       {"00112233445566778899aabbccddeeff", true},
		"capitals":   {"00112233445566778899AABBCCDDEEFF", false},
		"short":      {"00112233445566778899aabbccddee", false},
		"long":       {"00112233445566778899aabbccddeeff00", false},
		"no hex":     {"0011223344556677889_aabbccddeeff", false},
		"zero":       {strings.Repeat("0", 32), false},
		"empty":      {"", false},
		"with space": {" 0112233445566778899aabbccddeeff", false},
	} {
		id, err := ParseVolumeID(c.text)
		if (err == nil) != c.ok || c.ok && id.String() != c.text || id.IsZero() == c.ok {
			t.Errorf("%s: got %v, %v, want ok %v", name, id, err, c.ok)
		}
	}
	var out struct{ ID VolumeID }
	text := `{"ID":"00112233445566778899aabbccddeeff"}`
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(out); err != nil || string(again) != text {
		t.Errorf("JSON: got %s, %v, want %s", again, err, text)
	}
}

func TestVolumeKeyIsFresh(t *testing.T) {
	a, b := newVolume(t), newVolume(t)
	if a.ID() == b.ID() || a.secret == b.secret || a.ID().IsZero() {
		t.Error("two volume keys are alike")
	}
	if a.Epoch() != 1 || !a.Authentic() || len(a.HPKEPublic()) != hpkePublicSize {
		t.Errorf("epoch %d, authentic %v, public key of %d bytes", a.Epoch(), a.Authentic(), len(a.HPKEPublic()))
	}
	if _, err := NewVolumeKey(0, true); err == nil {
		t.Error("epoch 0 is taken")
	}
}

// TestVolumeDerivation pins what is derived, as computed apart from this code: other bytes would lock everybody out of what was written before.
func TestVolumeDerivation(t *testing.T) {
	v := fixedVolume(t)
	mac := v.MAC("info", []byte("ab"), []byte("c"))
	if joined := v.MAC("info", []byte("abc")); joined != mac {
		t.Error("the MAC depends on how its data is cut")
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"derive":      {v.Derive(nil, "info"), "45a4f5dfde9a0d8cab1ff57497c1bf36ef92363c8860696d5e985af6ebfa5007"},
		"salt":        {v.Derive([]byte("salt"), "info"), "2922fc7af3950d9a54a8d0a2ff54a92401dad376eea82963e6072029f7498b38"},
		"mac":         {mac[:], "f57b569b27136012eef136ed659eb84d191cc36baebbb1074fb79d65e40cb1bd"},
		"HPKE public": {v.HPKEPublic(), "a0111c1da4a4e8aff9ab1416358cfb4dd792eeaa75c65e972ad6618c3eb7ac67"},
		"facts":       {v.public.facts(), "6f7373656e63667320766f6c756d6520666163747320763100000102030405060708090a0b0c0d0e0f0000000701a0111c1da4a4e8aff9ab1416358cfb4dd792eeaa75c65e972ad6618c3eb7ac67"},
	} {
		if got := fmt.Sprintf("%x", c.got); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	v := fixedVolume(t)
	host, err := NewHostKey("h", []string{""})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := NewBundle(v.Public(), 1, loadRSA1(t), host)
	if err != nil {
		t.Fatal(err)
	}
	for want, x := range map[string]any{redactedVolume: v, redactedHost: host, redactedBundle: bundle} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			if got := fmt.Sprintf(verb, x); got != want {
				t.Errorf("%s: got %q, want %q", verb, got, want)
			}
		}
		if got, err := json.Marshal(x); err != nil || string(got) != `"`+want+`"` {
			t.Errorf("JSON: got %s, %v, want %q", got, err, want)
		}
		if got := fmt.Sprint(x); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSealHPKE(t *testing.T) {
	v := newVolume(t)
	enc, sealed, err := v.Public().SealHPKE("info", []byte("aad"), []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if len(enc) != 32 || len(sealed) != len("plain")+gcmTag {
		t.Errorf("enc has %d bytes, sealed %d", len(enc), len(sealed))
	}
	if got, err := v.OpenHPKE(enc, "info", []byte("aad"), sealed); err != nil || string(got) != "plain" {
		t.Errorf("got %q, %v", got, err)
	}
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[3] ^= 1; return b }
	for name, open := range map[string]func() ([]byte, error){
		"other info":   func() ([]byte, error) { return v.OpenHPKE(enc, "other", []byte("aad"), sealed) },
		"other aad":    func() ([]byte, error) { return v.OpenHPKE(enc, "info", nil, sealed) },
		"other enc":    func() ([]byte, error) { return v.OpenHPKE(flip(enc), "info", []byte("aad"), sealed) },
		"zero enc":     func() ([]byte, error) { return v.OpenHPKE(make([]byte, 32), "info", []byte("aad"), sealed) },
		"short enc":    func() ([]byte, error) { return v.OpenHPKE(enc[:31], "info", []byte("aad"), sealed) },
		"damaged":      func() ([]byte, error) { return v.OpenHPKE(enc, "info", []byte("aad"), flip(sealed)) },
		"nothing":      func() ([]byte, error) { return v.OpenHPKE(nil, "info", []byte("aad"), nil) },
		"other volume": func() ([]byte, error) { return newVolume(t).OpenHPKE(enc, "info", []byte("aad"), sealed) },
	} {
		if got, err := open(); !errors.Is(err, ErrUnwrap) || got != nil {
			t.Errorf("%s: got %q, %v, want ErrUnwrap", name, got, err)
		}
	}
	for name, public := range map[string][]byte{"short": make([]byte, 31), "none": nil, "low order": make([]byte, 32)} {
		if _, _, err := (&VolumePublic{HPKE: public}).SealHPKE("", nil, nil); err == nil {
			t.Errorf("sealed to a public key that is %s", name)
		}
	}
}

func TestVolumeWrapLocal(t *testing.T) {
	v := newVolume(t)
	secret := bytes.Repeat([]byte{5}, 32)
	blob, err := v.WrapLocal(secret)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := LocalVolume(blob); !ok || id != v.ID() {
		t.Errorf("blob names %v, %v, want %v", id, ok, v.ID())
	}
	if got, err := v.UnwrapLocal(blob); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("got %x, %v", got, err)
	}
	again, err := v.WrapLocal(secret)
	if err != nil || bytes.Equal(again, blob) {
		t.Errorf("the nonce is not fresh, %v", err)
	}
	for i := range blob {
		damaged := bytes.Clone(blob)
		damaged[i] ^= 0x80
		if _, err := v.UnwrapLocal(damaged); !errors.Is(err, ErrUnwrap) {
			t.Errorf("byte %d changed: got %v, want ErrUnwrap", i, err)
		}
	}
	for n := range blob {
		if _, err := v.UnwrapLocal(blob[:n]); !errors.Is(err, ErrUnwrap) {
			t.Errorf("first %d bytes: got %v, want ErrUnwrap", n, err)
		}
	}
	if _, err := newVolume(t).UnwrapLocal(blob); !errors.Is(err, ErrUnwrap) {
		t.Errorf("other volume: got %v, want ErrUnwrap", err)
	}
	for name, secret := range map[string][]byte{"nothing": nil, "too much": make([]byte, maxLocal+1)} {
		if _, err := v.WrapLocal(secret); err == nil {
			t.Errorf("wrapped %s", name)
		}
	}
}
