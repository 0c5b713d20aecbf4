package cipher

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	osscrypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"

	"github.com/ossencfs/ossencfs/keys"
)

// The header names of FORMAT.md, written out: a slip in a constant must not slip through.
var (
	legacyNames = []string{
		"x-oss-meta-oss-crypto-key", "x-oss-meta-oss-crypto-start", "x-oss-meta-oss-cek-alg", "x-oss-meta-oss-wrap-alg",
	}
	currentNames = []string{
		"x-oss-meta-client-side-encryption-key", "x-oss-meta-client-side-encryption-start",
		"x-oss-meta-client-side-encryption-cek-alg", "x-oss-meta-client-side-encryption-wrap-alg",
	}
	partNames = []string{"x-oss-meta-client-side-encryption-data-size", "x-oss-meta-client-side-encryption-part-size"}
)

// wrapped wraps a fresh key.
func wrapped(t *testing.T, master keys.MasterKey, o EnvelopeOptions) (*ContentKey, map[string]string) {
	t.Helper()
	k := mustKey(t)
	headers, err := WrapEnvelope(t.Context(), keys.NewKeyring(master), k, o)
	if err != nil {
		t.Fatal(err)
	}
	return k, headers
}

// opensTo checks that an envelope opens to a key.
func opensTo(t *testing.T, headers map[string]string, master keys.MasterKey, want *ContentKey) {
	t.Helper()
	e, err := ParseEnvelope(headers)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Open(t.Context(), keys.NewKeyring(master))
	if err != nil || !got.Equal(want) {
		t.Errorf("opened another key or none: %v", err)
	}
}

func TestWrapEveryDialectAndScheme(t *testing.T) {
	desc := map[string]string{"b": "2", "a": "1"}
	for _, d := range []Dialect{Both, Current, Legacy, ""} {
		for _, parts := range []bool{false, true} {
			for name, master := range map[string]keys.MasterKey{
				"RSA": testRSA(t, "rsa1", nil), "RSA with matdesc": testRSA(t, "rsa1", desc), "KMS": newFakeKMS(),
				"KMS with passphrase": &fakeKMS{bound: true, texts: map[string]string{}},
			} {
				o := EnvelopeOptions{Dialect: d, Size: 1000}
				if parts {
					o.PartSize = 102400
				}
				k, headers := wrapped(t, master, o)
				opensTo(t, headers, master, k)
				var want []string
				if d != Current {
					want = append(want, legacyNames...)
				}
				if d != Legacy {
					want = append(want, currentNames...)
					if parts {
						want = append(want, partNames...)
					}
					if master.MatDesc() != nil {
						want = append(want, "x-oss-meta-client-side-encryption-matdesc")
					}
				}
				slices.Sort(want)
				if got := slices.Sorted(maps.Keys(headers)); !slices.Equal(got, want) {
					t.Errorf("%q %s: got headers %v, want %v", d, name, got, want)
				}
				size, err := EnvelopeSize(master, d)
				if real := HeadersSize(headers); err != nil || real > size || real < size-120 {
					t.Errorf("%q %s: EnvelopeSize %d, %v, headers have %d", d, name, size, err, real)
				}
			}
		}
	}
}

func TestEachSetOfBothOpensAlone(t *testing.T) {
	for name, master := range map[string]keys.MasterKey{
		"RSA": testRSA(t, "rsa1", nil), "KMS": newFakeKMS(), "KMS bound": &fakeKMS{bound: true, texts: map[string]string{}},
	} {
		k, headers := wrapped(t, master, EnvelopeOptions{})
		for _, drop := range [][]string{legacyNames, currentNames} {
			rest := maps.Clone(headers)
			for _, n := range drop {
				delete(rest, n)
			}
			t.Run(name+" without "+drop[0], func(t *testing.T) { opensTo(t, rest, master, k) })
		}
	}
}

func TestBrokenSetFallsBackToTheOther(t *testing.T) {
	master := testRSA(t, "rsa1", nil)
	k, headers := wrapped(t, master, EnvelopeOptions{})
	other, err := testRSA(t, "rsa2", nil).Wrap(t.Context(), keys.OAEP, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"x-oss-meta-oss-crypto-key":                  base64.StdEncoding.EncodeToString(other),
		"x-oss-meta-oss-crypto-start":                "",
		"x-oss-meta-oss-wrap-alg":                    "vault",
		"x-oss-meta-client-side-encryption-key":      "%%%",
		"x-oss-meta-client-side-encryption-cek-alg":  "SM4",
		"x-oss-meta-client-side-encryption-matdesc":  "{broken",
		"x-oss-meta-client-side-encryption-wrap-alg": "",
	} {
		broken := maps.Clone(headers)
		broken[name] = value
		t.Run(name, func(t *testing.T) { opensTo(t, broken, master, k) })
	}
}

