package cipher

import (
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"sync/atomic"
)

// Sizes in bytes.
const (
	KeySize    = 32                   // of the AES key
	IVSize     = aes.BlockSize        // of the IV, the first counter
	SecretSize = KeySize + IVSize     // of MarshalSecret's result
	blockSize  = int64(aes.BlockSize) // of AES
)

// ErrKeyUsed: a content key that sealed before, or that came from elsewhere, was asked to seal.
var ErrKeyUsed = errors.New("content key must not seal a second content")

// ContentKey is the key and IV of one sealed generation. It is used by pointer and never copied. All methods are safe for
// concurrent use. It prints as "redacted" whatever the verb.
type ContentKey struct {
	_     noCopy
	key   [KeySize]byte
	iv    [IVSize]byte
	block stdcipher.Block
	used  atomic.Bool // sealed something, or may have done so elsewhere
}

// noCopy lets go vet complain about copies.
type noCopy struct{}

// Lock and Unlock are what vet's copylocks check looks for.
func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Bounds of the IV's first 8 bytes, such that the decimal of the whole IV has exactly 36 digits whatever its last 4
// bytes are (bytes 8 to 11 are zero): smallest hi with hi<<64 >= 10^35, and largest with hi<<64 + 2^32 <= 10^36.
const (
	minIVHigh = 5_421_010_862_427_523
	maxIVHigh = 54_210_108_624_275_221
)

// NewContentKey draws a fresh key and IV. The IV has zeros in bytes 8 to 11, because the SDKs carry only within the last 8
// bytes, and as a decimal number exactly 36 digits: the start value of the legacy dialect, which that way is canonical base64
// and thus a legal Plaintext for KMS. The IV's 87 random bits only add to the 256 of the key, which is fresh too.
func NewContentKey() (*ContentKey, error) {
	var key [KeySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("draw content key: %w", err)
	}
	return freshKey(&key)
}

// freshKey adds a fresh IV to a key that was never used. It wipes key.
func freshKey(key *[KeySize]byte) (*ContentKey, error) {
	high, err := rand.Int(rand.Reader, big.NewInt(maxIVHigh-minIVHigh+1))
	if err != nil {
		return nil, fmt.Errorf("draw IV: %w", err)
	}
	var iv [IVSize]byte
	binary.BigEndian.PutUint64(iv[:8], minIVHigh+high.Uint64())
	if _, err := rand.Read(iv[12:]); err != nil {
		return nil, fmt.Errorf("draw IV: %w", err)
	}
	k, err := newContentKey(key[:], iv[:])
	clear(key[:])
	return k, err
}

// newContentKey makes a ContentKey of the given bytes, which it copies.
func newContentKey(key, iv []byte) (*ContentKey, error) {
	if len(key) != KeySize || len(iv) != IVSize {
		return nil, fmt.Errorf("content key of %d and IV of %d bytes, want %d and %d", len(key), len(iv), KeySize, IVSize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	k := &ContentKey{block: block}
	copy(k.key[:], key)
	copy(k.iv[:], iv)
	return k, nil
}

// UnmarshalContentKey reads what MarshalSecret wrote. The key opens; it cannot seal (ErrKeyUsed).
func UnmarshalContentKey(secret []byte) (*ContentKey, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("content key record of %d bytes, want %d", len(secret), SecretSize)
	}
	return importedKey(secret[:KeySize], secret[KeySize:])
}

// importedKey makes a key that can open only.
func importedKey(key, iv []byte) (*ContentKey, error) {
	k, err := newContentKey(key, iv)
	if err != nil {
		return nil, err
	}
	k.used.Store(true)
	return k, nil
}

// MarshalSecret returns key and IV, SecretSize bytes, in the clear. The caller encrypts them before they are stored and
// wipes them.
func (k *ContentKey) MarshalSecret() []byte {
	secret := make([]byte, 0, SecretSize)
	return append(append(secret, k.key[:]...), k.iv[:]...)
}

// Equal tells whether both are the same key and IV.
func (k *ContentKey) Equal(other *ContentKey) bool {
	return k == other || k != nil && other != nil && k.key == other.key && k.iv == other.iv
}

// Subkey derives 32 bytes for the purpose that info names, by HKDF-SHA256 with the IV as salt. The content key itself
// is never used for anything but the CTR stream, since every SDK that can read the object knows it: a subkey does not
// keep anything from them either.
func (k *ContentKey) Subkey(info string) []byte {
	sub, err := hkdf.Key(sha256.New, k.key[:], k.iv[:], info, 32)
	if err != nil {
		panic("cipher: HKDF refused 32 bytes: " + err.Error()) // only above 255*32 bytes
	}
	return sub
}

// claim marks the key as used for sealing; false when it was marked before.
func (k *ContentKey) claim() bool { return k.used.CompareAndSwap(false, true) }

// redacted is how a content key prints.
const redacted = "ContentKey(redacted)"

// String hides the key.
func (k *ContentKey) String() string { return redacted }

// Format hides the key whatever the verb.
func (k *ContentKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText hides the key from encoders.
func (k *ContentKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
