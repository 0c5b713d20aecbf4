package keys

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOwnKeysAreClosed: nobody else may read a private key, encrypted or not, nor write any key.
func TestOwnKeysAreClosed(t *testing.T) {
	dir := t.TempDir()
	k, err := GenerateRSA(2048, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, encrypted, public := filepath.Join(dir, "plain"), filepath.Join(dir, "encrypted"), filepath.Join(dir, "public")
	for _, err := range []error{k.WritePrivate(plain, nil), k.WritePrivate(encrypted, []byte(testPassphrase)), k.WritePublic(public)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		file string
		mode os.FileMode
		open bool
	}{
		{plain, 0o600, false}, {plain, 0o640, true}, {plain, 0o604, true}, {encrypted, 0o600, false}, {encrypted, 0o644, true},
		{public, 0o644, false}, {public, 0o664, true}, {public, 0o646, true},
	} {
		if err := os.Chmod(c.file, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOwnRSA(t.Context(), c.file, given(testPassphrase), nil)
		if refused(err) != c.open || err == nil == c.open {
			t.Errorf("%s, mode %o: got %v", filepath.Base(c.file), c.mode, err)
		}
		if _, err := LoadRSA(c.file, given(testPassphrase), nil); err != nil {
			t.Errorf("%s, mode %o: got %v for a key that is not used", filepath.Base(c.file), c.mode, err)
		}
	}
}
