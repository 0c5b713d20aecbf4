package keys

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// Errors of key files. Test with errors.Is; their texts carry the hint for the user.
var (
	// ErrBadKey: the text is not a usable RSA key: no PEM, damaged, another kind of key, an unfit size.
	ErrBadKey = errors.New("not a usable RSA key")
	// ErrPassphraseNeeded: the key is encrypted and no passphrase was given.
	ErrPassphraseNeeded = errors.New("the key is encrypted, give its passphrase (from a file, an environment variable, a command or a prompt)")
	// ErrPassphrase: the passphrase does not open the key.
	ErrPassphrase = errors.New("wrong passphrase for the key")
)

// maxKeyFile bounds what is read of a key file; an RSA-4096 private key in PEM is about 3.3 KB.
const maxKeyFile = 1 << 20

// block types of PEM that hold RSA keys.
const (
	typePKCS1Private = "RSA PRIVATE KEY"
	typePKCS8        = "PRIVATE KEY"
	typePKCS8Enc     = "ENCRYPTED PRIVATE KEY"
	typeSPKI         = "PUBLIC KEY"
	typePKCS1Public  = "RSA PUBLIC KEY"
)

// ParseRSA reads an RSA key from PEM text: PKCS#1, PKCS#8 and encrypted PKCS#8 (PBES2), SPKI, PKCS#1 public, and the
// traditional encryption of OpenSSL and PyCryptodome (Proc-Type: 4,ENCRYPTED), private and public. The first private
// key in the text is taken, otherwise the first public one. The passphrase is asked for at most once and only when the key
// is encrypted; nil means that there is none. The errors are ErrBadKey, ErrPassphraseNeeded, ErrPassphrase or the
// passphrase source's own.
func ParseRSA(text []byte, passphrase Passphrase, matdesc map[string]string) (*RSA, error) {
	block, err := pickBlock(text)
	if err != nil {
		return nil, err
	}
	der, encrypted, err := openBlock(block, passphrase)
	if err != nil {
		return nil, err
	}
	if encrypted {
		defer Wipe(der)
	}
	k, err := parseDER(block.Type, der, matdesc)
	if err != nil && encrypted && !errors.Is(err, errDecoded) {
		// One wrong passphrase in 256 leaves a padding that looks right; what is inside gives it away.
		return nil, ErrPassphrase
	}
	return k, err
}

// pickBlock chooses the first private key of a PEM text, or else the first public one.
func pickBlock(text []byte) (*pem.Block, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	var public *pem.Block
	var others []string
	for rest := text; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		switch block.Type {
		case typePKCS1Private, typePKCS8, typePKCS8Enc:
			return block, nil
		case typeSPKI, typePKCS1Public:
			if public == nil {
				public = block
			}
		default:
			others = append(others, block.Type)
		}
	}
	if public != nil {
		return public, nil
	}
	switch {
	case slices.Contains(others, "OPENSSH PRIVATE KEY"):
		return nil, fmt.Errorf("OpenSSH key, convert it with ssh-keygen -p -m PEM: %w", ErrBadKey)
	case len(others) > 0:
		return nil, fmt.Errorf("PEM holds %q and no RSA key: %w", others, ErrBadKey)
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return nil, fmt.Errorf("damaged PEM text: %w", ErrBadKey)
	}
	return nil, fmt.Errorf("no PEM text (it begins with -----BEGIN): %w", ErrBadKey)
}

// checkText says what editors of other systems have made of a PEM text.
func checkText(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return fmt.Errorf("the text begins with a byte-order mark, remove it with: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE: %w", ErrBadKey)
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return fmt.Errorf("the text is UTF-16, convert it with: iconv -f UTF-16 -t ASCII: %w", ErrBadKey)
	case bytes.Contains(text, []byte("-----BEGIN ")) && bytes.IndexByte(text, '\n') < 0 && bytes.IndexByte(text, '\r') >= 0:
		return fmt.Errorf("its lines end with carriage returns alone, convert it with: tr '\\r' '\\n': %w", ErrBadKey)
	}
	return nil
}

// openBlock returns a block's DER, decrypted when it is encrypted.
func openBlock(block *pem.Block, passphrase Passphrase) (der []byte, encrypted bool, err error) {
	traditional := x509.IsEncryptedPEMBlock(block) //nolint:staticcheck // the form the Python SDK stores
	if !traditional && block.Type != typePKCS8Enc {
		return block.Bytes, false, nil
	}
	if passphrase == nil {
		return nil, true, ErrPassphraseNeeded
	}
	secret, err := passphrase()
	if err != nil {
		return nil, true, fmt.Errorf("get the key's passphrase: %w", err)
	}
	defer Wipe(secret)
	if !traditional {
		der, err = decryptPKCS8(block.Bytes, secret)
		return der, true, err
	}
	der, err = x509.DecryptPEMBlock(block, secret) //nolint:staticcheck // as above
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, true, ErrPassphrase
	}
	if err != nil {
		return nil, true, fmt.Errorf("damaged encrypted PEM text: %w: %w", ErrBadKey, err)
	}
	return der, true, nil
}

// errDecoded marks errors about a key that was decoded: they are no sign of a wrong passphrase.
var errDecoded = errors.New("decoded key refused")

// parseDER reads the DER form that belongs to a PEM type.
func parseDER(kind string, der []byte, matdesc map[string]string) (*RSA, error) {
	var key any
	var err error
	switch kind {
	case typePKCS1Private:
		key, err = x509.ParsePKCS1PrivateKey(der)
	case typePKCS8, typePKCS8Enc:
		key, err = x509.ParsePKCS8PrivateKey(der)
	case typePKCS1Public:
		key, err = x509.ParsePKCS1PublicKey(der)
	default:
		key, err = x509.ParsePKIXPublicKey(der)
		if err != nil { // PyCryptodome and others label a bare PKCS#1 key PUBLIC KEY at times
			if public, err1 := x509.ParsePKCS1PublicKey(der); err1 == nil {
				key, err = public, nil
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("damaged %s: %w: %w", kind, ErrBadKey, err)
	}
	var k *RSA
	switch key := key.(type) {
	case *rsa.PrivateKey:
		k, err = NewRSA(key, matdesc)
	case *rsa.PublicKey:
		k, err = NewRSAPublic(key, matdesc)
	default:
		err = fmt.Errorf("a %T is not an RSA key: %w", key, ErrBadKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDecoded, err)
	}
	return k, nil
}
