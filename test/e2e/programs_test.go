package e2e

import (
	"bytes"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// sourceTree makes a small tree with everything that is copied: modes, times, links, empty files, attributes.
func sourceTree(t *testing.T, files int) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "src")
	random := rand.New(rand.NewPCG(1, 2))
	for n := range files {
		dir := filepath.Join(root, fmt.Sprintf("d%d", n%7), fmt.Sprintf("e%d", n%3))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, random.IntN(20_000))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		path := filepath.Join(dir, fmt.Sprintf("file %d ü", n))
		if err := os.WriteFile(path, data, 0o600|os.FileMode(random.IntN(0o100))); err != nil {
			t.Fatal(err)
		}
	}
	must(t, os.WriteFile(filepath.Join(root, "empty"), nil, 0o444))
	must(t, os.WriteFile(filepath.Join(root, "large"), bytes.Repeat([]byte("large "), 900_000), 0o755))
	must(t, os.Symlink("d1/e1", filepath.Join(root, "link")))
	must(t, os.Symlink(strings.Repeat("x", 4000), filepath.Join(root, "longlink")))
	must(t, unix.Setxattr(filepath.Join(root, "large"), "user.comment", []byte("hello \x00 there"), 0))
	must(t, os.Mkdir(filepath.Join(root, "emptydir"), 0o700))
	old := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	must(t, os.Chtimes(filepath.Join(root, "large"), old, old))
	// rsync 3.5.0 with -X leaves the times of directories and links alone, on any file system, that were made in the second of the copy.
	must(t, filepath.WalkDir(root, func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.Type().IsRegular() {
			return err
		}
		at := unix.NsecToTimespec(old.UnixNano() + int64(len(path)))
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	}))
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCopyTools copies a tree in with each tool, deletes the cache, and compares what the bucket gives back.
func TestCopyTools(t *testing.T) {
	tools := []struct {
		name string
		copy func(t *testing.T, src, dst string)
	}{
		{"cp", func(t *testing.T, src, dst string) { testenv.Run(t, "/", "cp", "-a", src, dst) }},
		{"rsync", func(t *testing.T, src, dst string) {
			testenv.Run(t, "/", "rsync", "-aX", src+"/", dst+"/")
		}},
		{"tar", func(t *testing.T, src, dst string) {
			archive := filepath.Join(t.TempDir(), "a.tar")
			testenv.Run(t, src, "tar", "--xattrs", "-cf", archive, ".")
			must(t, os.Mkdir(dst, 0o755))
			testenv.Run(t, dst, "tar", "--xattrs", "-xpf", archive)
		}},
	}
	src := sourceTree(t, 60)
	want := testenv.Tree(t, src)
	for _, tool := range tools {
		t.Run(tool.name, func(t *testing.T) {
			testenv.Need(t, tool.name)
			env := testenv.New(t, testenv.Options{})
			tool.copy(t, src, env.Path("copy"))
			testenv.SameTree(t, testenv.Tree(t, env.Path("copy")), want)
			env.DropCache()
			testenv.SameTree(t, testenv.Tree(t, env.Path("copy")), want)
		})
	}
}

// TestRsyncRequests counts acceptance 5: N new files in M new directories are N + M PUTs, and a second run moves nothing.
func TestRsyncRequests(t *testing.T) {
	testenv.Need(t, "rsync")
	env := testenv.New(t, testenv.Options{})
	src := sourceTree(t, 60)
	objects := len(testenv.Tree(t, src)) + 1 // and the directory itself
	env.Server.ResetRequests()
	testenv.Run(t, "/", "rsync", "-a", src, env.Dir+"/")
	env.Sync()
	got := env.Requests()
	if got["PutObject"] != objects {
		t.Errorf("got %d PutObject, want %d", got["PutObject"], objects)
	}
	onlyLists(t, got, "PutObject")
	env.Server.ResetRequests()
	out := testenv.Run(t, "/", "rsync", "-ai", src, env.Dir+"/")
	env.Sync()
	if strings.TrimSpace(out) != "" {
		t.Errorf("the second rsync found differences:\n%s", out)
	}
	onlyLists(t, env.Requests())
}

// onlyLists fails for each operation other than listing and those allowed.
func onlyLists(t *testing.T, got map[string]int, allowed ...string) {
	t.Helper()
	for op, n := range got {
		ok := op == "ListObjectsV2" || op == "ListObjects"
		for _, a := range allowed {
			ok = ok || op == a
		}
		if !ok && n > 0 {
			t.Errorf("got %d %s, want 0", n, op)
		}
	}
}

func TestGit(t *testing.T) {
	testenv.Need(t, "git")
	env := testenv.New(t, testenv.Options{})
	repo := env.Path("repo")
	testenv.Run(t, "/", "git", "init", "-q", repo)
	for n := range 5 {
		must(t, os.WriteFile(filepath.Join(repo, fmt.Sprintf("f%d", n)), []byte(strings.Repeat("x", n*1000)), 0o644))
		testenv.Run(t, repo, "git", "add", ".")
		testenv.Run(t, repo, "git", "commit", "-qm", fmt.Sprint("commit ", n))
	}
	testenv.Run(t, repo, "git", "gc", "-q")
	testenv.Run(t, repo, "git", "fsck", "--strict")
	head := testenv.Run(t, repo, "git", "rev-parse", "HEAD")
	env.DropCache()
	testenv.Run(t, repo, "git", "fsck", "--strict")
	if got := testenv.Run(t, repo, "git", "rev-parse", "HEAD"); got != head {
		t.Errorf("got HEAD %s, want %s", got, head)
	}
	if out := testenv.Run(t, repo, "git", "status", "--porcelain"); out != "" {
		t.Errorf("the work tree differs:\n%s", out)
	}
}

func TestSQLite(t *testing.T) {
	testenv.Need(t, "sqlite3")
	env := testenv.New(t, testenv.Options{})
	db := env.Path("test.db")
	testenv.Run(t, "/", "sqlite3", db, "create table t(a integer primary key, b text);"+
		"with recursive c(n) as (select 1 union all select n+1 from c where n<2000) insert into t select n, hex(randomblob(50)) from c;")
	testenv.Run(t, "/", "sqlite3", db, "update t set b='new' where a%10=0; delete from t where a%3=0; vacuum;")
	want := testenv.Run(t, "/", "sqlite3", db, "pragma integrity_check; select count(*), sum(length(b)) from t;")
	env.DropCache()
	if got := testenv.Run(t, "/", "sqlite3", db, "pragma integrity_check; select count(*), sum(length(b)) from t;"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestEditorSave saves as vim does: the old file becomes a backup, a new one takes its name, the backup goes.
func TestEditorSave(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	file, backup := env.Path("text"), env.Path("text~")
	must(t, os.WriteFile(file, []byte("old"), 0o640))
	env.Sync()
	must(t, os.Rename(file, backup))
	must(t, os.WriteFile(file, []byte("new text"), 0o640))
	must(t, os.Remove(backup))
	env.Sync()
	if keys := env.Keys(); len(keys) != 1 || keys[0] != "text" {
		t.Errorf("got keys %q, want only text", keys)
	}
	env.DropCache()
	data, err := os.ReadFile(file)
	if err != nil || string(data) != "new text" {
		t.Errorf("got %q, %v, want the new text", data, err)
	}
}
