package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// goTree copies the Go source tree (a part of it unless OSSENCFS_LONG is set) and adds what it lacks: symbolic links, extended
// attributes, odd modes and an empty directory.
func goTree(t *testing.T) (dir string, files, dirs int) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	if os.Getenv("OSSENCFS_LONG") == "" {
		src = filepath.Join(src, "internal")
	}
	dir = filepath.Join(t.TempDir(), "tree")
	testenv.Run(t, "/", "cp", "-a", src, dir)
	for n := range 20 {
		name := filepath.Join(dir, fmt.Sprintf("extra-%d", n))
		if err := os.WriteFile(name, []byte(strings.Repeat("x", n*1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setxattr(name, "user.number", fmt.Append(nil, n), 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, os.FileMode(0o440+n)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(fmt.Sprintf("../nowhere/%d", n), name+".link"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o710); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs++
		} else {
			files++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, files, dirs
}

// TestGoTree takes the Go source tree in by cp -a and by rsync -a and finds it the same after the cache is gone. The rsync costs one PUT
// for each file and directory, with the default settle time, and a second one costs nothing.
func TestGoTree(t *testing.T) {
	testenv.Need(t, "rsync")
	src, files, dirs := goTree(t)
	env := testenv.New(t, testenv.Options{})
	testenv.Run(t, "/", "cp", "-a", src, env.Path("cp"))
	env.Sync()
	env.Server.ResetRequests()
	testenv.Run(t, "/", "rsync", "-aX", src+"/", env.Path("rsync")+"/")
	env.Sync()
	got := env.Requests()
	t.Logf("rsync of %d files and links in %d directories: %v", files, dirs, got)
	if got["PutObject"] != files+dirs {
		t.Errorf("got %d PutObject, want %d", got["PutObject"], files+dirs)
	}
	onlyLists(t, got, "PutObject")
	env.Server.ResetRequests()
	if out := testenv.Run(t, "/", "rsync", "-aXi", src+"/", env.Path("rsync")+"/"); strings.TrimSpace(out) != "" {
		t.Errorf("the second rsync found differences:\n%.2000s", out)
	}
	env.Sync()
	onlyLists(t, env.Requests())
	env.DropCache()
	want := testenv.Tree(t, src)
	for _, copied := range []string{"cp", "rsync"} {
		testenv.Run(t, "/", "diff", "-r", "--no-dereference", src, env.Path(copied))
		testenv.SameTree(t, testenv.Tree(t, env.Path(copied)), want)
		if out := testenv.Run(t, "/", "rsync", "-aXi", src+"/", env.Path(copied)+"/"); strings.TrimSpace(out) != "" {
			t.Errorf("rsync over %s moved something:\n%.2000s", copied, out)
		}
	}
}
