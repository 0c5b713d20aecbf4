package object

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// TestAlwaysTagged: an object that is stored with its attributes in a tag, on whatever way, says nothing of mode and owner without it, and verify
// reports that. A rewrap and a rename keep it so.
func TestAlwaysTagged(t *testing.T) {
	for name, size := range map[string]int{"one request": SmallFile + 1, "in parts": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			old, fresh := masterRSA(t, 0), masterRSA(t, 1)
			o := Options{Connection: connection(s), Keyring: keys.NewKeyring(old), Shared: true, MultipartThreshold: 2 << 20, PartSize: 1 << 20}
			b := opened(t, o)
			want := Attr{Mode: ModeRegular | 0o640, UID: 5, GID: 6, Mtime: 7}
			for _, key := range []string{"f", "lost"} {
				r := request(t, key, make([]byte, size))
				r.Attr, r.Upload = want, b.NewUpload(key, generationOf(r.Sealed), r.Sealed.Size())
				if got := put(t, b, r); got.TagCount != 1 {
					t.Errorf("%d tags", got.TagCount)
				}
			}
			whole := func(b *Bucket, key string) {
				t.Helper()
				if got := head(t, b, key); got.Unproven != 0 || !sameAttr(got.Attr, want) || got.State != StateAuthentic {
					t.Errorf("%s: %s, %+v, unproven %b", key, got.State, got.Attr, got.Unproven)
				}
			}
			lost := func(b *Bucket, key string) {
				t.Helper()
				if got := head(t, b, key); got.Unproven != FieldsOfRights {
					t.Errorf("%s without its tag: unproven %b, want %b", key, got.Unproven, FieldsOfRights)
				}
				rep, err := b.Verify(t.Context(), VerifyOptions{})
				if line := fmt.Sprintf("%s %s", FoundTag, key); err != nil || !slices.ContainsFunc(findings(rep), func(f string) bool { return strings.HasPrefix(f, line) }) {
					t.Errorf("verify: %v, %v, want %s", findings(rep), err, line)
				}
			}
			whole(b, "f")
			alterHeaders(t, s, "lost", map[string]string{"X-Oss-Tagging": ""})
			lost(b, "lost")
			b = rotated(t, o, fresh, old)
			if rep := rewrap(t, b, RewrapOptions{}); rep.Rewrapped < 2 || !rep.Complete() {
				t.Errorf("report %+v", rep)
			}
			whole(b, "f")
			lost(b, "lost")
			info := head(t, b, "f")
			if _, err := b.Copy(t.Context(), CopyRequest{Src: "f", Dst: "g", Attr: info.Attr, Generation: info.Generation, Upload: NewID()}); err != nil {
				t.Fatal(err)
			}
			whole(b, "g")
			alterHeaders(t, s, "f", map[string]string{"X-Oss-Tagging": ""})
			lost(b, "f")
			alterHeaders(t, s, "g", map[string]string{"X-Oss-Tagging": ""})
			lost(b, "g")
			seen := head(t, b, "g")
			if err := b.SetAttr(t.Context(), TagRequest{Key: "g", Attr: seen.Attr, Generation: seen.Generation, Upload: NewID(), Unproven: seen.Unproven}); err != nil {
				t.Fatal(err)
			}
			if got := head(t, b, "g").Attr; got.Mode != ModeRegular|0o600 || got.UID != 0 || got.GID != 0 {
				t.Errorf("a change of what nobody has vouched for signed %+v", got)
			}
		})
	}
}

// TestUploadMark: only files that need it get the mark, and no id is it by accident.
func TestUploadMark(t *testing.T) {
	b := &Bucket{opt: Options{Shared: true}}
	generation := NewID()
	for _, tt := range []struct {
		key  string
		size int64
		want bool
	}{{"f", SmallFile + 1, true}, {"f", SmallFile, false}, {"d/", SmallFile + 1, false}} {
		if id := b.NewUpload(tt.key, generation, tt.size); alwaysTagged(generation, id) != tt.want || alwaysTagged(NewID(), id) || alwaysTagged(ID{}, id) {
			t.Errorf("%s, %d bytes: %s", tt.key, tt.size, id)
		}
	}
	if alwaysTagged(generation, NewID()) {
		t.Error("a random id has the mark")
	}
}
