package cipher

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
)

// owningKMS is a fakeKMS that knows its own blobs, of which it opens those of another one too.
type owningKMS struct {
	*fakeKMS
	other *fakeKMS
}

func (o *owningKMS) Owns(_ context.Context, blob []byte) (bool, error) {
	_, ok := o.texts[string(blob)]
	return ok, o.fail
}

func (o *owningKMS) Unwrap(ctx context.Context, s keys.Scheme, blob []byte, size int) ([]byte, error) {
	if text, ok := o.other.texts[string(blob)]; ok {
		return []byte(text), nil
	}
	return o.fakeKMS.Unwrap(ctx, s, blob, size)
}

// TestRenew checks for each dialect and kind of key that a renewed envelope is of the same dialects, opens under the new key to the
// same content key, and is known to be under it, while the old one is not.
func TestRenew(t *testing.T) {
	desc := map[string]string{"year": "2"}
	plain := newFakeKMS()
	bound := newFakeKMS()
	bound.bound = true
	kms := &owningKMS{newFakeKMS(), plain}
	masters := map[string]keys.MasterKey{"rsa1": testRSA(t, "rsa1", nil), "rsa2": testRSA(t, "rsa2", desc), "kms": kms, "other kms": plain, "bound kms": bound}
	for _, d := range []Dialect{Both, Current, Legacy} {
		for from, old := range masters {
			for to, fresh := range masters {
				name := fmt.Sprintf("%s/%s/%s", d, from, to)
				k, headers := wrapped(t, old, EnvelopeOptions{Dialect: d, Size: 7, PartSize: 160 << 10})
				for _, h := range []string{currentLength, legacyLength, currentMD5, legacyMD5} {
					headers[h] = "7"
				}
				if d == Legacy {
					delete(headers, currentLength)
					delete(headers, currentMD5)
				}
				e, err := ParseEnvelope(headers)
				if err != nil {
					t.Fatal(err)
				}
				if e.Dialect() != d {
					t.Errorf("%s: dialect %s", name, e.Dialect())
				}
				if under, err := e.WrappedUnder(t.Context(), fresh); err != nil || under != (from == to) {
					t.Errorf("%s: under the new key before: %v, %v", name, under, err)
				}
				renewed, err := e.Renew(t.Context(), keys.NewKeyring(fresh), k, EnvelopeOptions{Size: 7})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if renewed[legacyLength] != "7" || renewed[currentLength] != headers[currentLength] || renewed[currentMD5]+renewed[legacyMD5] != "" ||
					renewed[currentPartSize] != "" || headers[currentPartSize] != "" && PartSizeOf(headers) != 160<<10 || PartSizeOf(renewed) != 0 {
					t.Errorf("%s: headers %v", name, renewed)
				}
				opensTo(t, renewed, fresh, k)
				if e, err = ParseEnvelope(renewed); err != nil || e.Dialect() != d || !e.HasMatDesc(fresh.MatDesc()) {
					t.Fatalf("%s: dialect %s of the new one, %v", name, e.Dialect(), err)
				}
				if under, err := e.WrappedUnder(t.Context(), fresh); err != nil || !under {
					t.Errorf("%s: under the new key afterwards: %v, %v", name, under, err)
				}
			}
		}
	}
}

// TestRenewRefusals checks what cannot be renewed or told.
func TestRenewRefusals(t *testing.T) {
	master := testRSA(t, "rsa1", nil)
	k, headers := wrapped(t, newFakeKMS(), EnvelopeOptions{})
	e, err := ParseEnvelope(headers)
	if err != nil {
		t.Fatal(err)
	}
	odd := withIVByte(t, k, 9)
	if _, err := e.Renew(t.Context(), keys.NewKeyring(master), odd, EnvelopeOptions{}); !errors.Is(err, ErrIVForm) {
		t.Errorf("an IV with a counter in its middle: got %v", err)
	}
	if _, err := e.Renew(t.Context(), keys.NewKeyring(newFakeKMS()), odd, EnvelopeOptions{}); err != nil {
		t.Errorf("the same under KMS: got %v", err)
	}
	kms := &owningKMS{newFakeKMS(), newFakeKMS()}
	kms.fail = keys.ErrKMSUnreachable
	if _, err := e.WrappedUnder(t.Context(), kms); !errors.Is(err, keys.ErrKMSUnreachable) {
		t.Errorf("without KMS: got %v", err)
	}
	text, err := master.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	public, err := keys.ParseRSA(text, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, headers = wrapped(t, master, EnvelopeOptions{})
	if e, err = ParseEnvelope(headers); err != nil {
		t.Fatal(err)
	}
	if under, err := e.WrappedUnder(t.Context(), public); under || err != nil {
		t.Errorf("with the public half: got %v, %v", under, err)
	}
}

// withIVByte is a content key with another byte of the IV set.
func withIVByte(t *testing.T, k *ContentKey, at int) *ContentKey {
	t.Helper()
	secret := k.MarshalSecret()
	secret[KeySize+at] = 1
	changed, err := UnmarshalContentKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// TestResealBox checks that a box made anew for an object that others moved stays bound to the old name.
func TestResealBox(t *testing.T) {
	v, err := keys.NewVolumeKey(1, true)
	if err != nil {
		t.Fatal(err)
	}
	next, err := keys.NewVolumeKey(2, true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSealing()
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Finish()
	headers := map[string]string{currentKey: "a", currentStart: "b"}
	c := BoxContent{Key: sealed.ContentKey(), Tags: sealed.Tags(), Generation: sealed.GenerationID(), Mode: 0o100644}
	value, err := SealBox(v, "old/name", headers, c)
	if err != nil {
		t.Fatal(err)
	}
	old, err := ParseBox(value)
	if err != nil {
		t.Fatal(err)
	}
	headers[currentKey] = "c"
	if value, err = ResealBox(next, old, headers, c); err != nil {
		t.Fatal(err)
	}
	box, err := ParseBox(value)
	if err != nil || box.Volume != next.ID() || !box.NameIs("old/name") || box.NameIs("new/name") {
		t.Errorf("box of volume %v, %v", box.Volume, err)
	}
	if got, err := box.Open(next, headers); err != nil || !got.Key.Equal(c.Key) || got.Generation != c.Generation {
		t.Errorf("opened %+v, %v", got, err)
	}
}
