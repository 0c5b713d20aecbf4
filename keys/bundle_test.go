package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newBundle makes a bundle of a fixed volume and a fresh host.
func newBundle(t testing.TB) *Bundle {
	t.Helper()
	master, err := NewRSA(loadRSA1(t).private, map[string]string{"z": "1", "Name": "Wert"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBundle(fixedVolume(t).Public(), 12, master, newHost(t, "web/", "log/"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mustBundle encodes a bundle.
func mustBundle(t testing.TB, b *Bundle) []byte {
	t.Helper()
	text, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBundleRoundTrip(t *testing.T) {
	b := newBundle(t)
	path := filepath.Join(t.TempDir(), "host.json")
	if err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
	if err := b.Write(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second write: got %v, want fs.ErrExist", err)
	}
	got, err := LoadBundle(path)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Volume().Same(b.Volume()) || got.Revision() != 12 {
		t.Errorf("got volume %+v of revision %d, want %+v of 12", got.Volume(), got.Revision(), b.Volume())
	}
	master, err := got.Master()
	if err != nil || master.ID() != loadRSA1(t).ID() || master.CanUnwrap() || !maps.Equal(master.MatDesc(), b.master.MatDesc()) {
		t.Errorf("got master key %v with %v, %v", master, master.MatDesc(), err)
	}
	h := b.Key().Host()
	if !h.Verify([]byte("x"), got.Key().Sign([]byte("x"))) || strings.Join(got.Key().Host().Prefixes, ",") != "web/,log/" {
		t.Errorf("got host %+v, want %+v", got.Key().Host(), h)
	}
	if text := mustBundle(t, b); bytes.Contains(text, []byte("PRIVATE")) {
		t.Error("the bundle holds the RSA private key")
	}
	if _, err := LoadBundle(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want fs.ErrNotExist", err)
	}
}

func TestNewBundleRefuses(t *testing.T) {
	volume, host := fixedVolume(t).Public(), newHost(t, "")
	other := *volume
	other.Epoch = 0
	if _, err := NewBundle(&other, 1, loadRSA1(t), host); !errors.Is(err, ErrBundle) {
		t.Errorf("no epoch: got %v, want ErrBundle", err)
	}
	if _, err := NewBundle(volume, 0, loadRSA1(t), host); !errors.Is(err, ErrBundle) {
		t.Errorf("no revision: got %v, want ErrBundle", err)
	}
}

func TestParseBundleRefuses(t *testing.T) {
	good := string(mustBundle(t, newBundle(t)))
	private, err := loadRSA1(t).MarshalPrivate(nil)
	if err != nil {
		t.Fatal(err)
	}
	seed := base64.StdEncoding.EncodeToString(newBundle(t).key.private.Seed())
	edit := func(old, new string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, text := range map[string]string{
		"nothing":           "",
		"no JSON":           "volume",
		"a list":            "[]",
		"empty":             "{}",
		"half":              good[:len(good)/2],
		"more behind":       good + "{}",
		"other format":      edit("ossencfs host v1", "ossencfs host v3"),
		"unknown field":     edit(`"epoch"`, `"extra": 1, "epoch"`),
		"field twice":       edit(`"epoch"`, `"epoch": 7, "epoch"`),
		"field in capitals": edit(`"epoch"`, `"Epoch"`),
		"null":              edit(`"authentic": true`, `"authentic": null`),
		"volume 0":          edit("000102030405060708090a0b0c0d0e0f", strings.Repeat("0", 32)),
		"volume capitals":   edit("000102030405060708090a0b0c0d0e0f", "000102030405060708090A0B0C0D0E0F"),
		"epoch 0":           edit(`"epoch": 7`, `"epoch": 0`),
		"epoch huge":        edit(`"epoch": 7`, `"epoch": 4294967296`),
		"revision 0":        edit(`"revision": 12`, `"revision": 0`),
		"revision huge":     edit(`"revision": 12`, `"revision": 100000000`),
		"prefix":            edit(`"web/"`, `"web"`),
		"name":              edit(`"backup of web-1"`, `""`),
		"seed":              edit(`"seed": "`, `"seed": "AAAA`),
		"seed not base64":   edit(`"seed": "`, `"seed": "!`),
		"PEM":               edit("-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC-----"),
		"behind the PEM":    edit(`-----END PUBLIC KEY-----\n`, `-----END PUBLIC KEY-----\n\n`),
		"matdesc order":     edit(`"Name"`, `"zz"`),
		"matdesc twice":     edit(`"Name"`, `"z"`),
		"private key":       edit(`-----BEGIN PUBLIC KEY-----`, strings.ReplaceAll(string(private), "\n", `\n`)+`-----BEGIN PUBLIC KEY-----`),
		"too large":         good + strings.Repeat(" ", maxBundle),
		"not UTF-8":         edit("backup", "b\xff"),
	} {
		b, err := ParseBundle([]byte(text))
		if !errors.Is(err, ErrBundle) || b != nil {
			t.Errorf("%s: got %v, %v, want ErrBundle", name, b, err)
		}
		if err != nil && strings.Contains(err.Error(), seed) {
			t.Errorf("%s: the message holds the seed", name)
		}
	}
}

// FuzzBundle feeds foreign files: whatever is read is written again as it means.
func FuzzBundle(f *testing.F) {
	good := mustBundle(f, newBundle(f))
	f.Add(good)
	f.Add(bytes.ReplaceAll(good, []byte("  "), nil))
	f.Add([]byte(`{"format":"ossencfs host v1"}`))
	f.Add([]byte("[[[[[[[[[[[["))
	golden, err := os.ReadFile("testdata/volume-v1/bundle.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := ParseBundle(text)
		if err != nil {
			if !errors.Is(err, ErrBundle) {
				t.Fatalf("got %v, want ErrBundle", err)
			}
			return
		}
		first := mustBundle(t, b)
		again, err := ParseBundle(first)
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if second := mustBundle(t, again); !bytes.Equal(first, second) {
			t.Errorf("got %s, want %s", second, first)
		}
	})
}
