package cipher

import "testing"

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
