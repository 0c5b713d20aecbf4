package trust

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// attack is one change of the bucket and what a new mount makes of it.
type attack struct {
	name    string
	options object.Options
	do      func(t *testing.T, w *world)
	broken  []string          // files whose content and attributes are not handed out
	changed []string          // files whose later attributes are gone, so that those from sealing show
	notice  object.NoticeKind // how the first of these files, or the file about, is reported
	about   string
}

// TestTampering is the table of attacks on objects: no wrong byte and no planted attribute is ever seen.
func TestTampering(t *testing.T) {
	w := newWorld(t, object.Options{})
	for _, a := range slices.Concat(bodyAttacks(), headerAttacks(w), replacements(), attributeAttacks(w), moves()) {
		t.Run(a.name, func(t *testing.T) {
			w.restore(t)
			a.do(t, w)
			e, n := w.mount(t, a.options)
			w.check(t, e, a.broken, a.changed)
			about := a.about
			if about == "" {
				about = slices.Concat(a.broken, a.changed)[0]
			}
			if !n.about(about, a.notice) {
				t.Errorf("%s was not reported as %s: %+v", about, a.notice, n.seen)
			}
		})
	}
}

// bodyAttacks change bytes.
func bodyAttacks() []attack {
	var list []attack
	for name, off := range map[string]int{"first": 0, "middle": leafSize / 2, "last of a leaf": leafSize - 1, "first of the second leaf": leafSize,
		"last": 3*leafSize + 4} {
		list = append(list, attack{name: "a bit of the " + name + " byte", do: func(t *testing.T, w *world) { w.flip(t, "big", off) },
			broken: []string{"big"}, notice: object.NoticeTampered})
	}
	resize := func(change func([]byte) []byte) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			w.alter(t, "f", func(_ http.Header, body []byte) []byte { return change(body) })
		}
	}
	swap := func(what func(a, b stored) (stored, stored), x, y string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			a, b := what(w.stored[x], w.stored[y])
			w.put(t, x, a)
			w.put(t, y, b)
		}
	}
	return append(list,
		attack{name: "truncated", do: resize(func(b []byte) []byte { return b[:len(b)-1] }), broken: []string{"f"}, notice: object.NoticeTampered},
		attack{name: "emptied", do: resize(func([]byte) []byte { return nil }), broken: []string{"f"}, notice: object.NoticeTampered},
		attack{name: "extended", do: resize(func(b []byte) []byte { return append(b, 0) }), broken: []string{"f"}, notice: object.NoticeTampered},
		attack{name: "bodies swapped", broken: []string{"f", "other"}, notice: object.NoticeTampered,
			do: swap(func(a, b stored) (stored, stored) { return stored{a.h, b.body}, stored{b.h, a.body} }, "f", "other")},
		attack{name: "headers swapped", broken: []string{"f", "other"}, notice: object.NoticeTampered,
			do: swap(func(a, b stored) (stored, stored) { return stored{b.h, a.body}, stored{a.h, b.body} }, "f", "other")},
		attack{name: "a target's byte", broken: []string{"link"}, notice: object.NoticeTampered,
			do: func(t *testing.T, w *world) { w.flip(t, "link", 3) }},
	)
}

// headerAttacks change each header of the format by one character, and drop it.
func headerAttacks(w *world) []attack {
	var list []attack
	for name := range w.stored["x"].h {
		low := strings.ToLower(name)
		if !strings.HasPrefix(low, "x-oss-meta-") || isPlain(low) {
			continue
		}
		list = append(list, attack{name: "a character of " + low, broken: []string{"x"}, notice: object.NoticeTampered,
			do: func(t *testing.T, w *world) { w.alter(t, "x", flipHeader(name)) }})
		drop := attack{name: low + " removed", broken: []string{"x"}, notice: object.NoticeTampered,
			do: func(t *testing.T, w *world) {
				w.alter(t, "x", func(h http.Header, body []byte) []byte { delete(h, name); return body })
			}}
		if strings.HasSuffix(low, "-box") {
			drop.notice = object.NoticeRefused
		}
		list = append(list, drop)
	}
	for _, part := range []struct {
		name string
		at   int // byte of the box
	}{{"version", 0}, {"type", 1}, {"epoch", 21}, {"salt", 22}, {"name", 46}, {"sealed", 70}, {"sealed end", -1}} {
		list = append(list, attack{name: "a bit of the box's " + part.name, broken: []string{"f"}, notice: object.NoticeTampered,
			do: func(t *testing.T, w *world) { w.alter(t, "f", flipBox(part.at)) }})
	}
	return append(list, attack{name: "a bit of the box's volume", broken: []string{"f"}, notice: object.NoticeRefused,
		do: func(t *testing.T, w *world) { w.alter(t, "f", flipBox(5)) }})
}

