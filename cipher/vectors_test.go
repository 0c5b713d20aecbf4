package cipher

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
)

const vectorsDir = "../test/vectors"

// vector is one object as an SDK wrote it; README.md beside them has the fields.
type vector struct {
	Name       string            `json:"name"`
	Dialect    string            `json:"dialect"`
	Headers    map[string]string `json:"response_headers"`
	RSAKey     json.RawMessage   `json:"rsa_key"`
	MatDesc    map[string]string `json:"mat_desc"`
	Passphrase *string           `json:"kms_passphrase"`
	KMSMap     map[string]struct {
		Plaintext         string
		EncryptionContext string
	} `json:"kms_map"`
	Decrypted struct {
		Key     string `json:"data_key_b64"`
		Counter string `json:"counter_initial_hex"`
	} `json:"decrypted"`
	DataKey         string `json:"data_key_b64"` // synthetic
	PlaintextB64    string `json:"plaintext_b64"`
	PlaintextDesc   string `json:"plaintext_desc"`
	PlaintextSHA256 string `json:"plaintext_sha256"`
	CiphertextB64   string `json:"ciphertext_b64"`
	CiphertextFile  string `json:"ciphertext_file"`
}

// loadVectors reads all vectors of a folder.
func loadVectors(t *testing.T, pattern string) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectorsDir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors %s: %v", pattern, err)
	}
	var all []vector
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, v)
	}
	return all
}

// ciphertext returns the object's body.
func (v *vector) ciphertext(t *testing.T) []byte {
	t.Helper()
	if v.CiphertextFile != "" {
		b, err := os.ReadFile(filepath.Join(vectorsDir, v.CiphertextFile))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b, err := base64.StdEncoding.DecodeString(v.CiphertextB64)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keyring holds the key that the vector was written with.
func (v *vector) keyring(t *testing.T) *keys.Keyring {
	t.Helper()
	var master []keys.MasterKey
	if file, passphrase := v.rsaFile(t); file != "" {
		source := func() ([]byte, error) { return []byte(passphrase), nil }
		k, err := keys.LoadRSA(filepath.Join(vectorsDir, file), source, nil)
		if err != nil {
			t.Fatal(err)
		}
		master = append(master, k)
	}
	if len(v.KMSMap) > 0 {
		fake := newFakeKMS()
		for blob, entry := range v.KMSMap {
			fake.texts[blob] = entry.Plaintext
		}
		master = append(master, fake)
	}
	return keys.NewKeyring(nil, master...)
}

// rsaFile is the private key's path below the vectors, and its passphrase.
func (v *vector) rsaFile(t *testing.T) (file, passphrase string) {
	t.Helper()
	if len(v.RSAKey) == 0 || string(v.RSAKey) == "null" {
		return "", ""
	}
	if v.RSAKey[0] == '"' {
		return "keys/rsa1.private.pkcs1.pem", ""
	}
	var k struct{ Dir, Private, Passphrase string }
	if err := json.Unmarshal(v.RSAKey, &k); err != nil {
		t.Fatal(err)
	}
	if k.Dir != "" {
		return k.Dir, k.Passphrase // the folder, as LocalRsaProvider has it
	}
	return k.Private, k.Passphrase
}

// openedRight opens a vector and compares key, counter and content, whole and in ranges.
func openedRight(t *testing.T, v *vector) {
	t.Helper()
	e, err := ParseEnvelope(v.Headers)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	k, err := e.Open(t.Context(), v.keyring(t))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if v.DataKey != "" {
		v.Decrypted.Key = v.DataKey
	}
	if got := base64.StdEncoding.EncodeToString(k.key[:]); got != v.Decrypted.Key {
		t.Fatalf("got another key")
	}
	if got := hex.EncodeToString(k.iv[:]); v.Decrypted.Counter != "" && got != v.Decrypted.Counter {
		t.Fatalf("got counter %s, want %s", got, v.Decrypted.Counter)
	}
	sealed := v.ciphertext(t)
	plain := make([]byte, len(sealed))
	k.XORKeyStreamAt(plain, sealed, 0)
	if sum := sha256.Sum256(plain); hex.EncodeToString(sum[:]) != v.PlaintextSHA256 {
		t.Fatal("content opened wrong")
	}
	if text := v.Headers["x-oss-hash-crc64ecma"]; text != "" {
		want, err := strconv.ParseUint(text, 10, 64)
		if err != nil || CRC64(0, sealed) != want {
			t.Errorf("got CRC %d, want %s", CRC64(0, sealed), text)
		}
	}
	n := int64(len(sealed))
	for _, r := range [][2]int64{{0, 1}, {1, 17}, {15, 16}, {16, 48}, {17, 4000}, {n / 2, n}, {n - 1, n}, {102400, 102416}, {65535, 65537}} {
		from, to := max(r[0], 0), min(r[1], n)
		if from >= to {
			continue
		}
		got := make([]byte, to-from)
		k.XORKeyStreamAt(got, sealed[from:to], from)
		if !bytes.Equal(got, plain[from:to]) {
			t.Errorf("range %d-%d opened wrong", from, to)
		}
	}
}

func TestVectorsOfSDKsOpen(t *testing.T) {
	vectors := append(loadVectors(t, "current-*.json"), loadVectors(t, "legacy-*.json")...)
	if len(vectors) < 52 {
		t.Fatalf("got %d vectors, some are missing", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) { openedRight(t, &v) })
	}
}

func TestVectorsSyntheticOpen(t *testing.T) {
	for _, v := range loadVectors(t, "synthetic/*.json") {
		t.Run(v.Name, func(t *testing.T) {
			if v.Name != "cur-iv-mid-nonzero" {
				openedRight(t, &v)
				return
			}
			// A PKCS#1 wrap is judged by IV bytes 8 to 11 alone (TRUST.md), and no SDK writes others than zero.
			e, err := ParseEnvelope(v.Headers)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Open(t.Context(), v.keyring(t)); !errors.Is(err, ErrCannotOpen) {
				t.Errorf("got %v, want ErrCannotOpen", err)
			}
		})
	}
}

func TestVectorPlainIsPlain(t *testing.T) {
	for _, v := range loadVectors(t, "plain-*.json") {
		if _, err := ParseEnvelope(v.Headers); !errors.Is(err, ErrPlain) {
			t.Errorf("%s: got %v, want ErrPlain", v.Name, err)
		}
	}
}

func TestVectorsOpenWithHeadersInAnyCase(t *testing.T) {
	for _, v := range loadVectors(t, "*-rsa-17.json") {
		upper := map[string]string{}
		for name, value := range v.Headers {
			upper[strings.ToUpper(name)] = value
		}
		v.Headers = upper
		openedRight(t, &v)
	}
}

func TestVectorsWithAnotherKeyCannotBeOpened(t *testing.T) {
	other, err := keys.LoadRSA(filepath.Join(vectorsDir, "keys/rsa2.private.pkcs1.pem"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"legacy-py-rsa-17", "current-go1-rsa-17", "current-py-localrsa-oaep-17", "synthetic/dual-rsa"} {
		v := loadVectors(t, name+".json")[0]
		e, err := ParseEnvelope(v.Headers)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Open(t.Context(), keys.NewKeyring(other)); err != ErrCannotOpen { //nolint:errorlint // not a word more
			t.Errorf("%s: got %v, want ErrCannotOpen itself", name, err)
		}
		ring := keys.NewKeyring(other, v.keyring(t).All()...)
		if _, err := e.Open(t.Context(), ring); err != nil {
			t.Errorf("%s: right key among others: %v", name, err)
		}
	}
}
