package object

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// random is n random bytes.
func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.Read(p)
	return p
}

func conformMultipart(t *testing.T, b *Bucket) {
	ctx := t.Context()
	text := random(5<<19 + 7) // three parts, the last one not full
	r := request(t, "big", text)
	r.Attr.Xattrs = map[string][]byte{"user.a": []byte("1")}
	var states [][]byte
	r.SaveMultipart = func(p []byte) error { states = append(states, p); return nil }
	info := put(t, b, r)
	wantText(t, b, "big", string(text))
	got := head(t, b, "big")
	if len(states) != 1 || !sameAttr(got.Attr, r.Attr) || got.ETag != info.ETag || got.Upload != r.Upload || got.Size != int64(len(text)) {
		t.Errorf("%d states, head %+v, put %+v", len(states), got, info)
	}
	if err := b.AbortMultipart(ctx, states[0]); err != nil {
		t.Errorf("abort of an upload that is complete: %v", err)
	}
	if err := b.AbortMultipart(ctx, []byte("{}")); !errors.Is(err, ErrState) {
		t.Errorf("abort of garbage: got %v", err)
	}

	rotten := bytes.Clone(text)
	r = request(t, "big", text)
	r.SaveMultipart = func(p []byte) error { states = append(states, p); return nil }
	rotten[1<<20] ^= 1
	r.Body = bytes.NewReader(rotten)
	if _, err := b.Put(ctx, r); !errors.Is(err, ErrBadDigest) || states[len(states)-1] != nil {
		t.Errorf("rotten bytes: got %v, state %q", err, states[len(states)-1])
	}
	wantText(t, b, "big", string(text))

	r = request(t, "big", text)
	r.IfAbsent = true
	if _, err := b.Put(ctx, r); !errors.Is(err, ErrExists) {
		t.Errorf("put if absent: got %v", err)
	}
	r = request(t, "none", text)
	broken := errors.New("disk is full")
	r.SaveMultipart = func([]byte) error { return broken }
	if _, err := b.Put(ctx, r); !errors.Is(err, broken) {
		t.Errorf("state that cannot be saved: got %v", err)
	}
	err := b.ListUploads(ctx, time.Now().Add(time.Hour), func(left []Upload) error {
		t.Errorf("uploads left behind: %v", left)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	id, err := b.oss.InitiateMultipart(ctx, b.prefix+"orphan", oss.InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var found []Upload
	err = b.ListUploads(ctx, time.Now().Add(time.Hour), func(left []Upload) error {
		found = append(found, left...)
		return nil
	})
	if err != nil || len(found) != 1 || found[0].Key != "orphan" || found[0].ID != id {
		t.Fatalf("orphans: %v, %v", found, err)
	}
	for range 2 {
		if err := b.AbortUpload(ctx, found[0]); err != nil {
			t.Errorf("abort: %v", err)
		}
	}
}

func conformFiles(t *testing.T, b *Bucket) {
	ctx := t.Context()
	attr := Attr{Mode: ModeRegular | 0o600, Mtime: 5}
	for _, tt := range []struct {
		name string
		size int
		said int64
	}{
		{"empty", 0, 0}, {"small", 1000, 1000}, {"threshold", 1 << 20, 1 << 20}, {"parts", 5<<19 + 3, 5<<19 + 3},
		{"unknown small", 17, -1}, {"unknown large", 5<<19 + 1, -1},
	} {
		text := random(tt.size)
		up, down := int64(0), int64(0)
		progress := make(chan int64, 1000)
		dir := t.TempDir()
		info, err := b.PutFile(ctx, FileRequest{Key: tt.name, Source: iotest.HalfReader(bytes.NewReader(text)), Size: tt.said, Attr: attr, SpoolDir: dir,
			Progress: func(n int64) { progress <- n }})
		close(progress)
		for n := range progress {
			up += n
		}
		if err != nil || info.Size != int64(tt.size) || up != int64(tt.size) {
			t.Fatalf("%s: put %+v, %d bytes told, %v", tt.name, info, up, err)
		}
		var out bytes.Buffer
		got, err := b.GetFile(ctx, tt.name, &out, func(n int64) { down += n })
		if err != nil || !bytes.Equal(out.Bytes(), text) || down != int64(tt.size) || got.ETag != info.ETag || got.Generation != info.Generation {
			t.Errorf("%s: got %d bytes, %d told, %v", tt.name, out.Len(), down, err)
		}
		if h := head(t, b, tt.name); !sameAttr(h.Attr, attr) || h.Upload != info.Upload {
			t.Errorf("%s: head %+v", tt.name, h)
		}
	}
	put(t, b, request(t, "kept", []byte("old")))
	broken := errors.New("disk error")
	for name, r := range map[string]FileRequest{
		"shrank":       {Source: strings.NewReader("x"), Size: 2},
		"grew":         {Source: strings.NewReader("xyz"), Size: 2},
		"shrank a lot": {Source: bytes.NewReader(random(2 << 20)), Size: 3 << 20},
		"grew a lot":   {Source: bytes.NewReader(random(3 << 20)), Size: 2 << 20},
		"broke off":    {Source: io.MultiReader(bytes.NewReader(random(2<<20)), iotest.ErrReader(broken)), Size: 3 << 20},
		"spool broke":  {Source: io.MultiReader(bytes.NewReader(random(2<<20)), iotest.ErrReader(broken)), Size: -1, SpoolDir: t.TempDir()},
	} {
		r.Key = "kept"
		if _, err := b.PutFile(ctx, r); !errors.Is(err, ErrChanged) && !errors.Is(err, broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	wantText(t, b, "kept", "old")
	if _, err := b.GetFile(ctx, "none", io.Discard, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of nothing: got %v", err)
	}
}

func conformPlain(t *testing.T, b *Bucket) {
	ctx := t.Context()
	text := string(random(5000))
	meta := map[string]string{metaMode: "33188", metaUID: "1", metaGID: "2", metaMtime: "1600000000.5", metaXattr: "%7B%22user.a%22%3A%22MQ%3D%3D%22%7D"}
	if _, err := b.oss.Put(ctx, b.prefix+"plain", strings.NewReader(text), 5000, oss.PutOptions{Meta: meta}); err != nil {
		t.Fatal(err)
	}
	got := head(t, b, "plain")
	want := Attr{Mode: ModeRegular | 0o644, UID: 1, GID: 2, Mtime: 1600000000_500000000, Xattrs: map[string][]byte{"user.a": []byte("1")}}
	if got.Encrypted || !got.Generation.IsZero() || !got.Upload.IsZero() || !sameAttr(got.Attr, want) || got.XattrErr != nil {
		t.Errorf("head: %+v", got)
	}
	d, err := b.Get(ctx, GetRequest{Key: "plain"})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := io.ReadAll(d.Body)
	if d.Body.Close(); err != nil || strings.Contains(text, string(sealed[:16])) {
		t.Errorf("plaintext came out, or %v", err)
	}
	part, _, err := read(t, b, GetRequest{Key: "plain", Off: 100, Len: 333, ETag: d.Info.ETag, Content: d.Content})
	if err != nil || part != text[100:433] {
		t.Errorf("range: %v", err)
	}
	second, err := b.Get(ctx, GetRequest{Key: "plain"})
	if err != nil || second.Content.Equal(d.Content) {
		t.Errorf("two reads under one key, or %v", err)
	}
	second.Body.Close()
	wantText(t, b, "plain", text)
	var out bytes.Buffer
	if _, err := b.GetFile(ctx, "plain", &out, nil); err != nil || out.String() != text {
		t.Errorf("get file: %v", err)
	}
	attr := Attr{Mode: ModeRegular | 0o600}
	upload := NewID()
	if err := b.SetAttr(ctx, TagRequest{Key: "plain", Attr: attr, Upload: upload}); err != nil {
		t.Fatal(err)
	}
	if got := head(t, b, "plain"); got.Attr.Mode != attr.Mode || got.Upload != upload {
		t.Errorf("head after a tag: %+v", got)
	}
	half := map[string]string{csePrefix + "key": "AAAA"}
	if _, err := b.oss.Put(ctx, b.prefix+"half", nil, 0, oss.PutOptions{Meta: half}); err == nil {
		if _, err := b.Get(ctx, GetRequest{Key: "half"}); err == nil || !head(t, b, "half").Encrypted {
			t.Errorf("half an envelope: got %v", err)
		}
	}
}

func conformCanary(t *testing.T, b *Bucket) {
	ctx := t.Context()
	for range 2 {
		if err := b.VerifyKey(ctx); err != nil {
			t.Fatal(err)
		}
	}
	o := b.opt
	o.Keyring = keys.NewKeyring(masterRSA(t, 1))
	if err := unopened(t, o).VerifyKey(ctx); !errors.Is(err, ErrWrongKey) {
		t.Errorf("other key: got %v", err)
	}
	o.Keyring = keys.NewKeyring(masterRSA(t, 1), b.ring.All()...)
	if err := opened(t, o).VerifyKey(ctx); err != nil {
		t.Errorf("right key among others: %v", err)
	}
	if err := b.Delete(ctx, canaryKey); err != nil {
		t.Fatal(err)
	}
	put(t, b, request(t, "f", []byte("x")))
	for _, readOnly := range []bool{true, false} {
		o.ReadOnly, o.Keyring = readOnly, keys.NewKeyring(masterRSA(t, 1))
		if err := unopened(t, o).VerifyKey(ctx); !errors.Is(err, ErrWrongKey) {
			t.Errorf("other key, no canary, read-only %v: got %v", readOnly, err)
		}
	}
	o.ReadOnly, o.Keyring = true, b.ring
	quiet := opened(t, o)
	if err := quiet.VerifyKey(ctx); err != nil {
		t.Errorf("read-only without canary: %v", err)
	}
	if _, err := b.Head(ctx, canaryKey); !errors.Is(err, ErrNotFound) {
		t.Errorf("read-only made a canary: %v", err)
	}
	for name, err := range map[string]error{
		"put":    errOf(quiet.Put(ctx, request(t, "f", nil))),
		"copy":   errOf(quiet.Copy(ctx, CopyRequest{Src: "f", Dst: "g"})),
		"tag":    quiet.SetAttr(ctx, TagRequest{Key: "f"}),
		"delete": quiet.Delete(ctx, "f"),
		"file":   errOf(quiet.PutFile(ctx, FileRequest{Key: "f"})),
		"abort":  quiet.AbortUpload(ctx, Upload{Key: "f", ID: "x"}),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// errOf drops a result.
func errOf[T any](_ T, err error) error { return err }

func conformLocal(t *testing.T, b *Bucket) {
	ctx := t.Context()
	secret := random(32)
	wrapped, err := b.WrapLocal(ctx, secret)
	if err != nil || bytes.Contains(wrapped, secret) {
		t.Fatalf("wrap: %v", err)
	}
	got, err := b.UnwrapLocal(ctx, wrapped)
	if err != nil || !bytes.Equal(got, secret) {
		t.Errorf("unwrap: %v", err)
	}
	o := b.opt
	o.Keyring = keys.NewKeyring(masterRSA(t, 1), b.ring.All()...)
	if got, err := opened(t, o).UnwrapLocal(ctx, wrapped); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("unwrap with a later key of the ring: %v", err)
	}
	o.Keyring = keys.NewKeyring(masterRSA(t, 1))
	if _, err := unopened(t, o).UnwrapLocal(ctx, wrapped); !errors.Is(err, keys.ErrUnwrap) {
		t.Errorf("unwrap with another key and no volume: got %v", err)
	}
	o.Keyring = keys.NewKeyring(b.ring.Primary())
	noRecord := unopened(t, o)
	if got, err := noRecord.UnwrapLocal(ctx, wrapped); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("unwrap with the master key and no volume: %v", err)
	}
	if b.LocalStale(wrapped) {
		t.Error("fresh wraps are stale")
	}
}

func conformListing(t *testing.T, b *Bucket) {
	ctx := t.Context()
	for _, key := range []string{"a", "a/", "a/b", "a-b", "sub/deep/file", "z é", Hidden + "park/1", ""} {
		put(t, b, request(t, key, nil))
	}
	for _, key := range []string{"sub//x", "a/../y", "./z", strings.Repeat("n", 256)} {
		if _, err := b.oss.Put(ctx, b.prefix+key, nil, 0, oss.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.oss.Put(ctx, b.prefix+"full/", strings.NewReader("x"), 1, oss.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		dir             string
		recursive       bool
		objects, dirs   string
		unusableReasons int
	}{
		{"", false, " a a-b z é", "a/ full/ sub/", 2},
		{"a/", false, "a/ a/b", "", 1},
		{"sub/", false, "", "sub/deep/", 1},
		{"full/", false, "", "", 1},
		{"none/", false, "", "", 0},
		{"", true, " a a-b a/ a/b sub/deep/file z é", "", 5},
	} {
		p, err := b.List(ctx, ListRequest{Dir: tt.dir, Recursive: tt.recursive})
		var names []string
		for _, o := range p.Objects {
			names = append(names, o.Key)
			if o.ETag == "" || o.Modified.IsZero() {
				t.Errorf("list %q: %+v", tt.dir, o)
			}
		}
		if err != nil || strings.Join(names, " ") != tt.objects || strings.Join(p.Dirs, " ") != tt.dirs || len(p.Unusable) != tt.unusableReasons {
			t.Errorf("list %q, %v: got %q %q %v, %v", tt.dir, tt.recursive, names, p.Dirs, p.Unusable, err)
		}
	}
	if _, err := b.List(ctx, ListRequest{Dir: "a"}); !errors.Is(err, ErrName) {
		t.Errorf("list without slash: got %v", err)
	}
}
