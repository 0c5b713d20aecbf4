package index

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
)

// sealer seals short secrets for the local disk: AES-256-GCM under a key derived from the mount's local secret, a fresh random
// nonce each time, the label as additional data.
//
//	sealed = secret (4 bytes that name it) nonce (12 bytes) ciphertext tag (16 bytes)
type sealer struct {
	id   [4]byte
	aead cipher.AEAD
	used atomic.Bool // sealed something that was not there when the index was opened
}

func newSealer(secret [32]byte) (*sealer, error) {
	fail := func(err error) (*sealer, error) { return nil, fmt.Errorf("derive key of the index: %w", err) }
	s := &sealer{}
	id, err := hkdf.Key(sha256.New, secret[:], nil, "ossencfs index 1 secret id", len(s.id))
	if err != nil {
		return fail(err)
	}
	copy(s.id[:], id)
	key, err := hkdf.Key(sha256.New, secret[:], nil, "ossencfs index 1 secrets", 32)
	if err != nil {
		return fail(err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return fail(err)
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		return fail(err)
	}
	return s, nil
}

func (s *sealer) seal(label string, plain []byte) []byte {
	head := len(s.id) + s.aead.NonceSize()
	out := make([]byte, head, head+len(plain)+s.aead.Overhead())
	nonce := out[copy(out, s.id[:]):]
	_, _ = rand.Read(nonce) // never fails: it ends the program instead
	return s.aead.Seal(out, nonce, plain, []byte(label))
}

func (s *sealer) open(label string, sealed []byte) ([]byte, error) {
	head := len(s.id) + s.aead.NonceSize()
	if len(sealed) < head || [4]byte(sealed) != s.id {
		return nil, errors.New("sealed value is too short, or under another secret")
	}
	plain, err := s.aead.Open(nil, sealed[len(s.id):head], sealed[head:], []byte(label))
	if err != nil {
		return nil, errors.New("sealed value cannot be opened")
	}
	return plain, nil
}

// sealers are the present secret and, for as long as a View may need it, the one before.
type sealers struct{ current, old *sealer }

// SealSecret seals a short value for the local disk. The label says what it is, and must be given again to open it.
func (d *DB) SealSecret(label string, plain []byte) []byte {
	s := d.sealers.Load().current
	s.used.Store(true)
	return s.seal(label, plain)
}

// OpenSecret opens what SealSecret returned under the same label; a changed byte is an error.
func (d *DB) OpenSecret(label string, sealed []byte) ([]byte, error) {
	both := d.sealers.Load()
	plain, err := both.current.open(label, sealed)
	if err != nil && both.old != nil {
		plain, err = both.old.open(label, sealed)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", label, err)
	}
	return plain, nil
}

func inodeLabel(ino Ino) string { return fmt.Sprintf("inode %d", ino) }
