package object

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cipher"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// TestForeignGivesNoRights: on a mount of root with --suid and --dev, a header that the bucket's owner writes would make him root, or give a
// disk to everybody. Who reads the objects of others has not decided that. What a key holder makes of such an object counts.
func TestForeignGivesNoRights(t *testing.T) {
	b := opened(t, Options{Connection: connection(emulated(t, emulator.Options{})), Trust: Trust{AcceptForeign: []string{""}}})
	for _, tt := range []struct {
		key        string
		mode, want uint32
	}{
		{"program", ModeRegular | 0o6755, ModeRegular | 0o755},
		{"sticky", ModeRegular | 0o1644, ModeRegular | 0o1644},
		{"disk", ModeBlock | 0o666, ModeBlock | 0o666},
		{"memory", ModeChar | 0o4666, ModeChar | 0o666},
		{"dir/", ModeDir | 0o3770, ModeDir | 0o3770},
	} {
		meta := map[string]string{metaMode: strconv.Itoa(int(tt.mode)), metaUID: "0", metaGID: "0", metaRdev: "2048"}
		if _, err := b.oss.Put(t.Context(), b.prefix+tt.key, strings.NewReader(""), 0, oss.PutOptions{Meta: meta}); err != nil {
			t.Fatal(err)
		}
		got := head(t, b, tt.key)
		if got.State != StatePlain || got.Attr.Mode != tt.want || got.Attr.Rdev != 0 {
			t.Errorf("%s: got %v, mode %o, device %d, want mode %o and no device", tt.key, got.State, got.Attr.Mode, got.Attr.Rdev, tt.want)
		}
	}
	change := Attr{Mode: ModeRegular | 0o4711}
	if err := b.SetAttr(t.Context(), TagRequest{Key: "program", Attr: change, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	if got := head(t, b, "program").Attr.Mode; got != change.Mode {
		t.Errorf("after a chmod of ours: got mode %o, want %o", got, change.Mode)
	}
}

// TestXattrsOfOthers: of the extended attributes of an object that no key holder wrote only those count that every owner of a file may set.
func TestXattrsOfOthers(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s), Keyring: keys.NewKeyring(masterRSA(t, 0))})
	want := map[string][]byte{"user.a": []byte("1")}
	all := map[string][]byte{"user.a": []byte("1"), "trusted.overlay.redirect": []byte("/etc"), "security.capability": []byte("x"), "user.b\x00trusted.c": []byte("1")}
	doc := map[string]string{}
	for name, value := range all {
		doc[name] = base64.StdEncoding.EncodeToString(value)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	meta := map[string]string{metaXattr: url.PathEscape(string(text))}
	if _, err := b.oss.Put(t.Context(), "plain", strings.NewReader("x"), 1, oss.PutOptions{Meta: meta}); err != nil {
		t.Fatal(err)
	}
	r := request(t, "sealed", []byte("x"))
	r.Attr.Xattrs = all
	put(t, b, r)
	if got := head(t, b, "sealed").Attr.Xattrs; len(got) != len(all) {
		t.Errorf("of a key holder: got %q", got)
	}
	if err := s.AlterObject(testBucket, "sealed", func(h http.Header, body []byte) []byte { h.Del(cipher.BoxHeader); return body }); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"plain", "sealed"} {
		if got := head(t, b, key); !maps.EqualFunc(got.Attr.Xattrs, want, bytes.Equal) || got.XattrErr != nil {
			t.Errorf("%s, %s: got %q, %v", key, got.State, got.Attr.Xattrs, got.XattrErr)
		}
	}
}
