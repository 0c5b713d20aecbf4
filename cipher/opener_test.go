package cipher

import (
	"errors"
	"sync"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
)

func TestOpenerRemembers(t *testing.T) {
	kms := newFakeKMS()
	var envelopes []*Envelope
	for range 3 {
		_, headers := wrapped(t, kms, EnvelopeOptions{})
		e, err := ParseEnvelope(headers)
		if err != nil {
			t.Fatal(err)
		}
		envelopes = append(envelopes, e)
	}
	o := NewOpener(keys.NewKeyring(kms), 2)
	for _, step := range []struct {
		name  string
		open  int
		calls int
	}{
		{"first", 0, 2}, {"again", 0, 0}, {"second", 1, 2}, {"first is kept", 0, 0},
		{"third drops the second", 2, 2}, {"first stays", 0, 0}, {"second is gone", 1, 2},
	} {
		kms.calls = nil
		k, err := o.Open(t.Context(), envelopes[step.open])
		if err != nil || k == nil {
			t.Fatal(err)
		}
		if len(kms.calls) != step.calls {
			t.Errorf("%s: %d calls, want %d", step.name, len(kms.calls), step.calls)
		}
	}
	o.Forget()
	kms.calls = nil
	if _, err := o.Open(t.Context(), envelopes[1]); err != nil || len(kms.calls) != 2 {
		t.Errorf("after Forget: %d calls, %v", len(kms.calls), err)
	}
}

func TestOpenerRemembersNoFailure(t *testing.T) {
	kms := newFakeKMS()
	_, headers := wrapped(t, kms, EnvelopeOptions{})
	e, err := ParseEnvelope(headers)
	if err != nil {
		t.Fatal(err)
	}
	o := NewOpener(keys.NewKeyring(kms), 10)
	kms.fail = keys.ErrKMSUnreachable
	if _, err := o.Open(t.Context(), e); !errors.Is(err, keys.ErrKMSUnreachable) {
		t.Fatalf("got %v", err)
	}
	kms.fail = nil
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := o.Open(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestDescribeNeedsNoKey(t *testing.T) {
	_, headers := wrapped(t, testRSA(t, "rsa1", map[string]string{"a": "b"}), EnvelopeOptions{Size: 9, PartSize: 16})
	headers[currentLength] = "9"
	headers[legacyMD5] = "x"
	headers[legacyWrap] = "vault"
	e, err := ParseEnvelope(headers)
	if err != nil {
		t.Fatal(err)
	}
	d := e.Describe()
	if d.DataSize != 9 || d.PartSize != 16 || d.UnencryptedLength != 9 || !d.UnencryptedMD5 || d.HeaderBytes != HeadersSize(headers) || len(d.Sets) != 2 {
		t.Errorf("got %+v", d)
	}
	legacy, current := d.Sets[0], d.Sets[1]
	if legacy.Dialect != Legacy || legacy.Problem == "" || legacy.WrapAlg != "vault" || legacy.KeyBytes != 256 {
		t.Errorf("legacy: %+v", legacy)
	}
	if current.Problem != "" || current.MatDesc["a"] != "b" || current.KeyBytes != 256 || current.Schemes[0] != "RSA-PKCS1-v1_5" {
		t.Errorf("current: %+v", current)
	}
	for form, master := range map[string]*fakeKMS{"A": {bound: true, texts: map[string]string{}}, "B": newFakeKMS()} {
		_, headers := wrapped(t, master, EnvelopeOptions{Dialect: Current})
		e, err := ParseEnvelope(headers)
		if err != nil {
			t.Fatal(err)
		}
		if s := e.Describe().Sets[0]; s.KMSForm != form || s.KeyBytes != 128 {
			t.Errorf("got form %s of %d bytes, want %s", s.KMSForm, s.KeyBytes, form)
		}
	}
}
