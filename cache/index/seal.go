package index

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// sealer seals short secrets for the local disk: AES-256-GCM under a key derived from the mount's local secret, a fresh random
// nonce each time, the label as additional data.
//
//	sealed = nonce (12 bytes) ciphertext tag (16 bytes)
type sealer struct{ aead cipher.AEAD }

func newSealer(secret [32]byte) (sealer, error) {
	key, err := hkdf.Key(sha256.New, secret[:], nil, "ossencfs index 1 secrets", 32)
	if err != nil {
		return sealer{}, fmt.Errorf("derive key of the index: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, fmt.Errorf("derive key of the index: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return sealer{}, fmt.Errorf("derive key of the index: %w", err)
	}
	return sealer{aead: aead}, nil
}

func (s sealer) seal(label string, plain []byte) []byte {
	out := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	_, _ = rand.Read(out) // never fails: it ends the program instead
	return s.aead.Seal(out, out, plain, []byte(label))
}

func (s sealer) open(label string, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("sealed value is too short")
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(label))
	if err != nil {
		return nil, errors.New("sealed value cannot be opened")
	}
	return plain, nil
}

// SealSecret seals a short value for the local disk. The label says what it is, and must be given again to open it.
func (d *DB) SealSecret(label string, plain []byte) []byte { return d.sealer.seal(label, plain) }

// OpenSecret opens what SealSecret returned under the same label; a changed byte is an error.
func (d *DB) OpenSecret(label string, sealed []byte) ([]byte, error) {
	plain, err := d.sealer.open(label, sealed)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", label, err)
	}
	return plain, nil
}

func inodeLabel(ino Ino) string { return fmt.Sprintf("inode %d", ino) }
