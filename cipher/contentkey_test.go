package cipher

import (
	"bytes"
	"crypto/aes"
	stdcipher "crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// mustKey draws a content key.
func mustKey(t testing.TB) *ContentKey {
	t.Helper()
	k, err := NewContentKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestIVBoundsGive36Digits(t *testing.T) {
	exp := func(n int64) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil) }
	iv := func(high uint64, low uint32) *big.Int {
		n := new(big.Int).Lsh(new(big.Int).SetUint64(high), 64)
		return n.Add(n, big.NewInt(int64(low)))
	}
	for _, c := range []struct {
		name string
		iv   *big.Int
		ok   bool
	}{
		{"smallest", iv(minIVHigh, 0), true}, {"largest", iv(maxIVHigh, 1<<32-1), true},
		{"below", iv(minIVHigh-1, 1<<32-1), false}, {"above", iv(maxIVHigh+1, 0), false},
	} {
		if got := c.iv.Cmp(exp(35)) >= 0 && c.iv.Cmp(exp(36)) < 0; got != c.ok {
			t.Errorf("%s IV has 36 digits: %v, want %v", c.name, got, c.ok)
		}
	}
}

func TestNewContentKeyIV(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		k := mustKey(t)
		if !bytes.Equal(k.iv[8:12], make([]byte, 4)) {
			t.Fatalf("IV bytes 8 to 11 are %x, want zeros", k.iv[8:12])
		}
		text := decimal(k.iv)
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(text) != 36 || base64.StdEncoding.EncodeToString(raw) != text {
			t.Fatalf("start %q of %d digits is not canonical base64: %v", text, len(text), err)
		}
		back, err := parseDecimal(text)
		if err != nil || back != k.iv {
			t.Fatalf("start %q reads as %x: %v", text, back, err)
		}
		seen[string(k.key[:])] = true
	}
	if len(seen) != 2000 {
		t.Error("keys repeat")
	}
}

func TestContentKeyNeverPrints(t *testing.T) {
	k := mustKey(t)
	secret := hex.EncodeToString(k.key[:8])
	asList := strings.Trim(fmt.Sprint(k.key[:8]), "[]")
	text, err := json.Marshal(struct{ K *ContentKey }{k})
	if err != nil {
		t.Fatal(err)
	}
	prints := []string{string(text), fmt.Sprint(k)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%d", "%s", "%q"} {
		prints = append(prints, fmt.Sprintf(verb, k), fmt.Sprintf(verb, struct{ K *ContentKey }{k}))
	}
	for _, p := range prints {
		if strings.Contains(strings.ToLower(p), secret) || strings.Contains(p, asList) {
			t.Errorf("printed %q", p)
		}
	}
}

func TestContentKeyMarshal(t *testing.T) {
	k := mustKey(t)
	secret := k.MarshalSecret()
	if len(secret) != SecretSize {
		t.Fatalf("got %d bytes, want %d", len(secret), SecretSize)
	}
	back, err := UnmarshalContentKey(secret)
	if err != nil || !back.Equal(k) {
		t.Fatalf("got another key: %v", err)
	}
	if _, err := NewSealingUnder(back); !errors.Is(err, ErrKeyUsed) {
		t.Errorf("imported key seals: %v, want ErrKeyUsed", err)
	}
	for _, n := range []int{0, 47, 49} {
		if _, err := UnmarshalContentKey(make([]byte, n)); err == nil {
			t.Errorf("%d bytes are a key", n)
		}
	}
	if k.Equal(mustKey(t)) || k.Equal(nil) {
		t.Error("different keys are equal")
	}
}

func TestSubkeysDiffer(t *testing.T) {
	k := mustKey(t)
	a, b := k.Subkey("a"), k.Subkey("b")
	if len(a) != 32 || bytes.Equal(a, b) || bytes.Equal(a, mustKey(t).Subkey("a")) || !bytes.Equal(a, k.Subkey("a")) {
		t.Error("subkeys do not depend on key and info alone")
	}
}

// reference encrypts by the definition: block i is XORed with AES(iv + i mod 2^128).
func reference(t *testing.T, k *ContentKey, plain []byte, off int64) []byte {
	t.Helper()
	block, err := aes.NewCipher(k.key[:])
	if err != nil {
		t.Fatal(err)
	}
	modulus := new(big.Int).Lsh(big.NewInt(1), 128)
	out := make([]byte, len(plain))
	var pad [16]byte
	for i := range plain {
		at := off + int64(i)
		if i == 0 || at%16 == 0 {
			n := new(big.Int).SetBytes(k.iv[:])
			n.Add(n, big.NewInt(at/16)).Mod(n, modulus)
			n.FillBytes(pad[:])
			block.Encrypt(pad[:], pad[:])
		}
		out[i] = plain[i] ^ pad[at%16]
	}
	return out
}

func TestStreamAtAnyOffset(t *testing.T) {
	ivs := map[string]string{
		"low carry":  "00112233445566770000000000000000",
		"64-bit end": "0011223344556677fffffffffffffffe",
		"128 bits":   "fffffffffffffffffffffffffffffffd",
		"zero":       "00000000000000000000000000000000",
	}
	plain := bytes.Repeat([]byte("ossencfs"), 40)
	for name, text := range ivs {
		iv, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		k, err := newContentKey(bytes.Repeat([]byte{7}, KeySize), iv)
		if err != nil {
			t.Fatal(err)
		}
		for _, off := range []int64{0, 1, 15, 16, 17, 31, 32, 33, 47, 1 << 20, 1<<40 + 5, 1<<63 - 400} {
			for _, n := range []int{0, 1, 15, 16, 17, 33, 320} {
				got := make([]byte, n)
				k.XORKeyStreamAt(got, plain[:n], off)
				if want := reference(t, k, plain[:n], off); !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes at %d: got %x, want %x", name, n, off, got, want)
				}
			}
		}
	}
}

func TestStreamInParallelIsTheSame(t *testing.T) {
	k := mustKey(t)
	for _, n := range []int{2 * parallelPiece, 2*parallelPiece + 1, 5*parallelPiece - 7} {
		plain := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, n/7+1)[:n]
		for _, off := range []int64{0, 3, 16, 1<<20 + 9} {
			got := bytes.Clone(plain)
			k.XORKeyStreamAt(got, got, off)
			counter := addCounter(k.iv, uint64(off/16))
			stream := stdcipher.NewCTR(k.block, counter[:])
			skip := make([]byte, off%16)
			stream.XORKeyStream(skip, skip)
			want := make([]byte, n)
			stream.XORKeyStream(want, plain)
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes at %d differ", n, off)
			}
		}
	}
}

func BenchmarkXORKeyStreamAt(b *testing.B) {
	k := mustKey(b)
	for _, n := range []int{4 << 10, 128 << 10, 4 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				k.XORKeyStreamAt(buf, buf, 4099)
			}
		})
	}
}
