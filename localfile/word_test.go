package localfile

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hostileNames are names of files that mean something else to a shell.
var hostileNames = []string{"a b", "x; touch intruder;", "$(touch intruder)", "`touch intruder`", "it's", "'; touch intruder; '", "a\ntouch intruder\n", "-rf", "~",
	"*", "#", "\\", "ä", "&touch intruder&", ">intruder"}

// TestWordIsOneWord asks a shell.
func TestWordIsOneWord(t *testing.T) {
	dir := t.TempDir()
	for _, name := range append([]string{"", "plain/../name_1.pem"}, hostileNames...) {
		cmd := exec.Command("/bin/sh", "-c", "printf '%s.' "+Word(name))
		cmd.Dir = dir
		out, err := cmd.Output()
		if got := strings.TrimPrefix(string(out), "./"); err != nil || got != name+"." {
			t.Errorf("%q: got %q, %v", name, out, err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("left %v, %v", list, err)
	}
}

// TestMendIsACommand: who copies what is said about a file changes that file, and does nothing else, whatever the file is called.
func TestMendIsACommand(t *testing.T) {
	for _, name := range hostileNames {
		dir := t.TempDir()
		path := put(t, filepath.Join(dir, name), "secret", 0o644)
		_, err := Open(path, Secret)
		var refused *Refused
		if !errors.As(err, &refused) {
			t.Fatalf("%q: got %v", name, err)
		}
		cmd := exec.Command("/bin/sh", "-c", strings.TrimPrefix(refused.Mend, "close it: "))
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%q: %v\n%s", refused.Mend, err, out)
		}
		info, err := os.Stat(path)
		if list, failed := os.ReadDir(dir); failed != nil || len(list) != 1 || err != nil || info.Mode() != 0o600 {
			t.Errorf("%q: left %v, %v, %v", refused.Mend, list, err, failed)
		}
	}
}
