package keys

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ossencfs/ossencfs/localfile"
)

// machineSize is the length of a machine key in bytes, and of its file.
const machineSize = 32

// machineInfo derives the key for secrets of this machine from a machine key.
const machineInfo = "ossencfs machine v1"

// machineMagic is the additional data of what a machine key wraps.
const machineMagic = "ossencfs machine blob v1"

// MachineKey is a secret of one machine, for hosts that hold no private key: the keys of the cache are wrapped under it. It protects
// what has not been uploaded yet against those who get the disk without it. It is used by pointer and prints as "redacted"
// whatever the verb.
type MachineKey struct {
	_   noCopy
	key [machineSize]byte // derived
}

// NewMachineKey makes a machine key of 32 secret bytes, which it does not keep.
func NewMachineKey(secret []byte) (*MachineKey, error) {
	if len(secret) != machineSize {
		return nil, fmt.Errorf("machine key of %d bytes, want %d: %w", len(secret), machineSize, ErrBadKey)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, machineInfo, machineSize)
	if err != nil {
		return nil, fmt.Errorf("derive machine key: %w", err)
	}
	defer clear(key)
	k := &MachineKey{}
	copy(k.key[:], key)
	return k, nil
}

// LoadMachineKey reads the 32 bytes of a machine key from a file that is this user's alone, else it is localfile.Refused.
func LoadMachineKey(path string) (*MachineKey, error) {
	text, err := readPrivate(path, machineSize)
	if err != nil {
		return nil, fmt.Errorf("read machine key: %w", err)
	}
	defer clear(text)
	k, err := NewMachineKey(text)
	if err != nil {
		return nil, fmt.Errorf("read machine key %s: %w", path, err)
	}
	return k, nil
}

// MakeMachineKey draws 32 bytes and writes them to a new file of mode 0600. Like RSA.WritePrivate it never overwrites.
func MakeMachineKey(path string) error {
	var secret [machineSize]byte
	defer clear(secret[:])
	if _, err := rand.Read(secret[:]); err != nil {
		return fmt.Errorf("draw machine key: %w", err)
	}
	return writeNew(path, secret[:], 0o600)
}

// Wrap wraps a secret of this machine:
//
//	blob = nonce(12) sealed
//
// AES-256-GCM with a random nonce. It is used a few times for each mount.
func (k *MachineKey) Wrap(secret []byte) ([]byte, error) {
	if len(secret) == 0 || len(secret) > maxLocal {
		return nil, fmt.Errorf("wrap local secret of %d bytes, 1 to %d are accepted", len(secret), maxLocal)
	}
	gcm, err := newGCM(k.key[:])
	if err != nil {
		return nil, err
	}
	blob := make([]byte, gcmNonce)
	if _, err := rand.Read(blob); err != nil {
		return nil, fmt.Errorf("draw nonce: %w", err)
	}
	return gcm.Seal(blob, blob, secret, []byte(machineMagic)), nil
}

// Unwrap is the way back from Wrap; what another key wrapped, and what is damaged, is ErrUnwrap.
func (k *MachineKey) Unwrap(blob []byte) ([]byte, error) {
	if len(blob) < gcmNonce+gcmTag || len(blob) > gcmNonce+gcmTag+maxLocal {
		return nil, ErrUnwrap
	}
	gcm, err := newGCM(k.key[:])
	if err != nil {
		return nil, err
	}
	secret, err := gcm.Open(nil, blob[:gcmNonce], blob[gcmNonce:], []byte(machineMagic))
	if err != nil {
		return nil, ErrUnwrap
	}
	return secret, nil
}

// redactedMachine is how a machine key prints.
const redactedMachine = "MachineKey(redacted)"

// String hides the key.
func (k *MachineKey) String() string { return redactedMachine }

// Format hides the key whatever the verb.
func (k *MachineKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redactedMachine)) }

// MarshalText hides the key from encoders.
func (k *MachineKey) MarshalText() ([]byte, error) { return []byte(redactedMachine), nil }

// readPrivate reads a file of at most limit bytes that is this user's alone.
func readPrivate(path string, limit int64) ([]byte, error) {
	text, err := localfile.Read(context.Background(), path, localfile.Secret, limit)
	if errors.Is(err, localfile.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	return text, err //nolint:wrapcheck // callers add what they read
}
