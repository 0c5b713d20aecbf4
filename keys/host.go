package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Errors of write-only hosts. Test with errors.Is.
var (
	// ErrHost: a host's name, key or prefixes are unfit, or it is in the record already. The text says what.
	ErrHost = errors.New("unusable host")
	// ErrNoHost: the record does not have the host.
	ErrNoHost = errors.New("no such host in the volume record")
)

// Limits of a host.
const (
	maxHostName = 128  // bytes
	maxPrefixes = 64   // of one host
	maxPrefix   = 1023 // bytes, as of an object's name
)

// HostID names a write-only host: the first 8 bytes of the SHA-256 of its public key.
type HostID [8]byte

// String is the name as 16 lower-case hex digits.
func (id HostID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is String.
func (id HostID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseHostID.
func (id *HostID) UnmarshalText(text []byte) error {
	parsed, err := ParseHostID(string(text))
	*id = parsed
	return err
}

// ParseHostID reads what String wrote.
func ParseHostID(s string) (HostID, error) {
	var id HostID
	if !unhex(id[:], s) {
		return HostID{}, errors.New("a host id has 16 lower-case hex digits")
	}
	return id, nil
}

// hostID is the id that belongs to a public key.
func hostID(public ed25519.PublicKey) HostID {
	sum := sha256.Sum256(public)
	return HostID(sum[:8])
}

// Host is a write-only host as the volume record lists it: whose signatures count, and for which names.
type Host struct {
	ID       HostID
	Name     string // for people
	Public   ed25519.PublicKey
	Prefixes []string // of names in the bucket: "" is all of them, others end in "/"
	// Retired is when the host's right to go on was taken away, in seconds since 1970; 0: it was not. What it signed before still
	// counts, and no reader can tell before from after: a host whose key was stolen is removed instead.
	Retired int64
}

// MayWrite tells whether the host's signature counts for an object of this name in the bucket.
func (h Host) MayWrite(fullKey string) bool {
	if fullKey == "" {
		return false
	}
	return slices.ContainsFunc(h.Prefixes, func(p string) bool {
		return (p == "" || strings.HasSuffix(p, "/")) && strings.HasPrefix(fullKey, p)
	})
}

// Verify tells whether the host signed the data.
func (h Host) Verify(data, sig []byte) bool {
	return len(h.Public) == ed25519.PublicKeySize && ed25519.Verify(h.Public, data, sig)
}

// clone is a copy that shares nothing.
func (h Host) clone() Host {
	h.Public, h.Prefixes = slices.Clone(h.Public), slices.Clone(h.Prefixes)
	return h
}

// check tells what is unfit.
func (h Host) check() error {
	switch {
	case len(h.Public) != ed25519.PublicKeySize:
		return fmt.Errorf("public key of %d bytes, want %d: %w", len(h.Public), ed25519.PublicKeySize, ErrHost)
	case h.ID != hostID(h.Public):
		return fmt.Errorf("host id %s is not that of its public key: %w", h.ID, ErrHost)
	case !isLabel(h.Name, maxHostName):
		return fmt.Errorf("a host's name has 1 to %d printable bytes: %w", maxHostName, ErrHost)
	case h.Retired < 0:
		return fmt.Errorf("a host retired %d seconds before 1970: %w", -h.Retired, ErrHost)
	case len(h.Prefixes) == 0 || len(h.Prefixes) > maxPrefixes:
		return fmt.Errorf("%d prefixes, a host has 1 to %d: %w", len(h.Prefixes), maxPrefixes, ErrHost)
	}
	seen := map[string]bool{}
	for _, p := range h.Prefixes {
		switch {
		case seen[p]:
			return fmt.Errorf("prefix %q is there twice: %w", p, ErrHost)
		case p != "" && !strings.HasSuffix(p, "/"), strings.HasPrefix(p, "/"):
			return fmt.Errorf("prefix %q does not end in / or begins with it: %w", p, ErrHost)
		case len(p) > maxPrefix || !utf8.ValidString(p):
			return fmt.Errorf("prefix of more than %d bytes or not UTF-8: %w", maxPrefix, ErrHost)
		}
		seen[p] = true
	}
	return nil
}

// isLabel tells whether s can be shown to people on one line.
func isLabel(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// HostKey is the private key of a write-only host. It is used by pointer and prints as "redacted" whatever the verb.
type HostKey struct {
	_       noCopy
	host    Host
	private ed25519.PrivateKey
}

// NewHostKey draws the key of a new host. Prefixes are names in the bucket that end in "/"; "" is the whole bucket. Unfit
// ones are ErrHost.
func NewHostKey(name string, prefixes []string) (*HostKey, error) {
	var seed [ed25519.SeedSize]byte
	defer clear(seed[:])
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("draw host key: %w", err)
	}
	return newHostKey(name, prefixes, seed[:])
}

// newHostKey makes the key that belongs to a seed.
func newHostKey(name string, prefixes []string, seed []byte) (*HostKey, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("seed of %d bytes, want %d: %w", len(seed), ed25519.SeedSize, ErrHost)
	}
	k := &HostKey{private: ed25519.NewKeyFromSeed(seed)}
	public := ed25519.PublicKey(slices.Clone(k.private[ed25519.SeedSize:]))
	k.host = Host{ID: hostID(public), Name: name, Public: public, Prefixes: slices.Clone(prefixes)}
	if err := k.host.check(); err != nil {
		return nil, err
	}
	return k, nil
}

// Host is the public side, for the volume record.
func (k *HostKey) Host() Host { return k.host.clone() }

// Sign signs with Ed25519: 64 bytes.
func (k *HostKey) Sign(data []byte) []byte { return ed25519.Sign(k.private, data) }

// redactedHost is how a host's key prints.
const redactedHost = "HostKey(redacted)"

// String hides the key.
func (k *HostKey) String() string { return redactedHost }

// Format hides the key whatever the verb.
func (k *HostKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redactedHost)) }

// MarshalText hides the key from encoders.
func (k *HostKey) MarshalText() ([]byte, error) { return []byte(redactedHost), nil }
