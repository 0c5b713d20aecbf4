package keys

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the SDK format fixes OAEP with SHA-1; its security does not rest on collisions
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"sync/atomic"
)

// Limits of RSA moduli in bits: below the first is not safe any more, above the second the SDK headers of one object
// would not fit into OSS's 8 KB of metadata.
const (
	MinRSABits = 2048
	MaxRSABits = 4096
)

// localLabel sets local wraps apart from anything in an object's headers.
const localLabel = "ossencfs local key v1"

// RSA is a master key that is an RSA key pair, or its public half. LoadRSA, ParseRSA and GenerateRSA make it.
type RSA struct {
	public  *rsa.PublicKey
	private *rsa.PrivateKey // nil when only the public half is known
	matdesc map[string]string
	id      string
	ops     atomic.Int64 // with the private key
}

// NewRSA makes a master key from a private key. Moduli of MinRSABits to MaxRSABits bits are taken.
func NewRSA(private *rsa.PrivateKey, matdesc map[string]string) (*RSA, error) {
	if private == nil {
		return nil, fmt.Errorf("no private key: %w", ErrBadKey)
	}
	k, err := NewRSAPublic(&private.PublicKey, matdesc)
	if err != nil {
		return nil, err
	}
	if err := private.Validate(); err != nil {
		return nil, fmt.Errorf("check RSA private key: %w: %w", ErrBadKey, err)
	}
	k.private = private
	return k, nil
}

// NewRSAPublic makes a master key that can wrap and not unwrap.
func NewRSAPublic(public *rsa.PublicKey, matdesc map[string]string) (*RSA, error) {
	if public == nil || public.N == nil {
		return nil, fmt.Errorf("no public key: %w", ErrBadKey)
	}
	if bits := public.N.BitLen(); bits < MinRSABits || bits > MaxRSABits {
		return nil, fmt.Errorf("RSA key of %d bits, %d to %d are accepted: %w", bits, MinRSABits, MaxRSABits, ErrBadKey)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encode RSA public key: %w: %w", ErrBadKey, err)
	}
	sum := sha256.Sum256(der)
	id := fmt.Sprintf("rsa%d:%s", public.N.BitLen(), hex.EncodeToString(sum[:8]))
	return &RSA{public: public, matdesc: maps.Clone(matdesc), id: id}, nil
}

// ID is "rsa", the size in bits and the first 8 bytes of the SHA-256 of the public key (SPKI, DER) in hex.
func (k *RSA) ID() string { return k.id }

// String is ID, so that a key is never printed by accident.
func (k *RSA) String() string { return k.id }

// GoString is ID.
func (k *RSA) GoString() string { return k.id }

// Format prints the ID whatever the verb.
func (k *RSA) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.id)) }

// MatDesc returns the description given when the key was loaded.
func (k *RSA) MatDesc() map[string]string { return k.matdesc }

// CanUnwrap tells whether the private key is here.
func (k *RSA) CanUnwrap() bool { return k.private != nil }

// Supports is true for OAEP and PKCS1.
func (k *RSA) Supports(s Scheme) bool { return s == OAEP || s == PKCS1 }

// Bits is the size of the modulus.
func (k *RSA) Bits() int { return k.public.N.BitLen() }

// PrivateOps counts the operations with the private key so far: one for each unwrap.
func (k *RSA) PrivateOps() int64 { return k.ops.Load() }

// WrappedSize is the size of the modulus in bytes.
func (k *RSA) WrappedSize(Scheme, int) int { return k.public.Size() }

// Wrap encrypts a secret to the public key.
func (k *RSA) Wrap(_ context.Context, s Scheme, secret []byte) ([]byte, error) {
	var blob []byte
	var err error
	switch s {
	case OAEP:
		blob, err = rsa.EncryptOAEP(sha1.New(), rand.Reader, k.public, secret, nil) //nolint:gosec // see the import
	case PKCS1:
		blob, err = rsa.EncryptPKCS1v15(rand.Reader, k.public, secret)
	default:
		return nil, fmt.Errorf("wrap with %v under %s: %w", s, k.id, ErrScheme)
	}
	if err != nil {
		return nil, fmt.Errorf("wrap with %v under %s: %w", s, k.id, err)
	}
	return blob, nil
}

// Unwrap decrypts with the private key; see MasterKey.Unwrap for PKCS1.
func (k *RSA) Unwrap(_ context.Context, s Scheme, blob []byte, size int) ([]byte, error) {
	if k.private == nil {
		return nil, fmt.Errorf("unwrap with %v under %s: %w", s, k.id, ErrPublicOnly)
	}
	switch s {
	case OAEP:
		k.ops.Add(1)
		secret, err := rsa.DecryptOAEP(sha1.New(), nil, k.private, blob, nil) //nolint:gosec // see the import
		if err != nil {
			return nil, ErrUnwrap
		}
		return secret, nil
	case PKCS1:
		return k.unwrapPKCS1(blob, size)
	}
	return nil, fmt.Errorf("unwrap with %v under %s: %w", s, k.id, ErrScheme)
}

// unwrapPKCS1 is Bleichenbacher-safe: wrong padding yields random bytes in the same time and no error. The only errors
// are about the blob's public length.
func (k *RSA) unwrapPKCS1(blob []byte, size int) ([]byte, error) {
	if len(blob) != k.public.Size() {
		return nil, ErrUnwrap
	}
	secret := make([]byte, size)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("draw random bytes: %w", err)
	}
	k.ops.Add(1)
	if err := rsa.DecryptPKCS1v15SessionKey(nil, k.private, blob, secret); err != nil {
		return nil, ErrUnwrap
	}
	return secret, nil
}

// WrapLocal wraps with RSA-OAEP, SHA-256 and a label of our own.
func (k *RSA) WrapLocal(_ context.Context, secret []byte) ([]byte, error) {
	blob, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, k.public, secret, []byte(localLabel))
	if err != nil {
		return nil, fmt.Errorf("wrap local key under %s: %w", k.id, err)
	}
	return blob, nil
}

// UnwrapLocal is the way back from WrapLocal.
func (k *RSA) UnwrapLocal(_ context.Context, blob []byte) ([]byte, error) {
	if k.private == nil {
		return nil, fmt.Errorf("unwrap local key under %s: %w", k.id, ErrPublicOnly)
	}
	k.ops.Add(1)
	secret, err := rsa.DecryptOAEP(sha256.New(), nil, k.private, blob, []byte(localLabel))
	if err != nil {
		return nil, fmt.Errorf("unwrap local key under %s: %w", k.id, ErrUnwrap)
	}
	return secret, nil
}
