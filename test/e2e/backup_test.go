package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// changeTree edits, adds and removes some of a tree, so that a second backup differs from the first.
func changeTree(t *testing.T, dir string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, "new"), []byte(strings.Repeat("new content\n", 20_000)), 0o644))
	must(t, os.Remove(filepath.Join(dir, "f1")))
	must(t, os.WriteFile(filepath.Join(dir, "f2"), []byte("edited"), 0o644))
}

// treeForBackup is a small tree with a file of some megabytes.
func treeForBackup(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, os.Mkdir(dir, 0o755))
	for n, name := range []string{"f0", "f1", "f2", "f3"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat(name, 1+n*300_000)), 0o640))
	}
	must(t, os.Symlink("f0", filepath.Join(dir, "link")))
	return dir
}

// TestRestic keeps a restic repository on the mount: backups, prune, check of every byte, and a restore after the cache is gone.
func TestRestic(t *testing.T) {
	testenv.Need(t, "restic")
	env := testenv.New(t, testenv.Options{})
	src, repo := treeForBackup(t), env.Path("restic")
	t.Setenv("RESTIC_PASSWORD", "restic-pass")
	restic := func(args ...string) string {
		t.Helper()
		return testenv.Run(t, "/", "restic", append([]string{"-q", "--no-cache", "-r", repo}, args...)...)
	}
	restic("init")
	restic("backup", src)
	changeTree(t, src)
	restic("backup", src)
	restic("forget", "--keep-last", "1", "--prune")
	restic("check", "--read-data")
	want := testenv.Tree(t, src)
	env.DropCache()
	restic("check", "--read-data")
	out := t.TempDir()
	restic("restore", "latest", "--target", out)
	testenv.SameTree(t, testenv.Tree(t, filepath.Join(out, src)), want)
}

// TestBorg keeps a borg repository on the mount: two archives, compaction, verification, and extraction after the cache is gone.
func TestBorg(t *testing.T) {
	testenv.Need(t, "borg")
	env := testenv.New(t, testenv.Options{})
	src, repo := treeForBackup(t), env.Path("borg")
	base := t.TempDir()
	t.Setenv("BORG_BASE_DIR", base)
	t.Setenv("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
	t.Setenv("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes")
	borg := func(dir string, args ...string) string {
		t.Helper()
		return testenv.Run(t, dir, "borg", args...)
	}
	borg("/", "init", "-e", "none", repo)
	borg(src, "create", repo+"::one", ".")
	changeTree(t, src)
	borg(src, "create", repo+"::two", ".")
	borg("/", "delete", repo+"::one")
	borg("/", "compact", repo)
	borg("/", "check", "--verify-data", repo)
	want := testenv.Tree(t, src)
	env.DropCache()
	borg("/", "check", "--verify-data", repo)
	out := t.TempDir()
	borg(out, "extract", repo+"::two")
	testenv.SameTree(t, testenv.Tree(t, out), want)
}

// TestFio writes at random places by write(2) and through mmap, verifies every block, and verifies again with an empty cache.
func TestFio(t *testing.T) {
	testenv.Need(t, "fio")
	for _, engine := range []string{"psync", "mmap"} {
		t.Run(engine, func(t *testing.T) {
			env := testenv.New(t, testenv.Options{})
			fio := func(args ...string) {
				t.Helper()
				testenv.Run(t, t.TempDir(), "fio", append([]string{"--name=v", "--filename=" + env.Path("file"), "--size=16m", "--bs=4k",
					"--rw=randwrite", "--ioengine=" + engine, "--verify=crc32c", "--randseed=7", "--fsync=256"}, args...)...)
			}
			fio("--do_verify=1")
			env.DropCache()
			fio("--verify_only=1")
		})
	}
}
