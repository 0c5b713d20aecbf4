package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRSARoundTrip(t *testing.T) {
	k := loadRSA1(t)
	secret := []byte("0123456789abcdef0123456789abcdef")
	for _, s := range []Scheme{OAEP, PKCS1} {
		blob, err := k.Wrap(t.Context(), s, secret)
		if err != nil {
			t.Fatal(err)
		}
		if len(blob) != k.WrappedSize(s, len(secret)) {
			t.Errorf("%v: %d bytes, WrappedSize says %d", s, len(blob), k.WrappedSize(s, len(secret)))
		}
		if got, err := k.Unwrap(t.Context(), s, blob, len(secret)); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%v: got %q, %v", s, got, err)
		}
	}
	if _, err := k.Wrap(t.Context(), KMSText, secret); !errors.Is(err, ErrScheme) {
		t.Errorf("KMS scheme: got %v", err)
	}
	if _, err := k.Unwrap(t.Context(), KMSText, secret, 0); !errors.Is(err, ErrScheme) {
		t.Errorf("KMS scheme: got %v", err)
	}
	if _, err := k.Wrap(t.Context(), OAEP, make([]byte, 500)); err == nil {
		t.Error("500 bytes fit into RSA-2048")
	}
}

func TestRSAWrongKeyAndDamageLookAlike(t *testing.T) {
	k := loadRSA1(t)
	other, err := LoadRSA(filepath.Join(vectorKeys, "rsa2.private.pkcs1.pem"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	oaep, err := k.Wrap(t.Context(), OAEP, secret)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(oaep)
	damaged[100] ^= 1
	for name, try := range map[string]func() error{
		"wrong key": func() error { _, err := other.Unwrap(t.Context(), OAEP, oaep, 32); return err },
		"damaged":   func() error { _, err := k.Unwrap(t.Context(), OAEP, damaged, 32); return err },
		"short":     func() error { _, err := k.Unwrap(t.Context(), OAEP, oaep[:9], 32); return err },
		"PKCS1":     func() error { _, err := k.Unwrap(t.Context(), PKCS1, oaep[:9], 32); return err },
	} {
		if err := try(); err != ErrUnwrap { //nolint:errorlint // not a word more
			t.Errorf("%s: got %v, want ErrUnwrap itself", name, err)
		}
	}
	// PKCS#1 with a wrong key or padding: random bytes of the right length, others each time.
	seen := map[string]bool{}
	for range 3 {
		got, err := k.Unwrap(t.Context(), PKCS1, damaged, 16)
		if err != nil || len(got) != 16 {
			t.Fatalf("got %x, %v", got, err)
		}
		seen[string(got)] = true
	}
	if len(seen) != 3 {
		t.Error("the answer to wrong padding is not random")
	}
}

func TestRSALocalKey(t *testing.T) {
	k := loadRSA1(t)
	secret := bytes.Repeat([]byte{9}, 32)
	blob, err := k.WrapLocal(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.UnwrapLocal(t.Context(), blob); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("got %x, %v", got, err)
	}
	if _, err := k.Unwrap(t.Context(), OAEP, blob, 32); !errors.Is(err, ErrUnwrap) {
		t.Error("a local wrap passes as an object's")
	}
	ofObject, err := k.Wrap(t.Context(), OAEP, secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.UnwrapLocal(t.Context(), ofObject); !errors.Is(err, ErrUnwrap) {
		t.Error("an object's wrap passes as local")
	}
}

func TestPublicKeyOnlyWraps(t *testing.T) {
	public, err := LoadRSA(vectorKeys+"/rsa1.public.spki.pem", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := public.Wrap(t.Context(), OAEP, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := loadRSA1(t).Unwrap(t.Context(), OAEP, blob, 0); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	_, err1 := public.Unwrap(t.Context(), OAEP, blob, 0)
	_, err2 := public.UnwrapLocal(t.Context(), blob)
	_, err3 := public.MarshalPrivate(nil)
	for _, err := range []error{err1, err2, err3, public.WritePrivate(filepath.Join(t.TempDir(), "k"), nil)} {
		if !errors.Is(err, ErrPublicOnly) {
			t.Errorf("got %v, want ErrPublicOnly", err)
		}
	}
}

func TestRSANeverPrints(t *testing.T) {
	k := loadRSA1(t)
	secret := k.private.D.String()[:20]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		if p := fmt.Sprintf(verb, k); strings.Contains(p, secret) || !strings.Contains(p, "rsa2048:") {
			t.Errorf("%s prints %q", verb, p)
		}
	}
}

func TestGenerateAndWrite(t *testing.T) {
	k, err := GenerateRSA(2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, passphrase := range []string{"", "a long passphrase"} {
		name := filepath.Join(dir, "k"+passphrase)
		if err := k.WritePrivate(name+privateSuffix, []byte(passphrase)); err != nil {
			t.Fatal(err)
		}
		if err := k.WritePublic(name + publicSuffix); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name + privateSuffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		text, err := os.ReadFile(name + privateSuffix)
		if err != nil || bytes.Contains(text, []byte("Proc-Type: 4,ENCRYPTED")) != (passphrase != "") {
			t.Errorf("passphrase %q: %v\n%.60s", passphrase, err, text)
		}
		back, err := LoadRSA(name, given(passphrase), nil)
		if err != nil || back.ID() != k.ID() || !back.CanUnwrap() {
			t.Errorf("got %v, %v", back, err)
		}
		if err := k.WritePrivate(name+privateSuffix, nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("overwriting: got %v, want fs.ErrExist", err)
		}
	}
	for _, bits := range []int{0, 1024, 8192} {
		if _, err := GenerateRSA(bits, nil); !errors.Is(err, ErrBadKey) {
			t.Errorf("%d bits: got %v", bits, err)
		}
	}
	if _, err := NewRSA(nil, nil); !errors.Is(err, ErrBadKey) {
		t.Errorf("nil key: %v", err)
	}
}

func TestKeyringCandidates(t *testing.T) {
	load := func(file string, desc map[string]string) *RSA {
		k, err := LoadRSA(filepath.Join(vectorKeys, file), nil, desc)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	a := load("rsa1.private.pkcs1.pem", nil)
	b := load("rsa2.private.pkcs1.pem", map[string]string{"n": "b"})
	public := load("rsa2.public.spki.pem", map[string]string{"n": "b"})
	r := NewKeyring(a, nil, public, b)
	if r.Primary() != MasterKey(a) || len(r.All()) != 3 {
		t.Fatalf("primary %v of %v", r.Primary(), r.All())
	}
	for name, c := range map[string]struct {
		desc map[string]string
		want []MasterKey
	}{
		"none": {nil, []MasterKey{a, b}}, "empty": {map[string]string{}, []MasterKey{a, b}},
		"b's": {map[string]string{"n": "b"}, []MasterKey{b, a}}, "unknown": {map[string]string{"x": "y"}, []MasterKey{a, b}},
	} {
		if got := r.Candidates(OAEP, c.desc); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if len(r.Candidates(KMSText, nil)) != 0 || r.Supports(KMSText) || !r.Supports(PKCS1) {
		t.Error("an RSA ring offers KMS")
	}
}
