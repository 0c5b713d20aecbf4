package cipher

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	iofs "io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/keys"
)

// goldenDir has what the first version wrote; README.md beside the files has their fields. Every later version reads it.
const goldenDir = "../test/golden/v1"

var writeGolden = flag.Bool("golden.write", false, "write golden files that are not there yet")

// golden is one object with its box.
type golden struct {
	Name       string            `json:"name"`
	FullKey    string            `json:"full_key"`
	Headers    map[string]string `json:"headers"`
	Box        string            `json:"box"`
	Text       string            `json:"plaintext_text"`
	Size       int64             `json:"plaintext_size"`
	Ciphertext []byte            `json:"ciphertext_b64,omitempty"`
	Leaves     []byte            `json:"leaf_tags_b64,omitempty"`
	Content    goldenContent     `json:"content"`
}

// goldenContent is what the box has to say. Bytes are in hex.
type goldenContent struct {
	Type       int    `json:"type"`
	Key        string `json:"key"` // of the SDK envelope, too
	IV         string `json:"iv"`
	InBox      bool   `json:"key_in_box"`
	MAC        string `json:"mac_key"`
	Generation string `json:"generation"`
	Upload     string `json:"upload"`
	Wrapper    string `json:"wrapper"`
	Mode       uint32 `json:"mode"`
	UID        uint32 `json:"uid"`
	GID        uint32 `json:"gid"`
	Rdev       uint32 `json:"rdev"`
	Mtime      int64  `json:"mtime_ns"`
	Xattr      string `json:"xattr_digest,omitempty"`
	Coarse     string `json:"coarse_tags"`
}

// goldenKinds are what the golden files have: both types of boxes, both classes of size, with and without the content key.
var goldenKinds = []struct {
	name     string
	kind     boxKind
	size     int64
	mode     uint32
	tagsOnly bool
	xattr    bool
}{
	{"volume-small", boxKinds[0], 70_000, 0o100644, false, true},
	{"volume-symlink", boxKinds[0], 9, 0o120777, false, false},
	{"volume-marker", boxKinds[0], 0, 0o040750, false, false},
	{"volume-leaves", boxKinds[0], 3*LeafSize + 1, 0o100600, false, false},
	{"volume-large", boxKinds[0], MaxCoarse*LeafSize + 70_000, 0o104755, false, true},
	{"volume-tags-only", boxKinds[0], 1000, 0o100640, true, false},
	{"host-small", boxKinds[1], 70_000, 0o100644, false, false},
	{"host-large", boxKinds[1], MaxCoarse*LeafSize + 1, 0o100600, false, true},
	{"host-tags-only", boxKinds[1], 1000, 0o100640, true, false},
}

// goldenText is repeated up to the size of each plaintext.
const goldenText = "ossencfs keeps what it wrote.\n"

// plaintext is the golden object's.
func (g *golden) plaintext() []byte {
	n := int(g.Size)/len(g.Text) + 1
	return bytes.Repeat([]byte(g.Text), n)[:g.Size]
}

