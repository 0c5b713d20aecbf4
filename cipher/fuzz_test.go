package cipher

import (
	"bytes"
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
		if !bytes.Equal(gotRecord, record) || !bytes.Equal(gotSecret, secret) || s.Size() < 0 {
			t.Fatal("record changed")
		}
	})
}
