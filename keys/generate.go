package keys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"

	"github.com/ossencfs/ossencfs/localfile"
)

// GenerateRSA makes a new key pair of 2048, 3072 or 4096 bits (any size between MinRSABits and MaxRSABits).
func GenerateRSA(bits int, matdesc map[string]string) (*RSA, error) {
	if bits < MinRSABits || bits > MaxRSABits {
		return nil, fmt.Errorf("RSA key of %d bits, %d to %d are accepted: %w", bits, MinRSABits, MaxRSABits, ErrBadKey)
	}
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("generate RSA key: %w", err)
	}
	return NewRSA(private, matdesc)
}

// MarshalPrivate encodes the private key as PKCS#1 PEM. With a passphrase it is encrypted in the traditional form (AES-256-CBC),
// the only one that the Python SDK and OpenSSL both read; it stretches the passphrase hardly at all, so that a long
// one is needed. ErrPublicOnly when there is no private key.
func (k *RSA) MarshalPrivate(passphrase []byte) ([]byte, error) {
	if k.private == nil {
		return nil, ErrPublicOnly
	}
	der := x509.MarshalPKCS1PrivateKey(k.private)
	defer Wipe(der)
	if len(passphrase) == 0 {
		return pem.EncodeToMemory(&pem.Block{Type: typePKCS1Private, Bytes: der}), nil
	}
	//nolint:staticcheck // the form the Python SDK reads
	block, err := x509.EncryptPEMBlock(rand.Reader, typePKCS1Private, der, passphrase, x509.PEMCipherAES256)
	if err != nil {
		return nil, fmt.Errorf("encrypt RSA key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}

// MarshalPublic encodes the public key as SPKI PEM.
func (k *RSA) MarshalPublic() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil, fmt.Errorf("encode RSA public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: typeSPKI, Bytes: der}), nil
}

// WritePrivate writes the private key to a new file of mode 0600 and syncs it. It never overwrites: a file that is
// there is fs.ErrExist. After a failure no half file is left.
func (k *RSA) WritePrivate(path string, passphrase []byte) error {
	text, err := k.MarshalPrivate(passphrase)
	if err != nil {
		return fmt.Errorf("write RSA key %s: %w", path, err)
	}
	defer Wipe(text)
	return writeNew(path, text, 0o600)
}

// WritePublic writes the public key to a new file of mode 0644; like WritePrivate it never overwrites.
func (k *RSA) WritePublic(path string) error {
	text, err := k.MarshalPublic()
	if err != nil {
		return fmt.Errorf("write RSA key %s: %w", path, err)
	}
	return writeNew(path, text, 0o644)
}

// writeNew creates a file that must not exist yet.
func writeNew(path string, text []byte, mode fs.FileMode) error {
	if err := localfile.WriteNew(path, text, mode); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return nil
}
