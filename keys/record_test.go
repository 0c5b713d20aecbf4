package keys

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cheapRecovery lowers what a recovery code costs in a test.
func cheapRecovery(t testing.TB) {
	t.Helper()
	old := recoveryCost
	t.Cleanup(func() { recoveryCost = old })
	recoveryCost = leastCost
}

// loadRSA2 loads the second test key.
func loadRSA2(t testing.TB) *RSA {
	t.Helper()
	k, err := LoadRSA(filepath.Join(vectorKeys, "rsa2.private.pkcs1.pem"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// mustMarshal signs a record.
func mustMarshal(t testing.TB, r *Record, v *VolumeKey) []byte {
	t.Helper()
	text, err := r.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// mustParse reads a record.
func mustParse(t testing.TB, text []byte) *Record {
	t.Helper()
	r, err := ParseRecord(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// recordFor makes a record with a slot for each of the keys.
func recordFor(t testing.TB, v *VolumeKey, masters ...MasterKey) *Record {
	t.Helper()
	r := NewRecord(v, here)
	for _, k := range masters {
		if err := r.AddSlot(t.Context(), v, k); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestRecordOpensWithEachSlot(t *testing.T) {
	cheapRecovery(t)
	s, ca := newKMSServer(t)
	v, k1, k2 := newVolume(t), loadRSA1(t), loadRSA2(t)
	k3 := s.client(t, ca, nil)
	k4 := s.client(t, ca, func(c *KMSConfig) { c.KeyID, c.Passphrase = "key-2", `pass "word"` })
	k5 := s.client(t, ca, func(c *KMSConfig) { c.KeyID, c.EncryptionContext = "key-3", `{"a":"b"}` })
	r := recordFor(t, v, k1, k2, k3, k4, k5)
	code, err := r.AddRecovery(v)
	if err != nil {
		t.Fatal(err)
	}
	r = mustParse(t, mustMarshal(t, r, v))
	for name, k := range map[string]MasterKey{"rsa": k1, "second rsa": k2, "kms": k3, "kms passphrase": k4, "kms context": k5} {
		got, err := r.Open(t.Context(), NewKeyring(k))
		if err != nil || got.secret != v.secret || got.ID() != v.ID() || !bytes.Equal(got.HPKEPublic(), v.HPKEPublic()) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	if got, err := r.OpenRecovery(code); err != nil || got.secret != v.secret {
		t.Errorf("recovery: got %v, %v", got, err)
	}
	if k1.PrivateOps() != 1 || k2.PrivateOps() != 1 || k3.Calls() != 2 {
		t.Errorf("cost %d and %d RSA operations, %d KMS calls", k1.PrivateOps(), k2.PrivateOps(), k3.Calls())
	}
	want := `{"a":"b","ossencfs-place":"oss://bucket/dir","ossencfs-volume":"` + v.ID().String() + `"}`
	if got := s.asked[2]["EncryptionContext"]; got != want {
		t.Errorf("EncryptionContext: sent %s, want %s", got, want)
	}
	if _, err := r.Open(t.Context(), NewKeyring(nil)); !errors.Is(err, ErrNoSlot) {
		t.Errorf("empty ring: got %v, want ErrNoSlot", err)
	}
}

// TestRecordOpensByOtherNames: KMS knows a key by its id and by aliases.
func TestRecordOpensByOtherNames(t *testing.T) {
	s, ca := newKMSServer(t)
	named := func(id string) *KMS { return s.client(t, ca, func(c *KMSConfig) { c.KeyID = id }) }
	v := newVolume(t)
	one := mustParse(t, mustMarshal(t, recordFor(t, v, loadRSA2(t), named("key-1")), v))
	two := mustParse(t, mustMarshal(t, recordFor(t, v, named("key-2"), named("key-1")), v))
	denied := refusal{403, "Forbidden.NoPermission", ""}
	wrong := refusal{400, "InvalidCiphertext", ""}
	for name, c := range map[string]struct {
		record *Record
		key    *KMS
		refuse []refusal
		want   []error
		not    error
		calls  int64
	}{
		"alias":             {one, named("alias/1"), nil, nil, nil, 2},
		"another one's":     {one, named("alias/2"), nil, []error{ErrNoSlot, ErrUnwrap}, ErrForged, 2},
		"own name first":    {two, named("key-1"), nil, nil, nil, 1},
		"second of two":     {two, named("alias/1"), []refusal{denied}, nil, nil, 3},
		"own fails":         {two, named("key-1"), []refusal{wrong}, []error{ErrUnwrap}, ErrNoSlot, 1},
		"own denied":        {one, named("key-1"), []refusal{denied}, []error{ErrKMSDenied}, ErrNoSlot, 1},
		"own does not open": {one, named("key-1"), []refusal{wrong}, []error{ErrUnwrap}, ErrNoSlot, 1},
		"others denied":     {two, named("alias/x"), []refusal{denied, wrong}, []error{ErrNoSlot, ErrKMSDenied, ErrUnwrap}, ErrForged, 2},
		"unreadable":        {two, named("alias/x"), []refusal{{200, "", "no JSON"}}, []error{ErrKMSUnreachable}, ErrNoSlot, 1},
	} {
		s.refuse = c.refuse
		got, err := c.record.Open(t.Context(), NewKeyring(c.key))
		if len(c.want) == 0 && (err != nil || got.secret != v.secret) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		for _, want := range c.want {
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}
		if c.not != nil && errors.Is(err, c.not) {
			t.Errorf("%s: got %v", name, err)
		}
		if c.key.Calls() != c.calls {
			t.Errorf("%s: %d calls, want %d", name, c.key.Calls(), c.calls)
		}
	}
}

func TestOpenTriesEachKeyOfTheRing(t *testing.T) {
	s, ca := newKMSServer(t)
	v, k1, k2 := newVolume(t), loadRSA1(t), loadRSA2(t)
	kms := s.client(t, ca, nil)
	r := mustParse(t, mustMarshal(t, recordFor(t, v, kms, k2), v))
	s.refuse = []refusal{{403, "Forbidden.NoPermission", ""}}
	if got, err := r.Open(t.Context(), NewKeyring(kms, k1, k2)); err != nil || got.secret != v.secret {
		t.Errorf("third key: got %v, %v", got, err)
	}
	if k1.PrivateOps() != 0 || k2.PrivateOps() != 1 {
		t.Errorf("cost %d and %d RSA operations, want 0 and 1", k1.PrivateOps(), k2.PrivateOps())
	}
	public, err := NewRSAPublic(k2.public, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(t.Context(), NewKeyring(public)); !errors.Is(err, ErrPublicOnly) || errors.Is(err, ErrForged) {
		t.Errorf("public key only: got %v, want ErrPublicOnly", err)
	}
	if _, err := r.Open(t.Context(), NewKeyring(k1)); !errors.Is(err, ErrNoSlot) || errors.Is(err, ErrForged) {
		t.Errorf("other key: got %v, want ErrNoSlot", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Open(gone, NewKeyring(kms)); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoSlot) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
}

func TestPrivateOpsAreCounted(t *testing.T) {
	k, v := loadRSA1(t), newVolume(t)
	r := mustParse(t, mustMarshal(t, recordFor(t, v, k), v))
	secret := make([]byte, 32)
	oaep, err1 := k.Wrap(t.Context(), OAEP, secret)
	pkcs1, err2 := k.Wrap(t.Context(), PKCS1, secret)
	local, err3 := k.WrapLocal(t.Context(), secret)
	if err := errors.Join(err1, err2, err3); err != nil || k.PrivateOps() != 0 {
		t.Fatalf("%v, %d operations for wrapping", err, k.PrivateOps())
	}
	for i, do := range []func() error{
		func() error { _, err := k.Unwrap(t.Context(), OAEP, oaep, 0); return err },
		func() error { _, err := k.Unwrap(t.Context(), PKCS1, pkcs1, 32); return err },
		func() error { _, err := k.UnwrapLocal(t.Context(), local); return err },
		func() error { _, err := r.Open(t.Context(), NewKeyring(k)); return err },
	} {
		if err := do(); err != nil || k.PrivateOps() != int64(i+1) {
			t.Errorf("step %d: %v, %d operations, want %d", i, err, k.PrivateOps(), i+1)
		}
	}
}

func TestRecordChanges(t *testing.T) {
	v, k1, k2, host := newVolume(t), loadRSA1(t), loadRSA2(t), newHost(t, "a/").Host()
	first := mustParse(t, mustMarshal(t, recordFor(t, v, k1), v))
	before := first.encode()
	r := first.Next()
	if r.Revision != 2 || r.Volume().ID != v.ID() {
		t.Errorf("next is revision %d of %v", r.Revision, r.ID)
	}
	if err := errors.Join(r.AddSlot(t.Context(), v, k2), r.AddHost(host)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // the second time changes nothing
		if err := r.AddSlot(t.Context(), v, k2); err != nil || len(r.Slots) != 2 {
			t.Errorf("again %d: got %v and %d slots, want 2", i, err, len(r.Slots))
		}
	}
	if err := r.AddHost(host); !errors.Is(err, ErrHost) {
		t.Errorf("same host: got %v, want ErrHost", err)
	}
	if got, err := r.Open(t.Context(), NewKeyring(k2)); !errors.Is(err, ErrForged) {
		t.Errorf("before it is signed: got %v, %v, want ErrForged", got, err)
	}
	r = mustParse(t, mustMarshal(t, r, v))
	if got, ok := r.Host(host.ID); !ok || got.Name != host.Name || !got.MayWrite("a/b") || got.MayWrite("b") {
		t.Errorf("got host %+v, want %+v", got, host)
	}
	if got, err := r.Open(t.Context(), NewKeyring(k2)); err != nil || got.secret != v.secret {
		t.Errorf("got %v, %v", got, err)
	}
	r = r.Next()
	if err := r.RetireHost(HostID{1}, time.Unix(5, 0)); !errors.Is(err, ErrNoHost) {
		t.Errorf("retire a host that is not there: got %v, want ErrNoHost", err)
	}
	for _, when := range []int64{1790000000, 1800000000} { // the second time changes nothing
		if err := r.RetireHost(host.ID, time.Unix(when, 0)); err != nil {
			t.Errorf("retire a host: %v", err)
		}
	}
	r = mustParse(t, mustMarshal(t, r, v))
	if got, ok := r.Host(host.ID); !ok || got.Retired != 1790000000 || !got.MayWrite("a/b") {
		t.Errorf("retired host: got %+v, %v, want it there with its first date", got, ok)
	}
	r = r.Next()
	for what, err := range map[string]error{
		"slot": r.RemoveSlot(k1.ID()), "host": r.RemoveHost(host.ID),
	} {
		if err != nil {
			t.Errorf("remove %s: %v", what, err)
		}
	}
	if err := r.RemoveSlot(k1.ID()); !errors.Is(err, ErrNoSlot) {
		t.Errorf("slot that is gone: got %v, want ErrNoSlot", err)
	}
	if err := r.RemoveSlot(k2.ID()); !errors.Is(err, ErrLastSlot) || len(r.Slots) != 1 {
		t.Errorf("last slot: got %v, want ErrLastSlot", err)
	}
	if err := r.RemoveHost(host.ID); !errors.Is(err, ErrNoHost) {
		t.Errorf("host that is gone: got %v, want ErrNoHost", err)
	}
	r = mustParse(t, mustMarshal(t, r, v))
	if _, err := r.Open(t.Context(), NewKeyring(k1)); r.Revision != 4 || !errors.Is(err, ErrNoSlot) {
		t.Errorf("removed key at revision %d: got %v, want ErrNoSlot", r.Revision, err)
	}
	r.Slots[0].Wrapped[0] ^= 1
	r.Public[0] ^= 1
	if !bytes.Equal(first.encode(), before) {
		t.Error("changes of later revisions changed the first")
	}
}

// foreign is a master key of a kind that knows no slots.
type foreign struct{ MasterKey }

func TestAddSlotRefuses(t *testing.T) {
	v, k1 := newVolume(t), loadRSA1(t)
	public, err := NewRSAPublic(k1.public, nil)
	if err != nil {
		t.Fatal(err)
	}
	three := threePrimes(t)
	s, ca := newKMSServer(t)
	odd := s.client(t, ca, func(c *KMSConfig) { c.EncryptionContext = "[1]" })
	broken := s.client(t, ca, nil)
	s.refuse = []refusal{{403, "Forbidden.NoPermission", ""}}
	for _, c := range []struct {
		name string
		v    *VolumeKey
		key  MasterKey
		want error
	}{
		{"public key", v, public, ErrPublicOnly},
		{"three primes", v, three, ErrBadKey},
		{"other volume", newVolume(t), k1, ErrForged},
		{"foreign kind", v, foreign{k1}, ErrScheme},
		{"odd context", v, odd, ErrConfig},
		{"denied", v, broken, ErrKMSDenied},
	} {
		r := NewRecord(v, here)
		if err := r.AddSlot(t.Context(), c.v, c.key); !errors.Is(err, c.want) || len(r.Slots) != 0 {
			t.Errorf("%s: got %v and %d slots, want %v", c.name, err, len(r.Slots), c.want)
		}
	}
	full := recordFor(t, v, k1)
	for len(full.Slots) < maxSlots {
		full.Slots = append(full.Slots, full.Slots[0])
	}
	if err := full.AddSlot(t.Context(), v, loadRSA2(t)); err == nil {
		t.Error("a full record takes one more slot")
	}
	if _, err := full.AddRecovery(v); err == nil {
		t.Error("a full record takes a recovery code")
	}
}

func TestMarshalRefuses(t *testing.T) {
	v, other, k1 := newVolume(t), newVolume(t), loadRSA1(t)
	good := recordFor(t, v, k1)
	forged := mustParse(t, mustMarshal(t, good.Next(), v))
	forged.mac[0] ^= 1
	last := good.Next()
	last.Revision = maxRevision
	wide := good.Next()
	for range maxHosts {
		k := newHost(t, strings.Split(strings.Repeat("p", 900)+"/,"+strings.Repeat("q", 900)+"/", ",")...)
		if err := wide.AddHost(k.Host()); err != nil {
			t.Fatal(err)
		}
	}
	if err := wide.AddHost(newHost(t, "").Host()); !errors.Is(err, ErrHost) {
		t.Errorf("one host too many: got %v, want ErrHost", err)
	}
	for _, c := range []struct {
		name string
		r    *Record
		v    *VolumeKey
		want error
	}{
		{"other volume key", good, other, ErrForged},
		{"not from its holder", forged.Next(), v, ErrForged},
		{"no slots", NewRecord(v, here), v, ErrLastSlot},
		{"no revision left", last.Next(), v, ErrRecord},
		{"too large", wide, v, ErrRecord},
	} {
		if text, err := c.r.Marshal(c.v); !errors.Is(err, c.want) || text != nil {
			t.Errorf("%s: got %d bytes, %v, want %v", c.name, len(text), err, c.want)
		}
	}
}
