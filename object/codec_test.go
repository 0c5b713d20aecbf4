package object

import (
	"bytes"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/keys"
)

// TestTimesFarAway: a time that attributes cannot keep does not become another century's.
func TestTimesFarAway(t *testing.T) {
	for year, want := range map[int]int64{1: -9223372036e9, 1600: -9223372036e9, 2300: 9223372036e9, 9999: 9223372036e9} {
		if got := Nanoseconds(time.Date(year, 5, 6, 7, 8, 9, 10, time.UTC)); got != want {
			t.Errorf("%d: got %d, want %d", year, got, want)
		}
	}
	for _, ns := range []int64{-9223372035999999999, -1, 0, 1, 9223372035999999999} {
		if got := Nanoseconds(time.Unix(0, ns)); got != ns {
			t.Errorf("got %d, want %d", got, ns)
		}
	}
}

func TestParseMode(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     uint32
		bad      bool
	}{
		{"ossfs file", "33188", 0o100644, false},
		{"ossfs directory", "16877", 0o040755, false},
		{"s3fs symlink", "41471", 0o120777, false},
		{"s3fs fifo", "4516", 0o010644, false},
		{"s3fs block device", "25008", 0o060660, false},
		{"permissions only, decimal", "420", 0o644, false},
		{"zero", "0", 0, false},
		{"rclone file", "100664", 0o100664, false},
		{"rclone directory", "40755", 0o040755, false},
		{"rclone symlink", "120777", 0o120777, false},
		{"rclone socket", "140755", 0o140755, false},
		{"octal with leading zero", "0100644", 0o100644, false},
		{"octal permissions with leading zero", "0644", 0o644, false},
		{"set-user-id", "35309", 0o104755, false},
		{"empty", "", 0, true},
		{"negative", "-33188", 0, true},
		{"plus", "+33188", 0, true},
		{"hexadecimal", "0x81a4", 0, true},
		{"no type that exists", "0150000", 0, true},
		{"huge", "99999999999999999999", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseMode(tt.in)
			if (err != nil) != tt.bad || got != tt.want {
				t.Errorf("parseMode(%q) = %o, %v, want %o, error %v", tt.in, got, err, tt.want, tt.bad)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     int64
		bad      bool
	}{
		{"ossfs", "1700000000.123456789", 1700000000123456789, false},
		{"whole seconds", "1700000000", 1700000000 * second, false},
		{"rclone", "1700000000.5", 1700000000*second + second/2, false},
		{"rclone, before 1970", "-1.5", -1*second - second/2, false},
		{"rclone, just before 1970", "-0.25", -second / 4, false},
		{"timespec, before 1970", "-2.500000000", -1*second - second/2, false},
		{"more digits than nanoseconds", "1.1234567899", second + 123456789, false},
		{"zero", "0.000000000", 0, false},
		{"latest", "9223372036.854775807", math.MaxInt64, false},
		{"too late", "9223372036.854775808", 0, true},
		{"earliest", "-9223372037.145224192", math.MinInt64, false},
		{"too early", "-9223372037.145224191", 0, true},
		{"empty", "", 0, true},
		{"point only", ".", 0, true},
		{"no seconds", ".5", 0, true},
		{"no fraction", "5.", 0, true},
		{"exponent", "1e9", 0, true},
		{"two signs", "--1", 0, true},
		{"sign in the fraction", "1.-5", 0, true},
		{"RFC 3339", "2024-01-01T00:00:00Z", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseTime(tt.in)
			if (err != nil) != tt.bad || got != tt.want {
				t.Errorf("parseTime(%q) = %d, %v, want %d, error %v", tt.in, got, err, tt.want, tt.bad)
			}
		})
	}
	if got := formatTime(-1*second - second/2); got != "-2.500000000" {
		t.Errorf("formatTime(-1.5 s) = %q", got)
	}
}

