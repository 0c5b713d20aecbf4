package keys

import (
	"context"
	"errors"
)

// Scheme is one way of wrapping a secret under a master key.
type Scheme int

const (
	// OAEP is RSAES-OAEP with SHA-1, MGF1-SHA-1 and an empty label, as the Python SDK's LocalRsaProvider wraps.
	OAEP Scheme = iota + 1
	// PKCS1 is RSAES-PKCS1-v1_5, as the Go, Java and C++ SDKs and Python's RsaProvider wrap. It is not authentic:
	// unwrapping never says whether the padding was right (see MasterKey.Unwrap).
	PKCS1
	// KMSText is Alibaba KMS's Encrypt and Decrypt. Secret and blob are both text: what the secret encodes is the
	// caller's business, and Decrypt answers with the very text that was given to Encrypt.
	KMSText
)

// String names the scheme for messages.
func (s Scheme) String() string {
	switch s {
	case OAEP:
		return "RSA-OAEP"
	case PKCS1:
		return "RSA-PKCS1-v1_5"
	case KMSText:
		return "KMS"
	}
	return "unknown"
}

// Errors of master keys. Test with errors.Is.
var (
	// ErrUnwrap: the wrapped secret cannot be unwrapped with this key. A wrong key and a damaged wrap are the same
	// error on purpose: telling them apart would answer an attacker's questions.
	ErrUnwrap = errors.New("wrapped secret cannot be opened with this master key")
	// ErrPublicOnly: only the public half of the RSA key is here, so nothing can be unwrapped.
	ErrPublicOnly = errors.New("only the public key is present, the private key is needed")
	// ErrScheme: the master key does not know the scheme asked for.
	ErrScheme = errors.New("master key does not support this wrapping scheme")
)

// MasterKey wraps and unwraps short secrets under one master key. Its kinds are *RSA and *KMS. All methods are safe
// for concurrent use.
type MasterKey interface {
	// ID names the key in messages: the fingerprint of an RSA key or a KMS key id. It holds no secret.
	ID() string
	// MatDesc is the description that is written beside wrapped keys; nil when there is none. Not to be changed.
	MatDesc() map[string]string
	// CanUnwrap is false when only a public key is at hand.
	CanUnwrap() bool
	// Supports tells whether Wrap and Unwrap know the scheme.
	Supports(s Scheme) bool
	// Wrap encrypts a secret. KMSText wants text.
	Wrap(ctx context.Context, s Scheme, secret []byte) ([]byte, error)
	// Unwrap is the way back. A wrong key and a damaged blob are both ErrUnwrap, with one exception: PKCS1 needs
	// size, the length of the secret in bytes, and answers a blob with wrong padding with size random bytes and no
	// error. The caller has to recognise a right answer by what is inside. The other schemes ignore size.
	Unwrap(ctx context.Context, s Scheme, blob []byte, size int) ([]byte, error)
	// WrappedSize is the length in bytes that Wrap returns for a secret of n bytes: exact for RSA, for KMS the
	// largest seen so far or, before the first call, a generous guess.
	WrappedSize(s Scheme, n int) int
	// WrapLocal wraps a key of this machine (32 bytes) by a scheme that no SDK header uses, so that no header of
	// a bucket can be mistaken for it.
	WrapLocal(ctx context.Context, secret []byte) ([]byte, error)
	// UnwrapLocal is the way back; a wrong key and a damaged blob are ErrUnwrap.
	UnwrapLocal(ctx context.Context, blob []byte) ([]byte, error)
}

var (
	_ MasterKey = (*RSA)(nil)
	_ MasterKey = (*KMS)(nil)
)

// Wipe overwrites secret bytes. Go may have copied them elsewhere, so this shortens a secret's life and promises no more.
func Wipe(b []byte) { clear(b) }
