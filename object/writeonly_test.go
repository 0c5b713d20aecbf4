package object

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// changeRecord stores the next revision of the only volume record of a bucket.
func changeRecord(t *testing.T, b *Bucket, change func(*keys.Record, *keys.VolumeKey) error) *keys.Record {
	t.Helper()
	found, err := b.findRecords(t.Context(), &pins{})
	if err != nil || len(found.entries) != 1 {
		t.Fatalf("got %+v, %v, want one record", found, err)
	}
	next, k := found.entries[0].record.Next(), found.entries[0].secret
	if err := change(next, k); err != nil {
		t.Fatal(err)
	}
	if err := b.storeRecord(t.Context(), found.root, next, k); err != nil {
		t.Fatal(err)
	}
	return next
}

// exported lets a host write below the prefixes and makes its bundle.
func exported(t *testing.T, b *Bucket, prefixes ...string) *keys.Bundle {
	t.Helper()
	key, err := keys.NewHostKey("backup", prefixes)
	if err != nil {
		t.Fatal(err)
	}
	r := changeRecord(t, b, func(r *keys.Record, _ *keys.VolumeKey) error { return r.AddHost(key.Host()) })
	bundle, err := keys.NewBundle(r.Volume(), r.Revision, masterRSA(t, 0), key)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// hosted opens a bucket as a write-only host does.
func hosted(t *testing.T, s *emulator.Server, bundle *keys.Bundle, change func(*Options)) (*Bucket, error) {
	t.Helper()
	o := Options{Connection: connection(s), Bundle: bundle, PartSize: 1 << 20, MultipartThreshold: 1 << 20}
	if change != nil {
		change(&o)
	}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, b.VerifyKey(t.Context())
}

// mustHosted is hosted for a host that has to be let in.
func mustHosted(t *testing.T, s *emulator.Server, bundle *keys.Bundle) *Bucket {
	t.Helper()
	b, err := hosted(t, s, bundle, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWriteOnlyHost: what a host with public keys alone writes is authentic to a reader, and sealed to itself and to its like.
func TestWriteOnlyHost(t *testing.T) {
	s := emulated(t, emulator.Options{})
	reader := unopened(t, Options{Connection: connection(s)}) // of an empty bucket: the volume is authentic
	if err := reader.OpenVolume(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := put(t, reader, request(t, "old", []byte("written by the reader")))
	host := mustHosted(t, s, exported(t, reader, ""))
	if v := host.Volume(); !host.WriteOnly() || !v.WriteOnly || v.Writer != reader.Volume().Writer || !v.Authentic {
		t.Errorf("volume of the host: got %+v, want that of %+v", v, reader.Volume())
	}
	for _, o := range s.Objects(testBucket) {
		if strings.HasSuffix(o.Key, canaryKey) {
			t.Error("the host made a canary")
		}
	}
	xattrs := map[string][]byte{"user.a": []byte("b")}
	for name, text := range map[string]string{"small": "text of the host", "empty": "", "large": strings.Repeat("large ", 500_000)} {
		r := request(t, name, []byte(text))
		r.Attr.Xattrs = xattrs
		info := put(t, host, r)
		if info.State != StateSealed {
			t.Errorf("%s: the host's own object is %v, want sealed", name, info.State)
		}
		wantText(t, reader, name, text)
		if got := head(t, reader, name); got.State != StateAuthentic || !sameAttr(got.Attr, r.Attr) || got.Generation != info.Generation {
			t.Errorf("%s: the reader sees %+v, want %+v, authentic", name, got, r.Attr)
		}
		got := head(t, host, name)
		if got.State != StateSealed || got.Attr.Xattrs != nil || got.Attr.Mode != r.Attr.Mode || got.Attr.Mtime != r.Attr.Mtime || got.Size != int64(len(text)) {
			t.Errorf("%s: the host sees %+v", name, got)
		}
	}
	for _, key := range []string{"old", "small", "large"} {
		if _, err := host.Get(t.Context(), GetRequest{Key: key}); !errors.Is(err, ErrWriteOnly) {
			t.Errorf("host reads %s: got %v, want ErrWriteOnly", key, err)
		}
	}
	if len(host.opened.keys) != 0 {
		t.Errorf("the host keeps %d content keys", len(host.opened.keys))
	}
	writeOnlyChanges(t, host, reader, old)
}

// writeOnlyChanges changes an older object from a host that cannot open it.
func writeOnlyChanges(t *testing.T, host, reader *Bucket, old Info) {
	t.Helper()
	ctx := t.Context()
	attr := Attr{Mode: ModeRegular | 0o604, UID: 7, GID: 8, Mtime: 42}
	if err := host.SetAttr(ctx, TagRequest{Key: "old", Attr: attr, Generation: old.Generation, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	for who, b := range map[string]*Bucket{"reader": reader, "host": host} {
		if got := head(t, b, "old"); !sameAttr(got.Attr, attr) || got.Change != 1 {
			t.Errorf("%s after the host's change: got %+v, change %d, want %+v, change 1", who, got.Attr, got.Change, attr)
		}
	}
	attr.Mode = ModeRegular | 0o600
	info, err := host.Copy(ctx, CopyRequest{Src: "old", Dst: "new", Attr: attr, Generation: old.Generation, Upload: NewID()})
	if err != nil || info.State != StateSealed {
		t.Fatalf("copy: got %v, %v, want sealed", info.State, err)
	}
	if err := host.Delete(ctx, "old"); err != nil {
		t.Fatal(err)
	}
	wantText(t, reader, "new", "written by the reader")
	if got := head(t, reader, "new"); got.State != StateAuthentic || !sameAttr(got.Attr, attr) || got.Change != 2 {
		t.Errorf("renamed by the host: got %+v, want %+v, authentic, change 2", got, attr)
	}
	put(t, host, request(t, "new", []byte("overwritten")))
	wantText(t, reader, "new", "overwritten")
}

func TestWriteOnlyStaysInside(t *testing.T) {
	s := emulated(t, emulator.Options{})
	reader := opened(t, Options{Connection: connection(s)})
	put(t, reader, request(t, "b/old", []byte("of the reader")))
	host := mustHosted(t, s, exported(t, reader, "a/"))
	put(t, host, request(t, "a/x", []byte("inside")))
	before := s.Requests()
	for name, do := range map[string]func() error{
		"put":        func() error { _, err := host.Put(t.Context(), request(t, "b/x", []byte("outside"))); return err },
		"put above":  func() error { _, err := host.Put(t.Context(), request(t, "a", []byte("outside"))); return err },
		"delete":     func() error { return host.Delete(t.Context(), "b/old") },
		"attributes": func() error { return host.SetAttr(t.Context(), TagRequest{Key: "b/old"}) },
		"copy": func() error {
			_, err := host.Copy(t.Context(), CopyRequest{Src: "a/x", Dst: "b/x"})
			return err
		},
		"look": func() error { return host.MayWrite("b/x") },
	} {
		if err := do(); !errors.Is(err, ErrOutside) || !NoEffect(err) || Retryable(err) {
			t.Errorf("%s: got %v, want ErrOutside, without effect", name, err)
		}
	}
	for op, n := range s.Requests() {
		if n != before[op] {
			t.Errorf("%s: %d requests for what is not allowed", op, n-before[op])
		}
	}
	if err := errors.Join(host.MayWrite("a/"), host.MayWrite("a/x"), reader.MayWrite("anything")); err != nil {
		t.Errorf("inside: got %v", err)
	}
}

// TestHostBoxOutside: a host's object counts inside its prefixes, and elsewhere only where a key holder put it.
func TestHostBoxOutside(t *testing.T) {
	s := emulated(t, emulator.Options{})
	reader := unopened(t, Options{Connection: connection(s)})
	if err := reader.OpenVolume(t.Context()); err != nil {
		t.Fatal(err)
	}
	host := mustHosted(t, s, exported(t, reader, "a/"))
	info := put(t, host, request(t, "a/x", []byte("of the host")))
	wantText(t, reader, "a/x", "of the host")
	move := func(key string) { // as the bucket's owner can, tag included
		body, h, err := s.ReadObject(testBucket, "a/x")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.WriteObject(testBucket, key, h, body); err != nil {
			t.Fatal(err)
		}
	}
	move("b/x")
	if err := host.SetAttr(t.Context(), TagRequest{Key: "a/x", Attr: info.Attr, Generation: info.Generation, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	move("b/tagged")
	for _, key := range []string{"b/x", "b/tagged"} {
		if _, _, err := read(t, reader, GetRequest{Key: key}); !errors.Is(err, ErrUnauthentic) {
			t.Errorf("%s: got %v, want ErrUnauthentic", key, err)
		}
		if got := head(t, reader, key); got.State != StateRefused {
			t.Errorf("%s is %v, want refused", key, got.State)
		}
	}
	if _, err := reader.Copy(t.Context(), CopyRequest{Src: "a/x", Dst: "b/moved", Attr: info.Attr, Generation: info.Generation, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	wantText(t, reader, "b/moved", "of the host")
	if got := head(t, reader, "b/moved"); got.State != StateAuthentic {
		t.Errorf("moved by the reader: got %v, want authentic", got.State)
	}
	move("b/moved") // the signed tag is the host's again
	if _, _, err := read(t, reader, GetRequest{Key: "b/moved"}); !errors.Is(err, ErrUnauthentic) {
		t.Errorf("put back by the bucket's owner: got %v, want ErrUnauthentic", err)
	}
}

// TestHostLeaves: a retired host's objects are read on, those of a removed one are not, and neither may go on.
func TestHostLeaves(t *testing.T) {
	s := emulated(t, emulator.Options{})
	first := unopened(t, Options{Connection: connection(s)})
	if err := first.OpenVolume(t.Context()); err != nil {
		t.Fatal(err)
	}
	bundle := exported(t, first, "")
	put(t, mustHosted(t, s, bundle), request(t, "x", []byte("of the host")))
	wantText(t, first, "x", "of the host") // the host came after this reader
	id := bundle.Key().Host().ID
	for _, step := range []struct {
		name   string
		change func(*keys.Record) error
		reads  error
	}{
		{"retired", func(r *keys.Record) error { return r.RetireHost(id, time.Unix(1790000000, 0)) }, nil},
		{"removed", func(r *keys.Record) error { return r.RemoveHost(id) }, ErrUnauthentic},
	} {
		changeRecord(t, first, func(r *keys.Record, _ *keys.VolumeKey) error { return step.change(r) })
		if _, err := hosted(t, s, bundle, nil); !errors.Is(err, ErrHostRefused) {
			t.Errorf("%s host: got %v, want ErrHostRefused", step.name, err)
		}
		reader := unopened(t, Options{Connection: connection(s)})
		if err := reader.OpenVolume(t.Context()); err != nil {
			t.Fatal(err)
		}
		text, _, err := read(t, reader, GetRequest{Key: "x"})
		if !errors.Is(err, step.reads) || err == nil && text != "of the host" {
			t.Errorf("object of a %s host: got %q, %v, want %v", step.name, text, err, step.reads)
		}
	}
}

// TestWriteOnlyRecord: a host cannot verify the record, but notices one that is gone, old or of another volume.
func TestWriteOnlyRecord(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, s *emulator.Server, first, last string)
		want   error
	}{
		{"there", func(*testing.T, *emulator.Server, string, string) {}, nil},
		{"gone", func(t *testing.T, s *emulator.Server, first, last string) { drop(t, s, first); drop(t, s, last) }, ErrRecordMissing},
		{"old", func(t *testing.T, s *emulator.Server, _, last string) { drop(t, s, last) }, ErrRecordRolledBack},
		{"no record", func(t *testing.T, s *emulator.Server, first, last string) {
			drop(t, s, first)
			write(t, s, last, "no record")
		}, ErrRecordForged},
		{"under another name", func(t *testing.T, s *emulator.Server, first, last string) {
			text := textOf(t, s, first)
			drop(t, s, first)
			write(t, s, last, text)
		}, ErrRecordForged},
		{"another public key", func(t *testing.T, s *emulator.Server, first, last string) {
			drop(t, s, first)
			text := textOf(t, s, last)
			at := strings.Index(text, `"public": "`) + len(`"public": "`)
			write(t, s, last, text[:at]+strings.Map(func(r rune) rune {
				if r == 'a' {
					return 'b'
				}
				return 'a'
			}, text[at:at+1])+text[at+1:])
		}, ErrRecordForged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := emulated(t, emulator.Options{})
			bundle := exported(t, opened(t, Options{Connection: connection(s)}), "")
			var records []string
			for _, o := range s.Objects(testBucket) {
				if strings.HasPrefix(o.Key, volumeDir) {
					records = append(records, o.Key)
				}
			}
			slices.Sort(records)
			if len(records) != 2 {
				t.Fatalf("got records %q, want two revisions", records)
			}
			tt.change(t, s, records[0], records[1])
			if _, err := hosted(t, s, bundle, nil); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// TestWriteOnlyAttributes: plain headers are not verified on a write-only host, so that rights are not taken from them.
func TestWriteOnlyAttributes(t *testing.T) {
	s := emulated(t, emulator.Options{})
	reader := opened(t, Options{Connection: connection(s)})
	r := request(t, "x", []byte("text"))
	r.Attr.Mode = ModeRegular | 0o6755
	info := put(t, reader, r)
	host := mustHosted(t, s, exported(t, reader, ""))
	if got := head(t, host, "x").Attr.Mode; got != ModeRegular|0o755 {
		t.Errorf("from plain headers: got mode %o, want %o", got, ModeRegular|0o755)
	}
	if err := reader.SetAttr(t.Context(), TagRequest{Key: "x", Attr: r.Attr, Generation: info.Generation, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	if got := head(t, host, "x").Attr.Mode; got != ModeRegular|0o755 {
		t.Errorf("from another's tag: got mode %o, want %o", got, ModeRegular|0o755)
	}
	if err := host.SetAttr(t.Context(), TagRequest{Key: "x", Attr: r.Attr, Generation: info.Generation, Upload: NewID()}); err != nil {
		t.Fatal(err)
	}
	if got := head(t, host, "x").Attr.Mode; got != r.Attr.Mode {
		t.Errorf("from its own tag: got mode %o, want %o", got, r.Attr.Mode)
	}
	other := put(t, reader, request(t, "other", nil))
	device := TagRequest{Key: "other", Attr: Attr{Mode: 0o060666, Rdev: 2049}, Generation: other.Generation, Upload: NewID()}
	if err := host.SetAttr(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	if got := head(t, reader, "other").Attr; got.Mode != other.Attr.Mode {
		t.Errorf("a tag made mode %o of %o", got.Mode, other.Attr.Mode)
	}
}

func TestWriteOnlyLocal(t *testing.T) {
	s := emulated(t, emulator.Options{})
	bundle := exported(t, opened(t, Options{Connection: connection(s)}), "")
	machine := func(fill byte) func(*Options) {
		return func(o *Options) {
			var err error
			if o.MachineKey, err = keys.NewMachineKey([]byte(strings.Repeat(string(fill), 32))); err != nil {
				t.Fatal(err)
			}
		}
	}
	without, err := hosted(t, s, bundle, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := without.WrapLocal(t.Context(), []byte("secret")); !errors.Is(err, ErrNoMachineKey) {
		t.Errorf("without a machine key: got %v, want ErrNoMachineKey", err)
	}
	one, err := hosted(t, s, bundle, machine('1'))
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := one.WrapLocal(t.Context(), []byte("secret"))
	if err != nil || one.LocalStale(wrapped) {
		t.Fatalf("wrap: got %v, stale %v", err, one.LocalStale(wrapped))
	}
	if got, err := one.UnwrapLocal(t.Context(), wrapped); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	two, err := hosted(t, s, bundle, machine('2'))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.UnwrapLocal(t.Context(), wrapped); !errors.Is(err, keys.ErrUnwrap) {
		t.Errorf("another machine: got %v, want ErrUnwrap", err)
	}
	if _, err := without.UnwrapLocal(t.Context(), wrapped); !errors.Is(err, ErrNoMachineKey) {
		t.Errorf("no machine key: got %v, want ErrNoMachineKey", err)
	}
	both := Options{Connection: connection(s), Bundle: bundle, Keyring: keys.NewKeyring(masterRSA(t, 0))}
	if _, err := Open(t.Context(), both); !errors.Is(err, ErrInvalid) {
		t.Errorf("bundle and keyring: got %v, want ErrInvalid", err)
	}
}

// drop deletes an object as the bucket's owner.
func drop(t *testing.T, s *emulator.Server, key string) {
	t.Helper()
	if err := s.RemoveObject(testBucket, key); err != nil {
		t.Fatal(err)
	}
}

// write replaces an object as the bucket's owner.
func write(t *testing.T, s *emulator.Server, key, text string) {
	t.Helper()
	if err := s.WriteObject(testBucket, key, nil, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// textOf is what an object holds.
func textOf(t *testing.T, s *emulator.Server, key string) string {
	t.Helper()
	body, _, err := s.ReadObject(testBucket, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