// isPlain reports whether a header repeats in plain what the box says.
func isPlain(low string) bool {
	switch strings.TrimPrefix(low, "x-oss-meta-") {
	case "mode", "uid", "gid", "mtime", "rdev", "ossencfs-id":
		return true
	}
	return false
}

// flipHeader changes the middle character of a header's value.
func flipHeader(name string) func(http.Header, []byte) []byte {
	return func(h http.Header, body []byte) []byte {
		v := []byte(h[name][0])
		mid := len(v) / 2
		if v[mid] == 'A' {
			v[mid] = 'B'
		} else {
			v[mid] = 'A'
		}
		h[name] = []string{string(v)}
		return body
	}
}

const boxHeader = "X-Oss-Meta-Ossencfs-Box"

// flipBox changes one bit of the box; a negative place counts from the end.
func flipBox(at int) func(http.Header, []byte) []byte {
	return func(h http.Header, body []byte) []byte {
		raw, err := base64.StdEncoding.DecodeString(h.Get(boxHeader))
		if err != nil {
			panic(err)
		}
		raw[(at+len(raw))%len(raw)] ^= 4
		h.Set(boxHeader, base64.StdEncoding.EncodeToString(raw))
		return body
	}
}

// replacements put something else in an object's place.
func replacements() []attack {
	without := func(gone func(low string) bool) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			w.alter(t, "f", func(h http.Header, body []byte) []byte {
				for name := range h {
					if gone(strings.ToLower(name)) {
						delete(h, name)
					}
				}
				return body
			})
		}
	}
	isCrypto := func(low string) bool {
		return strings.Contains(low, "client-side-encryption") || strings.Contains(low, "-oss-c") || strings.Contains(low, "-oss-wrap")
	}
	return []attack{
		{name: "all encryption headers removed", broken: []string{"f"}, notice: object.NoticeTampered, do: without(isCrypto)},
		{name: "all encryption headers and the box removed", broken: []string{"f"}, notice: object.NoticeRefused,
			do: without(func(low string) bool { return isCrypto(low) || strings.HasSuffix(low, "-box") })},
		{name: "replaced by plain text", broken: []string{"f"}, notice: object.NoticeRefused,
			do: func(t *testing.T, w *world) { w.put(t, "f", stored{http.Header{}, []byte("plain words")}) }},
		{name: "replaced by a plain program with a set-user-id bit", broken: []string{"f"}, notice: object.NoticeRefused,
			do: func(t *testing.T, w *world) {
				w.put(t, "f", stored{http.Header{"X-Oss-Meta-Mode": {"35309"}}, []byte("#!/bin/sh")})
			}},
		{name: "replaced by an object of the SDK under our public key", broken: []string{"f"}, notice: object.NoticeRefused,
			do: func(t *testing.T, w *world) { w.put(t, "f", w.sdkObject(t, "f", []byte("planted"))) }},
		{name: "an object of the SDK, with the headers of our own attributes", broken: []string{"f"}, notice: object.NoticeRefused,
			do: func(t *testing.T, w *world) {
				s := w.sdkObject(t, "f", content["f"])
				for name, v := range w.stored["f"].h {
					if isPlain(strings.ToLower(name)) {
						s.h[name] = v
					}
				}
				w.put(t, "f", s)
			}},
		{name: "an object of the SDK with our box", broken: []string{"f"}, notice: object.NoticeTampered,
			do: func(t *testing.T, w *world) {
				s := w.sdkObject(t, "f", content["f"])
				s.h.Set(boxHeader, w.stored["f"].h.Get(boxHeader))
				w.put(t, "f", s)
			}},
		{name: "a marker replaced by a foreign one", changed: []string{"d"}, about: "d/", notice: object.NoticeMarker,
			do: func(t *testing.T, w *world) { w.put(t, "d/", stored{http.Header{"X-Oss-Meta-Mode": {"19455"}}, nil}) }},
	}
}

