package keys

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrBundle: the text is no bundle of a write-only host. The text says why.
var ErrBundle = errors.New("unreadable host bundle")

// Formats of bundles, the first field of each. The first does not say of which bucket the volume is.
const (
	bundleFormat1 = "ossencfs host v1"
	bundleFormat2 = "ossencfs host v2"
)

// Limits of a bundle.
const (
	maxBundle  = 256 << 10 // bytes of its JSON text
	maxMatdesc = 64        // entries
)

// Bundle is what a write-only host needs: the volume's public side, the RSA public key for the SDK headers, and the host's own
// signing key, which makes it a secret. NewBundle and ParseBundle make it. It prints as "redacted" whatever the verb.
type Bundle struct {
	volume   *VolumePublic
	revision uint32
	master   *RSA // public half
	key      *HostKey
}

// bundleFile is a bundle as JSON.
type bundleFile struct {
	Format    string       `json:"format"`
	Volume    VolumeID     `json:"volume"`
	Epoch     uint32       `json:"epoch"`
	Authentic bool         `json:"authentic"`
	Bucket    string       `json:"bucket,omitempty"` // format 2, with the two below
	Region    string       `json:"region,omitempty"`
	Root      string       `json:"root,omitempty"`
	Public    strictBytes  `json:"public"`
	Revision  uint32       `json:"revision"`
	Name      string       `json:"name"`
	Prefixes  []string     `json:"prefixes"`
	Seed      strictBytes  `json:"seed"`
	RSA       string       `json:"rsa"`
	Matdesc   []descriptor `json:"matdesc,omitempty"`
}

// descriptor is one entry of a matdesc, sorted by name.
type descriptor struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// NewBundle puts a bundle together: the host writes into the volume under the master key's public half, with the master key's
// matdesc. revision is that of the record that lists the host.
func NewBundle(v *VolumePublic, revision uint32, master *RSA, key *HostKey) (*Bundle, error) {
	public, err := NewRSAPublic(master.public, master.matdesc)
	if err != nil {
		return nil, err
	}
	b := &Bundle{volume: v, revision: revision, master: public, key: key}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b, nil
}

// check tells what no bundle can have; as ErrBundle.
func (b *Bundle) check() error {
	if err := b.volume.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if b.revision == 0 || b.revision > maxRevision {
		return fmt.Errorf("revision %d, want 1 to %d: %w", b.revision, maxRevision, ErrBundle)
	}
	if len(b.master.matdesc) > maxMatdesc {
		return fmt.Errorf("matdesc of %d entries, at most %d: %w", len(b.master.matdesc), maxMatdesc, ErrBundle)
	}
	return nil
}

// Volume is the public side of the volume key.
func (b *Bundle) Volume() *VolumePublic {
	v := *b.volume
	v.HPKE = bytes.Clone(v.HPKE)
	return &v
}

// Revision is that of the volume record when the bundle was made.
func (b *Bundle) Revision() uint32 { return b.revision }

// Master is the RSA public key, for wrapping content keys into SDK headers.
func (b *Bundle) Master() (*RSA, error) { return NewRSAPublic(b.master.public, b.master.matdesc) }

// Key is the host's signing key.
func (b *Bundle) Key() *HostKey { return b.key }

// Marshal encodes the bundle as JSON. The text holds the host's secret.
func (b *Bundle) Marshal() ([]byte, error) {
	text, err := b.master.MarshalPublic()
	if err != nil {
		return nil, err
	}
	seed := b.key.private.Seed()
	defer clear(seed)
	host := b.key.host
	file := bundleFile{
		Format: bundleFormat1, Volume: b.volume.ID, Epoch: b.volume.Epoch, Authentic: b.volume.Authentic, Public: b.volume.HPKE,
		Revision: b.revision, Name: host.Name, Prefixes: host.Prefixes, Seed: seed, RSA: string(text),
		Bucket: b.volume.Place.Bucket, Region: b.volume.Place.Region, Root: b.volume.Place.Root,
	}
	if !b.volume.Place.IsZero() {
		file.Format = bundleFormat2
	}
	for _, name := range slices.Sorted(maps.Keys(b.master.matdesc)) {
		file.Matdesc = append(file.Matdesc, descriptor{name, b.master.matdesc[name]})
	}
	out, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode host bundle: %w", err)
	}
	if out = append(out, '\n'); len(out) > maxBundle {
		return nil, fmt.Errorf("host bundle of %d bytes, at most %d: %w", len(out), maxBundle, ErrBundle)
	}
	return out, nil
}