func TestReadAttr(t *testing.T) {
	def := DefaultAttr{UID: 1000, GID: 1001, Umask: 0o027}
	modified := time.Unix(1700000000, 0)
	for _, tt := range []struct {
		name, key string
		meta      map[string]string
		want      Attr
		hasMode   bool
	}{
		{"nothing", "f", nil, Attr{Mode: 0o100640, UID: 1000, GID: 1001, Mtime: modified.UnixNano()}, false},
		{"nothing, directory", "d/", nil, Attr{Mode: 0o040750, UID: 1000, GID: 1001, Mtime: modified.UnixNano()}, false},
		{"nothing, root", "", nil, Attr{Mode: 0o040750, UID: 1000, GID: 1001, Mtime: modified.UnixNano()}, false},
		{"ossfs 1", "f", map[string]string{"x-oss-meta-mode": "33261", "x-oss-meta-uid": "0", "x-oss-meta-gid": "5", "x-oss-meta-mtime": "1600000000.000000001"},
			Attr{Mode: 0o100755, GID: 5, Mtime: 1600000000*second + 1}, true},
		{"rclone mtime only", "f", map[string]string{"x-oss-meta-mtime": "1600000000.25"},
			Attr{Mode: 0o100640, UID: 1000, GID: 1001, Mtime: 1600000000*second + second/4}, false},
		{"rclone metadata", "f", map[string]string{"x-oss-meta-mode": "100600", "x-oss-meta-uid": "7", "x-oss-meta-gid": "8"},
			Attr{Mode: 0o100600, UID: 7, GID: 8, Mtime: modified.UnixNano()}, true},
		{"symlink", "l", map[string]string{"x-oss-meta-mode": "41471"}, Attr{Mode: 0o120777, UID: 1000, GID: 1001, Mtime: modified.UnixNano()}, true},
		{"directory mode on a file's key", "f", map[string]string{"x-oss-meta-mode": "16877"}, Attr{Mode: 0o100755, UID: 1000, GID: 1001, Mtime: modified.UnixNano()}, true},
		{"file mode on a directory's key", "d/", map[string]string{"x-oss-meta-mode": "33188"}, Attr{Mode: 0o040644, UID: 1000, GID: 1001, Mtime: modified.UnixNano()}, true},
		{"device", "n", map[string]string{"x-oss-meta-mode": "8576", "x-oss-meta-rdev": "1281"}, Attr{Mode: 0o020600, Rdev: 1281, UID: 1000, GID: 1001, Mtime: modified.UnixNano()}, true},
		{"garbage", "f", map[string]string{"x-oss-meta-mode": "rwx", "x-oss-meta-uid": "root", "x-oss-meta-gid": "-1", "x-oss-meta-mtime": "now"},
			Attr{Mode: 0o100640, UID: 1000, GID: 1001, Mtime: modified.UnixNano()}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := def.of(tt.key, modified)
			hasMode := readAttr(tt.meta, tt.key, &got)
			if !sameAttr(got, tt.want) || hasMode != tt.hasMode {
				t.Errorf("got %+v, %v, want %+v, %v", got, hasMode, tt.want, tt.hasMode)
			}
		})
	}
}

// sameAttr compares attributes; no extended attributes and an empty map of them are the same.
func sameAttr(a, b Attr) bool {
	x, y := a.Xattrs, b.Xattrs
	return a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.Rdev == b.Rdev && a.Mtime == b.Mtime &&
		maps.EqualFunc(x, y, func(v, w []byte) bool { return string(v) == string(w) })
}

