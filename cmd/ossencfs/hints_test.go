package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHintsAreCommands: who copies a command of a hint does what it says, and nothing else, whatever the folder is called.
func TestHintsAreCommands(t *testing.T) {
	const hostile = "x'; touch intruder; '"
	dir := t.TempDir()
	folder := filepath.Join(dir, hostile)
	_, _, err := checkMountPoint(folder, false)
	hint := explain(err).hints[0]
	if got := run(t, dir, hint); got != hostile {
		t.Errorf("%q made %q", hint, got)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	hint = explain(checkPrivateDir(folder)).hints[0]
	if got := run(t, dir, hint); got != hostile || checkPrivateDir(folder) != nil {
		t.Errorf("%q left %q, %v", hint, got, checkPrivateDir(folder))
	}
}

// run runs the command of a hint in a folder, and tells what is in the folder then.
func run(t *testing.T, dir, hint string) string {
	t.Helper()
	_, line, ok := strings.Cut(hint, "`")
	if line = strings.TrimSuffix(line, "`"); !ok {
		_, line, _ = strings.Cut(hint, ": ")
	}
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(list))
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
