package object

import (
	"bytes"
	"testing"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// boxOf opens the box of an object.
func boxOf(t *testing.T, b *Bucket, key string) *cipher.BoxContent {
	t.Helper()
	full := b.prefix + key
	got, err := b.oss.Head(t.Context(), full)
	if err != nil {
		t.Fatal(err)
	}
	_, p, err := b.describe(t.Context(), key, full, got)
	if err != nil || p.box == nil {
		t.Fatalf("%s: no box, %v", key, err)
	}
	return p.box
}

// newEpoch makes a new volume key of the bucket of o and opens it anew.
func newEpoch(t *testing.T, o Options) *Bucket {
	t.Helper()
	v, err := OpenVolumes(t.Context(), o, "")
	if err == nil {
		defer v.Close()
		_, err = v.NewEpoch(t.Context(), EpochRequest{Force: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, o)
}

// TestStoredAgainForgetsTagKey: a body that the bucket had before, with other attributes, gets new tags.
func TestStoredAgainForgetsTagKey(t *testing.T) {
	for name, size := range map[string]int{"one request": 3000, "in parts": 3<<20 + 5} {
		s := emulated(t, emulator.Options{})
		b := opened(t, Options{Connection: connection(s), Keyring: keys.NewKeyring(masterRSA(t, 0))})
		text := bytes.Repeat([]byte("some text "), size/10+1)[:size]
		r := request(t, "f", bytes.Clone(text))
		put(t, b, r)
		before := boxOf(t, b, "f")
		r.Upload, r.Generation = NewID(), NewID()
		put(t, b, r)
		if boxOf(t, b, "f").Tags.Equal(before.Tags) {
			t.Errorf("%s: the tags are as before", name)
		}
		if got, _, err := read(t, b, GetRequest{Key: "f"}); err != nil || got != string(text) {
			t.Errorf("%s: read %d bytes, %v", name, len(got), err)
		}
	}
}

// TestRewrapForgetsTagKeys: who knows the key under which the content of an object is tagged can change bytes so that the tags stay right. Those who
// held the volume key do, and so a rewrap under a new one makes new tags. Under the same volume key they stay.
func TestRewrapForgetsTagKeys(t *testing.T) {
	for name, size := range map[string]int{"empty": 0, "one request": 3000, "in parts": 3<<20 + 5, "leaf tags apart": 129 << 20} {
		t.Run(name, func(t *testing.T) {
			if size > 100<<20 && testing.Short() {
				t.Skip("long")
			}
			s := emulated(t, emulator.Options{})
			o := Options{Connection: connection(s), Keyring: keys.NewKeyring(masterRSA(t, 0)), MultipartThreshold: 1 << 20, PartSize: 1 << 20}
			b := opened(t, o)
			text := bytes.Repeat([]byte("some text "), size/10+1)[:size]
			put(t, b, request(t, "f", bytes.Clone(text)))
			before, etag := boxOf(t, b, "f"), head(t, b, "f").ETag
			same := rotated(t, o, masterRSA(t, 1), masterRSA(t, 0))
			rewrap(t, same, RewrapOptions{})
			if now := boxOf(t, same, "f"); !now.Tags.Equal(before.Tags) || now.Wrapper == before.Wrapper {
				t.Error("the tags are others under the same volume key")
			}
			o.Keyring = same.ring
			b = newEpoch(t, o)
			if rep := rewrap(t, b, RewrapOptions{}); rep.Rewrapped == 0 || !rep.Complete() {
				t.Fatalf("report %+v", rep)
			}
			now := boxOf(t, b, "f")
			if now.Tags.Equal(before.Tags) != (size == 0) || now.Generation != before.Generation || head(t, b, "f").ETag != etag {
				t.Errorf("tags as before: %t, generation %x of %x", now.Tags.Equal(before.Tags), now.Generation, before.Generation)
			}
			var out bytes.Buffer
			if _, err := opened(t, o).GetFile(t.Context(), "f", &out, nil); err != nil || !bytes.Equal(out.Bytes(), text) {
				t.Errorf("read: %v, %d bytes", err, out.Len())
			}
			rep, err := opened(t, o).Verify(t.Context(), VerifyOptions{Deep: true})
			if found := findings(rep); err != nil || len(found) > 0 {
				t.Errorf("verify: %v, %v", found, err)
			}
		})
	}
}
