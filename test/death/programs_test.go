package death

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// points is how many states a short run looks at.
const points = 12

// settles are the times of quiet before an upload: with none, temporary names reach the bucket; with some, they do not.
var settles = map[string]time.Duration{"at-once": time.Nanosecond, "settled": 100 * time.Millisecond}

// noise writes a file that no program can make smaller.
func noise(t *testing.T, random *rand.Rand, dir, name string, size int) {
	t.Helper()
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%016x\n", random.Uint64())
	}
	must(t, os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644))
}

// TestDeathRestic lets the host die at every request of two backups, a forget and a prune. Whatever of them the bucket has, restic finds a whole
// repository in it.
func TestDeathRestic(t *testing.T) {
	testenv.Need(t, "restic")
	t.Setenv("RESTIC_PASSWORD", "restic-pass")
	for name, settle := range settles {
		t.Run(name, func(t *testing.T) { testRestic(t, settle) })
	}
}

func testRestic(t *testing.T, settle time.Duration) {
	random := rand.New(rand.NewPCG(6, 6))
	h := newHost(t, 6, settle)
	src := t.TempDir()
	restic := func(args ...string) {
		t.Helper()
		testenv.Run(t, "/", "restic", append([]string{"-q", "--no-cache", "-r", h.Path("repo")}, args...)...)
	}
	restic("init")
	for n := range 6 {
		noise(t, random, src, fmt.Sprintf("f%d", n), 1000<<n)
	}
	restic("backup", src)
	noise(t, random, src, "f1", 5000)
	noise(t, random, src, "f5", 50_000)
	must(t, os.Remove(filepath.Join(src, "f2")))
	restic("backup", src)
	restic("forget", "--keep-last", "1", "--prune", "--max-unused", "0")
	h.Sync()
	was, all := false, h.moments()
	for n, m := range sample(all, 6, points) {
		h.visit(t, m, func(t *testing.T, dir string) {
			if !exists(dir, "repo", "config") {
				if was {
					t.Error("the repository is gone")
				}
				return
			}
			was = was || len(m.later) == 0
			out, err := run(t, "/", "restic", "-r", filepath.Join(dir, "repo"), "--no-lock", "--no-cache", "check", "--read-data")
			if err != nil {
				t.Errorf("check: %v\n%s", err, out)
			}
			if n == len(all)-1 {
				out, err = run(t, "/", "restic", "-r", filepath.Join(dir, "repo"), "--no-lock", "--no-cache", "list", "snapshots")
				if len(strings.Fields(out)) != 1 || err != nil {
					t.Errorf("snapshots at the end: %s, %v", out, err)
				}
			}
		})
	}
	t.Logf("%d changes of the bucket, %d states of it", h.history.Len()-1-h.first, len(all))
}

// TestDeathGit lets the host die at every request of three commits and a gc. git finds a whole repository in the bucket, whose HEAD is one of the
// commits and never an older one than before.
func TestDeathGit(t *testing.T) {
	testenv.Need(t, "git")
	for name, settle := range settles {
		t.Run(name, func(t *testing.T) { testGit(t, settle) })
	}
}

func testGit(t *testing.T, settle time.Duration) {
	random := rand.New(rand.NewPCG(7, 7))
	h := newHost(t, 7, settle)
	repo := h.Path("repo")
	git := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(testenv.Run(t, repo, "git", args...))
	}
	must(t, os.Mkdir(repo, 0o755))
	git("init", "-q")
	git("config", "gc.auto", "0")
	var commits []string
	for n := range 3 {
		noise(t, random, repo, fmt.Sprintf("f%d", n), 1000)
		noise(t, random, repo, "same", 300)
		git("add", ".")
		git("commit", "-q", "-m", fmt.Sprintf("commit %d", n))
		commits = append(commits, git("rev-parse", "HEAD"))
		if n == 1 {
			git("pack-refs", "--all")
		}
	}
	git("gc", "-q", "--prune=now")
	h.Sync()
	newest, all := -1, h.moments()
	for _, m := range sample(all, 7, points) {
		h.visit(t, m, func(t *testing.T, dir string) {
			at := checkGit(t, filepath.Join(dir, "repo"), commits)
			if at < newest {
				t.Errorf("HEAD is commit %d, after commit %d was seen", at, newest)
			}
			if len(m.later) == 0 {
				newest = at
			}
		})
	}
	if newest != len(commits)-1 {
		t.Errorf("HEAD is commit %d in the end, want the last one", newest)
	}
	t.Logf("%d changes of the bucket, %d states of it", h.history.Len()-1-h.first, len(all))
}

// checkGit returns which commit HEAD is, -1 when there is none yet.
func checkGit(t *testing.T, repo string, commits []string) int {
	t.Helper()
	if _, err := run(t, repo, "git", "--git-dir="+repo+"/.git", "rev-parse", "--git-dir"); err != nil {
		return -1 // not made yet
	}
	if out, err := run(t, repo, "git", "fsck", "--full"); err != nil {
		t.Errorf("fsck: %v\n%s", err, out)
	}
	head, err := run(t, repo, "git", "rev-parse", "-q", "--verify", "HEAD")
	if err != nil {
		return -1
	}
	at := slices.Index(commits, head)
	if at < 0 {
		t.Errorf("HEAD is %q, want one of %q", head, commits)
	}
	return at
}