func TestTagRoundTripAndLength(t *testing.T) {
	longest := tag{upload: ID{0xff}, generation: ID{0xfe, 1}, attr: Attr{Mode: 0o107777, UID: math.MaxUint32, GID: math.MaxUint32, Rdev: math.MaxUint32, Mtime: math.MinInt64}}
	longest.change = math.MaxUint64
	const signature = 1 + 16 + 1 + 86 // ":" host ":" Ed25519 in base64url; a MAC is shorter
	if n := len(longest.fields(tagOfHost)); n+signature > 256 {
		t.Errorf("longest tag has %d characters, with a signature more than 256", n)
	}
	longest.box = boxDigest("a box")
	if n := len(longest.fields(tagOfMoved)); n+1+43+1+22 > 256 { // ":" SHA-256 ":" MAC in base64url
		t.Errorf("longest tag has %d characters, with a box's digest and a MAC more than 256", n)
	}
	b := volumeOnly(t)
	format := func(t tag) string {
		value, err := b.formatTag("p/key", t)
		if err != nil {
			panic(err)
		}
		return value
	}
	for name, want := range map[string]tag{
		"longest": longest,
		"plain":   {upload: NewID(), generation: NewID(), attr: Attr{Mode: 0o100644, UID: 1, GID: 2, Mtime: 1700000000123456789}},
		"moved":   {upload: NewID(), generation: NewID(), attr: Attr{Mode: 0o100644}, box: boxDigest("")},
		"foreign": {upload: NewID(), attr: Attr{Mode: 0o040755}},
	} {
		got, err := parseTag(format(want))
		if err != nil || got.upload != want.upload || got.generation != want.generation || !sameAttr(got.attr, want.attr) || got.change != want.change || !bytes.Equal(got.box, want.box) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
		if err := b.verifyTag("p/key", got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := b.verifyTag("p/other", got); err == nil {
			t.Errorf("%s: the tag of another object counts", name)
		}
	}
	moved := format(tag{upload: NewID(), generation: NewID(), attr: Attr{Mode: 0o100644}, box: boxDigest("a box")})
	ok := format(tag{upload: NewID(), generation: NewID(), attr: Attr{Mode: 0o100644}})
	for _, ok := range []string{ok, moved} {
		for i := range ok {
			for _, c := range "A0:" {
				bad := ok[:i] + string(c) + ok[i+1:]
				if got, err := parseTag(bad); bad != ok && err == nil && b.verifyTag("p/key", got) == nil {
					t.Errorf("changed tag %q counts", bad)
				}
			}
		}
	}
	for _, bad := range []string{"", "1", "3" + ok[1:], ok[:len(ok)-2], ok + ":AAAAAAAAAAAAAAAAAAAAAA", strings.Replace(ok, ":100644:", ":100648:", 1), strings.Replace(ok, ":100644:", ":0:", 1),
		strings.Replace(ok, ":0:0:", ":-1:0:", 1), ok + "x", "5" + ok[1:], "2" + moved[1:]} {
		if got, err := parseTag(bad); err == nil {
			t.Errorf("parseTag(%q) = %+v, want an error", bad, got)
		}
	}
}

// volumeOnly is a bucket that has a volume and nothing else.
func volumeOnly(t testing.TB) *Bucket {
	t.Helper()
	k, err := keys.NewVolumeKey(1, true)
	if err != nil {
		t.Fatal(err)
	}
	return &Bucket{volume: volume{keys: map[keys.VolumeID]*keys.VolumeKey{k.ID(): k}, writer: k}}
}

func TestXattrCodec(t *testing.T) {
	for name, x := range map[string]map[string][]byte{
		"one":    {"user.a": []byte("value")},
		"empty":  {"user.empty": {}},
		"binary": {"user.b": {0, 1, 0xff}, "security.capability": []byte(strings.Repeat("x", 300)), "user.a": []byte("1")},
	} {
		p := marshalXattrs(x)
		got, err := unmarshalXattrs(p)
		if err != nil || !sameAttr(Attr{Xattrs: got}, Attr{Xattrs: x}) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, x)
		}
		for i := range p[:len(p)-1] {
			if got, err := unmarshalXattrs(p[:i]); err == nil && len(got) == len(x) {
				t.Errorf("%s: %d of %d bytes are accepted", name, i, len(p))
			}
		}
	}
	for name, p := range map[string]string{"empty": "", "version": "\x02", "no value": "\x01\x01a", "twice": "\x01\x01a\x00\x01a\x00",
		"order": "\x01\x01b\x00\x01a\x00", "no name": "\x01\x00\x00", "length": "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if got, err := unmarshalXattrs([]byte(p)); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

func TestPlainXattrs(t *testing.T) {
	got, err := parsePlainXattrs("%7B%22user.comment%22%3A%22aGk%3D%22%2C%22user.b%22%3A%22%22%7D")
	if err != nil || string(got["user.comment"]) != "hi" || len(got) != 2 {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{"", "%zz", "{}x", `{"user.a":"*"}`, `{"":"aGk="}`, `["a"]`} {
		if got, err := parsePlainXattrs(bad); err == nil {
			t.Errorf("parsePlainXattrs(%q) = %q, want an error", bad, got)
		}
	}
}

func TestIDs(t *testing.T) {
	g, u := NewID(), NewID()
	gotG, gotU, err := parseIDs(formatIDs(g, u))
	if err != nil || gotG != g || gotU != u || g == u {
		t.Errorf("got %v %v %v, want %v %v", gotG, gotU, err, g, u)
	}
	for _, bad := range []string{"", g.String(), g.String() + ".", g.String() + "." + u.String() + ".", strings.ToUpper(formatIDs(ID{0xab}, ID{})), g.String() + "." + u.String()[1:] + "g"} {
		if _, _, err := parseIDs(bad); err == nil {
			t.Errorf("parseIDs(%q): want an error", bad)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for _, ok := range []string{"", "a", "a/", "a/b", "a b/c ", "...", "..a", "\\x", strings.Repeat("n", 255), "\n\x01\u202e"} {
		if err := CheckKey(ok); err != nil {
			t.Errorf("CheckKey(%.20q): %v", ok, err)
		}
	}
	for _, bad := range []string{"/", "/a", "a//b", "a//", ".", "./a", "a/..", "a/./b", "../", "a\x00b", "\xff\xfe", "a/\xc0\xaf", strings.Repeat("n", 256), strings.Repeat("n/", 512)} {
		if err := CheckKey(bad); err == nil {
			t.Errorf("CheckKey(%.20q): want an error", bad)
		}
	}
	for in, want := range map[string]string{"": "", "/": "", "a": "a/", "/a/b/": "a/b/"} {
		if got, err := CleanPrefix(in); got != want || err != nil {
			t.Errorf("CleanPrefix(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"a//b", "../x", ".ossencfs", "a/.ossencfs/b"} {
		if got, err := CleanPrefix(bad); err == nil {
			t.Errorf("CleanPrefix(%q) = %q, want an error", bad, got)
		}
	}
}

func TestPartSizes(t *testing.T) {
	for _, tt := range []struct{ size, want, part int64 }{
		{65 << 20, 16 << 20, 16 << 20},
		{1 << 40, 16 << 20, 105 << 20},
		{5 << 20, 100 << 10, 1 << 20},
		{maxObjectSize, 16 << 20, 4654 << 20},
	} {
		got := partSizeFor(tt.size, tt.want)
		if got != tt.part || (tt.size+got-1)/got > 10000 || got%16 != 0 {
			t.Errorf("partSizeFor(%d, %d) = %d, want %d", tt.size, tt.want, got, tt.part)
		}
	}
}

func TestPartState(t *testing.T) {
	s := &partState{Version: 1, FullKey: []byte("p/\xff"), UploadID: "U", Upload: NewID().String(), Generation: NewID().String(),
		Size: 5<<20 + 1, PartSize: 1 << 20, IfAbsent: true, Envelope: map[string]string{csePrefix + "key": "k"}}
	text, err := s.marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parsePartState(text)
	if err != nil || string(got.FullKey) != "p/\xff" || got.parts() != 6 || got.Envelope[csePrefix+"key"] != "k" || !got.IfAbsent {
		t.Errorf("got %+v, %v", got, err)
	}
	if off, size := got.span(6); off != 5<<20 || size != 1 {
		t.Errorf("last part is at %d of size %d", off, size)
	}
	for name, change := range map[string]func(*partState){
		"version":   func(s *partState) { s.Version = 2 },
		"key":       func(s *partState) { s.FullKey = nil },
		"upload id": func(s *partState) { s.UploadID = "" },
		"ids":       func(s *partState) { s.Upload = "x" },
		"size":      func(s *partState) { s.Size = -1 },
		"unit":      func(s *partState) { s.PartSize++ },
		"parts":     func(s *partState) { s.Size = 100 << 30; s.PartSize = 1 << 20 },
		"header":    func(s *partState) { s.Envelope = map[string]string{"authorization": "x"} },
	} {
		bad := *s
		change(&bad)
		text, _ := bad.marshal()
		if _, err := parsePartState(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
