package keys

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	vectorKeys     = "../test/vectors/keys"
	testPassphrase = "test-pass-123"
)

// given is a passphrase source for tests.
func given(s string) Passphrase { return func() ([]byte, error) { return []byte(s), nil } }

// loadRSA1 loads the test key.
func loadRSA1(t testing.TB) *RSA {
	t.Helper()
	k, err := LoadRSA(filepath.Join(vectorKeys, "rsa1.private.pkcs1.pem"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestLoadRSAReadsEveryForm(t *testing.T) {
	want := loadRSA1(t).ID()
	for _, c := range []struct {
		file                 string
		encrypted, canUnwrap bool
	}{
		{vectorKeys + "/rsa1.private.pkcs1.pem", false, true},
		{vectorKeys + "/rsa1.private.pkcs8.pem", false, true},
		{vectorKeys + "/rsa1.private.pkcs1.enc.pem", true, true},
		{vectorKeys + "/rsa1.private.pkcs8.enc.pem", true, true},
		{vectorKeys + "/rsa1.public.spki.pem", false, false},
		{vectorKeys + "/rsa1.public.pkcs1.pem", false, false},
		{vectorKeys + "/oss-local-rsa-nopass", false, true},
		{vectorKeys + "/oss-local-rsa-nopass/", false, true}, // folder with the empty name
		{"testdata/pkcs8-pbkdf2-des3.pem", true, true},
		{"testdata/pkcs8-pbkdf2-sha1-aes192.pem", true, true},
		{"testdata/pkcs8-pbkdf2-sha512-aes128.pem", true, true},
		{"testdata/pkcs8-pycryptodome-default.pem", true, true},
		{"testdata/pkcs8-pycryptodome-scrypt-aes128.pem", true, true},
		{"testdata/pkcs8-scrypt-aes256.pem", true, true},
		{"testdata/traditional-aes128.pem", true, true},
	} {
		t.Run(c.file, func(t *testing.T) {
			asked := 0
			source := func() ([]byte, error) { asked++; return []byte(testPassphrase), nil }
			desc := map[string]string{"a": "b"}
			k, err := LoadRSA(c.file, source, desc)
			if err != nil {
				t.Fatal(err)
			}
			if k.ID() != want || k.CanUnwrap() != c.canUnwrap || k.MatDesc()["a"] != "b" || k.Bits() != 2048 {
				t.Errorf("got %s, can unwrap %v, matdesc %v", k.ID(), k.CanUnwrap(), k.MatDesc())
			}
			if asked != 0 != c.encrypted {
				t.Errorf("asked for the passphrase %d times", asked)
			}
			if !c.encrypted {
				return
			}
			if _, err := LoadRSA(c.file, nil, nil); !errors.Is(err, ErrPassphraseNeeded) {
				t.Errorf("without passphrase: got %v, want ErrPassphraseNeeded", err)
			}
			for i := range 20 { // a wrong one looks right now and then
				if i > 1 && strings.Contains(c.file, "pkcs8") {
					break // slow derivation
				}
				_, err := LoadRSA(c.file, given(fmt.Sprint("wrong", i)), nil)
				if !errors.Is(err, ErrPassphrase) || errors.Is(err, ErrBadKey) {
					t.Errorf("wrong passphrase %d: got %v, want ErrPassphrase", i, err)
				}
			}
			broken := errors.New("no terminal")
			_, err = LoadRSA(c.file, func() ([]byte, error) { return nil, broken }, nil)
			if !errors.Is(err, broken) {
				t.Errorf("failing source: got %v", err)
			}
		})
	}
}

func TestLoadRSAOfPythonFolderWithPassphrase(t *testing.T) {
	dir := vectorKeys + "/oss-local-rsa-pass"
	k, err := LoadRSA(dir, given(testPassphrase), nil)
	if err != nil || !k.CanUnwrap() {
		t.Fatal(err)
	}
	// The SDK encrypts the public key too.
	public, err := LoadRSA(dir+"/.public_key.pem", given(testPassphrase), nil)
	if err != nil || public.CanUnwrap() || public.ID() != k.ID() {
		t.Errorf("public key: %v, %v", public, err)
	}
}

func TestLoadRSAFindsNamesInFolders(t *testing.T) {
	text, err := os.ReadFile(vectorKeys + "/rsa1.private.pkcs1.pem")
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(vectorKeys + "/rsa1.public.spki.pem")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := LoadRSA(dir, nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: got %v", err)
	}
	write("host.public_key.pem", public)
	if k, err := LoadRSA(dir, nil, nil); err != nil || k.CanUnwrap() {
		t.Errorf("public key alone: %v", err)
	}
	write("backup.private_key.pem", text)
	for _, path := range []string{dir, filepath.Join(dir, "backup")} {
		if k, err := LoadRSA(path, nil, nil); err != nil || !k.CanUnwrap() {
			t.Errorf("%s: %v", path, err)
		}
	}
	write("other.private_key.pem", text)
	if _, err := LoadRSA(dir, nil, nil); err == nil || !strings.Contains(err.Error(), "other.private_key.pem") {
		t.Errorf("two names: got %v, want both named", err)
	}
	if _, err := LoadRSA(filepath.Join(dir, "nobody"), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
}

func TestParseRSARefusals(t *testing.T) {
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	private := read(vectorKeys + "/rsa1.private.pkcs1.pem")
	encrypted := read(vectorKeys + "/rsa1.private.pkcs1.enc.pem")
	pkcs8 := read(vectorKeys + "/rsa1.private.pkcs8.enc.pem")
	block, _ := pem.Decode(pkcs8)
	cut := pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes[:len(block.Bytes)-8]})
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"nothing":            {nil, "no PEM"},
		"text":               {[]byte("hello"), "no PEM"},
		"byte-order mark":    {append([]byte("\xef\xbb\xbf"), private...), "byte-order mark"},
		"UTF-16":             {append([]byte("\xff\xfe"), private...), "UTF-16"},
		"carriage returns":   {bytes.ReplaceAll(private, []byte("\n"), []byte("\r")), "carriage returns alone"},
		"cut PEM":            {private[:400], "damaged PEM"},
		"damaged base64":     {bytes.Replace(private, []byte("MII"), []byte("?II"), 1), "damaged PEM"},
		"damaged DER":        {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte{1, 2}}), "damaged RSA PRIVATE KEY"},
		"damaged public":     {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1, 2}}), "damaged PUBLIC KEY"},
		"bad DEK-Info":       {bytes.Replace(encrypted, []byte("DES-EDE3-CBC"), []byte("ROT13"), 1), "damaged encrypted"},
		"cut PKCS#8":         {cut, "damaged encrypted PKCS#8"},
		"elliptic curve":     {read("testdata/ec.pem"), "not an RSA key"},
		"1024 bits":          {read("testdata/rsa1024.pem"), "1024 bits"},
		"OpenSSH":            {[]byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"), "ssh-keygen"},
		"certificate":        {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "CERTIFICATE"},
		"broken inner block": {pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{0x30, 0}}), "damaged encrypted PKCS#8"},
	} {
		_, err := ParseRSA(c.text, given(testPassphrase), nil)
		if !errors.Is(err, ErrBadKey) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrBadKey saying %q", name, err, c.says)
		}
		if errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: blames the passphrase", name)
		}
	}
}

