package object

import (
	"bytes"
	"errors"
	"maps"
	"testing"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// TestTagVouchesForNoOtherBox: no tag of a key holder vouches for what a write-only host sealed with the same generation, which it can read in the
// headers, and which the bucket's owner put in place of the object that the tag was made for.
func TestTagVouchesForNoOtherBox(t *testing.T) {
	change := func(t *testing.T, b *Bucket, key string) {
		info := head(t, b, key)
		must(t, b.SetAttr(t.Context(), TagRequest{Key: key, Attr: info.Attr, Generation: info.Generation, Upload: NewID()}))
	}
	move := func(t *testing.T, b *Bucket, src, dst string) {
		info := head(t, b, src)
		must(t, errOf(b.Copy(t.Context(), CopyRequest{Src: src, Dst: dst, Attr: info.Attr, Generation: info.Generation, Upload: NewID()})))
	}
	text := []byte("of a key holder")
	for name, prepare := range map[string]func(t *testing.T, reader, host *Bucket){
		"stored with a tag": func(t *testing.T, reader, _ *Bucket) {
			r := request(t, "b/own", bytes.Repeat([]byte("h"), SmallFile+1))
			r.Upload = reader.NewUpload(r.Key, generationOf(r.Sealed), r.Sealed.Size())
			put(t, reader, r)
		},
		"changed": func(t *testing.T, reader, _ *Bucket) {
			put(t, reader, request(t, "b/own", text))
			change(t, reader, "b/own")
		},
		"moved": func(t *testing.T, reader, _ *Bucket) {
			put(t, reader, request(t, "c/own", text))
			move(t, reader, "c/own", "b/own")
		},
		"moved from below the host": func(t *testing.T, reader, _ *Bucket) {
			put(t, reader, request(t, "a/own", text))
			change(t, reader, "a/own")
			move(t, reader, "a/own", "b/own")
		},
		"another one of the host": func(t *testing.T, reader, host *Bucket) {
			put(t, host, request(t, "a/own", text))
			move(t, reader, "a/own", "b/own")
		},
		"another one of the host, changed": func(t *testing.T, reader, host *Bucket) {
			put(t, host, request(t, "a/own", text))
			move(t, reader, "a/own", "b/mine")
			change(t, reader, "b/mine")
			move(t, reader, "b/mine", "b/own")
			change(t, reader, "b/own")
		},
		"by a program of before": func(t *testing.T, reader, host *Bucket) {
			put(t, host, request(t, "a/own", text))
			info := head(t, reader, "a/own")
			value, err := reader.formatTag("b/own", tag{upload: NewID(), generation: info.Generation, attr: info.Attr})
			must(t, err)
			tagging := oss.EncodeTagging(map[string]string{tagName: value})
			must(t, errOf(reader.oss.Copy(t.Context(), "a/own", "b/own", oss.CopyOptions{ReplaceTagging: &tagging})))
		},
	} {
		for kind, trust := range map[string]Trust{"anywhere": {}, "strict": {Strict: true}} {
			t.Run(name+", "+kind, func(t *testing.T) {
				s := emulated(t, emulator.Options{})
				reader := unopened(t, Options{Connection: connection(s), Shared: true, Trust: trust})
				must(t, reader.OpenVolume(t.Context()))
				host := mustHosted(t, s, exported(t, reader, "a/"))
				prepare(t, reader, host)
				_, h, err := s.ReadObject(testBucket, "b/own")
				must(t, err)
				forged := request(t, "a/x", []byte("of the host"))
				forged.Generation, _, err = parseIDs(h.Get(metaIDs))
				must(t, err)
				put(t, host, forged)
				body, h, err := s.ReadObject(testBucket, "a/x")
				must(t, err)
				h.Set("X-Oss-Tagging", tagsIn(t, s, "b/own"))
				must(t, s.WriteObject(testBucket, "b/own", h, body))
				if got, _, err := read(t, reader, GetRequest{Key: "b/own"}); !errors.Is(err, ErrUnauthentic) {
					t.Errorf("got %q, %v, want ErrUnauthentic", got, err)
				}
			})
		}
	}
}

// TestHostsObjectMoves: what a write-only host sealed and a key holder moved elsewhere stays authentic and keeps its attributes, through further
// changes and names; one that a program of before moved is so again once it is back below the host's prefix.
func TestHostsObjectMoves(t *testing.T) {
	for kind, trust := range map[string]Trust{"anywhere": {}, "strict": {Strict: true}} {
		t.Run(kind, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			reader := unopened(t, Options{Connection: connection(s), Trust: trust})
			must(t, reader.OpenVolume(t.Context()))
			host := mustHosted(t, s, exported(t, reader, "a/"))
			put(t, host, request(t, "a/x", []byte("of the host")))
			mode := uint32(0o600)
			reads := func(key string) Info {
				t.Helper()
				got, d, err := read(t, reader, GetRequest{Key: key, Attributes: true})
				if err != nil || got != "of the host" || mode != 0o600 && d.Info.Attr.Mode != ModeRegular|mode {
					t.Fatalf("%s: %q, mode %o, %v, want mode %o", key, got, d.Info.Attr.Mode, err, mode)
				}
				return d.Info
			}
			change := func(key string) {
				t.Helper()
				info := reads(key)
				mode++
				info.Attr.Mode = ModeRegular | mode
				must(t, reader.SetAttr(t.Context(), TagRequest{Key: key, Attr: info.Attr, Generation: info.Generation, Upload: NewID()}))
				reads(key)
			}
			move := func(src, dst string, requests map[string]int) {
				t.Helper()
				info := reads(src)
				s.ResetRequests()
				must(t, errOf(reader.Copy(t.Context(), CopyRequest{Src: src, Dst: dst, Attr: info.Attr, Generation: info.Generation, Upload: NewID()})))
				if got := s.Requests(); !maps.Equal(got, requests) {
					t.Errorf("%s to %s: requests %v, want %v", src, dst, got, requests)
				}
				reads(dst)
			}
			tagged := map[string]int{"CopyObject": 1, "HeadObject": 1, "GetObjectTagging": 1}
			change("a/x")
			move("a/x", "a/y", tagged)
			move("a/y", "b/x", tagged)
			change("b/x")
			change("b/x")
			move("b/x", "c/x", tagged)
			move("c/x", "a/z", tagged)
			change("a/z")
			move("a/z", "b/z", tagged)

			info := head(t, reader, "a/x")
			value, err := reader.formatTag("b/old", tag{upload: NewID(), generation: info.Generation, attr: info.Attr})
			must(t, err)
			tagging := oss.EncodeTagging(map[string]string{tagName: value})
			must(t, errOf(reader.oss.Copy(t.Context(), "a/x", "b/old", oss.CopyOptions{ReplaceTagging: &tagging})))
			old := head(t, reader, "b/old")
			if old.State != StateRefused {
				t.Fatalf("moved by a program of before: %v", old.State)
			}
			must(t, reader.Delete(t.Context(), "a/x"))
			must(t, errOf(reader.Copy(t.Context(), CopyRequest{Src: "b/old", Dst: "a/x", Attr: old.Attr, Generation: old.Generation, Upload: NewID()})))
			mode = 0o600 // that of the tag is lost
			reads("a/x")
		})
	}
}

