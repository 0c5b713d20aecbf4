package cipher

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
)

// testVolume draws a volume key.
func testVolume(t testing.TB) *keys.VolumeKey {
	t.Helper()
	v, err := keys.NewVolumeKey(3, true)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// testHost draws the key of a write-only host.
func testHost(t testing.TB) *keys.HostKey {
	t.Helper()
	h, err := keys.NewHostKey("backup", []string{""})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// testContent is a content of 5 bytes with every field in use.
func testContent(t testing.TB) BoxContent {
	t.Helper()
	return BoxContent{
		Key: mustKey(t), Tags: tagsOf(t, []byte("hello")), Generation: [16]byte{1}, Upload: [16]byte{2}, Wrapper: WrapperOf("rsa:x"),
		Mode: 0o100644, UID: 1000, GID: math.MaxUint32, Rdev: 7, Mtime: -1_500_000_001, XattrDigest: [32]byte{9}, HasXattr: true,
	}
}

// longestContent takes the most room there is.
func longestContent(t testing.TB) BoxContent {
	t.Helper()
	c := testContent(t)
	tags, err := newTags(&testMAC, math.MaxInt64, bytes.Repeat([]byte{5}, MaxCoarse*TagSize))
	if err != nil {
		t.Fatal(err)
	}
	c.Tags, c.Mode, c.UID, c.Rdev, c.Mtime = tags, 0o140000|0o7777, math.MaxUint32, math.MaxUint32, math.MinInt64
	return c
}

// boxHeaders are headers of an object as SDKs name them, with some that are not bound.
func boxHeaders() map[string]string {
	return map[string]string{
		currentKey: "QUJD", currentStart: "REVG", currentCEK: cekCTR, currentWrap: wrapPKCS1, legacyKey: "R0hJ",
		"X-Oss-Meta-Oss-Wrap-Alg": " rsa ", "x-oss-meta-mtime": "1", "content-type": "text/plain",
	}
}

// boxKind seals and opens boxes of one type.
type boxKind struct {
	name string
	seal func(v *keys.VolumeKey, h *keys.HostKey, fullKey string, headers map[string]string, c BoxContent) (string, error)
	open func(b *Box, v *keys.VolumeKey, h *keys.HostKey, headers map[string]string) (*BoxContent, error)
}

var boxKinds = []boxKind{
	{"volume", func(v *keys.VolumeKey, _ *keys.HostKey, fullKey string, headers map[string]string, c BoxContent) (string, error) {
		return SealBox(v, fullKey, headers, c)
	}, func(b *Box, v *keys.VolumeKey, _ *keys.HostKey, headers map[string]string) (*BoxContent, error) {
		return b.Open(v, headers)
	}},
	{"host", func(v *keys.VolumeKey, h *keys.HostKey, fullKey string, headers map[string]string, c BoxContent) (string, error) {
		return SealHostBox(v.Public(), h, fullKey, headers, c)
	}, func(b *Box, v *keys.VolumeKey, h *keys.HostKey, headers map[string]string) (*BoxContent, error) {
		return b.OpenHost(v, h.Host(), headers)
	}},
}

// mustSeal seals a box.
func (k boxKind) mustSeal(t *testing.T, v *keys.VolumeKey, h *keys.HostKey, fullKey string, headers map[string]string, c BoxContent) string {
	t.Helper()
	value, err := k.seal(v, h, fullKey, headers, c)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// read parses and opens a value.
func (k boxKind) read(value string, v *keys.VolumeKey, h *keys.HostKey, headers map[string]string) (*BoxContent, error) {
	b, err := ParseBox(value)
	if err != nil {
		return nil, err
	}
	return k.open(b, v, h, headers)
}

// sameContent compares contents.
func sameContent(a, b *BoxContent) bool {
	x, y := *a, *b
	x.Key, y.Key, x.Tags, y.Tags = nil, nil, nil, nil
	return x == y && (a.Key == nil) == (b.Key == nil) && (a.Key == nil || a.Key.Equal(b.Key)) && a.Tags.Equal(b.Tags)
}

func TestBoxRoundTrip(t *testing.T) {
	v, h := testVolume(t), testHost(t)
	tagsOnly, plainest, empty, large := testContent(t), testContent(t), testContent(t), testContent(t)
	tagsOnly.Key = nil
	plainest = BoxContent{Tags: plainest.Tags, Mode: 0o040755}
	empty.Tags = tagsOf(t, nil)
	largeTags, err := tagsOfLeaves(&testMAC, 200*LeafSize, noise(200*TagSize))
	if err != nil {
		t.Fatal(err)
	}
	large.Tags = largeTags
	for name, c := range map[string]BoxContent{
		"all fields": testContent(t), "tags only": tagsOnly, "no fields": plainest, "empty object": empty, "large object": large,
		"longest": longestContent(t),
	} {
		for _, k := range boxKinds {
			value := k.mustSeal(t, v, h, "a/b", boxHeaders(), c)
			b, err := ParseBox(value)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, k.name, err)
			}
			if b.Volume != v.ID() || b.Epoch != 3 || !b.NameIs("a/b") || b.NameIs("a/c") || b.NameIs("") {
				t.Errorf("%s, %s: got %+v", name, k.name, b)
			}
			if host := b.Type == BoxOfHost; host != (k.name == "host") || host && b.HostID != h.Host().ID || !host && b.HostID != (keys.HostID{}) {
				t.Errorf("%s, %s: type %d, host %v", name, k.name, b.Type, b.HostID)
			}
			got, err := k.open(b, v, h, boxHeaders())
			if err != nil || !sameContent(got, &c) {
				t.Errorf("%s, %s: got %+v, %v, want %+v", name, k.name, got, err, c)
				continue
			}
			if got.Key != nil {
				if _, err := NewSealingUnder(got.Key); !errors.Is(err, ErrKeyUsed) {
					t.Errorf("%s, %s: key out of a box seals: %v", name, k.name, err)
				}
			}
			if got.Tags.Separate() && got.Tags.HasLeaf(0) || !got.Tags.Separate() && got.Tags.Leaves() > 0 && !got.Tags.HasLeaf(0) {
				t.Errorf("%s, %s: leaf tags known: %v", name, k.name, got.Tags.HasLeaf(0))
			}
			again, err := k.seal(v, h, "a/b", boxHeaders(), *got)
			if err != nil || again == value {
				t.Errorf("%s, %s: sealed again: the same box, or %v", name, k.name, err)
			}
		}
	}
}

func TestLongestBox(t *testing.T) {
	v, h := testVolume(t), testHost(t)
	for _, k := range boxKinds {
		value := k.mustSeal(t, v, h, strings.Repeat("k", 1023), boxHeaders(), longestContent(t))
		size := len(BoxHeader) + len(value)
		if k.name == "host" && size != MaxBoxLen || size > MaxBoxLen {
			t.Errorf("%s: longest box is a header of %d bytes, want %d", k.name, size, MaxBoxLen)
		}
	}
	if MaxBoxLen > 3300 {
		t.Errorf("%d bytes, want at most 3300", MaxBoxLen)
	}
}

func TestSealBoxRefuses(t *testing.T) {
	v, h := testVolume(t), testHost(t)
	noTags, noType, wide := testContent(t), testContent(t), testContent(t)
	noTags.Tags, noType.Mode, wide.Mode = nil, 0o644, 0o1100644
	for _, k := range boxKinds {
		for name, c := range map[string]BoxContent{"no tags": noTags, "mode without type": noType, "mode of 17 bits": wide} {
			if _, err := k.seal(v, h, "a", nil, c); err == nil {
				t.Errorf("%s, %s: sealed", k.name, name)
			}
		}
		for name, headers := range map[string]map[string]string{
			"line break": {currentKey: "a\nb"}, "twice": {currentKey: "a", strings.ToUpper(currentKey): "b"},
			"colon in a name": {currentPrefix + "a:b": "c"},
		} {
			if _, err := k.seal(v, h, "a", headers, testContent(t)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %s: got %v, want ErrMalformed", k.name, name, err)
			}
		}
	}
}

// refused tells whether an error is what a box that was altered gives.
func refused(err error) bool { return errors.Is(err, ErrTampered) || errors.Is(err, ErrBox) }

func TestEveryBitOfABoxCounts(t *testing.T) {
	v, h := testVolume(t), testHost(t)
	for _, k := range boxKinds {
		value := k.mustSeal(t, v, h, "a", boxHeaders(), testContent(t))
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 * len(raw) {
			bad := bytes.Clone(raw)
			bad[i/8] ^= 1 << (i % 8)
			if _, err := k.read(base64.StdEncoding.EncodeToString(bad), v, h, boxHeaders()); !refused(err) {
				t.Errorf("%s: bit %d of byte %d of %d: got %v", k.name, i%8, i/8, len(raw), err)
			}
		}
		for i := range 8 * len(value) {
			bad := []byte(value)
			bad[i/8] ^= 1 << (i % 8)
			if _, err := k.read(string(bad), v, h, boxHeaders()); !refused(err) {
				t.Errorf("%s: bit %d of character %d: got %v", k.name, i%8, i/8, err)
			}
		}
		for n := range raw {
			if _, err := k.read(base64.StdEncoding.EncodeToString(raw[:n]), v, h, boxHeaders()); !refused(err) {
				t.Errorf("%s: cut to %d of %d bytes: got %v", k.name, n, len(raw), err)
			}
		}
		for name, text := range map[string]string{
			"longer": base64.StdEncoding.EncodeToString(append(bytes.Clone(raw), 0)), "line break": value[:8] + "\n" + value[8:],
			"space": value + " ", "twice": value + value, "empty": "", "no padding": strings.TrimRight(base64.StdEncoding.EncodeToString(raw[:100]), "="),
		} {
			if _, err := k.read(text, v, h, boxHeaders()); !refused(err) {
				t.Errorf("%s, %s: got %v", k.name, name, err)
			}
		}
	}
}

func TestEveryBitOfBoundHeadersCounts(t *testing.T) {
	v, h := testVolume(t), testHost(t)
	for _, k := range boxKinds {
		value := k.mustSeal(t, v, h, "a", boxHeaders(), testContent(t))
		try := func(what string, headers map[string]string) {
			t.Helper()
			if _, err := k.read(value, v, h, headers); !errors.Is(err, ErrTampered) {
				t.Errorf("%s: %s: got %v, want ErrTampered", k.name, what, err)
			}
		}
		for name, text := range boxHeaders() {
			if !IsCryptoHeader(name) {
				continue
			}
			without := boxHeaders()
			delete(without, name)
			try("without "+name, without)
			for i := range 8 * len(text) {
				bad := []byte(text)
				bad[i/8] ^= 1 << (i % 8)
				if strings.TrimSpace(string(bad)) == strings.TrimSpace(text) {
					continue
				}
				headers := boxHeaders()
				headers[name] = string(bad)
				try(fmt.Sprintf("%s with %q", name, bad), headers)
			}
			for i := range 8 * len(name) {
				bad := []byte(name)
				bad[i/8] ^= 1 << (i % 8)
				if strings.EqualFold(string(bad), name) {
					continue
				}
				headers := maps.Clone(without)
				headers[string(bad)] = text
				try(fmt.Sprintf("%q for %s", bad, name), headers)
			}
		}
		more := boxHeaders()
		more[currentMatDesc] = "{}"
		try("one more", more)
		try("none", nil)
		swapped := boxHeaders()
		swapped[currentKey], swapped[currentStart] = swapped[currentStart], swapped[currentKey]
		try("values swapped", swapped)

		same := map[string]string{"x-oss-meta-mtime": "2"}
		for name, text := range boxHeaders() {
			if IsCryptoHeader(name) {
				same[strings.ToUpper(name)] = "\t" + text + " "
			}
		}
		if _, err := k.read(value, v, h, same); err != nil {
			t.Errorf("%s: headers in another case, with other spaces and other unbound ones: %v", k.name, err)
		}
	}
}

func TestBoxesOfOthersAreRefused(t *testing.T) {
	v, other, h, otherHost := testVolume(t), testVolume(t), testHost(t), testHost(t)
	volume, host := boxKinds[0], boxKinds[1]
	byVolume := volume.mustSeal(t, v, h, "a", boxHeaders(), testContent(t))
	byHost := host.mustSeal(t, v, h, "a", boxHeaders(), testContent(t))
	headersB := boxHeaders()
	headersB[currentKey] = "b3RoZXI="
	for name, c := range map[string]struct {
		kind    boxKind
		value   string
		v       *keys.VolumeKey
		h       *keys.HostKey
		headers map[string]string
	}{
		"another volume":         {volume, byVolume, other, h, boxHeaders()},
		"host's, another volume": {host, byHost, other, h, boxHeaders()},
		"another host":           {host, byHost, v, otherHost, boxHeaders()},
		"box of another object":  {volume, byVolume, v, h, headersB},
		"host's, other object":   {host, byHost, v, h, headersB},
		"host's as the volume's": {volume, byHost, v, h, boxHeaders()},
		"volume's as the host's": {host, byVolume, v, h, boxHeaders()},
	} {
		if _, err := c.kind.read(c.value, c.v, c.h, c.headers); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: got %v, want ErrTampered", name, err)
		}
	}
	// A host that signs what another host sealed.
	raw, err := base64.StdEncoding.DecodeString(byHost)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := headersDigest(boxHeaders())
	if err != nil {
		t.Fatal(err)
	}
	id := otherHost.Host().ID
	raw = raw[:len(raw)-64]
	copy(raw[boxHeadLen:], id[:])
	stolen := base64.StdEncoding.EncodeToString(append(raw, otherHost.Sign(signedPart(raw, digest))...))
	if _, err := host.read(stolen, v, otherHost, boxHeaders()); !errors.Is(err, ErrTampered) {
		t.Errorf("box that another host signed: got %v, want ErrTampered", err)
	}
	// Clear parts of one box on the sealed part of another.
	a, err := base64.StdEncoding.DecodeString(byVolume)
	if err != nil {
		t.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(volume.mustSeal(t, v, h, "b", boxHeaders(), testContent(t)))
	if err != nil {
		t.Fatal(err)
	}
	mixed := base64.StdEncoding.EncodeToString(slices.Concat(a[:boxClear1], b[boxClear1:]))
	if _, err := volume.read(mixed, v, h, boxHeaders()); !errors.Is(err, ErrTampered) {
		t.Errorf("parts of two boxes: got %v, want ErrTampered", err)
	}
}

// A writer who has the keys and lies is refused, too: what is sealed has to fit together.
func TestContentThatLies(t *testing.T) {
	c := testContent(t)
	good, err := c.marshal()
	if err != nil {
		t.Fatal(err)
	}
	const afterKey = 1 + KeySize + IVSize
	const sizeAt = afterKey + MACKeySize + 16 + 16 + 8
	leafAt := len(good) - TagSize - 2
	set := func(at int, b ...byte) []byte {
		bad := bytes.Clone(good)
		copy(bad[at:], b)
		return bad
	}
	insert := func(at, cut int, b ...byte) []byte { return slices.Concat(good[:at], b, good[at+cut:]) }
	longest := longestContent(t)
	large, err := longest.marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"size beyond the tags":      insert(sizeAt, 1, 0x81, 0x80, 0x40), // LeafSize + 1
		"no size and a tag":         set(sizeAt, 0),
		"size of 64 bits":           insert(sizeAt, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
		"size not minimal":          insert(sizeAt, 1, 0x85, 0),
		"mode without type":         insert(sizeAt+1, 3, 0xa4, 3),    // 0644
		"mode of type 3":            insert(sizeAt+1, 3, 0xa4, 0x63), // 030644
		"flag that is not known":    set(0, good[0]|8),
		"leaf tags elsewhere":       set(0, good[0]|flagSeparate),
		"large, leaf tags in box":   append([]byte{large[0] &^ flagSeparate}, large[1:]...),
		"another leaf size":         set(leafAt, 21),
		"too few tags":              insert(leafAt+1, 1+TagSize, 0),
		"too many tags":             append(set(leafAt+1, 2), make([]byte, TagSize)...),
		"129 tags":                  slices.Concat(good[:leafAt+1], []byte{0x81, 1}, make([]byte, 129*TagSize)),
		"something left":            append(bytes.Clone(good), 0),
		"cut":                       good[:len(good)-1],
		"xattr digest without flag": set(0, good[0]&^flagXattr),
		"no key where the flag is":  insert(1, KeySize+IVSize),
		"empty":                     nil,
	} {
		if _, err := parseContent(bad); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: got %v, want ErrTampered", name, err)
		}
	}
	if got, err := parseContent(good); err != nil || !sameContent(got, &c) {
		t.Errorf("the truth: got %+v, %v", got, err)
	}
}

