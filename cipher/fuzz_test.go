package cipher

import (
	"bytes"
	"encoding/base64"
	"errors"
	"maps"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
)

// FuzzParseEnvelope feeds foreign headers: never a panic, and each refusal is one of the named errors.
func FuzzParseEnvelope(f *testing.F) {
	f.Add("AAAA", "AAAA", "AES/CTR/NoPadding", "RSA/NONE/PKCS1Padding", `{"a":"b"}`, "", "", "", "", "5")
	f.Add("", "", "", "", "", "AAAA", "AAAA", "AES/GCM/NoPadding", "rsa", "")
	f.Add("QUFBQQ==", "QUFBQQ==", "", "KMS/ALICLOUD", "{}", "QUFBQQ==", "MTI=", "x", "kms", "-1")
	f.Add("", "", "", "", "", "", "", "", "", "")
	ring := keys.NewKeyring(testRSA(f, "rsa1", nil), newFakeKMS())
	named := []error{ErrPlain, ErrPartial, ErrUnknownCEK, ErrUnknownWrap, ErrMalformed}
	f.Fuzz(func(t *testing.T, key, start, cek, wrap, desc, lkey, lstart, lcek, lwrap, size string) {
		headers := map[string]string{
			currentKey: key, currentStart: start, currentCEK: cek, currentWrap: wrap, currentMatDesc: desc,
			legacyKey: lkey, legacyStart: lstart, legacyCEK: lcek, legacyWrap: lwrap, currentDataSize: size,
		}
		maps.DeleteFunc(headers, func(_, v string) bool { return v == "" })
		e, err := ParseEnvelope(headers)
		if err != nil {
			for _, n := range named {
				if errors.Is(err, n) {
					return
				}
			}
			t.Fatalf("unnamed error %v", err)
		}
		e.Describe()
		if _, err := e.Open(t.Context(), ring); err != nil && !errors.Is(err, ErrCannotOpen) && !errors.Is(err, ErrNoKey) {
			t.Fatalf("open: %v", err)
		}
	})
}

// FuzzParseMatDesc: what is read can be written and is read as the same again.
func FuzzParseMatDesc(f *testing.F) {
	for _, s := range []string{`{"a": "b"}`, `{}`, `null`, ``, `{"a":1}`, `[`, `{"\ud800":"\u0000"}`, `{"a":"b","a":"c"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		desc, err := ParseMatDesc(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		written, err := MatDescText(desc)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []byte(written) {
			if c < ' ' || c > '~' {
				t.Fatalf("byte %#x in %q", c, written)
			}
		}
		back, err := ParseMatDesc(written)
		if err != nil || !maps.Equal(back, desc) {
			t.Fatalf("%q reads as %v, %v, want %v", written, back, err, desc)
		}
	})
}

// FuzzParseDecimal: what is read is the number that was written.
func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"7", "10", "0007", "-1", "", "340282366920938463463374607431768211455", "340282366920938463463374607431768211456", " 3\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		iv, err := parseDecimal(text)
		if err != nil {
			return
		}
		back, err := parseDecimal(decimal(iv))
		if err != nil || back != iv {
			t.Fatalf("%q: %x reads back as %x, %v", text, iv, back, err)
		}
	})
}

// FuzzUnmarshalSealed: a record that is taken is written back as it was.
func FuzzUnmarshalSealed(f *testing.F) {
	s, err := NewSealing()
	if err != nil {
		f.Fatal(err)
	}
	record, secret := s.Finish().Marshal()
	f.Add(record, secret)
	for _, size := range []int{1, LeafSize + 1} {
		if s, err = NewSealing(); err != nil {
			f.Fatal(err)
		}
		buf := make([]byte, size)
		if err := s.Seal(buf, buf); err != nil {
			f.Fatal(err)
		}
		record, secret = s.Finish().Marshal()
		f.Add(record, secret)
	}
	f.Add(record, secret[:SecretSize])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, record, secret []byte) {
		s, err := UnmarshalSealed(record, secret)
		if err != nil {
			if !errors.Is(err, ErrBadRecord) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		gotRecord, gotSecret := s.Marshal()
		if !bytes.Equal(gotRecord, record) || !bytes.Equal(gotSecret, secret) || s.Size() < 0 || s.Tags().Size() != s.Size() {
			t.Fatal("record changed")
		}
	})
}

// boxSeeds are boxes of both types.
func boxSeeds(f *testing.F, v *keys.VolumeKey, h *keys.HostKey) (seeds []string) {
	tagsOnly := testContent(f)
	tagsOnly.Key = nil
	for _, c := range []BoxContent{testContent(f), longestContent(f), tagsOnly} {
		for _, k := range boxKinds {
			value, err := k.seal(v, h, "a", boxHeaders(), c)
			if err != nil {
				f.Fatal(err)
			}
			seeds = append(seeds, value)
		}
	}
	return append(seeds, "", "AQ==", "AgE=", "AQE\n=")
}

// FuzzParseBox: what is taken is written back as it was, and does not open.
func FuzzParseBox(f *testing.F) {
	v, h := testVolume(f), testHost(f)
	own := map[string]bool{}
	for _, seed := range boxSeeds(f, testVolume(f), testHost(f)) {
		f.Add(seed)
	}
	for _, seed := range boxSeeds(f, v, h) {
		f.Add(seed)
		own[seed] = true
	}
	f.Fuzz(func(t *testing.T, value string) {
		b, err := ParseBox(value)
		if err != nil {
			if !errors.Is(err, ErrBox) || b != nil {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		if got := base64.StdEncoding.EncodeToString(b.raw); got != value || b.Epoch == 0 || b.Volume.IsZero() {
			t.Fatalf("%q reads as %q", value, got)
		}
		_, errV := b.Open(v, boxHeaders())
		_, errH := b.OpenHost(v, h.Host(), boxHeaders())
		for _, err := range []error{errV, errH} {
			if !errors.Is(err, ErrTampered) && !own[value] {
				t.Fatalf("open: %v, want ErrTampered", err)
			}
		}
	})
}

// FuzzOpenBox seals any bytes as a holder of the volume key could: what opens is written back as it was.
func FuzzOpenBox(f *testing.F) {
	v := testVolume(f)
	for _, c := range []BoxContent{testContent(f), longestContent(f), {Tags: tagsOf(f, nil), Mode: 0o120777}} {
		plain, err := c.marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain, "value")
	}
	f.Add([]byte{}, "\n")
	f.Fuzz(func(t *testing.T, plain []byte, header string) {
		headers := map[string]string{currentKey: header}
		digest, err := headersDigest(headers)
		if err != nil {
			return
		}
		salt := make([]byte, boxSaltLen)
		aead, err := boxAEAD(v, salt)
		if err != nil {
			t.Fatal(err)
		}
		raw := append(appendHead(nil, BoxOfVolume, v.ID(), v.Epoch()), make([]byte, boxSaltLen+boxNameLen)...)
		raw = aead.Seal(raw, make([]byte, 12), plain, boxAAD(raw, digest))
		b, err := ParseBox(base64.StdEncoding.EncodeToString(raw))
		if err != nil {
			if len(plain) >= minContent && len(plain) <= maxContent {
				t.Fatalf("%d bytes of content: %v", len(plain), err)
			}
			return
		}
		c, err := b.Open(v, headers)
		if err != nil {
			if !errors.Is(err, ErrTampered) || c != nil {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		back, err := c.marshal()
		if err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("%x reads back as %x, %v", plain, back, err)
		}
	})
}
