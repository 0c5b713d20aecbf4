package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Suffixes of the files in the Python SDK's folder ~/.oss-local-rsa.
const (
	privateSuffix = ".private_key.pem"
	publicSuffix  = ".public_key.pem"
)

// LoadRSA reads an RSA key from a PEM file, from a folder as the Python SDK's LocalRsaProvider keeps it
// (~/.oss-local-rsa with <name>.private_key.pem, the name mostly empty), or from such a folder's path with the name
// behind it (~/.oss-local-rsa/backup). In a folder the private key is taken where there is one: the public key is
// derived from it. Errors name the path; see ParseRSA for their kinds.
func LoadRSA(path string, passphrase func() ([]byte, error), matdesc map[string]string) (*RSA, error) {
	file, err := findKeyFile(path)
	if err != nil {
		return nil, err
	}
	text, err := readKeyFile(file)
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

// KeyFile is the file that LoadRSA reads for a path.
func KeyFile(path string) (string, error) { return findKeyFile(path) }

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

// readKeyFile reads a key file of bounded size.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, fmt.Errorf("open RSA key: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read RSA key %s: %w", path, err)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("read RSA key %s: larger than %d bytes: %w", path, maxKeyFile, ErrBadKey)
	}
	return text, nil
}