func TestWrittenValues(t *testing.T) {
	desc := map[string]string{"key2": "v<2>", "key1": "größe 😀"}
	_, headers := wrapped(t, testRSA(t, "rsa1", desc), EnvelopeOptions{Size: 217145, PartSize: 102400})
	for name, want := range map[string]string{
		"x-oss-meta-oss-cek-alg":                      "AES/GCM/NoPadding",
		"x-oss-meta-oss-wrap-alg":                     "rsa",
		"x-oss-meta-client-side-encryption-cek-alg":   "AES/CTR/NoPadding",
		"x-oss-meta-client-side-encryption-wrap-alg":  "RSA/NONE/PKCS1Padding",
		"x-oss-meta-client-side-encryption-data-size": "217145",
		"x-oss-meta-client-side-encryption-part-size": "102400",
		"x-oss-meta-client-side-encryption-matdesc":   `{"key1":"gr\u00f6\u00dfe \ud83d\ude00","key2":"v\u003c2\u003e"}`,
	} {
		if headers[name] != want {
			t.Errorf("%s: got %q, want %q", name, headers[name], want)
		}
	}
	back, err := ParseMatDesc(headers[currentMatDesc])
	if err != nil || !maps.Equal(back, desc) {
		t.Errorf("matdesc reads as %v, %v", back, err)
	}
	_, headers = wrapped(t, newFakeKMS(), EnvelopeOptions{})
	if headers[legacyWrap] != "kms" || headers[currentWrap] != "KMS/ALICLOUD" {
		t.Errorf("wrap-alg %q and %q", headers[legacyWrap], headers[currentWrap])
	}
}

func TestKMSCallsAreFew(t *testing.T) {
	for d, want := range map[Dialect]int{Both: 3, Current: 2, Legacy: 2} {
		f := newFakeKMS()
		k, headers := wrapped(t, f, EnvelopeOptions{Dialect: d})
		if len(f.calls) != want {
			t.Errorf("%s: wrapping took %d calls, want %d", d, len(f.calls), want)
		}
		if d != Current && !slices.Contains(f.calls, "Encrypt "+decimal(k.iv)) {
			t.Errorf("%s: the legacy start was not encrypted as bare decimal", d)
		}
		if d != Legacy && headers[currentKey] == "" || d == Both && headers[currentKey] != headers[legacyKey] {
			t.Errorf("%s: the dialects do not share the key's blob", d)
		}
		f.calls = nil
		opensTo(t, headers, f, k)
		if len(f.calls) != 2 {
			t.Errorf("%s: opening took %d calls, want 2", d, len(f.calls))
		}
		f.calls = nil
		k, prepared, err := PrepareContentKey(t.Context(), keys.NewKeyring(f), d)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.calls) != want || f.calls[0] != "GenerateDataKey" {
			t.Errorf("%s: preparing took %v", d, f.calls)
		}
		opensTo(t, prepared, f, k)
		if _, err := NewSealingUnder(k); err != nil {
			t.Errorf("%s: prepared key does not seal: %v", d, err)
		}
	}
}

func TestPrepareWithRSA(t *testing.T) {
	master := testRSA(t, "rsa1", nil)
	k, headers, err := PrepareContentKey(t.Context(), keys.NewKeyring(master), Both)
	if err != nil {
		t.Fatal(err)
	}
	opensTo(t, headers, master, k)
	if err := AddPartSizes(headers, EnvelopeOptions{Size: 5, PartSize: 160}); err != nil || headers[currentPartSize] != "160" {
		t.Errorf("part size %q, %v", headers[currentPartSize], err)
	}
}

