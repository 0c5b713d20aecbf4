package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// longDir is a folder whose path does not fit into a socket address.
func longDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), strings.Repeat("long", 30), "run")
}

func TestRecordOfASession(t *testing.T) {
	dir := longDir(t)
	p, _, _ := testProgram(t, map[string]string{"OSSENCFS_RUNTIME_DIR": dir})
	if list, err := p.records(); err != nil || len(list) != 0 {
		t.Fatalf("without a folder: %v, %v", list, err)
	}
	r := newRecord("/mnt/x", "oss://b", "/cache", "")
	l, err := r.listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{".json", ".sock"} {
		info, err := os.Stat(filepath.Join(dir, r.name+end))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", end, info, err)
		}
	}
	found, err := p.findRecord("/mnt/x")
	if err != nil || found == nil || found.CacheDir != "/cache" || found.PID != os.Getpid() {
		t.Fatalf("found %+v, %v", found, err)
	}
	if other, err := p.findRecord("/mnt/y"); err != nil || other != nil {
		t.Errorf("another mount point: %+v, %v", other, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := found.dial(dir); !errors.Is(err, errGone) {
		t.Errorf("after the end: %v", err)
	}
	if list, err := p.records(); err != nil || len(list) != 0 {
		t.Errorf("the record of a session that is gone stays: %v, %v", list, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestRuntimeFolderOfOthersIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := newRecord("/m", "oss://b", "/c", "").listen(dir); err == nil || !strings.Contains(err.Error(), "open to other users") {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makePrivateDir(file); err == nil {
		t.Error("a file was taken for a folder")
	}
}

func TestDamagedRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := makePrivateDir(dir); err != nil {
		t.Fatal(err)
	}
	p, _, _ := testProgram(t, map[string]string{"OSSENCFS_RUNTIME_DIR": dir})
	for name, text := range map[string]string{"cut": "{", "no session": `{"mountpoint":"relative","pid":7}`, "huge": strings.Repeat(" ", maxRecord+1)} {
		if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.records(); err == nil || !strings.Contains(err.Error(), "x.json") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := p.records(); err == nil || !strings.Contains(err.Error(), "open to other users") {
		t.Errorf("open folder: got %v", err)
	}
}

func TestRuntimeDirPlaces(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"OSSENCFS_RUNTIME_DIR": "/a", "XDG_RUNTIME_DIR": "/b"}, "/a"},
		{map[string]string{"XDG_RUNTIME_DIR": "/b"}, "/b/ossencfs"},
	} {
		p, _, _ := testProgram(t, tc.env)
		if got := p.runtimeDir(); got != tc.want {
			t.Errorf("%v: got %q, want %q", tc.env, got, tc.want)
		}
	}
}

func TestCacheFoldersDiffer(t *testing.T) {
	p, _, _ := testProgram(t, map[string]string{"XDG_CACHE_HOME": "/x", "HOME": "/h"})
	seen := map[string]bool{}
	for _, id := range [][3]string{{"e", "b", ""}, {"e", "b", "p"}, {"e", "c", ""}, {"f", "b", ""}, {"eb", "", "p"}} {
		seen[p.defaultCacheDir(id[0], id[1], id[2])] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d folders for 5 buckets: %v", len(seen), seen)
	}
}
