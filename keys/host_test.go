package keys

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// newHost draws a host for a test.
func newHost(t testing.TB, prefixes ...string) *HostKey {
	t.Helper()
	k, err := NewHostKey("backup of web-1", prefixes)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestHostMayWrite(t *testing.T) {
	for _, c := range []struct {
		prefixes string // by comma
		key      string
		want     bool
	}{
		{"", "a", true},
		{"", "a/b/c", true},
		{"", "", false},
		{"a/", "a/b", true},
		{"a/", "a/b/c", true},
		{"a/", "a/", true}, // the directory itself
		{"a/", "a", false},
		{"a/", "ab/c", false},
		{"a/", "b/a/c", false},
		{"a/", "A/b", false},
		{"a/b/", "a/c", false},
		{"a/,b/", "b/c", true},
		{"a/,b/", "c/c", false},
	} {
		h := newHost(t, strings.Split(c.prefixes, ",")...).Host()
		if got := h.MayWrite(c.key); got != c.want {
			t.Errorf("prefixes %q, key %q: got %v, want %v", c.prefixes, c.key, got, c.want)
		}
	}
	if (Host{}).MayWrite("a") {
		t.Error("a host without prefixes may write")
	}
	if (Host{Prefixes: []string{"a"}}).MayWrite("ab") {
		t.Error("a prefix that ends within a name counts")
	}
}

func TestNewHostKeyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		name     string
		prefixes []string
	}{
		"no name":         {"", []string{""}},
		"long name":       {strings.Repeat("n", maxHostName+1), []string{""}},
		"line end":        {"a\nb", []string{""}},
		"escape":          {"a\x1b[2Jb", []string{""}},
		"name not UTF-8":  {"a\xff", []string{""}},
		"no prefixes":     {"a", nil},
		"open prefix":     {"a", []string{"dir"}},
		"root":            {"a", []string{"/"}},
		"leading slash":   {"a", []string{"/a/"}},
		"twice":           {"a", []string{"a/", "a/"}},
		"prefix no UTF-8": {"a", []string{"\xff/"}},
		"long prefix":     {"a", []string{strings.Repeat("p", maxPrefix) + "/"}},
		"many":            {"a", strings.Split(strings.Repeat("a/,", maxPrefixes)+"b/", ",")},
	} {
		if k, err := NewHostKey(c.name, c.prefixes); !errors.Is(err, ErrHost) || k != nil {
			t.Errorf("%s: got %v, want ErrHost", name, err)
		}
	}
}

func TestHostSigns(t *testing.T) {
	k := newHost(t, "a/")
	h := k.Host()
	sig := k.Sign([]byte("data"))
	if len(sig) != 64 || !h.Verify([]byte("data"), sig) {
		t.Error("the host's own signature does not count")
	}
	damaged := bytes.Clone(sig)
	damaged[0] ^= 1
	for name, ok := range map[string]bool{
		"other data":     h.Verify([]byte("Data"), sig),
		"damaged":        h.Verify([]byte("data"), damaged),
		"short":          h.Verify([]byte("data"), sig[:63]),
		"none":           h.Verify([]byte("data"), nil),
		"other host":     newHost(t, "a/").Host().Verify([]byte("data"), sig),
		"no key":         Host{}.Verify([]byte("data"), sig),
		"key of 31":      Host{Public: h.Public[:31]}.Verify([]byte("data"), sig),
		"changed prefix": Host{Public: h.Public, ID: h.ID, Prefixes: []string{""}}.check() == nil, // and no name
	} {
		if ok {
			t.Errorf("%s: it passes", name)
		}
	}
	h.Prefixes[0], h.Public[0] = "b/", h.Public[0]+1
	if again := k.Host(); again.Prefixes[0] != "a/" || !again.Verify([]byte("data"), sig) {
		t.Error("a change of the copy changes the key")
	}
	if id, err := ParseHostID(h.ID.String()); err != nil || id != h.ID {
		t.Errorf("id: got %v, %v, want %v", id, err, h.ID)
	}
	for _, text := range []string{"", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef0"} {
		if _, err := ParseHostID(text); err == nil {
			t.Errorf("%q is taken as a host id", text)
		}
	}
}
