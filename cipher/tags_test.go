package cipher

import (
	"bytes"
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// testMAC is the MAC key of tests.
var testMAC = [MACKeySize]byte{1, 2, 3}

// testTagger returns a tagger under testMAC.
func testTagger(t testing.TB) *tagger {
	t.Helper()
	mac, err := newLeafMAC(&testMAC)
	if err != nil {
		t.Fatal(err)
	}
	return &tagger{key: testMAC, mac: mac}
}

// tagsOf tags data under testMAC.
func tagsOf(t testing.TB, data []byte) *Tags {
	t.Helper()
	g := testTagger(t)
	g.write(data)
	return g.finish()
}

// noise returns n bytes that depend on n only.
func noise(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(p)
	return p
}

// definedLeafTag computes a leaf's tag by the words of the format, with no code of the package.
func definedLeafTag(t *testing.T, i uint64, leaf []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(testMAC[:])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := stdcipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	gmac := func(b uint32, data []byte) []byte {
		nonce := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, i), b)
		return gcm.Seal(nil, nonce, nil, data)
	}
	input := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte("leaf"), i), uint64(len(leaf)))
	for b := 0; b*65536 < len(leaf); b++ {
		input = append(input, gmac(uint32(b), leaf[b*65536:min((b+1)*65536, len(leaf))])...)
	}
	return gmac(0xffffffff, input)
}

func TestTagsAreWhatTheFormatSays(t *testing.T) {
	for _, size := range []int{0, 1, 65535, 65536, 65537, LeafSize - 1, LeafSize, LeafSize + 1, 3*LeafSize + 5} {
		data := noise(size)
		got := tagsOf(t, data).MarshalLeaves()
		var want []byte
		for i := 0; i*LeafSize < size; i++ {
			want = append(want, definedLeafTag(t, uint64(i), data[i*LeafSize:min((i+1)*LeafSize, size)])...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %x, want %x", size, got, want)
		}
	}
}

func TestCoarseTagsAreWhatTheFormatSays(t *testing.T) {
	leaves := noise(300 * TagSize)
	tags, err := tagsOfLeaves(&testMAC, 299*LeafSize+1, leaves)
	if err != nil {
		t.Fatal(err)
	}
	node, err := hkdf.Key(sha256.New, testMAC[:], nil, "ossencfs node v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for j := range 100 { // ceil(300/128) = 3 leaves per group
		h := hmac.New(sha256.New, node)
		h.Write(binary.BigEndian.AppendUint64([]byte("node"), uint64(j)))
		h.Write(leaves[j*48 : j*48+48])
		want = append(want, h.Sum(nil)[:16]...)
	}
	if !bytes.Equal(tags.coarse, want) {
		t.Error("coarse tags differ")
	}
}

func TestTagGeometry(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name                  string
		size                  int64
		leaves, group, coarse int64
		separate              bool
		lastLeaf, lastGroup   int64
	}{
		{"empty", 0, 0, 1, 0, false, 0, 0},
		{"one byte", 1, 1, 1, 1, false, 1, 1},
		{"leaf less one", LeafSize - 1, 1, 1, 1, false, LeafSize - 1, 1},
		{"leaf", LeafSize, 1, 1, 1, false, LeafSize, 1},
		{"leaf and one", LeafSize + 1, 2, 1, 2, false, 1, 1},
		{"128 leaves", 128 * LeafSize, 128, 1, 128, false, LeafSize, 1},
		{"129 leaves", 128*LeafSize + 1, 129, 2, 65, true, 1, 1},
		{"256 leaves", 256 * LeafSize, 256, 2, 128, true, LeafSize, 2},
		{"257 leaves", 256*LeafSize + 7, 257, 3, 86, true, 7, 2},
		{"6 GiB", 6 * gib, 6144, 48, 128, true, LeafSize, 48},
		{"6 GiB and one", 6*gib + 1, 6145, 49, 126, true, 1, 20},
		{"48.8 TB", 53_687_091_200_000, 51_200_000, 400_000, 128, true, LeafSize, 400_000},
		{"all there can be", 1<<63 - 1, 1 << 43, 1 << 36, 128, true, LeafSize - 1, 1 << 36},
	} {
		tags, err := newTags(&testMAC, c.size, make([]byte, c.coarse*TagSize))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if tags.Size() != c.size || tags.Leaves() != c.leaves || tags.GroupLeaves() != c.group || tags.Separate() != c.separate {
			t.Errorf("%s: got %d leaves in groups of %d, want %d and %d", c.name, tags.Leaves(), tags.GroupLeaves(), c.leaves, c.group)
		}
		if c.lastLeaf > 0 {
			_, n := tags.group(c.coarse - 1)
			if got := tags.leafLen(c.leaves - 1); got != c.lastLeaf || n != c.lastGroup {
				t.Errorf("%s: last leaf of %d bytes in a group of %d, want %d and %d", c.name, got, n, c.lastLeaf, c.lastGroup)
			}
		}
		for _, n := range []int64{c.coarse - 1, c.coarse + 1} {
			if n < 0 {
				continue
			}
			if _, err := newTags(&testMAC, c.size, make([]byte, n*TagSize)); !errors.Is(err, ErrTampered) {
				t.Errorf("%s with %d coarse tags: got %v, want ErrTampered", c.name, n, err)
			}
		}
	}
	if _, err := newTags(&testMAC, -1, nil); !errors.Is(err, ErrTampered) {
		t.Errorf("negative size: got %v, want ErrTampered", err)
	}
}

