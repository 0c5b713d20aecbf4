package keys

import (
	"bytes"
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/des" //nolint:gosec // read only: PyCryptodome's default for PKCS#8
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // read only: PBKDF2's default PRF
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// Limits on what a key file may ask of us, so that a hostile one cannot stop the machine.
const (
	maxPBKDF2Rounds = 10_000_000
	maxScryptMemory = 1 << 30 // bytes: 128 * N * r
	maxScryptP      = 16
)

// Object identifiers of RFC 8018 (PBES2), RFC 7914 (scrypt) and the ciphers and PRFs used with them.
var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA224 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidHMACSHA384 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}
	oidHMACSHA512 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}
	oidDES3CBC    = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
	oidAES128CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// encryptedKeyInfo is EncryptedPrivateKeyInfo of RFC 5958.
type encryptedKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2Params, pbkdf2Params and scryptParams are the parameters of RFC 8018 and RFC 7914.
type (
	pbes2Params struct {
		KDF    pkix.AlgorithmIdentifier
		Cipher pkix.AlgorithmIdentifier
	}
	pbkdf2Params struct {
		Salt   []byte
		Rounds int
		KeyLen int                      `asn1:"optional"`
		PRF    pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	scryptParams struct {
		Salt    []byte
		N, R, P int
		KeyLen  int `asn1:"optional"`
	}
)

// decryptPKCS8 opens an EncryptedPrivateKeyInfo. ErrBadKey when it is damaged or of an unknown kind, ErrPassphrase
// when what comes out is not padded as it should be.
func decryptPKCS8(der, passphrase []byte) ([]byte, error) {
	var info encryptedKeyInfo
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("damaged encrypted PKCS#8 key: %w", ErrBadKey)
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("PKCS#8 encryption %v is not supported (PBES2 is): %w", info.Algorithm.Algorithm, ErrBadKey)
	}
	var params pbes2Params
	if rest, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &params); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("damaged PBES2 parameters: %w", ErrBadKey)
	}
	keyLen, newBlock, err := pbes2Cipher(params.Cipher.Algorithm)
	if err != nil {
		return nil, err
	}
	key, err := pbes2Key(params.KDF, passphrase, keyLen)
	if err != nil {
		return nil, err
	}
	defer Wipe(key)
	block, err := newBlock(key)
	if err != nil {
		return nil, fmt.Errorf("set up PKCS#8 cipher: %w: %w", ErrBadKey, err)
	}
	var iv []byte
	if rest, err := asn1.Unmarshal(params.Cipher.Parameters.FullBytes, &iv); err != nil || len(rest) > 0 || len(iv) != block.BlockSize() {
		return nil, fmt.Errorf("damaged PBES2 IV: %w", ErrBadKey)
	}
	if len(info.Data) == 0 || len(info.Data)%block.BlockSize() != 0 {
		return nil, fmt.Errorf("encrypted PKCS#8 key of %d bytes is cut off: %w", len(info.Data), ErrBadKey)
	}
	plain := make([]byte, len(info.Data))
	stdcipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)
	return unpad(plain, block.BlockSize())
}

// unpad takes PKCS#7 padding off.
func unpad(plain []byte, blockSize int) ([]byte, error) {
	n := int(plain[len(plain)-1])
	if n == 0 || n > blockSize || !bytes.Equal(plain[len(plain)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		Wipe(plain)
		return nil, ErrPassphrase
	}
	return plain[:len(plain)-n], nil
}

// pbes2Cipher returns the key length and constructor of a block cipher used in CBC mode.
func pbes2Cipher(oid asn1.ObjectIdentifier) (int, func([]byte) (stdcipher.Block, error), error) {
	switch {
	case oid.Equal(oidAES128CBC):
		return 16, aes.NewCipher, nil
	case oid.Equal(oidAES192CBC):
		return 24, aes.NewCipher, nil
	case oid.Equal(oidAES256CBC):
		return 32, aes.NewCipher, nil
	case oid.Equal(oidDES3CBC):
		return 24, des.NewTripleDESCipher, nil
	}
	return 0, nil, fmt.Errorf("PKCS#8 cipher %v is not supported (AES-CBC and DES-EDE3-CBC are): %w", oid, ErrBadKey)
}

// pbes2Key stretches the passphrase.
func pbes2Key(kdf pkix.AlgorithmIdentifier, passphrase []byte, keyLen int) ([]byte, error) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		return pbkdf2Key(kdf.Parameters.FullBytes, passphrase, keyLen)
	case kdf.Algorithm.Equal(oidScrypt):
		return scryptKey(kdf.Parameters.FullBytes, passphrase, keyLen)
	}
	return nil, fmt.Errorf("key derivation %v is not supported (PBKDF2 and scrypt are): %w", kdf.Algorithm, ErrBadKey)
}

// pbkdf2Key derives by PBKDF2.
func pbkdf2Key(der, passphrase []byte, keyLen int) ([]byte, error) {
	var p pbkdf2Params
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) > 0 || p.KeyLen != 0 && p.KeyLen != keyLen {
		return nil, fmt.Errorf("damaged PBKDF2 parameters: %w", ErrBadKey)
	}
	if p.Rounds < 1 || p.Rounds > maxPBKDF2Rounds {
		return nil, fmt.Errorf("PBKDF2 with %d rounds, 1 to %d are accepted: %w", p.Rounds, maxPBKDF2Rounds, ErrBadKey)
	}
	var prf func() hash.Hash
	switch oid := p.PRF.Algorithm; {
	case len(oid) == 0, oid.Equal(oidHMACSHA1):
		prf = sha1.New
	case oid.Equal(oidHMACSHA224):
		prf = sha256.New224
	case oid.Equal(oidHMACSHA256):
		prf = sha256.New
	case oid.Equal(oidHMACSHA384):
		prf = sha512.New384
	case oid.Equal(oidHMACSHA512):
		prf = sha512.New
	default:
		return nil, fmt.Errorf("PBKDF2 with PRF %v is not supported: %w", oid, ErrBadKey)
	}
	key, err := pbkdf2.Key(prf, string(passphrase), p.Salt, p.Rounds, keyLen)
	if err != nil {
		return nil, fmt.Errorf("derive key by PBKDF2: %w: %w", ErrBadKey, err)
	}
	return key, nil
}

// scryptKey derives by scrypt, within limits of memory and time.
func scryptKey(der, passphrase []byte, keyLen int) ([]byte, error) {
	var p scryptParams
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) > 0 || p.KeyLen != 0 && p.KeyLen != keyLen {
		return nil, fmt.Errorf("damaged scrypt parameters: %w", ErrBadKey)
	}
	if p.N < 2 || p.R < 1 || p.P < 1 || p.P > maxScryptP || p.N > maxScryptMemory/128 || p.R > maxScryptMemory/128/p.N {
		return nil, fmt.Errorf("scrypt with N=%d r=%d p=%d is beyond the limits: %w", p.N, p.R, p.P, ErrBadKey)
	}
	key, err := scrypt.Key(passphrase, p.Salt, p.N, p.R, p.P, keyLen)
	if err != nil {
		return nil, fmt.Errorf("derive key by scrypt: %w: %w", ErrBadKey, err)
	}
	return key, nil
}
