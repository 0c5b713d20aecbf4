package object

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/oss"
	"github.com/ossencfs/ossencfs/test/membound"
)

func FuzzReadAttr(f *testing.F) {
	f.Add("f", "33188", "0", "0", "1700000000.123456789", "0")
	f.Add("d/", "40755", "1000", "-1", "-1.5", "9")
	f.Fuzz(func(t *testing.T, key, mode, uid, gid, mtime, rdev string) {
		var a Attr
		h := map[string]string{metaMode: mode, metaUID: uid, metaGID: gid, metaMtime: mtime, metaRdev: rdev}
		hasMode := readAttr(h, key, &a)
		if hasMode && (!validMode(a.Mode) || isDirKey(key) != (a.Mode&ModeType == ModeDir)) {
			t.Fatalf("key %q mode %q became %o", key, mode, a.Mode)
		}
		out := map[string]string{}
		putAttr(out, a)
		var again Attr
		readAttr(out, key, &again)
		if hasMode && !sameAttr(a, again) {
			t.Fatalf("%+v reads back as %+v", a, again)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"0", "-0.5", "1700000000.000000001", "-9223372037.145224192", "1.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ns, err := parseTime(s)
		if err != nil {
			return
		}
		if again, err := parseTime(formatTime(ns)); err != nil || again != ns {
			t.Fatalf("%q is %d, written %q, read %d, %v", s, ns, formatTime(ns), again, err)
		}
	})
}

func FuzzParseTag(f *testing.F) {
	seed, err := volumeOnly(f).formatTag("k", tag{upload: ID{1}, generation: ID{2}, attr: Attr{Mode: 0o100644, Mtime: -1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add("3" + seed[1:len(seed)-22] + "0123456789abcdef:" + strings.Repeat("A", 86))
	f.Add("5" + seed[1:len(seed)-22] + strings.Repeat("A", 43) + ":" + seed[len(seed)-22:])
	f.Add("2:::::::::")
	f.Add("4:AQAAAAAAAAAAAAAAAAAAAA:AgAAAAAAAAAAAAAAAAAAAA:644::7::1:0123456789abcdef:" + strings.Repeat("A", 86))
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTag(s)
		if err != nil {
			return
		}
		head, fields := got.fields(s[:1]), tagFields
		if got.partial {
			head, fields = got.some(), someFields
		}
		tail := strings.Split(s, ":")[fields:]
		again, err := parseTag(head + ":" + strings.Join(tail, ":"))
		if err != nil || again.upload != got.upload || again.generation != got.generation || !sameAttr(again.attr, got.attr) || again.change != got.change || again.unproven != got.unproven || !bytes.Equal(again.box, got.box) {
			t.Fatalf("%q is %+v, read again %+v, %v", s, got, again, err)
		}
	})
}

func FuzzParseIDs(f *testing.F) {
	f.Add(formatIDs(ID{1}, ID{2}))
	f.Fuzz(func(t *testing.T, s string) {
		if g, u, err := parseIDs(s); err == nil && formatIDs(g, u) != s {
			t.Fatalf("%q is %v %v", s, g, u)
		}
	})
}

func FuzzXattrs(f *testing.F) {
	f.Add(marshalXattrs(map[string][]byte{"user.a": []byte("b"), "user.c": nil}))
	f.Add([]byte("\x01\x01a\x81\x00"))
	f.Add([]byte("\x01\xff\xff\xff\xff\x7fa"))
	f.Add([]byte("\x01\x01a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, p []byte) {
		var x map[string][]byte
		var err error
		membound.Check(t, len(p), 100, func() { x, err = unmarshalXattrs(p) })
		if err != nil {
			return
		}
		again, err := unmarshalXattrs(marshalXattrs(x))
		if err != nil || !sameAttr(Attr{Xattrs: x}, Attr{Xattrs: again}) {
			t.Fatalf("%x is %v, read again %v, %v", p, x, again, err)
		}
	})
}

func FuzzPlainXattrs(f *testing.F) {
	f.Add("%7B%22user.a%22%3A%22" + base64.StdEncoding.EncodeToString([]byte("x")) + "%22%7D")
	f.Fuzz(func(t *testing.T, s string) {
		var x map[string][]byte
		var err error
		membound.Check(t, len(s), 100, func() { x, err = parsePlainXattrs(s) })
		if err == nil && x[""] != nil {
			t.Fatalf("%q gives an attribute without name", s)
		}
	})
}

func FuzzCheckKey(f *testing.F) {
	f.Add("a/b")
	f.Add("a//../\x00")
	f.Fuzz(func(t *testing.T, key string) {
		if CheckKey(key) != nil {
			return
		}
		if strings.HasPrefix(key, "/") || strings.Contains(key, "//") || strings.Contains("/"+key+"/", "/../") ||
			strings.Contains("/"+key+"/", "/./") && key != "" || strings.IndexByte(key, 0) >= 0 {
			t.Fatalf("%q passes", key)
		}
	})
}

func FuzzPartState(f *testing.F) {
	s := &partState{Version: 1, FullKey: []byte("k"), UploadID: "U", Upload: ID{1}.String(), Generation: ID{2}.String(), Size: 1 << 30, PartSize: 16 << 20}
	text, err := s.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(strings.Replace(string(text), "16777216", "1", 1)))
	f.Fuzz(func(t *testing.T, p []byte) {
		var s *partState
		var err error
		membound.Check(t, len(p), 100, func() {
			if s, err = parsePartState(p); err == nil {
				_ = make([]oss.Part, s.parts()) // as a resumed upload does
			}
		})
		if err != nil {
			return
		}
		total := int64(0)
		for n := 1; n <= s.parts(); n++ {
			off, size := s.span(n)
			if off != total || size <= 0 || size > s.PartSize {
				t.Fatalf("part %d at %d of %d bytes", n, off, size)
			}
			total += size
		}
		if total != s.Size {
			t.Fatalf("parts have %d bytes of %d", total, s.Size)
		}
	})
}

func FuzzParseOver(f *testing.F) {
	f.Add(formatOver([]ID{{1}, {2}}))
	f.Add("AAAAAAAAAAAAAAAAAAAAAA:x")
	f.Fuzz(func(t *testing.T, s string) {
		ids := parseOver(s)
		if text := formatOver(ids); len(ids) > MaxOver || !strings.HasPrefix(s, text) {
			t.Fatalf("%q became %v, written %q", s, ids, text)
		}
	})
}

func FuzzParseLock(f *testing.F) {
	f.Add(formatLock(ID{1}, time.Minute))
	f.Add(ID{2}.String() + ".4294967296")
	f.Fuzz(func(t *testing.T, s string) {
		token, life, err := parseLock(s)
		if err != nil {
			return
		}
		if again, same, err := parseLock(formatLock(token, life)); err != nil || again != token || same != life || life < 0 || life > MaxLockLife {
			t.Fatalf("%q became %v and %v, then %v and %v (%v)", s, token, life, again, same, err)
		}
	})
}