// loadGolden reads a golden file.
func loadGolden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(goldenDir, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// goldenVolume opens the record of the golden volume with an RSA key of the vectors.
func goldenVolume(t *testing.T) (*keys.VolumeKey, keys.Host) {
	t.Helper()
	record, err := keys.ParseRecord(loadGolden(t, "record"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := record.Open(t.Context(), keys.NewKeyring(testRSA(t, "rsa1", nil)))
	if err != nil {
		t.Fatal(err)
	}
	if len(record.Hosts) != 1 {
		t.Fatalf("%d hosts, want 1", len(record.Hosts))
	}
	return v, record.Hosts[0]
}

func TestGolden(t *testing.T) {
	if *writeGolden {
		makeGolden(t)
	}
	v, host := goldenVolume(t)
	ring := keys.NewKeyring(testRSA(t, "rsa1", nil))
	for _, k := range goldenKinds {
		t.Run(k.name, func(t *testing.T) {
			var g golden
			if err := json.Unmarshal(loadGolden(t, k.name), &g); err != nil {
				t.Fatal(err)
			}
			b, err := ParseBox(g.Box)
			if err != nil {
				t.Fatal(err)
			}
			var c *BoxContent
			if b.Type == BoxOfHost {
				c, err = b.OpenHost(v, host, g.Headers)
			} else {
				c, err = b.Open(v, g.Headers)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !b.NameIs(g.FullKey) {
				t.Errorf("the box is not of %q", g.FullKey)
			}
			e, err := ParseEnvelope(g.Headers)
			if err != nil {
				t.Fatal(err)
			}
			key, err := e.Open(t.Context(), ring)
			if err != nil {
				t.Fatal(err)
			}
			if got := describeGolden(int(b.Type), key, c); got != g.Content {
				t.Errorf("got %+v, want %+v", got, g.Content)
			}
			if c.Key != nil && !c.Key.Equal(key) {
				t.Error("the keys of box and envelope differ")
			}
			checkGoldenBody(t, &g, key, c.Tags)
		})
	}
}

// checkGoldenBody computes the stored bytes from the plaintext and compares them with the tags.
func checkGoldenBody(t *testing.T, g *golden, key *ContentKey, tags *Tags) {
	t.Helper()
	if tags.Size() != g.Size {
		t.Fatalf("tags of %d bytes, want %d", tags.Size(), g.Size)
	}
	sealed := g.plaintext()
	key.XORKeyStreamAt(sealed, sealed, 0)
	if g.Ciphertext != nil && !bytes.Equal(sealed, g.Ciphertext) {
		t.Error("ciphertext differs")
	}
	if tags.Separate() {
		group := sealed[:tags.GroupLeaves()*LeafSize]
		if err := tags.VerifyGroup(0, bytes.NewReader(group)); err != nil {
			t.Errorf("first group: %v", err)
		}
		if err := tags.AddLeaves(0, g.Leaves); err != nil {
			t.Fatal(err)
		}
	}
	for i := range tags.Leaves() {
		if err := tags.VerifyLeaf(i, sealed[i*LeafSize:min((i+1)*LeafSize, g.Size)]); err != nil {
			t.Error(err)
		}
	}
}

// describeGolden tells what a box said.
func describeGolden(kind int, key *ContentKey, c *BoxContent) goldenContent {
	g := goldenContent{
		Type: kind, Key: hex.EncodeToString(key.key[:]), IV: hex.EncodeToString(key.iv[:]), InBox: c.Key != nil,
		MAC: hex.EncodeToString(c.Tags.mac[:]), Generation: hex.EncodeToString(c.Generation[:]),
		Upload: hex.EncodeToString(c.Upload[:]), Wrapper: hex.EncodeToString(c.Wrapper[:]),
		Mode: c.Mode, UID: c.UID, GID: c.GID, Rdev: c.Rdev, Mtime: c.Mtime, Coarse: hex.EncodeToString(c.Tags.coarse),
	}
	if c.HasXattr {
		g.Xattr = hex.EncodeToString(c.XattrDigest[:])
	}
	return g
}

// makeGolden writes all golden files, if there are none. A change of the format makes a new folder: these stay as they are.
func makeGolden(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(goldenDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(goldenDir, "record.json")); !errors.Is(err, iofs.ErrNotExist) {
		t.Fatalf("golden files are never written again: %v", err)
	}
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(goldenDir, name+".json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	master := testRSA(t, "rsa1", nil)
	v, err := keys.NewVolumeKey(1, true)
	if err != nil {
		t.Fatal(err)
	}
	h := testHost(t)
	record := keys.NewRecord(v, keys.Place{})
	if err := errors.Join(record.AddSlot(t.Context(), v, master), record.AddHost(h.Host())); err != nil {
		t.Fatal(err)
	}
	text, err := record.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	write("record", text)
	for i, k := range goldenKinds {
		s := mustSealing(t)
		g := golden{Name: k.name, FullKey: "golden/" + k.name, Text: goldenText, Size: k.size}
		body := g.plaintext()
		if err := s.Seal(body, body); err != nil {
			t.Fatal(err)
		}
		done := s.Finish()
		o := EnvelopeOptions{Dialect: Both, Size: k.size}
		if done.Tags().Separate() {
			o.PartSize = 16 << 20
			g.Leaves = done.Tags().MarshalLeaves()
		}
		if k.size <= 1000 {
			g.Ciphertext = body
		}
		if g.Headers, err = WrapEnvelope(t.Context(), keys.NewKeyring(master), done.ContentKey(), o); err != nil {
			t.Fatal(err)
		}
		c := BoxContent{Key: done.ContentKey(), Tags: done.Tags(), Generation: done.GenerationID(), Upload: [16]byte(noise(16)),
			Wrapper: WrapperOf(master.ID()), Mode: k.mode, UID: 1000, GID: uint32(100 + i), Mtime: 1_700_000_000_123_456_789, HasXattr: k.xattr}
		if k.xattr {
			c.XattrDigest = [32]byte(noise(32))
		}
		if k.tagsOnly {
			c.Key, c.Rdev, c.Mtime = nil, 0x10300, -1
		}
		g.Box = k.kind.mustSeal(t, v, h, g.FullKey, g.Headers, c)
		b, err := base64.StdEncoding.DecodeString(g.Box)
		if err != nil {
			t.Fatal(err)
		}
		g.Content = describeGolden(int(b[1]), done.ContentKey(), &c)
		text, err := json.MarshalIndent(g, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		write(k.name, append(text, '\n'))
	}
}
