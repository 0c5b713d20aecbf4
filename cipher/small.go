package cipher

import (
	"crypto/aes"
	stdcipher "crypto/cipher"
	"errors"
	"fmt"
)

// SmallOverhead is what SealSmall adds, in bytes: nonce and tag.
const SmallOverhead = 12 + 16

// ErrSmall: sealed data that is damaged, or sealed under another key or label.
var ErrSmall = errors.New("sealed data cannot be opened")

// SealSmall seals a short text that belongs to an object (its extended attributes) by AES-256-GCM with a random nonce under a
// subkey of the content key. label names the purpose and has to be the same when opening. The result is
// nonce (12 bytes), ciphertext, tag (16 bytes).
func SealSmall(k *ContentKey, label string, plain []byte) ([]byte, error) {
	aead, err := smallAEAD(k, label)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, []byte(label)), nil
}

// OpenSmall opens what SealSmall returned; ErrSmall otherwise.
func OpenSmall(k *ContentKey, label string, sealed []byte) ([]byte, error) {
	aead, err := smallAEAD(k, label)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", label, ErrSmall)
	}
	return plain, nil
}

// smallAEAD sets up the cipher of one label.
func smallAEAD(k *ContentKey, label string) (stdcipher.AEAD, error) {
	sub := k.Subkey("ossencfs small v1 " + label)
	defer clear(sub)
	block, err := aes.NewCipher(sub)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	aead, err := stdcipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("set up GCM: %w", err)
	}
	return aead, nil
}
