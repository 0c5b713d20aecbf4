package object

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
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

// TestWordOfAMovedHostsObject: an object of a write-only host that counts where it stands by the tag of an earlier volume key alone rests on the word
// of that key, so that content which came from there is not sealed anew once the key is retired.
func TestWordOfAMovedHostsObject(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	former := opened(t, o)
	putWords(t, former, "ours")
	old := former.Volume().Writer
	v := volumesOf(t, o, "", masterRSA(t, 0))
	if _, err := v.NewEpoch(t.Context(), EpochRequest{Force: true}); err != nil {
		t.Fatal(err)
	}
	key, err := keys.NewHostKey("backup", []string{"a/"})
	must(t, err)
	bundle, err := v.AddHost(t.Context(), key, masterRSA(t, 0))
	must(t, err)
	host := mustHosted(t, s, bundle)
	info := put(t, host, request(t, "a/x", []byte("of the host")))
	if _, err := former.Copy(t.Context(), CopyRequest{Src: "a/x", Dst: "b/moved", Attr: info.Attr, Generation: info.Generation, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	_, d, err := read(t, opened(t, o), GetRequest{Key: "b/moved"})
	must(t, err)
	if got := keys.VolumeID(d.Info.Volume).String(); got != old {
		t.Errorf("it rests on %s, want %s", got, old)
	}
}
