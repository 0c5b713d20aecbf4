package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEmulatorInAFolderOfOthers: the emulator keeps its buckets in no folder that others could have filled.
func TestEmulatorInAFolderOfOthers(t *testing.T) {
	base := t.TempDir()
	for _, tt := range []struct {
		name  string
		mode  os.FileMode
		owner int
		want  string
	}{
		{"new", 0, 0, ""},
		{"readable", 0o755, os.Geteuid(), ""},
		{"group", 0o775, os.Geteuid(), "open to other users"},
		{"sticky", 0o777 | os.ModeSticky, os.Geteuid(), "open to other users"},
		{"other", 0o700, 4321, "belongs to another user"},
	} {
		dir := filepath.Join(base, tt.name)
		if tt.mode != 0 {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, tt.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(dir, tt.owner, -1); err != nil {
				continue // takes root
			}
		}
		err := makeOwnDir(dir)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	p, _, stderr := testProgram(t, nil)
	if code := p.run(t.Context(), []string{"ossencfs", "emulator", "--dir", filepath.Join(base, "group")}); code != exitFailure || !strings.Contains(stderr.String(), "chmod 700") {
		t.Errorf("code %d, %s", code, stderr)
	}
}
