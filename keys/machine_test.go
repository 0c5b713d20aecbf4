package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/localfile"
)

// newMachine makes a machine key of a test.
func newMachine(t testing.TB, fill byte) *MachineKey {
	t.Helper()
	k, err := NewMachineKey(bytes.Repeat([]byte{fill}, machineSize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMachineKey(t *testing.T) {
	k := newMachine(t, 1)
	secret := bytes.Repeat([]byte{9}, 32)
	blob, err := k.Wrap(secret)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := newMachine(t, 1).Unwrap(blob); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("got %x, %v, want the secret", got, err)
	}
	if again, err := k.Wrap(secret); err != nil || bytes.Equal(again, blob) {
		t.Errorf("the nonce is not fresh, %v", err)
	}
	for i := range blob {
		damaged := bytes.Clone(blob)
		damaged[i] ^= 1
		if _, err := k.Unwrap(damaged); !errors.Is(err, ErrUnwrap) {
			t.Errorf("byte %d changed: got %v, want ErrUnwrap", i, err)
		}
	}
	for n := range blob {
		if _, err := k.Unwrap(blob[:n]); !errors.Is(err, ErrUnwrap) {
			t.Errorf("first %d bytes: got %v, want ErrUnwrap", n, err)
		}
	}
	if _, err := newMachine(t, 2).Unwrap(blob); !errors.Is(err, ErrUnwrap) {
		t.Errorf("another machine: got %v, want ErrUnwrap", err)
	}
	for name, secret := range map[string][]byte{"nothing": nil, "too much": make([]byte, maxLocal+1)} {
		if _, err := k.Wrap(secret); err == nil {
			t.Errorf("wrapped %s", name)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, k); got != redactedMachine {
			t.Errorf("%s: got %q, want %q", verb, got, redactedMachine)
		}
	}
	if _, err := NewMachineKey(make([]byte, 31)); !errors.Is(err, ErrBadKey) {
		t.Errorf("31 bytes: got %v, want ErrBadKey", err)
	}
}

func TestMachineKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine.key")
	if _, err := LoadMachineKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want ErrNotExist", err)
	}
	if err := MakeMachineKey(path); err != nil {
		t.Fatal(err)
	}
	if err := MakeMachineKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second time: got %v, want ErrExist", err)
	}
	first, err := LoadMachineKey(path)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := first.Wrap([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadMachineKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Unwrap(blob); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadMachineKey(path); !refused(err) {
			t.Errorf("mode %o: got %v, want it refused", mode, err)
		}
	}
	for name, text := range map[string]string{"short": "abc", "long": string(make([]byte, 33))} {
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadMachineKey(path); !errors.Is(err, ErrBadKey) {
			t.Errorf("%s: got %v, want ErrBadKey", name, err)
		}
	}
	if _, err := LoadMachineKey(t.TempDir()); err == nil {
		t.Error("a folder is taken for a key")
	}
}

// TestBundleFileIsPrivate: a bundle holds the host's signing key, and is refused where others can read it.
func TestBundleFileIsPrivate(t *testing.T) {
	text := goldenFile(t, "bundle.json")
	path := filepath.Join(t.TempDir(), "bundle.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadBundle(path); err != nil {
		t.Error(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadBundle(path); !refused(err) {
			t.Errorf("mode %o: got %v, want it refused", mode, err)
		}
	}
}

// refused reports whether a file was not opened because of who else can get at it.
func refused(err error) bool {
	var r *localfile.Refused
	return errors.As(err, &r)
}