// Write writes the bundle to a new file of mode 0600 and syncs it. Like RSA.WritePrivate it never overwrites.
func (b *Bundle) Write(path string) error {
	text, err := b.Marshal()
	if err != nil {
		return fmt.Errorf("write host bundle %s: %w", path, err)
	}
	defer clear(text)
	return writeNew(path, text, 0o600)
}

// ParseBundle reads what Marshal wrote; every error is ErrBundle.
func ParseBundle(text []byte) (*Bundle, error) {
	if len(text) > maxBundle {
		return nil, fmt.Errorf("%d bytes, at most %d are read: %w", len(text), maxBundle, ErrBundle)
	}
	var file bundleFile
	if err := decodeStrict(text, &file); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	defer clear(file.Seed)
	at := Place{Bucket: file.Bucket, Region: file.Region, Root: file.Root}
	if file.Format != bundleFormat2 && (file.Format != bundleFormat1 || !at.IsZero()) || file.Format == bundleFormat2 && at.IsZero() {
		return nil, fmt.Errorf("format %.40q, this version reads %q and %q: %w", file.Format, bundleFormat1, bundleFormat2, ErrBundle)
	}
	master, err := file.master()
	if err != nil {
		return nil, err
	}
	key, err := newHostKey(file.Name, file.Prefixes, file.Seed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	volume := &VolumePublic{ID: file.Volume, Epoch: file.Epoch, Authentic: file.Authentic, Place: at, HPKE: file.Public}
	b := &Bundle{volume: volume, revision: file.Revision, master: master, key: key}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b, nil
}

// master reads the RSA key: a public one, spelled as MarshalPublic does.
func (f *bundleFile) master() (*RSA, error) {
	matdesc := map[string]string{}
	sorted := slices.IsSortedFunc(f.Matdesc, func(a, b descriptor) int { return cmp.Compare(a.Name, b.Name) })
	for _, d := range f.Matdesc {
		matdesc[d.Name] = d.Value
	}
	if !sorted || len(matdesc) != len(f.Matdesc) {
		return nil, fmt.Errorf("matdesc is not sorted or has a name twice: %w", ErrBundle)
	}
	if len(matdesc) == 0 {
		matdesc = nil
	}
	master, err := ParseRSA([]byte(f.RSA), nil, matdesc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if text, err := master.MarshalPublic(); err != nil || master.CanUnwrap() || string(text) != f.RSA {
		return nil, fmt.Errorf("the RSA key is not one public key alone: %w", ErrBundle)
	}
	return master, nil
}

// LoadBundle reads a bundle from a file that is this user's alone, else it is localfile.Refused.
func LoadBundle(path string) (*Bundle, error) {
	text, err := readPrivate(path, maxBundle)
	if err != nil {
		return nil, fmt.Errorf("read host bundle: %w", err)
	}
	defer clear(text)
	b, err := ParseBundle(text)
	if err != nil {
		return nil, fmt.Errorf("read host bundle %s: %w", path, err)
	}
	return b, nil
}

// redactedBundle is how a bundle prints.
const redactedBundle = "Bundle(redacted)"

// String hides the bundle.
func (b *Bundle) String() string { return redactedBundle }

// Format hides the bundle whatever the verb.
func (b *Bundle) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redactedBundle)) }

// MarshalText hides the bundle from encoders; Marshal is the way to store it.
func (b *Bundle) MarshalText() ([]byte, error) { return []byte(redactedBundle), nil }
