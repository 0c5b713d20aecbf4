package crash

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// canary is long enough not to appear by chance and short enough to lie within one block.
const canary = "CANARY-plaintext-that-must-never-be-stored-4711"

// TestNoPlaintextOnAnyDisk writes a canary as content, symlink target and extended attribute and looks for it in every file below
// the test's folder: cache, store of the bucket, logs, runtime files; while files are open, closed, uploaded, and after SIGKILL.
func TestNoPlaintextOnAnyDisk(t *testing.T) {
	w := procenv.New(t)
	d := w.Mount(t, "--settle", "0s")
	big := bytes.Repeat([]byte(canary+"\n"), 40_000)
	closed := filepath.Join(w.Dir, "closed")
	if err := os.WriteFile(closed, big, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.Dir, "small"), []byte(canary), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(canary, filepath.Join(w.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setxattr(closed, "user.canary", []byte(canary), 0); err != nil {
		t.Fatal(err)
	}
	working, err := os.OpenFile(filepath.Join(w.Dir, "working"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer working.Close()
	for _, off := range []int64{5 << 20, 100, 3 << 20, 101} { // not front to back: a working copy
		if _, err := working.WriteAt(big[:200_000], off); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := os.Create(filepath.Join(w.Dir, "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Write(big); err != nil {
		t.Fatal(err)
	}
	findNothing(t, w, "while files are open")
	d.Crash(t)
	findNothing(t, w, "after SIGKILL")
	w.Extra = []string{"--late-limit", "2s"}
	d = w.Mount(t)
	findNothing(t, w, "after the restart")
	w.Run(t, "sync", w.Dir)
	findNothing(t, w, "after the upload")
	if got, err := os.ReadFile(filepath.Join(w.Dir, "working")); err != nil || !bytes.Equal(got[5<<20:5<<20+200_000], big[:200_000]) {
		t.Errorf("the open file did not survive: %d bytes, %v", len(got), err)
	}
	d.Unmount(t)
	w.Cache = filepath.Join(w.Base, "other-cache")
	d = w.Mount(t)
	readBack(t, w, big)
	findNothing(t, w, "after reading with an empty cache")
	d.Unmount(t)
	findNothing(t, w, "at the end")
}

func readBack(t *testing.T, w *procenv.World, big []byte) {
	t.Helper()
	for _, name := range []string{"closed", "stream"} {
		if got, err := os.ReadFile(filepath.Join(w.Dir, name)); err != nil || !bytes.Equal(got, big) {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(big), err)
		}
	}
	if target, err := os.Readlink(filepath.Join(w.Dir, "link")); err != nil || target != canary {
		t.Errorf("link: %q, %v", target, err)
	}
	value := make([]byte, 200)
	n, err := syscall.Getxattr(filepath.Join(w.Dir, "closed"), "user.canary", value)
	if err != nil || string(value[:max(n, 0)]) != canary {
		t.Errorf("xattr: %q, %v", value[:max(n, 0)], err)
	}
}

// findNothing searches all files below the test's folder but the mount itself.
func findNothing(t *testing.T, w *procenv.World, when string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(w.Base, func(path string, entry fs.DirEntry, err error) error {
		if path == w.Dir {
			return fs.SkipDir
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a temporary file that went away
		}
		files++
		if bytes.Contains(data, []byte("CANARY-plaintext")) {
			t.Errorf("%s: the canary is in %s", when, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 5 {
		t.Errorf("%s: only %d files were searched", when, files)
	}
}
