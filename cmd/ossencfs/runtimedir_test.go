package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
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
	if _, err := found.dial(); !errors.Is(err, errGone) {
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

// TestRuntimeDirPlaces: a new mount leaves its record where nobody else could have made the folder first; a place that somebody took
// is passed over.
func TestRuntimeDirPlaces(t *testing.T) {
	base := t.TempDir()
	private, open, state := filepath.Join(base, "private"), filepath.Join(base, "open"), filepath.Join(base, "state")
	for dir, mode := range map[string]os.FileMode{private: 0o700, open: 0o755} {
		if err := errors.Join(os.Mkdir(dir, mode), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(private, link); err != nil {
		t.Fatal(err)
	}
	// Where no login folder will do: root has a place of its own; others have theirs at /run/user when this test runs in a login.
	usual := filepath.Join(state, "run")
	if login := filepath.Join("/run/user", strconv.Itoa(os.Geteuid())); checkPrivateDir(login) == nil {
		usual = filepath.Join(login, "ossencfs")
	}
	mine := filepath.Join(private, "ossencfs")
	if os.Geteuid() == 0 {
		usual, mine = "/run/ossencfs", "/run/ossencfs"
	}
	for name, tc := range map[string]struct {
		explicit, login, want string
	}{
		"named":                 {filepath.Join(base, "a"), private, filepath.Join(base, "a")},
		"login":                 {"", private, mine},
		"login open to others":  {"", open, usual},
		"login that is a link":  {"", link, usual},
		"login that is missing": {"", filepath.Join(base, "no"), usual},
		"login not absolute":    {"", "private", usual},
		"nothing":               {"", "", usual},
	} {
		p, _, _ := testProgram(t, map[string]string{"OSSENCFS_RUNTIME_DIR": tc.explicit, "XDG_RUNTIME_DIR": tc.login, "OSSENCFS_STATE_DIR": state})
		if got, err := p.runtimeDir(); err != nil || got != tc.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, tc.want)
		}
	}
}

// TestRecordsAreFoundInOtherPlaces: a mount made in other surroundings, or by a release that used the temporary folder, is found; what
// others put there is not.
func TestRecordsAreFoundInOtherPlaces(t *testing.T) {
	base := t.TempDir()
	t.Setenv("TMPDIR", base)
	login := filepath.Join(base, "login")
	p, _, _ := testProgram(t, map[string]string{"XDG_RUNTIME_DIR": login, "OSSENCFS_STATE_DIR": filepath.Join(base, "state")})
	for _, dir := range []string{filepath.Join(login, "ossencfs"), filepath.Join(base, "ossencfs-"+strconv.Itoa(os.Geteuid()))} {
		mountpoint := filepath.Join(base, "mount point of", dir)
		l, err := newRecord(mountpoint, "oss://b", "/cache", "").listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := p.findRecord(mountpoint); err != nil || found == nil || found.dir != dir {
			t.Errorf("in %s: found %+v, %v", dir, found, err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if found, err := p.findRecord(mountpoint); found != nil || os.Geteuid() == 0 && err != nil {
			t.Errorf("in %s, which others may write: found %+v, %v", dir, found, err)
		}
		if err := errors.Join(os.Chmod(dir, 0o700), l.Close()); err != nil {
			t.Fatal(err)
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
