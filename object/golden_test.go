package object

import (
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// writeGolden makes the golden files of a new form; those of a form that exists are never made anew.
var writeGolden = flag.String("write-golden", "", "folder below testdata/golden to make")

// golden is an object as it stood in the bucket, and what it means.
type golden struct {
	Key     string            `json:"key"`
	Headers map[string]string `json:"headers"` // with the tags in x-oss-tagging
	Body    []byte            `json:"body"`
	Text    string            `json:"text,omitempty"` // plaintext
	Attr    Attr              `json:"attr"`
	State   string            `json:"state,omitempty"` // empty: not an object of the mount
	IDs     string            `json:"ids,omitempty"`   // generation and upload
}

// goldenKey is the master key of all golden files.
func goldenKey(t *testing.T) *keys.RSA {
	t.Helper()
	key, err := keys.LoadRSA(filepath.Join("..", "test", "vectors", "keys", "rsa1.private.pkcs1.pem"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestGolden reads what earlier versions wrote: testdata/golden has a folder for each form, a whole bucket with its volume record. A
// host that has only the master key has to read it, as authentic as it was; of form 1, whose records are not bound to the bucket, only
// when it was told the volume, or after somebody who knows it has bound them. It is never made anew.
func TestGolden(t *testing.T) {
	if *writeGolden != "" {
		makeGolden(t, filepath.Join("testdata", "golden", *writeGolden))
	}
	folders, err := filepath.Glob(filepath.Join("testdata", "golden", "v*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no golden files, %v", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) { readGolden(t, folder) })
	}
}

func readGolden(t *testing.T, folder string) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files, %v", err)
	}
	s := emulated(t, emulator.Options{})
	var all []golden
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var g golden
		if err := json.Unmarshal(text, &g); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		h := http.Header{}
		for name, value := range g.Headers {
			h.Set(name, value)
		}
		if err := s.WriteObject(testBucket, g.Key, h, g.Body); err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	o := Options{Connection: connection(s), Keyring: keys.NewKeyring(goldenKey(t)), Trust: Trust{Strict: true}}
	if filepath.Base(folder) == "v1" {
		if err := unopened(t, o).OpenVolume(t.Context()); !errors.Is(err, ErrUnbound) {
			t.Fatalf("a record that is bound to no bucket: got %v", err)
		}
		for id := range groupRevisions("", slices.Values(recordsOf(s))) {
			told := o
			told.VolumeIDs = []string{id.String()}
			wantGolden(t, told, all)
			v, err := OpenVolumes(t.Context(), told, "")
			must(t, err)
			done, err := v.Bind(t.Context(), false)
			must(t, errors.Join(err, v.Close()))
			if len(done.Keys) != 1 || len(done.Kept) != 0 {
				t.Errorf("bound %+v", done)
			}
		}
	}
	wantGolden(t, o, all)
}

// wantGolden reads golden objects.
func wantGolden(t *testing.T, o Options, all []golden) {
	t.Helper()
	b := unopened(t, o)
	if err := b.OpenVolume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		if g.State == "" {
			continue
		}
		wantText(t, b, g.Key, g.Text)
		got := head(t, b, g.Key)
		if got.State.String() != g.State || !sameAttr(got.Attr, g.Attr) || !got.HasAttr || got.XattrErr != nil ||
			formatIDs(got.Generation, got.Upload) != g.IDs {
			t.Errorf("%s: got %+v, want %+v %s %s", g.Key, got, g.Attr, g.State, g.IDs)
		}
	}
}

// makeGolden writes one bucket of the present form.
func makeGolden(t *testing.T, folder string) {
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s := emulated(t, emulator.Options{})
	xattrs := map[string][]byte{"user.comment": []byte("hello"), "user.bin": {0, 255}, "user.empty": {}}
	bucket := func(change func(*Options)) *Bucket {
		o := Options{Connection: connection(s), Keyring: keys.NewKeyring(goldenKey(t))}
		change(&o)
		return opened(t, o)
	}
	both := bucket(func(*Options) {})
	states := map[string]golden{}
	add := func(b *Bucket, key, text string, a Attr) Info {
		r := request(t, key, []byte(text))
		r.Attr = a
		info := put(t, b, r)
		states[key] = golden{Text: text}
		return info
	}
	add(both, "file", "ordinary content\n", Attr{Mode: 0o100640, UID: 1000, GID: 100, Mtime: 1700000000123456789, Xattrs: xattrs})
	add(both, "link", "some/target", Attr{Mode: 0o120777, Mtime: -1})
	add(both, "dir/", "", Attr{Mode: 0o041777, UID: 3, GID: 4, Mtime: 1})
	add(bucket(func(o *Options) { o.Dialect = "current" }), "dev", "", Attr{Mode: 0o060660, Rdev: 2049})
	add(bucket(func(o *Options) { o.Dialect = "legacy" }), "legacy", "old dialect\n", Attr{Mode: 0o100600})
	add(bucket(func(o *Options) { o.TagsOnly = true }), "tags-only", "opened by its envelope\n", Attr{Mode: 0o100644})
	info := add(both, "changed", "tagged\n", Attr{Mode: 0o100644})
	change := TagRequest{Key: "changed", Attr: Attr{Mode: 0o104711, UID: 7, GID: 8, Mtime: -1500000000}, Generation: info.Generation, Upload: NewID()}
	if err := both.SetAttr(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	copied := CopyRequest{Src: "changed", Dst: "sub/renamed", Attr: change.Attr, Generation: info.Generation, Upload: NewID()}
	if _, err := both.Copy(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	states["sub/renamed"] = golden{Text: "tagged\n"}
	for _, o := range s.Objects(testBucket) {
		body, h, err := s.ReadObject(testBucket, o.Key)
		if err != nil {
			t.Fatal(err)
		}
		g := states[o.Key]
		g.Key, g.Body, g.Headers = o.Key, body, map[string]string{}
		for name := range h {
			g.Headers[strings.ToLower(name)] = h.Get(name)
		}
		if _, ours := states[o.Key]; ours {
			got := head(t, both, o.Key)
			g.Attr, g.State, g.IDs = got.Attr, got.State.String(), formatIDs(got.Generation, got.Upload)
		}
		text, err := json.MarshalIndent(g, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		name := strings.NewReplacer("/", "_", ".", "_").Replace(o.Key) + ".json"
		if err := os.WriteFile(filepath.Join(folder, name), append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
