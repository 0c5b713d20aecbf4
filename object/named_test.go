package object

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// TestNamedObjectDecides: in a bucket without a volume, whose objects are under several keys, what is named tells whether the key fits, and nothing else
// does. Without a name the first objects tell.
func TestNamedObjectDecides(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	for n, name := range []string{"mixed/a", "mixed/dir/mine"} { // the first ones are under another key
		o.Prefix, o.Keyring = fmt.Sprintf("from%d/", n), keys.NewKeyring(masterRSA(t, n))
		put(t, opened(t, o), request(t, "f", []byte("text")))
		body, headers, err := s.ReadObject(testBucket, o.Prefix+"f")
		if err != nil {
			t.Fatal(err)
		}
		bare := http.Header{}
		for header, values := range headers {
			if !strings.Contains(strings.ToLower(header), "ossencfs") {
				bare[header] = values
			}
		}
		for copies := range 2 * maxRefusals * (1 - n) {
			if err := s.WriteObject(testBucket, fmt.Sprint(name, copies), bare, body); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.WriteObject(testBucket, name, bare, body); err != nil {
			t.Fatal(err)
		}
	}
	o.Prefix, o.ReadOnly, o.Trust.AcceptForeign = "mixed/", true, []string{""}
	for named, want := range map[string]error{"": ErrWrongKey, "a": ErrWrongKey, "dir/mine": nil, "dir/": nil, "dir": nil, "nothing": nil} {
		o.Named = named
		if err := unopened(t, o).VerifyKey(t.Context()); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", named, err, want)
		}
	}
}