// TestMovedHostsObjectHasAttributesOfItsTag: the tag that vouches for a host's object elsewhere tells its attributes too. A bucket that shows that tag
// when it is asked who gave the object its name, and no tag or an old one when it is asked for attributes, gives it none of those that the host
// sealed.
func TestMovedHostsObjectHasAttributesOfItsTag(t *testing.T) {
	s := emulated(t, emulator.Options{})
	reader := unopened(t, Options{Connection: connection(s), Shared: true})
	must(t, reader.OpenVolume(t.Context()))
	host := mustHosted(t, s, exported(t, reader, "a/"))
	r := request(t, "a/x", []byte("of the host"))
	r.Attr.Mode = ModeRegular | 0o4755
	put(t, host, r)
	info := head(t, reader, "a/x")
	info.Attr.Mode = ModeRegular | 0o644
	must(t, errOf(reader.Copy(t.Context(), CopyRequest{Src: "a/x", Dst: "b/x", Attr: info.Attr, Generation: info.Generation, Upload: NewID()})))
	old, err := reader.formatTag("b/x", tag{upload: NewID(), generation: info.Generation, attr: r.Attr, change: 9})
	must(t, err)
	for name, later := range map[string]string{"none": "", "an old one": oss.EncodeTagging(map[string]string{tagName: old})} {
		got, err := reader.oss.Head(t.Context(), "b/x")
		must(t, err)
		if later == "" {
			got.TagCount = 0
		}
		info, p, err := reader.describe(t.Context(), "b/x", "b/x", got)
		must(t, err)
		body, h, err := s.ReadObject(testBucket, "b/x")
		must(t, err)
		before := tagsIn(t, s, "b/x")
		h.Set("X-Oss-Tagging", later)
		must(t, s.WriteObject(testBucket, "b/x", h, body))
		must(t, reader.complete(t.Context(), "b/x", got, &info, p))
		if info.State != StateRefused && info.Attr.Mode != ModeRegular|0o644 {
			t.Errorf("%s: %v, mode %o, want 644", name, info.State, info.Attr.Mode)
		}
		h.Set("X-Oss-Tagging", before)
		must(t, s.WriteObject(testBucket, "b/x", h, body))
	}
}

