package cipher

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
)

func TestParseEnvelopeErrors(t *testing.T) {
	blob := base64.StdEncoding.EncodeToString(make([]byte, 256))
	current := map[string]string{currentKey: blob, currentStart: blob, currentCEK: cekCTR, currentWrap: wrapPKCS1}
	legacy := map[string]string{legacyKey: blob, legacyStart: blob, legacyCEK: cekGCM, legacyWrap: wrapRSA}
	with := func(base map[string]string, name, value string) map[string]string {
		m := maps.Clone(base)
		if m[name] = value; value == "" {
			delete(m, name)
		}
		return m
	}
	for name, c := range map[string]struct {
		headers map[string]string
		want    error
		says    string
	}{
		"nothing":               {nil, ErrPlain, ""},
		"other metadata":        {map[string]string{"x-oss-meta-author": "me", "etag": "x"}, ErrPlain, ""},
		"informational only":    {map[string]string{legacyLength: "5", legacyMD5: "x"}, ErrPlain, ""},
		"current without key":   {with(current, currentKey, ""), ErrPartial, currentKey},
		"current without start": {with(current, currentStart, ""), ErrPartial, currentStart},
		"legacy without key":    {with(legacy, legacyKey, ""), ErrPartial, legacyKey},
		"legacy without start":  {with(legacy, legacyStart, ""), ErrPartial, legacyStart},
		"only cek-alg":          {map[string]string{legacyCEK: cekGCM}, ErrPartial, "missing"},
		"only data-size":        {map[string]string{currentDataSize: "5"}, ErrPartial, "missing"},
		"current cek":           {with(current, currentCEK, "AES/ECB"), ErrUnknownCEK, "AES/ECB"},
		"current in GCM":        {with(current, currentCEK, cekGCM), ErrUnknownCEK, "GCM"},
		"legacy cek":            {with(legacy, legacyCEK, "SM4"), ErrUnknownCEK, "SM4"},
		"current wrap":          {with(current, currentWrap, "RSA/NONE/OTHER"), ErrUnknownWrap, "OTHER"},
		"current wrap rsa":      {with(current, currentWrap, "rsa"), ErrUnknownWrap, "rsa"},
		"legacy wrap":           {with(legacy, legacyWrap, "vault"), ErrUnknownWrap, "vault"},
		"current base64":        {with(current, currentKey, "***"), ErrMalformed, currentKey},
		"legacy base64":         {with(legacy, legacyStart, "***"), ErrMalformed, legacyStart},
		"twice":                 {with(current, strings.ToUpper(currentKey), "AAAA"), ErrMalformed, "twice"},
		"huge":                  {with(current, currentKey, strings.Repeat("A", 9000)), ErrMalformed, "9000"},
	} {
		_, err := ParseEnvelope(c.headers)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v naming %q", name, err, c.want, c.says)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	rsa1, rsa2, kms := testRSA(t, "rsa1", nil), testRSA(t, "rsa2", nil), newFakeKMS()
	public := publicOnly(t, rsa1)
	down := &fakeKMS{fail: keys.ErrKMSUnreachable}
	_, ofRSA := wrapped(t, rsa1, EnvelopeOptions{Dialect: Current})
	_, ofKMS := wrapped(t, kms, EnvelopeOptions{})
	damaged := maps.Clone(ofRSA)
	damaged[currentStart] = base64.StdEncoding.EncodeToString(make([]byte, 256))
	short := maps.Clone(ofRSA)
	short[currentKey] = "AAAA"
	for name, c := range map[string]struct {
		headers map[string]string
		ring    *keys.Keyring
		want    error
	}{
		"wrong RSA key":     {ofRSA, keys.NewKeyring(rsa2), ErrCannotOpen},
		"damaged wrap":      {damaged, keys.NewKeyring(rsa1), ErrCannotOpen},
		"short wrap":        {short, keys.NewKeyring(rsa1), ErrCannotOpen},
		"wrong KMS key":     {ofKMS, keys.NewKeyring(newFakeKMS()), ErrCannotOpen},
		"RSA only":          {ofKMS, keys.NewKeyring(rsa1), ErrNoKey},
		"KMS only":          {ofRSA, keys.NewKeyring(kms), ErrNoKey},
		"public key only":   {ofRSA, keys.NewKeyring(public), keys.ErrPublicOnly},
		"no ring":           {ofRSA, nil, ErrNoKey},
		"KMS down":          {ofKMS, keys.NewKeyring(down), keys.ErrKMSUnreachable},
		"one down, one not": {ofKMS, keys.NewKeyring(down, newFakeKMS()), keys.ErrKMSUnreachable},
	} {
		e, err := ParseEnvelope(c.headers)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Open(t.Context(), c.ring)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if c.want == ErrCannotOpen && err != ErrCannotOpen { //nolint:errorlint // it says nothing more
			t.Errorf("%s: %v tells more than ErrCannotOpen", name, err)
		}
		if errors.Is(err, ErrCannotOpen) && c.want != ErrCannotOpen {
			t.Errorf("%s: blames the object", name)
		}
	}
}

func TestKMSThatIsDownIsAskedOnce(t *testing.T) {
	down := &fakeKMS{fail: keys.ErrKMSUnreachable}
	_, headers := wrapped(t, newFakeKMS(), EnvelopeOptions{})
	e, err := ParseEnvelope(headers)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Open(t.Context(), keys.NewKeyring(down)); !errors.Is(err, keys.ErrKMSUnreachable) || len(down.calls) != 2 {
		t.Errorf("got %v after %d calls, want 2: key and start of one dialect", err, len(down.calls))
	}
}

// publicOnly is the public half of a key.
func publicOnly(t *testing.T, k *keys.RSA) *keys.RSA {
	t.Helper()
	text, err := k.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	public, err := keys.ParseRSA(text, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestOpenEndsWithContext(t *testing.T) {
	kms := &fakeKMS{fail: context.Canceled, texts: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, headers := wrapped(t, newFakeKMS(), EnvelopeOptions{})
	e, err := ParseEnvelope(headers)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Open(ctx, keys.NewKeyring(kms)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestMatDescChoosesTheKey(t *testing.T) {
	var masters []keys.MasterKey
	for i, name := range []string{"rsa2", "rsa2", "rsa1"} {
		masters = append(masters, &bothUnwrapped{RSA: testRSA(t, name, map[string]string{"n": fmt.Sprint(i)})})
	}
	_, headers := wrapped(t, masters[2], EnvelopeOptions{Dialect: Current})
	headers[currentMatDesc] = `{ "n" : "2" }` // Python's spaces and more
	e, err := ParseEnvelope(headers)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Open(t.Context(), keys.NewKeyring(masters[0], masters[1:]...)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int32{0, 0, 1} {
		if got := masters[i].(*bothUnwrapped).key.Load(); got != want {
			t.Errorf("key %d was tried %d times, want %d", i, got, want)
		}
	}
}

func TestLegacyMatDescIsReadUnderBothNames(t *testing.T) {
	_, headers := wrapped(t, testRSA(t, "rsa1", nil), EnvelopeOptions{Dialect: Legacy})
	for _, name := range []string{"x-oss-meta-oss-crypto-matdesc", "x-oss-meta-oss-matdesc"} {
		with := maps.Clone(headers)
		with[name] = `{"k": "v"}`
		e, err := ParseEnvelope(with)
		if err != nil || e.sets[0].matdesc["k"] != "v" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPKCS1IsNoOracle: whatever the damage, both headers are unwrapped and the answer is the same.
func TestPKCS1IsNoOracle(t *testing.T) {
	base := testRSA(t, "rsa1", nil)
	_, headers := wrapped(t, base, EnvelopeOptions{Dialect: Current})
	random := make([]byte, base.WrappedSize(keys.PKCS1, 0))
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	random[0] = 0
	padded, err := base.Wrap(t.Context(), keys.PKCS1, []byte("right padding, wrong length"))
	if err != nil {
		t.Fatal(err)
	}
	for name, blob := range map[string][]byte{"random": random, "short": {1, 2, 3}, "wrong length inside": padded} {
		for _, header := range []string{currentKey, currentStart} {
			bad := maps.Clone(headers)
			bad[header] = base64.StdEncoding.EncodeToString(blob)
			e, err := ParseEnvelope(bad)
			if err != nil {
				t.Fatal(err)
			}
			var both bothUnwrapped
			both.RSA = base
			k, err := e.Open(t.Context(), keys.NewKeyring(&both))
			if both.key.Load() != 1 || both.start.Load() != 1 {
				t.Errorf("%s in %s: unwrapped key %d and start %d times", name, header, both.key.Load(), both.start.Load())
			}
			// A random key under a right IV cannot be told from a right one: only content shows it.
			if header == currentKey && name != "short" {
				if err != nil || k == nil {
					t.Errorf("%s in %s: got %v, want a key that opens to noise", name, header, err)
				}
				continue
			}
			if err != ErrCannotOpen { //nolint:errorlint // it says nothing more
				t.Errorf("%s in %s: got %v, want ErrCannotOpen", name, header, err)
			}
		}
	}
}
