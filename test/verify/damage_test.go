package verify

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// damage is one change of the bucket and what verify has to say about it.
type damage struct {
	name  string
	do    func(t *testing.T, w *world)
	want  []string // "kind key", all of them
	clean bool     // the headers do not show it: without Deep there is
	rest  []string // only this
}

// TestEachDamageIsFound: verify --deep finds each kind of damage by its name, and nothing else. Without --deep it finds what headers show.
func TestEachDamageIsFound(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	for _, d := range slices.Concat(bodies(), headers(), replacements(), attributes(), hidden()) {
		t.Run(d.name, func(t *testing.T) {
			w.restore(t)
			d.do(t, w)
			wantFindings(t, verify(t, w.store, object.VerifyOptions{Deep: true}), d.want...)
			if d.clean {
				d.want = d.rest
			}
			wantFindings(t, verify(t, w.store, object.VerifyOptions{}), d.want...)
		})
	}
	w.restore(t)
	for _, deep := range []bool{false, true} {
		wantFindings(t, verify(t, w.store, object.VerifyOptions{Deep: deep}))
	}
}

// bodies are changes of bytes.
func bodies() []damage {
	var list []damage
	for name, off := range map[string]int{"first": leafSize, "middle": leafSize + leafSize/2, "last": 2*leafSize - 1} {
		list = append(list, damage{name: "a bit of the " + name + " byte of a leaf", clean: true, want: []string{"tampered big"},
			do: func(t *testing.T, w *world) { w.flip(t, "big", off) }})
	}
	return append(list,
		damage{name: "truncated", want: []string{"tampered f"}, do: func(t *testing.T, w *world) {
			w.alter(t, "f", func(_ http.Header, body []byte) []byte { return body[:len(body)-1] })
		}},
		damage{name: "extended", want: []string{"tampered f"}, do: func(t *testing.T, w *world) {
			w.alter(t, "f", func(_ http.Header, body []byte) []byte { return append(body, 0) })
		}},
		damage{name: "bodies swapped", clean: true, want: []string{"tampered f", "tampered other"}, do: func(t *testing.T, w *world) {
			w.write(t, "f", stored{w.stored["f"].h, w.stored["other"].body})
			w.write(t, "other", stored{w.stored["other"].h, w.stored["f"].body})
		}},
		damage{name: "headers swapped", clean: true, rest: []string{"moved f", "moved other"}, want: []string{"moved f", "moved other", "tampered f", "tampered other"}, do: func(t *testing.T, w *world) {
			w.write(t, "f", stored{w.stored["other"].h, w.stored["f"].body})
			w.write(t, "other", stored{w.stored["f"].h, w.stored["other"].body})
		}},
		damage{name: "a disk at the provider", clean: true, want: []string{"tampered big"}, do: func(t *testing.T, w *world) {
			must(t, w.server.DamageObject(bucketName, "big", 3*leafSize))
		}},
		damage{name: "a target's byte", clean: true, want: []string{"tampered link"}, do: func(t *testing.T, w *world) { w.flip(t, "link", 3) }},
	)
}

// headers are changes of what the box is and binds.
func headers() []damage {
	tampered := func(name, header string) damage {
		return damage{name: name, want: []string{"tampered x"}, do: func(t *testing.T, w *world) { w.header(t, "x", header) }}
	}
	return []damage{
		tampered("the box", "X-Oss-Meta-Ossencfs-Box"),
		tampered("xattrs", "X-Oss-Meta-Ossencfs-Xattr"),
		tampered("the wrapped key", "X-Oss-Meta-Client-Side-Encryption-Key"),
		{name: "xattrs removed", want: []string{"tampered x"}, do: func(t *testing.T, w *world) {
			w.alter(t, "x", without("X-Oss-Meta-Ossencfs-Xattr"))
		}},
		{name: "the box removed", want: []string{"unauthentic f"}, do: func(t *testing.T, w *world) {
			w.alter(t, "f", without("X-Oss-Meta-Ossencfs-Box"))
		}},
		{name: "all headers removed", want: []string{"unauthentic f"}, do: func(t *testing.T, w *world) {
			w.alter(t, "f", without("X-Oss-Meta-"))
		}},
		{name: "of a marker", want: []string{"marker d/"}, do: func(t *testing.T, w *world) { w.alter(t, "d/", without("X-Oss-Meta-Ossencfs-Box")) }},
	}
}

// without drops the headers whose names begin with a prefix.
func without(prefix string) func(http.Header, []byte) []byte {
	return func(h http.Header, body []byte) []byte {
		for name := range h {
			if strings.HasPrefix(name, prefix) {
				delete(h, name)
			}
		}
		return body
	}
}

