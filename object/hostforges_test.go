package object

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
)

// TestFirstTagVouchesForNoHost: the tag with which a key holder stored a file vouches for nothing that a write-only host sealed with the same
// generation, which it can read in the headers, and that the bucket's owner put in its place.
func TestFirstTagVouchesForNoHost(t *testing.T) {
	for name, trust := range map[string]Trust{"anywhere": {}, "strict": {Strict: true}} {
		t.Run(name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			reader := unopened(t, Options{Connection: connection(s), Shared: true, Trust: trust})
			must(t, reader.OpenVolume(t.Context()))
			host := mustHosted(t, s, exported(t, reader, "a/"))
			r := request(t, "b/own", bytes.Repeat([]byte("h"), SmallFile+1))
			r.Upload = reader.NewUpload(r.Key, generationOf(r.Sealed), r.Sealed.Size())
			forged := request(t, "a/x", []byte("of the host"))
			forged.Generation = put(t, reader, r).Generation
			put(t, host, forged)
			body, h, err := s.ReadObject(testBucket, "a/x")
			must(t, err)
			h.Set("X-Oss-Tagging", tagsIn(t, s, r.Key))
			must(t, s.WriteObject(testBucket, r.Key, h, body))
			if got, _, err := read(t, reader, GetRequest{Key: r.Key}); !errors.Is(err, ErrUnauthentic) {
				t.Errorf("got %q, %v, want ErrUnauthentic", got, err)
			}
		})
	}
}
