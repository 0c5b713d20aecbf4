package writeonly

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestReaderMovesABackup: what a host wrote and a reader moved out of the host's prefix, unopened, and changed there, is on a new machine as it was
// there, also with --strict.
func TestReaderMovesABackup(t *testing.T) {
	w := newWorld(t, "hosts/web-1")
	d := w.reader.Mount(t)
	if err := os.MkdirAll(filepath.Join(w.reader.Dir, "hosts/web-1"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.Unmount(t)
	d = w.host.Mount(t)
	if text, err := rsync(t, sourceTree(t, 20), filepath.Join(w.host.Dir, "hosts/web-1/backup")); err != nil {
		t.Fatalf("backup: %v\n%s", err, text)
	}
	d.Unmount(t)
	w.reader.Cache += "-mover"
	d = w.reader.Mount(t)
	kept := filepath.Join(w.reader.Dir, "kept")
	if err := os.Rename(filepath.Join(w.reader.Dir, "hosts/web-1/backup"), kept); err != nil {
		t.Fatal(err)
	}
	w.reader.Run(t, "sync", w.reader.Dir)
	err := filepath.WalkDir(kept, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			err = os.Chmod(path, 0o640)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := testenv.Tree(t, kept)
	d.Unmount(t)
	w.reader.Run(t, "verify", "oss://"+procenv.Bucket, "--rsa-key", w.reader.Key, "--deep", "--strict")
	w.reader.Cache += "-new"
	w.reader.Extra = []string{"--strict"}
	defer w.reader.Mount(t).Unmount(t)
	testenv.SameTree(t, testenv.Tree(t, kept), want)
}