// However the bytes are split, the tags are the same, and the buffer stays within one block.
func TestTaggerUnderAnySplit(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	steps := []int{1, 15, 4096, tagBlock - 1, tagBlock, tagBlock + 1, 3 * tagBlock, LeafSize, 2*LeafSize + 3}
	for _, size := range []int{1, tagBlock, LeafSize - 1, LeafSize, LeafSize + 1, 3*LeafSize + 77777} {
		data := noise(size)
		want := tagsOf(t, data)
		for range 12 {
			g := testTagger(t)
			for rest := data; len(rest) > 0; {
				n := min(1+random.IntN(steps[random.IntN(len(steps))]), len(rest))
				g.write(rest[:n])
				g.write(nil)
				rest = rest[n:]
				if cap(g.buf) > tagBlock {
					t.Fatalf("buffer of %d bytes", cap(g.buf))
				}
			}
			if got := g.finish(); !got.Equal(want) || !bytes.Equal(got.MarshalLeaves(), want.MarshalLeaves()) {
				t.Fatalf("%d bytes: tags depend on the split", size)
			}
		}
	}
}

func TestTaggerDoesNotCopyWholeBlocks(t *testing.T) {
	g := testTagger(t)
	g.write(make([]byte, 5*tagBlock))
	if g.buf != nil {
		t.Errorf("buffer of %d bytes, want none", cap(g.buf))
	}
}

