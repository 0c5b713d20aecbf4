package cli

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// wantClosed checks that everything below a folder is its user's alone.
func wantClosed(t *testing.T, dir string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", path, info.Mode())
		}
		n++
		return err
	})
	if err != nil || n < 2 {
		t.Errorf("%s: %d entries, %v", dir, n, err)
	}
}

// TestAtRest: what a mount keeps on this machine is for its user alone, whatever the umask, and it leaves no core dumps.
func TestAtRest(t *testing.T) {
	w := procenv.New(t)
	mount(t, w, "--settle", "0s")
	write(t, filepath.Join(w.Dir, "small"), "content", 0o644)
	write(t, filepath.Join(w.Dir, "large"), strings.Repeat("content", 100_000), 0o644)
	f, err := os.Create(filepath.Join(w.Dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, off := range []int64{300_000, 5, 200_000} { // a working copy
		if _, err := f.WriteAt([]byte("content"), off); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{w.Cache, filepath.Join(w.Base, "run"), filepath.Join(w.Base, "state")} {
		wantClosed(t, dir)
	}
	ids := processes(t, w)
	if len(ids) == 0 {
		t.Fatal("no daemon is found")
	}
	for _, id := range ids {
		limits, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(id), "limits"))
		if err != nil || !bytes.Contains(bytes.Join(bytes.Fields(limits), []byte(" ")), []byte("Max core file size 0 0 ")) {
			t.Errorf("core dumps are allowed, %v:\n%s", err, limits)
		}
	}
}

// TestOpenKeysAreRefused: a private key that others can read is none, in whatever way it is named; a public one is.
func TestOpenKeysAreRefused(t *testing.T) {
	w := procenv.New(t)
	ask(t, w, nil, "put", w.LogFile+".none", "oss://"+procenv.Bucket+"/x", "--rsa-key", w.Key).want(t, 1)
	folder := filepath.Join(w.Base, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(w.Key)
	if err != nil {
		t.Fatal(err)
	}
	inFolder := write(t, filepath.Join(folder, ".private_key.pem"), string(text), 0o600)
	for name, c := range map[string]struct{ given, file string }{"file": {w.Key, w.Key}, "folder": {folder, inFolder}} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o644} {
			if err := os.Chmod(c.file, mode); err != nil {
				t.Fatal(err)
			}
			a := ask(t, w, nil, "mount", "oss://"+procenv.Bucket, w.Dir, "--rsa-key", c.given, "--cache-dir", w.Cache)
			a.want(t, key, "is open to others", "chmod 600 "+c.file)
			wantNothingLeft(t, w)
			t.Logf("%s, mode %o: refused", name, mode)
		}
	}
}

// TestCommandsGetNoSecrets: commands that the mount runs see neither access keys nor our options in their environment.
func TestCommandsGetNoSecrets(t *testing.T) {
	w := procenv.New(t)
	seen := filepath.Join(w.Base, "seen")
	line := fmt.Sprintf(`env >> %s; printf '{"access_key_id":"%s","access_key_secret":"%s"}'`, seen, w.Server.AccessKeyID(), w.Server.AccessKeySecret())
	pass := fmt.Sprintf("env >> %s; echo passphrase", seen)
	locked := otherKey(t, w, "locked.pem", "--key-passphrase-command", pass)
	env := []string{"OSSENCFS_LOG_LEVEL=info"}
	a := ask(t, w, env, "mount", "oss://"+procenv.Bucket+"/x", w.Dir, "--rsa-key", locked, "--key-passphrase-command", pass, "--credentials", "command:"+line, "--cache-dir", w.Cache)
	a.want(t, ok)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	text, err := os.ReadFile(seen)
	if err != nil || bytes.Count(text, []byte("PATH=")) < 3 {
		t.Fatalf("the commands wrote %d bytes, %v", len(text), err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "OSS_ACCESS_KEY_") || strings.HasPrefix(line, "OSSENCFS_") || strings.Contains(line, w.Server.AccessKeySecret()) {
			t.Errorf("a command sees %s", strings.TrimSpace(line))
		}
	}
}
