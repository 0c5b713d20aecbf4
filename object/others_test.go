package object

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/oss"
)

// TestOthersAreNotOurs: what has a meaning to us or to the SDKs is never kept from an object that was there before, whoever wrote it.
func TestOthersAreNotOurs(t *testing.T) {
	s := emulated(t, emulator.Options{})
	b := opened(t, Options{Connection: connection(s)})
	forged := map[string]string{
		"x-oss-meta-mode": "35309", "x-oss-meta-uid": "0", "x-oss-meta-rdev": "7", "x-oss-meta-xattr": "%7B%22user.a%22%3A%22Yg%3D%3D%22%7D",
		"x-oss-meta-ossencfs-xattr": "AAAA", "x-oss-meta-ossencfs-later": "x", "x-oss-meta-ossencfs-over": "x",
		"x-oss-meta-unencrypted-content-md5": "x", "x-oss-meta-unencrypted-content-length": "9", "x-oss-meta-mine": "kept",
	}
	tags := map[string]string{"ossencfs": "2:x", "ossencfs-by-00": "3:x", "ossencfs-over": "x", "ossencfs-later": "x", "ossencfsx": "kept"}
	body := strings.NewReader("plain")
	must(t, errOf(b.oss.Put(t.Context(), "f", body, 5, oss.PutOptions{Meta: forged, Tagging: oss.EncodeTagging(tags)})))
	keep, err := b.othersAt(t.Context(), "f")
	must(t, err)
	r := request(t, "f", []byte("text"))
	r.Keep = keep
	must(t, errOf(b.Put(t.Context(), r)))
	got, err := b.oss.Head(t.Context(), "f")
	must(t, err)
	if got.Meta["x-oss-meta-mine"] != "kept" {
		t.Errorf("metadata of others is lost: %v", got.Meta)
	}
	for name, value := range forged {
		if name != "x-oss-meta-mine" && got.Meta[name] == value {
			t.Errorf("%s is still there", name)
		}
	}
	left, err := b.oss.GetTagging(t.Context(), "f")
	must(t, err)
	if !maps.Equal(left, map[string]string{"ossencfsx": "kept"}) {
		t.Errorf("tags: got %v", left)
	}
	if info := head(t, b, "f"); info.State != StateAuthentic || info.Attr.Xattrs != nil || !info.OthersTags {
		t.Errorf("got %+v", info)
	}
}

// TestOthersTakeNoRoom: metadata of others that does not fit beside ours, and what no request can carry, is left out, and keeps nothing from being stored.
func TestOthersTakeNoRoom(t *testing.T) {
	b := opened(t, Options{Connection: connection(emulated(t, emulator.Options{}))})
	got := oss.Info{Meta: map[string]string{"x-oss-meta-a": strings.Repeat("a", 8000), "x-oss-meta-b": "fits", "x-oss-meta-c": "\u00e9"}}
	r := request(t, "f", []byte("text"))
	r.Keep = othersOf("f", got)
	must(t, errOf(b.Put(t.Context(), r)))
	now, err := b.oss.Head(t.Context(), "f")
	must(t, err)
	if now.Meta["x-oss-meta-a"] != "" || now.Meta["x-oss-meta-b"] != "fits" || now.Meta["x-oss-meta-c"] != "" {
		t.Errorf("got %v", now.Meta)
	}
	must(t, errOf(readText(t, b, "f")))
}

// TestOthersTagsAreAskedFor: of an object that is refused the tags are not read with its headers; they are kept all the same, and ours are not.
func TestOthersTagsAreAskedFor(t *testing.T) {
	b := opened(t, Options{Connection: connection(emulated(t, emulator.Options{}))})
	must(t, errOf(b.oss.Put(t.Context(), "f", strings.NewReader("plain"), 5, oss.PutOptions{Tagging: "team=blue&ossencfs=2"})))
	got, err := b.oss.Head(t.Context(), "f")
	must(t, err)
	r := request(t, "f", []byte("text"))
	r.Keep = othersOf("f", got)
	must(t, errOf(b.Put(t.Context(), r)))
	if left, err := b.oss.GetTagging(t.Context(), "f"); err != nil || !maps.Equal(left, map[string]string{"team": "blue"}) {
		t.Errorf("got %v, %v", left, err)
	}
}

// TestOthersLeaveNoTag: an object that is never without a tag of ours is refused where others have all ten, and nothing of theirs is dropped for it.
func TestOthersLeaveNoTag(t *testing.T) {
	b := opened(t, Options{Connection: connection(emulated(t, emulator.Options{})), Shared: true})
	r := request(t, "f", make([]byte, SmallFile+1))
	r.Upload = b.NewUpload("f", r.generation(), r.Sealed.Size())
	tags := map[string]string{}
	for n := range oss.MaxTags {
		tags[string(rune('a'+n))] = "x"
	}
	r.Keep = &Others{tags: tags}
	if _, err := b.Put(t.Context(), r); !errors.Is(err, ErrTagRoom) || !NoEffect(err) || OutlookOf(err) != RefusedHere {
		t.Errorf("ten tags: got %v", err)
	}
	delete(tags, "a")
	info, err := b.Put(t.Context(), r)
	must(t, err)
	if got := head(t, b, "f"); info.TagCount != oss.MaxTags || got.TagCount != oss.MaxTags || got.Unproven != 0 {
		t.Errorf("nine tags: told %d, got %d, unproven %b", info.TagCount, got.TagCount, got.Unproven)
	}
}

// TestClassOfOthers: a storage class that no request can ask for is left out.
func TestClassOfOthers(t *testing.T) {
	for class, want := range map[string]string{"IA": "IA", "Standard": "", "STANDARD_IA": "", "": "", "ColdArchive": "ColdArchive"} {
		got := oss.Info{Headers: map[string]string{classHeader: class}}
		if class := classOfCopy(got); class != want {
			t.Errorf("copy: got %q, want %q", class, want)
		}
		if kept := othersOf("f", got).headers[classHeader]; kept != want && class != "Standard" {
			t.Errorf("put: got %q, want %q", kept, want)
		}
	}
}

// TestOthersOfStaged: a file larger than its writer's cache keeps them, too.
func TestOthersOfStaged(t *testing.T) {
	for _, tt := range []struct {
		size int64
		want string
	}{{1, "IA"}, {maxReclassed, "IA"}, {maxReclassed + 1, ""}} {
		o := &Others{headers: map[string]string{classHeader: "IA", "Content-Type": "text/x"}}
		got := o.forCopy(tt.size)
		if got[classHeader] != tt.want || got["Content-Type"] != "text/x" {
			t.Errorf("%d bytes: got %v", tt.size, got)
		}
	}
}
