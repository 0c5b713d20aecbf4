package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// goldenDir holds what version 1 of the formats wrote. It is never made anew: other formats get a folder of their own.
const goldenDir = "testdata/volume-v1"

// golden says what the files of goldenDir hold.
type golden struct {
	ID, Secret, HPKE     []byte
	Epoch, Revision      uint32
	Authentic            bool
	RecoveryCode         string
	Blob, Text, Context  string // of the KMS slot
	Local, LocalSecret   []byte // of WrapLocal
	Enc, Sealed          []byte // of SealHPKE with info "info", AAD "aad", of "plain"
	HostID, Signature    []byte // of "data", by the bundle's key
	Prefixes             []string
	HostName, MasterName string
}

// boundDir holds what version 2 wrote: the volume of goldenDir, bound to its place and with an unbound slot that was kept, and its next
// epoch, which retires the first.
const boundDir = "testdata/volume-v2"

// goldenFile reads a file of goldenDir.
func goldenFile(t testing.TB, name string) []byte { return fileOf(t, goldenDir, name) }

// fileOf reads a file.
func fileOf(t testing.TB, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// readGolden reads what the files of goldenDir hold.
func readGolden(t testing.TB) golden { return goldenOf(t, goldenDir) }

// goldenOf reads what the files of a folder hold.
func goldenOf(t testing.TB, dir string) golden {
	t.Helper()
	var g golden
	if err := json.Unmarshal(fileOf(t, dir, "expected.json"), &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGoldenRecordOpens(t *testing.T) {
	g := readGolden(t)
	r := mustParse(t, goldenFile(t, "record.json"))
	if !bytes.Equal(r.ID[:], g.ID) || r.Epoch != g.Epoch || r.Authentic != g.Authentic || r.Revision != g.Revision ||
		!bytes.Equal(r.Public, g.HPKE) || len(r.Slots) != 3 || len(r.Hosts) != 2 {
		t.Errorf("got %+v, want %+v", r, g)
	}
	key, err := LoadRSA(filepath.Join(goldenDir, "key.pem"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, ca := newKMSServer(t)
	s.texts[g.Blob] = [2]string{g.Text, g.Context}
	s.owners[g.Blob] = "key-1"
	kms := s.client(t, ca, func(c *KMSConfig) { c.Passphrase = "test-pass-123" })
	for name, open := range map[string]func() (*VolumeKey, error){
		"rsa":      func() (*VolumeKey, error) { return r.Open(t.Context(), NewKeyring(key)) },
		"kms":      func() (*VolumeKey, error) { return r.Open(t.Context(), NewKeyring(kms)) },
		"recovery": func() (*VolumeKey, error) { return r.OpenRecovery(g.RecoveryCode) },
	} {
		v, err := open()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(v.secret[:], g.Secret) || !bytes.Equal(v.HPKEPublic(), g.HPKE) {
			t.Errorf("%s: got another volume key", name)
		}
		if got, err := v.UnwrapLocal(g.Local); err != nil || !bytes.Equal(got, g.LocalSecret) {
			t.Errorf("%s: local secret: got %x, %v", name, got, err)
		}
		if got, err := v.OpenHPKE(g.Enc, "info", []byte("aad"), g.Sealed); err != nil || string(got) != "plain" {
			t.Errorf("%s: HPKE: got %q, %v", name, got, err)
		}
		if text, err := r.Next().Marshal(v); err != nil || bytes.Equal(text, goldenFile(t, "record.json")) {
			t.Errorf("%s: next revision: %v", name, err)
		}
	}
	for _, h := range r.Hosts {
		want := int64(1790000000) // the other one is retired
		if h.ID == HostID(g.HostID) {
			want = 0
		}
		if h.Retired != want {
			t.Errorf("host %s: retired %d, want %d", h.ID, h.Retired, want)
		}
	}
	if h, ok := r.Host(HostID(g.HostID)); !ok || !h.Verify([]byte("data"), g.Signature) || h.Name != g.HostName {
		t.Errorf("host %x: got %+v, %v", g.HostID, h, ok)
	}
}

func TestGoldenBundleOpens(t *testing.T) {
	g := readGolden(t)
	b, err := ParseBundle(goldenFile(t, "bundle.json"))
	if err != nil {
		t.Fatal(err)
	}
	h := b.Key().Host()
	if !bytes.Equal(h.ID[:], g.HostID) || h.Name != g.HostName || !reflect.DeepEqual(h.Prefixes, g.Prefixes) {
		t.Errorf("got host %+v, want %x %q %q", h, g.HostID, g.HostName, g.Prefixes)
	}
	if got := b.Key().Sign([]byte("data")); !bytes.Equal(got, g.Signature) {
		t.Errorf("signature: got %x, want %x", got, g.Signature)
	}
	v := b.Volume()
	if !bytes.Equal(v.ID[:], g.ID) || v.Epoch != g.Epoch || v.Authentic != g.Authentic || !bytes.Equal(v.HPKE, g.HPKE) || b.Revision() != g.Revision {
		t.Errorf("got volume %+v of revision %d, want %+v", v, b.Revision(), g)
	}
	master, err := b.Master()
	if err != nil || master.ID() != g.MasterName || !reflect.DeepEqual(master.MatDesc(), map[string]string{"key": "one", "site": "<b>&"}) {
		t.Errorf("got master key %v with %v, %v", master, master.MatDesc(), err)
	}
}

// TestGoldenBoundRecordsOpen: the records of version 2, each through each slot.
func TestGoldenBoundRecordsOpen(t *testing.T) {
	old, g := readGolden(t), goldenOf(t, boundDir)
	place := Place{Bucket: "my-bucket", Region: "cn-hangzhou", Root: "a b/ü/"}
	key, err := LoadRSA(filepath.Join(goldenDir, "key.pem"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, ca := newKMSServer(t)
	s.texts[old.Blob] = [2]string{old.Text, old.Context}
	s.owners[old.Blob] = "key-1"
	s.texts[g.Blob] = [2]string{g.Text, g.Context}
	s.owners[g.Blob] = "key-1"
	kms := s.client(t, ca, func(c *KMSConfig) { c.Passphrase = "test-pass-123" })
	first, next := mustParse(t, fileOf(t, boundDir, "record.json")), mustParse(t, fileOf(t, boundDir, "next.json"))
	opened := map[VolumeID]*VolumeKey{}
	for _, tt := range []struct {
		name  string
		r     *Record
		open  func(r *Record) (*VolumeKey, error)
		bound bool
		g     golden
	}{
		{"rsa", first, func(r *Record) (*VolumeKey, error) { return r.Open(t.Context(), NewKeyring(key)) }, true, old},
		{"kms", first, func(r *Record) (*VolumeKey, error) { return r.Open(t.Context(), NewKeyring(kms)) }, false, old},
		{"recovery", first, func(r *Record) (*VolumeKey, error) { return r.OpenRecovery(old.RecoveryCode) }, false, old},
		{"rsa, next epoch", next, func(r *Record) (*VolumeKey, error) { return r.Open(t.Context(), NewKeyring(key)) }, true, g},
		{"kms, next epoch", next, func(r *Record) (*VolumeKey, error) { return r.Open(t.Context(), NewKeyring(kms)) }, true, g},
		{"recovery, next epoch", next, func(r *Record) (*VolumeKey, error) { return r.OpenRecovery(g.RecoveryCode) }, true, g},
	} {
		v, err := tt.open(tt.r)
		if err != nil || !bytes.Equal(v.secret[:], tt.g.Secret) || tt.r.Bound() != tt.bound || tt.r.Place != place {
			t.Fatalf("%s: %v, bound %v to %s, %v", tt.name, v, tt.r.Bound(), tt.r.Place, err)
		}
		opened[v.ID()] = v
	}
	one, two := opened[first.ID], opened[next.ID]
	if !first.EndorsedBy(two) || !next.EndorsedBy(one) || next.Made != 1790000000 || !reflect.DeepEqual(next.Retired, []VolumeID{first.ID}) {
		t.Errorf("endorsed %v and %v, retired %v", first.EndorsedBy(two), next.EndorsedBy(one), next.Retired)
	}
	b, err := ParseBundle(fileOf(t, boundDir, "bundle.json"))
	if err != nil || !b.Volume().Same(next.Volume()) || b.Volume().Place != place {
		t.Errorf("bundle %v: %v", b.Volume(), err)
	}
}

// FuzzRecord feeds foreign records: whatever is read is written again as it means, and no change of a golden record opens.
func FuzzRecord(f *testing.F) {
	text := goldenFile(f, "record.json")
	key, err := LoadRSA(filepath.Join(goldenDir, "key.pem"), nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	genuine := [][]byte{mustParse(f, text).encode()}
	f.Add(text)
	for _, name := range []string{"record.json", "next.json"} {
		text := fileOf(f, boundDir, name)
		genuine = append(genuine, mustParse(f, text).encode())
		f.Add(text)
		f.Add(bytes.Replace(text, []byte(`"root": "a b/`), []byte(`"root": "b/`), 1))
		f.Add(bytes.Replace(text, []byte(`"unbound": true`), []byte(`"unbound": false`), 1))
	}
	f.Add(bytes.Replace(text, []byte(`"revision": 3`), []byte(`"revision": 4`), 1))
	f.Add(bytes.Replace(text, []byte(`"authentic": true`), []byte(`"authentic": false`), 1))
	f.Add(bytes.ReplaceAll(text, []byte("  "), nil))
	f.Add([]byte(`{"format":"ossencfs volume v1"}`))
	f.Add([]byte(`[[[[[[`))
	f.Add([]byte(`{"format":{"format":null}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRecord(text)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Fatalf("got %v, want ErrRecord", err)
			}
			return
		}
		again, err := r.text(r.mac)
		if err != nil {
			return // indented it would be longer than a record may be
		}
		if got := mustParse(t, again); !bytes.Equal(got.encode(), r.encode()) || !bytes.Equal(got.mac, r.mac) {
			t.Errorf("got %x, want %x", got.encode(), r.encode())
		}
		if v, err := r.Open(t.Context(), NewKeyring(key)); err == nil && !slices.ContainsFunc(genuine, func(b []byte) bool { return bytes.Equal(b, r.encode()) }) {
			t.Errorf("a changed record opens to %v", v)
		}
	})
}
