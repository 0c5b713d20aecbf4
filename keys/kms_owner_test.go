package keys

import (
	"errors"
	"testing"
)

// TestKMSOwns checks whose blob is whose, for keys named in each way: KMS decrypts the blobs of all of them.
func TestKMSOwns(t *testing.T) {
	s, ca := newKMSServer(t)
	named := func(id string) *KMS { return s.client(t, ca, func(c *KMSConfig) { c.KeyID = id }) }
	one, other := named("key-one"), named("key-two")
	blob, err := one.Wrap(t.Context(), KMSText, []byte("AAAA"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Unwrap(t.Context(), KMSText, blob, 0); err != nil {
		t.Fatalf("this KMS minds which key is asked: %v", err)
	}
	for _, tt := range []struct {
		name string
		key  *KMS
		blob []byte
		want bool
	}{
		{"its own", one, blob, true},
		{"another one's", other, blob, false},
		{"named by an alias", named("alias/one"), blob, true},
		{"another one's alias", named("alias/two"), blob, false},
		{"named by an ARN", named("acs:kms:cn-x:1:key/key-one"), blob, true},
		{"no blob", one, []byte("AAAA"), false},
	} {
		for range 2 { // the second time the name is known
			if own, err := tt.key.Owns(t.Context(), tt.blob); err != nil || own != tt.want {
				t.Errorf("%s: got %v, %v, want %v", tt.name, own, err, tt.want)
			}
		}
	}
	s.mu.Lock()
	s.refuse = []refusal{{status: 403, code: "Forbidden.NoPermission"}}
	s.mu.Unlock()
	if _, err := one.Owns(t.Context(), blob); !errors.Is(err, ErrKMSDenied) {
		t.Errorf("denied: got %v", err)
	}
}
