package localfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestPlaceNewReplacesNothing: on file systems that lack some of the ways, too, a file that appeared meanwhile stays what it is.
func TestPlaceNewReplacesNothing(t *testing.T) {
	for missing := range placings {
		dir := t.TempDir()
		from, taken, link, free := filepath.Join(dir, "from"), filepath.Join(dir, "taken"), filepath.Join(dir, "link"), filepath.Join(dir, "free")
		if err := errors.Join(os.WriteFile(from, []byte("new"), 0o640), os.WriteFile(taken, []byte("old"), 0o600), os.Symlink("nowhere", link)); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{taken, link} {
			if err := place(placings[missing:], from, to); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%d ways missing, %s: got %v, want %v", missing, filepath.Base(to), err, fs.ErrExist)
			}
		}
		if err := place(placings[missing:], from, free); err != nil {
			t.Errorf("%d ways missing: %v", missing, err)
		}
		for path, want := range map[string]string{taken: "old", free: "new"} {
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("%d ways missing, %s: got %q, %v", missing, filepath.Base(path), got, err)
			}
		}
		if _, err := os.Lstat(from); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d ways missing: the old name: %v", missing, err)
		}
		if info, err := os.Stat(free); err != nil || info.Mode() != 0o640 {
			t.Errorf("%d ways missing: got mode %v, %v", missing, info, err)
		}
	}
}
