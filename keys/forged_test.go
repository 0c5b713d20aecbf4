package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
)

// threePrimes makes a key of three primes, whose slot MAC is not defined.
func threePrimes(t testing.TB) *RSA {
	t.Helper()
	private, err := rsa.GenerateMultiPrimeKey(rand.Reader, 3, MinRSABits) //nolint:staticcheck // such keys exist
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewRSA(private, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// edited is a record's text after a change by someone who has no key.
func edited(t testing.TB, text []byte, change func(m map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// slotOf is a slot of a decoded record.
func slotOf(m map[string]any, i int) map[string]any { return m["slots"].([]any)[i].(map[string]any) }

// TestForgedRecords changes what the bucket's owner can change. Slots: 0 is RSA, 1 KMS, 2 recovery.
func TestForgedRecords(t *testing.T) {
	cheapRecovery(t)
	s, ca := newKMSServer(t)
	k1, kms := loadRSA1(t), s.client(t, ca, nil)
	make1 := func() (string, []byte) {
		v := newVolume(t)
		r := recordFor(t, v, k1, kms)
		code, err := r.AddRecovery(v)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.AddHost(newHost(t, "a/").Host()); err != nil {
				t.Fatal(err)
			}
		}
		return code, mustMarshal(t, r, v)
	}
	code, text := make1()
	_, otherText := make1()
	var other map[string]any
	if err := json.Unmarshal(otherText, &other); err != nil {
		t.Fatal(err)
	}
	added := newHost(t, "").Host()
	none := error(nil)
	for name, c := range map[string]struct {
		change             func(m map[string]any)
		rsa, kms, recovery error
	}{
		"nothing":            {func(map[string]any) {}, none, none, none},
		"id":                 {func(m map[string]any) { m["id"] = other["id"] }, ErrForged, ErrUnwrap, ErrRecoveryCode},
		"epoch":              {func(m map[string]any) { m["epoch"] = 2 }, ErrForged, ErrForged, ErrRecoveryCode},
		"authentic":          {func(m map[string]any) { m["authentic"] = false }, ErrForged, ErrForged, ErrRecoveryCode},
		"revision":           {func(m map[string]any) { m["revision"] = 2 }, ErrForged, ErrForged, ErrForged},
		"public key":         {func(m map[string]any) { m["public"] = other["public"] }, ErrForged, ErrForged, ErrRecoveryCode},
		"MAC":                {func(m map[string]any) { m["mac"] = other["mac"] }, ErrForged, ErrForged, ErrForged},
		"host gone":          {func(m map[string]any) { m["hosts"] = m["hosts"].([]any)[1:] }, ErrForged, ErrForged, ErrForged},
		"hosts gone":         {func(m map[string]any) { delete(m, "hosts") }, ErrForged, ErrForged, ErrForged},
		"hosts of another":   {func(m map[string]any) { m["hosts"] = other["hosts"] }, ErrForged, ErrForged, ErrForged},
		"hosts swapped":      {func(m map[string]any) { h := m["hosts"].([]any); h[0], h[1] = h[1], h[0] }, ErrForged, ErrForged, ErrForged},
		"host's name":        {func(m map[string]any) { m["hosts"].([]any)[0].(map[string]any)["name"] = "x" }, ErrForged, ErrForged, ErrForged},
		"host's prefix":      {func(m map[string]any) { m["hosts"].([]any)[0].(map[string]any)["prefixes"] = []any{""} }, ErrForged, ErrForged, ErrForged},
		"host retired":       {func(m map[string]any) { m["hosts"].([]any)[0].(map[string]any)["retired"] = 5 }, ErrForged, ErrForged, ErrForged},
		"host added":         {func(m map[string]any) { m["hosts"] = append(m["hosts"].([]any), hostMap(added)) }, ErrForged, ErrForged, ErrForged},
		"RSA blob":           {func(m map[string]any) { slotOf(m, 0)["wrapped"] = slotOf(other, 0)["wrapped"] }, ErrForged, ErrForged, ErrForged},
		"RSA MAC":            {func(m map[string]any) { slotOf(m, 0)["mac"] = slotOf(other, 0)["mac"] }, ErrForged, ErrForged, ErrForged},
		"RSA slot":           {func(m map[string]any) { m["slots"].([]any)[0] = slotOf(other, 0) }, ErrForged, ErrForged, ErrForged},
		"RSA slot gone":      {func(m map[string]any) { m["slots"] = m["slots"].([]any)[1:] }, ErrNoSlot, ErrForged, ErrForged},
		"KMS blob":           {func(m map[string]any) { slotOf(m, 1)["wrapped"] = slotOf(other, 1)["wrapped"] }, ErrForged, ErrUnwrap, ErrForged},
		"recovery slot":      {func(m map[string]any) { m["slots"].([]any)[2] = slotOf(other, 2) }, ErrForged, ErrForged, ErrRecoveryCode},
		"recovery blob":      {func(m map[string]any) { slotOf(m, 2)["wrapped"] = slotOf(other, 2)["wrapped"] }, ErrForged, ErrForged, ErrRecoveryCode},
		"recovery cost":      {func(m map[string]any) { slotOf(m, 2)["time"] = 2 }, ErrForged, ErrForged, ErrRecoveryCode},
		"slots of another":   {func(m map[string]any) { m["slots"] = other["slots"] }, ErrForged, ErrUnwrap, ErrRecoveryCode},
		"all but the id":     {func(m map[string]any) { id := m["id"]; maps.Copy(m, other); m["id"] = id }, ErrForged, ErrUnwrap, ErrRecoveryCode},
		"slots in new order": {func(m map[string]any) { h := m["slots"].([]any); h[0], h[1] = h[1], h[0] }, ErrForged, ErrForged, ErrForged},
	} {
		r := mustParse(t, edited(t, text, c.change))
		_, byRSA := r.Open(t.Context(), NewKeyring(k1))
		_, byKMS := r.Open(t.Context(), NewKeyring(kms))
		_, byCode := r.OpenRecovery(code)
		for kind, got := range map[string][2]error{"RSA": {byRSA, c.rsa}, "KMS": {byKMS, c.kms}, "recovery": {byCode, c.recovery}} {
			if !errors.Is(got[0], got[1]) {
				t.Errorf("%s, opened by %s: got %v, want %v", name, kind, got[0], got[1])
			}
		}
	}
}

// hostMap is a host as a decoded record has it.
func hostMap(h Host) map[string]any {
	return map[string]any{"id": h.ID.String(), "name": h.Name, "public": strictBytes(h.Public), "prefixes": h.Prefixes}
}

// TestSlotOfPublicKeyAlone plants a volume key that the attacker knows: he has the RSA public key and makes everything else
// himself. The private key is not even used on it.
func TestSlotOfPublicKeyAlone(t *testing.T) {
	k1, his := loadRSA1(t), loadRSA2(t)
	v := newVolume(t)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, k1.public, v.secret[:], []byte(slotLabel))
	if err != nil {
		t.Fatal(err)
	}
	hisMAC, err := his.slotMAC(&v.public, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	for name, mac := range map[string][]byte{"zeros": make([]byte, macSize), "made with his own primes": hisMAC} {
		r := NewRecord(v, here)
		r.Slots = []Slot{{Type: slotRSA, Key: k1.ID(), Wrapped: wrapped, MAC: mac}}
		r = mustParse(t, mustMarshal(t, r, v))
		if got, err := r.Open(t.Context(), NewKeyring(k1)); !errors.Is(err, ErrForged) || got != nil || k1.PrivateOps() != 0 {
			t.Errorf("%s: got %v, %v after %d operations, want ErrForged after none", name, got, err, k1.PrivateOps())
		}
	}
}

// TestSlotWithRightMACAndOddSecret: what an owner of the key would never make opens nothing either.
func TestSlotWithRightMACAndOddSecret(t *testing.T) {
	k1, v := loadRSA1(t), newVolume(t)
	for name, c := range map[string]struct {
		secret []byte
		label  string
	}{
		"another secret": {make([]byte, volumeSecretSize), slotLabel},
		"short secret":   {v.secret[:31], slotLabel},
		"local label":    {v.secret[:], localLabel},
	} {
		wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, k1.public, c.secret, []byte(c.label))
		if err != nil {
			t.Fatal(err)
		}
		mac, err := k1.slotMAC(&v.public, wrapped)
		if err != nil {
			t.Fatal(err)
		}
		r := NewRecord(v, here)
		r.Slots = []Slot{{Type: slotRSA, Key: k1.ID(), Wrapped: wrapped, MAC: mac}}
		r = mustParse(t, mustMarshal(t, r, v))
		if got, err := r.Open(t.Context(), NewKeyring(k1)); !errors.Is(err, ErrForged) || got != nil {
			t.Errorf("%s: got %v, %v, want ErrForged", name, got, err)
		}
	}
}

// TestForgedKMSAnswer: what KMS decrypts is not a slot of ours, or one of other facts.
func TestForgedKMSAnswer(t *testing.T) {
	s, ca := newKMSServer(t)
	kms, v := s.client(t, ca, nil), newVolume(t)
	r := mustParse(t, mustMarshal(t, recordFor(t, v, kms), v))
	blob := string(r.Slots[0].Wrapped)
	good := s.texts[blob]
	for name, text := range map[string]string{
		"empty":      "",
		"not base64": "!" + good[0][1:],
		"short":      good[0][:len(good[0])-4],
		"long":       good[0] + "AAAA",
		"other head": "AAAA" + good[0][4:],
		"other hash": good[0][:len(good[0])-8] + "AAAA" + good[0][len(good[0])-4:],
	} {
		s.texts[blob] = [2]string{text, good[1]}
		if got, err := r.Open(t.Context(), NewKeyring(kms)); !errors.Is(err, ErrForged) || got != nil {
			t.Errorf("%s: got %v, %v, want ErrForged", name, got, err)
		}
	}
	s.texts[blob] = good
	bound := s.client(t, ca, func(c *KMSConfig) { c.Passphrase = "other" })
	if _, err := r.Open(t.Context(), NewKeyring(bound)); !errors.Is(err, ErrUnwrap) {
		t.Errorf("other passphrase: got %v, want ErrUnwrap", err)
	}
	if _, err := r.Open(t.Context(), NewKeyring(kms)); err != nil {
		t.Errorf("untouched: %v", err)
	}
	if _, err := kms.Unwrap(t.Context(), KMSText, r.Slots[0].Wrapped, 0); !errors.Is(err, ErrUnwrap) {
		t.Errorf("as an object's blob: got %v, want ErrUnwrap", err)
	}
}

func TestThreePrimesOpenNothing(t *testing.T) {
	three, v := threePrimes(t), newVolume(t)
	r := recordFor(t, v, loadRSA1(t))
	r.Slots[0].Key = three.ID()
	r = mustParse(t, mustMarshal(t, r, v))
	if got, err := r.Open(t.Context(), NewKeyring(three)); !errors.Is(err, ErrBadKey) || got != nil || three.PrivateOps() != 0 {
		t.Errorf("got %v, %v, want ErrBadKey", got, err)
	}
}

// TestSlotMACKnowsNoOrderOfPrimes: key files list the two primes in either order.
func TestSlotMACKnowsNoOrderOfPrimes(t *testing.T) {
	k, v := loadRSA1(t), newVolume(t)
	turned := *k.private
	turned.Primes = append(turned.Primes[:0:0], k.private.Primes[1], k.private.Primes[0])
	turned.Precomputed = rsa.PrecomputedValues{}
	k2, err := NewRSA(&turned, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err1 := k.slotMAC(&v.public, []byte("x"))
	b, err2 := k2.slotMAC(&v.public, []byte("x"))
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) {
		t.Errorf("got %x and %x, %v", a, b, err)
	}
}

func TestParseRecordRefuses(t *testing.T) {
	cheapRecovery(t)
	s, ca := newKMSServer(t)
	v := newVolume(t)
	r := recordFor(t, v, loadRSA1(t), s.client(t, ca, nil))
	if _, err := r.AddRecovery(v); err != nil {
		t.Fatal(err)
	}
	if err := r.AddHost(newHost(t, "a/").Host()); err != nil {
		t.Fatal(err)
	}
	text := mustMarshal(t, r, v)
	set := func(name string, value any) func(map[string]any) { return func(m map[string]any) { m[name] = value } }
	drop := func(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }
	slot := func(i int, name string, value any) func(map[string]any) {
		return func(m map[string]any) { slotOf(m, i)[name] = value }
	}
	host := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m["hosts"].([]any)[0].(map[string]any)[name] = value }
	}
	twice := func(list string, n int) func(map[string]any) {
		return func(m map[string]any) {
			for range n {
				m[list] = append(m[list].([]any), m[list].([]any)[0])
			}
		}
	}
	for name, change := range map[string]func(map[string]any){
		"format": set("format", "ossencfs volume v3"), "format without place": set("format", "ossencfs volume v1"), "no format": drop("format"), "unknown field": set("extra", 1),
		"no id": drop("id"), "id": set("id", "00"), "zero id": set("id", strings.Repeat("0", 32)),
		"epoch 0": set("epoch", 0), "negative epoch": set("epoch", -1), "huge epoch": set("epoch", 1<<32), "half epoch": set("epoch", 1.5),
		"revision 0": set("revision", 0), "nine digits": set("revision", maxRevision+1), "text": set("revision", "1"), "null": set("authentic", nil),
		"no public": drop("public"), "short public": set("public", "AAAA"), "zero public": set("public", strings.Repeat("A", 43)+"="),
		"no mac": drop("mac"), "short mac": set("mac", "AAAA"), "mac": set("mac", strings.Repeat("A", 42)+"B="), // bits behind the end
		"no slots": drop("slots"), "empty slots": set("slots", []any{}), "same slot": twice("slots", 1), "65 slots": twice("slots", maxSlots),
		"same host": twice("hosts", 1), "257 hosts": twice("hosts", maxHosts),
		"slot type": slot(0, "type", "dsa"), "slot field": slot(0, "extra", 1), "rsa key": slot(0, "key", "kms:x"), "empty key": slot(0, "key", ""),
		"long key": slot(0, "key", "rsa"+strings.Repeat("x", maxSlotKey)), "key with escape": slot(0, "key", "rsa\x1b"),
		"rsa blob": slot(0, "wrapped", "AAAA"), "rsa salt": slot(0, "salt", "AAAA"), "rsa cost": slot(0, "time", 1),
		"rsa mac":  func(m map[string]any) { delete(slotOf(m, 0), "mac") },
		"kms blob": slot(1, "wrapped", ""), "kms bytes": slot(1, "wrapped", "AAAA"), "kms mac": slot(1, "mac", "AAAA"),
		"recovery key": slot(2, "key", "recovery:00000000"), "recovery blob": slot(2, "wrapped", "AAAA"), "salt": slot(2, "salt", "AAAA"),
		"time": slot(2, "time", 11), "memory": slot(2, "memory", 1<<20+1), "threads": slot(2, "threads", 17), "recovery mac": slot(2, "mac", "AAAA"),
		"host id": host("id", "0011223344556677"), "host name": host("name", ""), "host key": host("public", "AAAA"), "host field": host("extra", 1), "host date": host("retired", -1),
		"prefixes": host("prefixes", []any{}), "open prefix": host("prefixes", []any{"a"}),
	} {
		if r, err := ParseRecord(edited(t, text, change)); !errors.Is(err, ErrRecord) || r != nil {
			t.Errorf("%s: got %v, %v, want ErrRecord", name, r, err)
		}
	}
	good := string(text)
	for name, text := range map[string]string{
		"nothing": "", "a list": "[]", "half": good[:len(good)/2], "two": good + good, "deep": strings.Repeat("[", 100),
		"field twice": strings.Replace(good, `"epoch"`, `"epoch": 1, "epoch"`, 1), "capitals": strings.Replace(good, `"epoch"`, `"Epoch"`, 1),
		"long s": strings.Replace(good, `"slots"`, `"ſlots"`, 1), "not UTF-8": strings.Replace(good, `backup`, "b\xff", 1),
		"too large": good + strings.Repeat(" ", maxRecord), "base64 with line end": strings.Replace(good, `"mac": "`, `"mac": "\n`, 1),
	} {
		if text == good {
			t.Fatalf("%s changes nothing", name)
		}
		if r, err := ParseRecord([]byte(text)); !errors.Is(err, ErrRecord) || r != nil {
			t.Errorf("%s: got %v, %v, want ErrRecord", name, r, err)
		}
	}
}

func TestParseRecordLimitsRecoverySlots(t *testing.T) {
	cheapRecovery(t)
	v := newVolume(t)
	r := NewRecord(v, here)
	for i := range maxRecovery + 1 {
		s, err := recoverySlot(&v.public, v.secret[:], make([]byte, codeSize), bytes.Repeat([]byte{byte(i)}, saltSize))
		if err != nil {
			t.Fatal(err)
		}
		r.Slots = append(r.Slots, s)
	}
	text, err := r.text(make([]byte, macSize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRecord(text); !errors.Is(err, ErrRecord) {
		t.Errorf("got %v, want ErrRecord", err)
	}
}
