package keys

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ossencfs/ossencfs/localfile"
)

// Suffixes of the files in the Python SDK's folder ~/.oss-local-rsa.
const (
	privateSuffix = ".private_key.pem"
	publicSuffix  = ".public_key.pem"
)

// LoadRSA reads an RSA key from a PEM file, from a folder as the Python SDK's LocalRsaProvider keeps it
// (~/.oss-local-rsa with <name>.private_key.pem, the name mostly empty), or from such a folder's path with the name
// behind it (~/.oss-local-rsa/backup). In a folder the private key is taken where there is one: the public key is
// derived from it. Errors name the path; see ParseRSA for their kinds. Who else may read the file is not looked at: a key that is to
// be used comes from LoadOwnRSA.
func LoadRSA(path string, passphrase Passphrase, matdesc map[string]string) (*RSA, error) {
	return loadRSA(context.Background(), path, localfile.Data, passphrase, matdesc)
}

// LoadOwnRSA is LoadRSA for a key that files are to be wrapped under: a file that others may write, and that of a private key that others
// may read, are localfile.Refused. The end of ctx ends the waiting for a pipe.
func LoadOwnRSA(ctx context.Context, path string, passphrase Passphrase, matdesc map[string]string) (*RSA, error) {
	return loadRSA(ctx, path, localfile.Trusted, passphrase, matdesc)
}

func loadRSA(ctx context.Context, path string, role localfile.Role, passphrase Passphrase, matdesc map[string]string) (*RSA, error) {
	file, err := findKeyFile(path)
	if err != nil {
		return nil, err
	}
	text, err := readKeyFile(ctx, file, role)
	if err != nil {
		return nil, err
	}
	defer Wipe(text)
	k, err := ParseRSA(text, passphrase, matdesc)
	if err != nil {
		return nil, fmt.Errorf("read RSA key %s: %w", file, err)
	}
	return k, nil
}

// findKeyFile resolves the three ways of naming a key to a file.
func findKeyFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return keyInFolder(path)
	case err == nil:
		return path, nil
	case errors.Is(err, fs.ErrNotExist):
		for _, suffix := range []string{privateSuffix, publicSuffix} {
			if _, err := os.Stat(path + suffix); err == nil {
				return path + suffix, nil
			}
		}
	}
	return "", fmt.Errorf("find RSA key: %w", err)
}

// keyInFolder picks the key of a LocalRsaProvider folder: the one with the empty name, or the only one.
func keyInFolder(dir string) (string, error) {
	for _, suffix := range []string{privateSuffix, publicSuffix} {
		if _, err := os.Stat(filepath.Join(dir, suffix)); err == nil {
			return filepath.Join(dir, suffix), nil
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return "", fmt.Errorf("find RSA key: %w", err)
		}
		var names []string
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), suffix) {
				names = append(names, e.Name())
			}
		}
		if len(names) == 1 {
			return filepath.Join(dir, names[0]), nil
		}
		if len(names) > 1 {
			return "", fmt.Errorf("folder %s holds several keys (%s), name one of them: %w", dir, strings.Join(names, ", "), ErrBadKey)
		}
	}
	return "", fmt.Errorf("folder %s holds no *%s: %w", dir, privateSuffix, fs.ErrNotExist)
}

// readKeyFile reads a key file of bounded size. With a private key in it, it is a secret.
func readKeyFile(ctx context.Context, path string, role localfile.Role) (text []byte, err error) {
	f, err := localfile.Open(path, localfile.Data)
	if err != nil {
		return nil, fmt.Errorf("open RSA key: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			Wipe(text)
			text = nil
		}
	}()
	text, err = localfile.ReadOpen(ctx, f, maxKeyFile)
	if errors.Is(err, localfile.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	if err != nil {
		return text, fmt.Errorf("RSA key: %w", err)
	}
	return text, checkKeyFile(f, text, role)
}

// checkKeyFile refuses an open key file that others can get at. What is in it decides first: who were told to take away writing alone would be
// refused again for reading.
func checkKeyFile(f *os.File, text []byte, role localfile.Role) error {
	if block, err := pickBlock(text); role != localfile.Data && err == nil && isPrivate(block) {
		if err := localfile.Check(f, localfile.Secret); err != nil {
			return fmt.Errorf("private key %w", err)
		}
		return nil
	}
	if err := localfile.Check(f, role); err != nil {
		return fmt.Errorf("RSA key: %w", err)
	}
	return nil
}

// isPrivate reports whether a block holds a private key, encrypted or not.
func isPrivate(block *pem.Block) bool { return block.Type != typeSPKI && block.Type != typePKCS1Public }