// replacements are other objects in the place of ours, and new ones.
func replacements() []damage {
	return []damage{
		{name: "plain text", want: []string{"unauthentic f"}, do: func(t *testing.T, w *world) {
			w.write(t, "f", stored{http.Header{}, []byte("anything")})
		}},
		{name: "an object of the SDK", want: []string{"unauthentic f"}, do: func(t *testing.T, w *world) { w.sdkObject(t, "f", []byte("anything")) }},
		{name: "another file of the volume", want: []string{"moved f"}, do: func(t *testing.T, w *world) { w.write(t, "f", w.stored["other"]) }},
		{name: "a name that is no path", want: []string{"moved a//b", "name a//b"}, do: func(t *testing.T, w *world) { w.write(t, "a//b", w.stored["f"]) }},
		{name: "a link of OSS", want: []string{"unauthentic f"}, do: func(t *testing.T, w *world) {
			must(t, w.plainClient(t).PutSymlink("f", "other"))
		}},
	}
}

// attributes are changes of what does not stop a file from being read.
func attributes() []damage {
	return []damage{
		{name: "set-user-id in the headers", want: []string{"attributes f"}, do: func(t *testing.T, w *world) {
			w.alter(t, "f", func(h http.Header, body []byte) []byte {
				h.Set("X-Oss-Meta-Mode", "35309") // 0104755
				return body
			})
		}},
		{name: "a forged tag", want: []string{"tag t"}, do: func(t *testing.T, w *world) {
			w.alter(t, "t", func(h http.Header, body []byte) []byte {
				h.Set("X-Oss-Tagging", strings.Replace(h.Get("X-Oss-Tagging"), "100604", "104755", 1))
				return body
			})
		}},
		{name: "a tag of another file", want: []string{"tag f"}, do: func(t *testing.T, w *world) {
			w.alter(t, "f", func(h http.Header, body []byte) []byte {
				h.Set("X-Oss-Tagging", w.stored["t"].h.Get("X-Oss-Tagging"))
				return body
			})
		}},
	}
}

// hidden are changes in the hidden area, and what was never finished.
func hidden() []damage {
	return []damage{
		{name: "garbage for a record", want: []string{"record .ossencfs/volume/00112233445566778899aabbccddeeff/00000001"}, do: func(t *testing.T, w *world) {
			w.write(t, ".ossencfs/volume/00112233445566778899aabbccddeeff/00000001", stored{http.Header{}, []byte("{}")})
		}},
		{name: "a stray leaf-tag object", want: []string{"stray-leaf .ossencfs/leaf/00112233445566778899aabbccddeeff"}, do: func(t *testing.T, w *world) {
			w.write(t, ".ossencfs/leaf/00112233445566778899aabbccddeeff", stored{http.Header{}, pattern(16*129, 1)})
		}},
		{name: "no name for a leaf-tag object", want: []string{"hidden .ossencfs/leaf/x"}, do: func(t *testing.T, w *world) {
			w.write(t, ".ossencfs/leaf/x", stored{http.Header{}, pattern(16, 1)})
		}},
		{name: "something unknown", want: []string{"hidden .ossencfs/unknown"}, do: func(t *testing.T, w *world) {
			w.write(t, ".ossencfs/unknown", stored{http.Header{}, nil})
		}},
		{name: "a parked object of others", want: []string{"orphan .ossencfs/park/7", "unauthentic .ossencfs/park/7"}, do: func(t *testing.T, w *world) {
			w.write(t, ".ossencfs/park/7", stored{http.Header{}, []byte("plain")})
		}},
		{name: "the canary", want: []string{"tampered .ossencfs/canary"}, do: func(t *testing.T, w *world) {
			w.header(t, ".ossencfs/canary", "X-Oss-Meta-Ossencfs-Box")
		}},
		{name: "what has the name of a record below", want: []string{
			"name d/.ossencfs/volume/00112233445566778899aabbccddeeff/00000001", "unauthentic d/.ossencfs/volume/00112233445566778899aabbccddeeff/00000001",
		}, do: func(t *testing.T, w *world) {
			w.write(t, "d/.ossencfs/volume/00112233445566778899aabbccddeeff/00000001", stored{http.Header{}, []byte("{}")})
		}},
		{name: "an unfinished upload", want: []string{"stale-upload d/half"}, do: func(t *testing.T, w *world) {
			up, err := w.plainClient(t).InitiateMultipartUpload("d/half")
			must(t, err)
			t.Cleanup(func() { must(t, w.plainClient(t).AbortMultipartUpload(up)) })
		}},
	}
}

// TestVolumeBelow: the record of another volume below is named, because nothing there is verified by the keys of this one.
func TestVolumeBelow(t *testing.T) {
	w, nested := newWorld(t), newWorld(t)
	for _, o := range nested.server.Objects(bucketName) {
		must(t, nested.server.RemoveObject(bucketName, o.Key))
	}
	nested.open(t, object.Options{Prefix: "d"}) // its record is bound to that directory
	nested.remember(t)
	var want []string
	for key, s := range nested.stored {
		if strings.HasPrefix(key, "d/.ossencfs/volume/") {
			w.write(t, key, s)
			want = append(want, "nested-volume "+key)
		}
	}
	wantFindings(t, verify(t, w.store, object.VerifyOptions{}), want...)
	if len(want) != 1 {
		t.Errorf("there are %d records, want one", len(want))
	}
}
