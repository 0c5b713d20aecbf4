package hostile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// oddKeys are names that work, in the order of their bytes.
var oddKeys = []string{
	"t/\n", "t/\x01\x1b[2J", "t/ ", "t/ leading", "t/%2e%2e", "t/*", "t/-rf", "t/.ossencfsx", "t/..a", "t/...", "t/\\front", "t/a+b&c=d?e#f",
	"t/case", "t/CASE", "t/caf\u00e9", "t/cafe\u0301", "t/trailing  ", "t/\u202eright", "t/tab\tand\rreturn", "t/\u00ff", "t/\U0010ffff", "t/\uffff",
	"t/" + strings.Repeat("n", 255), "t/" + strings.Repeat("\u00e9", 127), "t/s/a\nb/c", "t/s/.ossencf/x",
	"t/" + strings.Repeat(strings.Repeat("d", 200)+"/", 5)[:1000] + "/" + strings.Repeat("f", 20),
}

// noPaths are keys that cannot be shown.
var noPaths = []string{
	"/", "/t", "//", "t//b", "t/./b", "t/../b", "t/../../etc/escape", "../escape", "..", ".", "./b", "t/..", "t/.", "t/a\x00b", "\x00", "t/\xff\xfe", "t/\xc0\xae\xc0\xae/b",
	"t/" + strings.Repeat("n", 256), "t/" + strings.Repeat("n", 256) + "/below", "\\front", "\\front/below", "t/s//", "t//", "t///deep",
	"t/.ossencfs", "t/s/.ossencfs/x", "t/s/.ossencfs/volume/00112233445566778899aabbccddeeff/00000001",
}

// TestNames puts every name into a bucket and works on it with programs: what is a name is listed once, read and copied, what is none is not there, is
// counted, and stays in the bucket whatever is done around it.
func TestNames(t *testing.T) {
	env := testenv.New(t, testenv.Options{Cache: cache.Options{MetaTTL: time.Millisecond}, Object: trusting})
	outside := filepath.Join(filepath.Dir(env.Dir), "outside")
	must(t, os.WriteFile(outside, []byte("untouched"), 0o600))
	for _, key := range slices.Concat(oddKeys, noPaths, []string{"../outside", "t/../../outside"}) {
		put(t, env, key, "content of "+key)
	}
	put(t, env, "t/b", "b")
	before := env.Keys()

	var got []string
	must(t, filepath.WalkDir(env.Dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			got = append(got, strings.TrimPrefix(path, env.Dir+"/"))
		}
		return err
	}))
	want := append(slices.Clone(oddKeys), "t/b")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, key := range oddKeys {
		wants(t, env.Path(key), "content of "+key)
	}
	if n := strings.Count(testenv.Run(t, env.Dir, "find", ".", "-type", "f", "-print0"), "\x00"); n != len(want) {
		t.Errorf("find sees %d files, want %d", n, len(want))
	}
	testenv.Run(t, env.Dir, "ls", "-laR")
	if left := env.Cache.Status().LeftOut; left < 10 {
		t.Errorf("%d objects are counted as left out", left)
	}
	if log := env.Log(); strings.ContainsAny(strings.ReplaceAll(log, "\n", ""), "\x00\x1b\x01") {
		t.Errorf("the log has control characters: %q", log)
	}

	testenv.Run(t, env.Dir, "cp", "-r", "t", "c")
	testenv.Run(t, env.Dir, "diff", "-r", "t", "c")
	testenv.Run(t, env.Dir, "mv", "c", "m")
	env.Sync()
	testenv.Run(t, env.Dir, "diff", "-r", "t", "m")
	testenv.Run(t, env.Dir, "rm", "-r", "m")
	env.Sync()
	if after := env.Keys(); !slices.Equal(after, before) {
		t.Errorf("got keys %q\nwant %q", after, before)
	}
	testenv.Run(t, env.Dir, "sh", "-c", "rm -r t; rm -rf t") // parts of it may come back: what cannot be shown stays
	env.Sync()
	var left []string
	for _, key := range before {
		if !slices.Contains(want, key) {
			left = append(left, key)
		}
	}
	if after := env.Keys(); !slices.Equal(slices.DeleteFunc(after, func(k string) bool { return strings.HasSuffix(k, "/") && !slices.Contains(left, k) }), left) {
		t.Errorf("got keys %q\nwant what cannot be shown: %q", after, left)
	}
	if data, err := os.ReadFile(outside); err != nil || string(data) != "untouched" {
		t.Errorf("a file beside the mount point: %q, %v", data, err)
	}
}

// TestLargeDirectoryWithOddNames reads a directory of more entries than a snapshot holds, in which files and directories of one name stand far apart, and
// removes it while it is read.
func TestLargeDirectoryWithOddNames(t *testing.T) {
	env := testenv.New(t, testenv.Options{Object: trusting})
	const files = 5000
	for n := range files {
		put(t, env, fmt.Sprintf("big/n%05d", n), "")
		if n%50 == 0 {
			put(t, env, fmt.Sprintf("big/n%05d/x", n), "in it")
			put(t, env, fmt.Sprintf("big/n%05d/\x00", n), "no name")
			put(t, env, fmt.Sprintf("big/n%05d-", n), "between the two")
		}
	}
	d, err := os.Open(env.Path("big"))
	must(t, err)
	defer d.Close()
	for round := range 2 { // the second reads again from the start
		seen := map[string]bool{}
		entries, err := d.ReadDir(-1)
		must(t, err)
		for _, e := range entries {
			if seen[e.Name()] {
				t.Errorf("round %d: %q is there twice", round, e.Name())
			}
			seen[e.Name()] = true
		}
		if len(seen) != files+files/50 {
			t.Errorf("round %d: got %d entries, want %d", round, len(seen), files+files/50)
		}
		_, err = d.Seek(0, 0)
		must(t, err)
	}
	st, err := os.Stat(env.Path("big/n00050"))
	if err != nil || !st.IsDir() {
		t.Errorf("got %v, %v, want the directory", st, err)
	}
	wants(t, env.Path("big/n00050/x"), "in it")
	if got := env.Cache.Status().LeftOut; got != files/50+1 { // the files, and the name in the one directory that was listed
		t.Errorf("%d objects are left out, want %d", got, files/50+1)
	}
	testenv.Run(t, env.Dir, "rm", "-r", "big")
	env.Sync()
	for _, key := range env.Keys() {
		if !strings.HasSuffix(key, "\x00") && !strings.HasSuffix(key, "/") && !strings.HasSuffix(key, "0") {
			t.Errorf("%q is left", key)
		}
	}
}