// attributeAttacks change what is plain beside the box.
func attributeAttacks(w *world) []attack {
	set := func(key, name, value string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			w.alter(t, key, func(h http.Header, body []byte) []byte { h.Set(name, value); return body })
		}
	}
	list := []attack{
		{name: "set-user-id in the header", about: "f", notice: object.NoticeAttributes, do: set("f", "X-Oss-Meta-Mode", "35309")},
		{name: "a device in the header", about: "f", notice: object.NoticeAttributes, do: set("f", "X-Oss-Meta-Mode", "25008")},
		{name: "a symbolic link in the header", about: "f", notice: object.NoticeAttributes, do: set("f", "X-Oss-Meta-Mode", "41471")},
		{name: "another owner in the header", about: "f", notice: object.NoticeAttributes, do: set("f", "X-Oss-Meta-Uid", "4242")},
		{name: "another time in the header", about: "f", notice: object.NoticeAttributes, do: set("f", "X-Oss-Meta-Mtime", "1.000000000")},
		{name: "other ids in the header", about: "f", notice: object.NoticeAttributes,
			do: set("f", "X-Oss-Meta-Ossencfs-Id", strings.Repeat("a", 32)+"."+strings.Repeat("b", 32))},
		{name: "plain extended attributes added", about: "f", notice: object.NoticeTampered, broken: []string{"f"},
			do: set("f", "X-Oss-Meta-Ossencfs-Xattr", "AAAA")},
		{name: "a tag planted", about: "f", notice: object.NoticeTag,
			do: set("f", "X-Oss-Tagging", "ossencfs="+strings.Replace(strings.TrimPrefix(w.stored["t"].h.Get("X-Oss-Tagging"), "ossencfs="), "100644", "104777", 1))},
		{name: "another object's tag", about: "f", notice: object.NoticeTag, do: set("f", "X-Oss-Tagging", w.stored["t"].h.Get("X-Oss-Tagging"))},
	}
	tag := w.stored["t"].h.Get("X-Oss-Tagging")
	for name, change := range map[string]func(string) string{
		"set-user-id": func(s string) string { return strings.Replace(s, "100644", "104644", 1) },
		"a type":      func(s string) string { return strings.Replace(s, "100644", "120644", 1) },
		"the MAC": func(s string) string {
			other := map[bool]string{true: "B", false: "A"}[s[len(s)-2] == 'A'] // a letter that a tag may have
			return s[:len(s)-2] + other + s[len(s)-1:]
		},
	} {
		list = append(list, attack{name: name + " in the tag", changed: []string{"t"}, notice: object.NoticeTag, do: set("t", "X-Oss-Tagging", change(tag))})
	}
	return list
}

// moves put whole objects, boxes and all, under other names. Without --strict they stay what they are; with it names count.
func moves() []attack {
	strict := object.Options{Trust: object.Trust{Strict: true}}
	return []attack{
		{name: "two objects swapped, strict", options: strict, broken: []string{"f", "other"}, notice: object.NoticeTampered,
			do: func(t *testing.T, w *world) { w.put(t, "f", w.stored["other"]); w.put(t, "other", w.stored["f"]) }},
		{name: "a link in place of a file, strict", options: strict, broken: []string{"f"}, notice: object.NoticeTampered,
			do: func(t *testing.T, w *world) { w.put(t, "f", w.stored["link"]) }},
		{name: "an object with its tag under another name, strict", options: strict, broken: []string{"x"}, notice: object.NoticeTampered,
			do: func(t *testing.T, w *world) { w.put(t, "x", w.stored["t"]) }},
	}
}

// TestSwappedWithoutStrict: without --strict the owner of the bucket can give an object another name, and nothing more.
func TestSwappedWithoutStrict(t *testing.T) {
	w := newWorld(t, object.Options{})
	w.put(t, "f", w.stored["other"])
	w.put(t, "other", w.stored["f"])
	e, n := w.mount(t, object.Options{})
	for name, want := range map[string][]byte{"f": content["other"], "other": content["f"]} {
		if got := read(t, e.Path(name)); !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes than the object's", name)
		}
	}
	if len(n.seen) > 0 {
		t.Errorf("reported: %+v", n.seen)
	}
}
