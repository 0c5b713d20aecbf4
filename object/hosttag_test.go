package object

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
)

// alterHeaders changes plain headers as the bucket's owner can: ids and box stay.
func alterHeaders(t *testing.T, s *emulator.Server, key string, headers map[string]string) {
	t.Helper()
	err := s.AlterObject(testBucket, key, func(h http.Header, body []byte) []byte {
		for name, value := range headers {
			h.Set(name, value)
		}
		return body
	})
	if err != nil {
		t.Fatal(err)
	}
}

// planted is what the bucket's owner would like to see signed.
var planted = map[string]string{metaMode: "33206", metaUID: "99", metaGID: "98", metaMtime: "1.000000000"}

// TestHostSignsWhatItSets: a write-only host that changes some attributes of an object that it cannot open signs those alone. The others stay what
// the box says, or the tag of somebody else.
func TestHostSignsWhatItSets(t *testing.T) {
	s := emulated(t, emulator.Options{})
	reader := unopened(t, Options{Connection: connection(s)})
	if err := reader.OpenVolume(t.Context()); err != nil {
		t.Fatal(err)
	}
	host := mustHosted(t, s, exported(t, reader, ""))
	r := request(t, "x", []byte("text"))
	r.Attr = Attr{Mode: ModeRegular | 0o600, UID: 5, GID: 6, Mtime: 7}
	info := put(t, reader, r)
	alterHeaders(t, s, "x", planted)
	seen := head(t, host, "x")
	if seen.Unproven != AllFields || seen.Attr.Mode != ModeRegular|0o666 {
		t.Fatalf("the host sees %+v", seen)
	}
	touch := func(mtime int64) {
		t.Helper()
		seen := head(t, host, "x")
		seen.Attr.Mtime = mtime
		req := TagRequest{Key: "x", Attr: seen.Attr, Generation: info.Generation, Upload: NewID(), Unproven: seen.Unproven &^ FieldMtime}
		if err := host.SetAttr(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(what string, b *Bucket, want Attr, change uint64) {
		t.Helper()
		if got := head(t, b, "x"); !sameAttr(got.Attr, want) || got.Change != change {
			t.Errorf("%s: got %+v, change %d, want %+v, change %d", what, got.Attr, got.Change, want, change)
		}
	}
	touch(42)
	wants("touched", reader, Attr{Mode: ModeRegular | 0o600, UID: 5, GID: 6, Mtime: 42}, 1)
	if got := head(t, host, "x"); got.Unproven != AllFields&^FieldMtime || got.Attr.Mtime != 42 {
		t.Errorf("the host of its own change: got %+v", got)
	}
	chmod := Attr{Mode: ModeRegular | 0o640, UID: 5, GID: 6, Mtime: 43}
	if err := reader.SetAttr(t.Context(), TagRequest{Key: "x", Attr: chmod, Generation: info.Generation, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	if got := head(t, host, "x"); got.Unproven != AllFields|FieldsOfOthers {
		t.Errorf("the host of another's change: got %+v", got)
	}
	touch(44)
	chmod.Mtime = 44
	wants("touched after a chmod", reader, chmod, 3)
	old := tagsIn(t, s, "x")
	if n := head(t, reader, "x"); n.OthersTags || n.TagCount != 2 {
		t.Errorf("got %+v, want two tags of ours", n)
	}
	_, err := host.Copy(t.Context(), CopyRequest{Src: "x", Dst: "y", Attr: chmod, Generation: info.Generation, Upload: NewID(), Unproven: AllFields})
	if !errors.Is(err, ErrWriteOnly) || !NoEffect(err) {
		t.Errorf("rename of what others changed: got %v, want ErrWriteOnly, without effect", err)
	}
	chmod = Attr{Mode: ModeRegular | 0o400, UID: 5, GID: 6, Mtime: 45}
	if err := reader.SetAttr(t.Context(), TagRequest{Key: "x", Attr: chmod, Generation: info.Generation, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	wants("changed again", reader, chmod, 4)
	now := tagsIn(t, s, "x")
	if strings.Contains(now, hostTagPrefix) {
		t.Errorf("the host's tag stayed: %s", now)
	}
	for part := range strings.SplitSeq(old, "&") {
		if strings.HasPrefix(part, hostTagPrefix) {
			alterHeaders(t, s, "x", map[string]string{"X-Oss-Tagging": now + "&" + part})
		}
	}
	wants("an older change put back", reader, chmod, 4)
}

// tagsIn is the tags of an object, as a query.
func tagsIn(t *testing.T, s *emulator.Server, key string) string {
	t.Helper()
	_, h, err := s.ReadObject(testBucket, key)
	if err != nil {
		t.Fatal(err)
	}
	return h.Get("X-Oss-Tagging")
}

// TestHostRenames: an object that a write-only host gives another name keeps the attributes of its box, whatever the plain headers say, and is
// bound to the name.
func TestHostRenames(t *testing.T) {
	s := emulated(t, emulator.Options{})
	reader := unopened(t, Options{Connection: connection(s), Trust: Trust{Strict: true}})
	if err := reader.OpenVolume(t.Context()); err != nil {
		t.Fatal(err)
	}
	host := mustHosted(t, s, exported(t, reader, ""))
	r := request(t, "x", []byte("text"))
	r.Attr = Attr{Mode: ModeRegular | 0o600, UID: 5, GID: 6, Mtime: 7}
	info := put(t, reader, r)
	alterHeaders(t, s, "x", planted)
	seen := head(t, host, "x")
	if _, err := host.Copy(t.Context(), CopyRequest{Src: "x", Dst: "y", Attr: seen.Attr, Generation: info.Generation, Upload: NewID(), Unproven: seen.Unproven}); err != nil {
		t.Fatal(err)
	}
	if got := head(t, reader, "y"); got.State != StateAuthentic || !sameAttr(got.Attr, r.Attr) {
		t.Errorf("got %v, %+v, want %+v, authentic", got.State, got.Attr, r.Attr)
	}
}

// TestTwoHostsOfOneObject: changes of two write-only hosts, which cannot verify each other's, stand beside each other.
func TestTwoHostsOfOneObject(t *testing.T) {
	s := emulated(t, emulator.Options{})
	reader := unopened(t, Options{Connection: connection(s)})
	if err := reader.OpenVolume(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, two := mustHosted(t, s, exported(t, reader, "")), mustHosted(t, s, exported(t, reader, ""))
	r := request(t, "x", []byte("text"))
	r.Attr = Attr{Mode: ModeRegular | 0o600, UID: 5, GID: 6, Mtime: 7}
	info := put(t, reader, r)
	for _, step := range []struct {
		b      *Bucket
		set    Fields
		change func(*Attr)
	}{
		{one, FieldMode, func(a *Attr) { a.Mode = ModeRegular | 0o640 }},
		{two, FieldGID, func(a *Attr) { a.GID = 60 }},
		{one, FieldMode | FieldMtime, func(a *Attr) { a.Mode, a.Mtime = ModeRegular|0o644, 70 }},
		{two, FieldGID | FieldUID, func(a *Attr) { a.UID, a.GID = 50, 61 }},
	} {
		step.change(&r.Attr)
		a := head(t, step.b, "x").Attr
		step.change(&a)
		if err := step.b.SetAttr(t.Context(), TagRequest{Key: "x", Attr: a, Generation: info.Generation, Upload: NewID(), Unproven: AllFields &^ step.set}); err != nil {
			t.Fatal(err)
		}
		if got := head(t, reader, "x"); !sameAttr(got.Attr, r.Attr) {
			t.Errorf("got %+v, want %+v", got.Attr, r.Attr)
		}
	}
}