// TestTagOfAHostsObjectIsForNoOther: a host seals the generation of a key holder's file, which its object then replaces. The mode of that object is not
// that of the file, which the bucket's owner puts back beneath its tag.
func TestTagOfAHostsObjectIsForNoOther(t *testing.T) {
	s := emulated(t, emulator.Options{})
	reader := unopened(t, Options{Connection: connection(s), Shared: true})
	must(t, reader.OpenVolume(t.Context()))
	host := mustHosted(t, s, exported(t, reader, "a/"))
	secret := request(t, "b/x", []byte("secret"))
	secret.Attr.Mode = ModeRegular | 0o600
	put(t, reader, secret)
	body, h, err := s.ReadObject(testBucket, "b/x")
	must(t, err)
	r := request(t, "a/x", []byte("of the host"))
	r.Generation, _, err = parseIDs(h.Get(metaIDs))
	must(t, err)
	r.Attr.Mode = ModeRegular | 0o666
	put(t, host, r)
	info := head(t, reader, "a/x")
	must(t, errOf(reader.Copy(t.Context(), CopyRequest{Src: "a/x", Dst: "b/x", Attr: info.Attr, Generation: info.Generation, Upload: NewID()})))
	h.Set("X-Oss-Tagging", tagsIn(t, s, "b/x"))
	must(t, s.WriteObject(testBucket, "b/x", h, body))
	if got := head(t, reader, "b/x"); got.State != StateRefused && got.Attr.Mode != ModeRegular|0o600 {
		t.Errorf("%v, mode %o, want 600", got.State, got.Attr.Mode)
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
	_, h, err := s.ReadObject(testBucket, "a/x")
	must(t, err)
	value, err := former.formatTag("b/moved", tag{upload: NewID(), generation: info.Generation, attr: info.Attr, box: boxDigest(h.Get(cipher.BoxHeader))})
	must(t, err)
	tagging := oss.EncodeTagging(map[string]string{tagName: value})
	must(t, errOf(former.oss.Copy(t.Context(), "a/x", "b/moved", oss.CopyOptions{ReplaceTagging: &tagging})))
	_, d, err := read(t, opened(t, o), GetRequest{Key: "b/moved"})
	must(t, err)
	if got := keys.VolumeID(d.Info.Volume).String(); got != old {
		t.Errorf("it rests on %s, want %s", got, old)
	}
}