func TestVerifyLeaf(t *testing.T) {
	data := noise(2*LeafSize + 100)
	tags := tagsOf(t, data)
	leaf := func(i int) []byte { return data[i*LeafSize : min((i+1)*LeafSize, len(data))] }
	for i := range 3 {
		if err := tags.VerifyLeaf(int64(i), leaf(i)); err != nil || !tags.HasLeaf(int64(i)) {
			t.Errorf("leaf %d: %v", i, err)
		}
	}
	for _, at := range []int{0, 1, tagBlock - 1, tagBlock, 5*tagBlock + 9, LeafSize - 1} {
		for bit := range 8 {
			bad := bytes.Clone(leaf(1))
			bad[at] ^= 1 << bit
			if err := tags.VerifyLeaf(1, bad); !errors.Is(err, ErrTampered) {
				t.Errorf("bit %d of byte %d: got %v, want ErrTampered", bit, at, err)
			}
		}
	}
	swapped := append(bytes.Clone(leaf(1)[tagBlock:2*tagBlock]), leaf(1)[:tagBlock]...)
	swapped = append(swapped, leaf(1)[2*tagBlock:]...)
	for name, try := range map[string]func() error{
		"another leaf":   func() error { return tags.VerifyLeaf(0, leaf(1)) },
		"blocks swapped": func() error { return tags.VerifyLeaf(1, swapped) },
		"short":          func() error { return tags.VerifyLeaf(1, leaf(1)[:LeafSize-1]) },
		"short last":     func() error { return tags.VerifyLeaf(2, leaf(2)[:99]) },
		"long last":      func() error { return tags.VerifyLeaf(2, append(bytes.Clone(leaf(2)), 0)) },
		"nothing":        func() error { return tags.VerifyLeaf(0, nil) },
	} {
		if err := try(); !errors.Is(err, ErrTampered) {
			t.Errorf("%s: got %v, want ErrTampered", name, err)
		}
	}
	for _, i := range []int64{-1, 3, 1 << 62} {
		if err := tags.VerifyLeaf(i, leaf(0)); err == nil || tags.HasLeaf(i) {
			t.Errorf("leaf %d verifies", i)
		}
	}
	if err := tagsOf(t, nil).VerifyLeaf(0, nil); err == nil {
		t.Error("empty content has a leaf")
	}
}