func TestWrapRefusals(t *testing.T) {
	k, ring := mustKey(t), keys.NewKeyring(testRSA(t, "rsa1", nil))
	denied := newFakeKMS()
	denied.fail = keys.ErrKMSDenied
	for name, c := range map[string]struct {
		ring *keys.Keyring
		o    EnvelopeOptions
		want error
	}{
		"no ring":      {nil, EnvelopeOptions{}, ErrNoKey},
		"no primary":   {keys.NewKeyring(nil), EnvelopeOptions{}, ErrNoKey},
		"dialect":      {ring, EnvelopeOptions{Dialect: "old"}, ErrDialect},
		"part size":    {ring, EnvelopeOptions{PartSize: 100}, ErrPartSize},
		"negative":     {ring, EnvelopeOptions{PartSize: -16}, ErrPartSize},
		"size":         {ring, EnvelopeOptions{PartSize: 16, Size: -1}, ErrPartSize},
		"KMS refusing": {keys.NewKeyring(denied), EnvelopeOptions{}, keys.ErrKMSDenied},
	} {
		if _, err := WrapEnvelope(t.Context(), c.ring, k, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, _, err := PrepareContentKey(t.Context(), keys.NewKeyring(denied), Both); !errors.Is(err, keys.ErrKMSDenied) {
		t.Errorf("prepare: got %v", err)
	}
}

// sdkCipher is the official Go SDK's cipher builder for the key rsa1.
func sdkCipher(t *testing.T, desc map[string]string) osscrypto.ContentCipherBuilder {
	t.Helper()
	var text [2]string
	for i, name := range []string{"rsa1.public.spki.pem", "rsa1.private.pkcs1.pem"} {
		b, err := os.ReadFile(filepath.Join(vectorsDir, "keys", name))
		if err != nil {
			t.Fatal(err)
		}
		text[i] = string(b)
	}
	master, err := osscrypto.CreateMasterRsa(desc, text[0], text[1])
	if err != nil {
		t.Fatal(err)
	}
	return osscrypto.CreateAesCtrCipher(master)
}

func TestGoSDKOpensOurs(t *testing.T) {
	desc := map[string]string{"project": "x", "a": "b"}
	builder := sdkCipher(t, desc)
	for _, d := range []Dialect{Both, Current} {
		k, headers := wrapped(t, testRSA(t, "rsa1", desc), EnvelopeOptions{Dialect: d})
		if headers[currentMatDesc] != builder.GetMatDesc() {
			t.Errorf("matdesc %q, the SDK compares it with %q", headers[currentMatDesc], builder.GetMatDesc())
		}
		raw := func(name string) string {
			b, err := base64.StdEncoding.DecodeString(headers[name])
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		cc, err := builder.ContentCipherEnv(osscrypto.Envelope{
			CipherKey: raw(currentKey), IV: raw(currentStart), MatDesc: headers[currentMatDesc],
			WrapAlg: headers[currentWrap], CEKAlg: headers[currentCEK],
		})
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.Repeat("what the mount seals, the SDK reads. ", 5000)
		sealed := make([]byte, len(plain))
		k.XORKeyStreamAt(sealed, []byte(plain), 0)
		reader, err := cc.DecryptContent(strings.NewReader(string(sealed)))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(plain))
		if _, err := io.ReadFull(reader, got); err != nil || string(got) != plain {
			t.Errorf("%s: the SDK reads something else: %v", d, err)
		}
		// A later part, as the SDK seeks.
		cd := cc.GetCipherData().Clone()
		cd.SeekIV(102400)
		part, err := cc.Clone(cd)
		if err != nil {
			t.Fatal(err)
		}
		reader, err = part.DecryptContent(strings.NewReader(string(sealed[102400:])))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(reader, got[102400:]); err != nil || string(got) != plain {
			t.Errorf("%s: the SDK reads a range wrong: %v", d, err)
		}
	}
}

func TestOursOpensGoSDK(t *testing.T) {
	cc, err := sdkCipher(t, nil).ContentCipher()
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.Repeat("what the SDK seals, the mount reads. ", 100)
	reader, err := cc.EncryptContent(strings.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	sealed := make([]byte, len(plain))
	if _, err := io.ReadFull(reader, sealed); err != nil {
		t.Fatal(err)
	}
	cd := cc.GetCipherData()
	e, err := ParseEnvelope(map[string]string{
		"X-Oss-Meta-" + osscrypto.OssClientSideEncryptionKey:     base64.StdEncoding.EncodeToString(cd.EncryptedKey),
		"X-Oss-Meta-" + osscrypto.OssClientSideEncryptionStart:   base64.StdEncoding.EncodeToString(cd.EncryptedIV),
		"X-Oss-Meta-" + osscrypto.OssClientSideEncryptionCekAlg:  cd.CEKAlgorithm,
		"X-Oss-Meta-" + osscrypto.OssClientSideEncryptionWrapAlg: cd.WrapAlgorithm,
	})
	if err != nil {
		t.Fatal(err)
	}
	k, err := e.Open(context.Background(), keys.NewKeyring(nil, testRSA(t, "rsa1", nil)))
	if err != nil {
		t.Fatal(err)
	}
	k.XORKeyStreamAt(sealed, sealed, 0)
	if string(sealed) != plain {
		t.Error("opened something else")
	}
}