func TestModes(t *testing.T) {
	for mode, want := range map[uint32]bool{
		0o100644: true, 0o040755: true, 0o120777: true, 0o020600: true, 0o060600: true, 0o010600: true, 0o140600: true, 0o107777: true,
		0: false, 0o644: false, 0o030644: false, 0o050644: false, 0o070644: false, 0o110644: false, 0o130644: false, 0o150644: false,
		0o160644: false, 0o170644: false, 0o200644: false, 0o300644: false, math.MaxUint32: false,
	} {
		if got := validMode(mode); got != want {
			t.Errorf("mode %o valid: %v, want %v", mode, got, want)
		}
	}
}

func TestBoxContentNeverPrints(t *testing.T) {
	c := testContent(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%s", "%q"} {
		for _, what := range []any{c, &c} {
			text := strings.ToLower(fmt.Sprintf(verb, what))
			for _, secret := range [][]byte{c.Key.key[:8], c.Tags.mac[:8]} {
				if strings.Contains(text, fmt.Sprintf("%x", secret)) || strings.Contains(text, strings.Trim(fmt.Sprint(secret), "[]")) {
					t.Errorf("%s printed %q", verb, text)
				}
			}
		}
	}
}

func BenchmarkBox(b *testing.B) {
	v, h := testVolume(b), testHost(b)
	c, headers := testContent(b), boxHeaders()
	for _, k := range boxKinds {
		value, err := k.seal(v, h, "a", headers, c)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("seal/"+k.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := k.seal(v, h, "a", headers, c); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("open/"+k.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := k.read(value, v, h, headers); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