// coarseOnly is what a box tells of tags.
func coarseOnly(t *testing.T, tags *Tags) *Tags {
	t.Helper()
	c, err := newTags(&tags.mac, tags.size, bytes.Clone(tags.coarse))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAddLeaves(t *testing.T) {
	leaves := noise(257 * TagSize) // groups of 3, the last one of 2
	full, err := tagsOfLeaves(&testMAC, 256*LeafSize+1, bytes.Clone(leaves))
	if err != nil {
		t.Fatal(err)
	}
	if got := full.MarshalLeaves(); !bytes.Equal(got, leaves) {
		t.Fatal("leaf tags changed")
	}
	tags := coarseOnly(t, full)
	if tags.HasLeaf(0) || tags.MarshalLeaves() != nil || !tags.Equal(full) {
		t.Error("leaf tags are known that nobody gave")
	}
	if err := tags.VerifyLeaf(0, make([]byte, LeafSize)); err == nil || errors.Is(err, ErrTampered) {
		t.Errorf("leaf without tag: got %v, want another error than ErrTampered", err)
	}
	tag := func(from, to int) []byte { return leaves[from*TagSize : to*TagSize] }
	for _, c := range []struct {
		name     string
		first    int64
		tags     []byte
		tampered bool
	}{
		{"not the begin of a group", 1, tag(1, 4), false},
		{"part of a group", 0, tag(0, 2), false},
		{"part of the last group", 255, tag(255, 256), false},
		{"beyond the end", 255, append(bytes.Clone(tag(255, 257)), tag(0, 1)...), false},
		{"far beyond the end", 1 << 62 / 3 * 3, tag(0, 3), false},
		{"negative", -3, tag(0, 3), false},
		{"half a tag", 0, leaves[:3*TagSize-8], false},
		{"another group", 3, tag(0, 3), true},
		{"second group wrong", 0, append(bytes.Clone(tag(0, 3)), tag(0, 3)...), true},
	} {
		if err := tags.AddLeaves(c.first, c.tags); err == nil || errors.Is(err, ErrTampered) != c.tampered {
			t.Errorf("%s: got %v, want ErrTampered %v", c.name, err, c.tampered)
		}
		if tags.HasLeaf(0) || tags.HasLeaf(3) || tags.HasLeaf(255) {
			t.Fatalf("%s: tags were taken", c.name)
		}
	}
	if err := tags.AddLeaves(252, tag(252, 257)); err != nil {
		t.Error(err)
	}
	if !tags.HasLeaf(252) || !tags.HasLeaf(256) || tags.HasLeaf(251) || tags.HasLeaf(257) || tags.MarshalLeaves() != nil {
		t.Error("not just what was given is known")
	}
	var wg sync.WaitGroup
	for j := range 84 {
		wg.Go(func() {
			if err := tags.AddLeaves(int64(3*j), tag(3*j, 3*j+3)); err != nil {
				t.Error(err)
			}
			tags.HasLeaf(int64(3 * j))
		})
	}
	wg.Wait()
	if !bytes.Equal(tags.MarshalLeaves(), leaves) {
		t.Error("leaf tags differ from those that were added")
	}
}

func TestAddLeavesOfSmallContent(t *testing.T) {
	data := noise(LeafSize + 1)
	tags := tagsOf(t, data)
	leaves := tags.MarshalLeaves()
	if err := tags.AddLeaves(1, leaves[TagSize:]); err != nil {
		t.Error(err)
	}
	if err := tags.AddLeaves(1, leaves[:TagSize]); !errors.Is(err, ErrTampered) {
		t.Errorf("got %v, want ErrTampered", err)
	}
}

func TestVerifyGroup(t *testing.T) {
	data := noise(128*LeafSize + 1) // groups of 2, the last one of 1
	full := tagsOf(t, data)
	tags := coarseOnly(t, full)
	group := func(j int) []byte { return data[2*j*LeafSize : min((2*j+2)*LeafSize, len(data))] }
	bad := bytes.Clone(group(1))
	bad[LeafSize+5] ^= 1
	for name, c := range map[string]struct {
		j    int64
		data []byte
		want error
	}{
		"altered": {1, bad, ErrTampered}, "another group": {1, group(0), ErrTampered},
		"cut": {1, group(1)[:LeafSize], io.ErrUnexpectedEOF}, "cut in a block": {1, group(1)[:7], io.ErrUnexpectedEOF},
	} {
		if err := tags.VerifyGroup(c.j, bytes.NewReader(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if tags.HasLeaf(2) {
			t.Fatalf("%s: leaf tags were remembered", name)
		}
	}
	for _, j := range []int{1, 64} {
		if err := tags.VerifyGroup(int64(j), bytes.NewReader(group(j))); err != nil {
			t.Errorf("group %d: %v", j, err)
		}
		if err := tags.VerifyLeaf(int64(2*j), group(j)[:min(LeafSize, len(group(j)))]); err != nil {
			t.Errorf("leaf %d: %v", 2*j, err)
		}
	}
	for _, j := range []int64{-1, 65} {
		if err := tags.VerifyGroup(j, bytes.NewReader(group(0))); err == nil {
			t.Errorf("group %d verifies", j)
		}
	}
}

func TestTagsNeverPrint(t *testing.T) {
	s := mustSealing(t)
	done := s.Finish()
	tags := done.Tags()
	secret := hex.EncodeToString(tags.mac[:8])
	asList := strings.Trim(fmt.Sprint(tags.mac[:8]), "[]")
	text, err := json.Marshal(struct{ T *Tags }{tags})
	if err != nil {
		t.Fatal(err)
	}
	prints := []string{string(text)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%d", "%s", "%q"} {
		for _, what := range []any{tags, struct{ T *Tags }{tags}, done, s} {
			prints = append(prints, fmt.Sprintf(verb, what))
		}
	}
	for _, p := range prints {
		if strings.Contains(strings.ToLower(p), secret) || strings.Contains(p, asList) {
			t.Errorf("printed %q", p)
		}
	}
}

func BenchmarkTagger(b *testing.B) {
	for _, n := range []int{4 << 10, 128 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := make([]byte, n)
			g := testTagger(b)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				g.write(buf)
			}
		})
	}
}

// A file of one write, from the first to the last step.
func BenchmarkSealWhole(b *testing.B) {
	for _, n := range []int{0, 4 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				s, err := NewSealing()
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Seal(buf, buf); err != nil {
					b.Fatal(err)
				}
				s.Finish()
			}
		})
	}
}

func BenchmarkVerifyLeaf(b *testing.B) {
	data := make([]byte, LeafSize)
	tags := tagsOf(b, data)
	b.SetBytes(LeafSize)
	for b.Loop() {
		if err := tags.VerifyLeaf(0, data); err != nil {
			b.Fatal(err)
		}
	}
}