func TestParseRSAPrefersThePrivateKey(t *testing.T) {
	public, err := os.ReadFile(vectorKeys + "/rsa2.public.spki.pem")
	if err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(vectorKeys + "/rsa1.private.pkcs8.pem")
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseRSA([]byte("comment\n"+string(public)+"\n"+string(private)), nil, nil)
	if err != nil || !k.CanUnwrap() || k.ID() != loadRSA1(t).ID() {
		t.Errorf("got %v, %v", k, err)
	}
}

func TestHostileKeyFilesCostLittle(t *testing.T) {
	// Limits of the derivations, straight at their door: no test should wait for 2^31 rounds.
	huge, err := os.ReadFile("testdata/pkcs8-scrypt-aes256.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(huge)
	// N is the INTEGER 0x4000 (02 02 40 00) in OpenSSL's parameters; 0x7fff is no power of two.
	bad := bytes.Replace(block.Bytes, []byte{2, 2, 0x40, 0}, []byte{2, 2, 0x7f, 0xff}, 1)
	if bytes.Equal(bad, block.Bytes) {
		t.Fatal("N not found")
	}
	if _, err := decryptPKCS8(bad, []byte("x")); !errors.Is(err, ErrBadKey) {
		t.Errorf("bad N: got %v", err)
	}
}

func FuzzParseRSA(f *testing.F) {
	for _, pattern := range []string{vectorKeys + "/rsa1*.pem", "testdata/*aes1*.pem", "testdata/ec.pem"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if !strings.Contains(file, "pkcs8") || strings.Contains(file, "rsa1.private.pkcs8.pem") { // derivations are slow
				f.Add(text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseRSA(text, given("x"), nil)
		switch {
		case err == nil && k == nil:
			t.Fatal("neither key nor error")
		case err != nil && !errors.Is(err, ErrBadKey) && !errors.Is(err, ErrPassphrase):
			t.Fatalf("unnamed error %v", err)
		}
	})
}
