package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestRenamedAgain renames what a copy has brought to its place. The size of a copied object was not recorded, so the look before its
// deletion took it for somebody else's, and it stayed in the bucket for ever.
func TestRenamedAgain(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(env.Path("d0"), 0o755))
	must(os.WriteFile(env.Path("d0", "file"), []byte("content"), 0o644))
	must(os.Symlink("nowhere", env.Path("d0", "link")))
	must(os.WriteFile(env.Path("f0"), []byte("content"), 0o644))
	must(os.WriteFile(env.Path("g0"), []byte("contents"), 0o644))
	env.Sync()
	for _, step := range [][2]string{{"0", "1"}, {"1", "2"}, {"2", "3"}} {
		for _, name := range []string{"d", "f"} {
			must(os.Rename(env.Path(name+step[0]), env.Path(name+step[1])))
		}
		env.Sync()
		want := []string{"d" + step[1] + "/", "d" + step[1] + "/file", "d" + step[1] + "/link", "f" + step[1], "g0"}
		if got := env.Keys(); !slices.Equal(got, want) {
			t.Errorf("after the rename to %s the bucket has %q, want %q", step[1], got, want)
		}
	}
	for range 3 {
		must(unix.Renameat2(unix.AT_FDCWD, env.Path("f3"), unix.AT_FDCWD, env.Path("g0"), unix.RENAME_EXCHANGE))
		env.Sync()
	}
	must(os.Rename(env.Path("f3"), env.Path("g0")))
	env.Sync()
	if got := env.Keys(); !slices.Equal(got, []string{"d3/", "d3/file", "d3/link", "g0"}) {
		t.Errorf("at the end the bucket has %q", got)
	}
	if strings.Contains(env.Log(), "somebody else") {
		t.Errorf("our own objects were taken for others':\n%s", env.Log())
	}
}
