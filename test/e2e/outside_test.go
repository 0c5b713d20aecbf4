package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// testTime is a time that nothing has by itself.
var testTime = time.Unix(1_234_567_890, 0)

// shortMemory makes changes of others show at the next look.
var shortMemory = cache.Options{MetaTTL: time.Millisecond, Host: "here"}

// TestOutsideChanges checks that what a second mount does is seen: new, changed and removed files.
func TestOutsideChanges(t *testing.T) {
	a := testenv.New(t, testenv.Options{Cache: shortMemory})
	b := testenv.New(t, testenv.Options{Share: a, Cache: shortMemory})
	must(t, os.Mkdir(a.Path("d"), 0o755))
	must(t, os.WriteFile(a.Path("d/f"), []byte("one"), 0o640))
	a.Sync()
	content := func(want string) func() bool {
		return func() bool {
			data, err := os.ReadFile(b.Path("d/f"))
			return err == nil && string(data) == want
		}
	}
	testenv.Eventually(t, "the new file", content("one"))
	must(t, os.WriteFile(a.Path("d/f"), []byte("number two"), 0o640))
	a.Sync()
	testenv.Eventually(t, "the changed file", content("number two"))
	must(t, os.RemoveAll(a.Path("d")))
	a.Sync()
	testenv.Eventually(t, "the removal", func() bool {
		_, err := os.ReadDir(b.Path("d"))
		return os.IsNotExist(err)
	})
}

// TestConflict checks that two mounts that write one name lose neither version.
func TestConflict(t *testing.T) {
	a := testenv.New(t, testenv.Options{Cache: shortMemory})
	b := testenv.New(t, testenv.Options{Share: a, Cache: shortMemory})
	must(t, os.WriteFile(a.Path("f"), []byte("base"), 0o644))
	a.Sync()
	testenv.Eventually(t, "the file", func() bool { _, err := os.Stat(b.Path("f")); return err == nil })
	f, err := os.OpenFile(a.Path("f"), os.O_WRONLY|os.O_TRUNC, 0)
	must(t, err)
	_, err = f.WriteString("from a")
	must(t, err)
	must(t, os.WriteFile(b.Path("f"), []byte("from b"), 0o644))
	b.Sync()
	must(t, f.Close())
	a.Sync()
	a.DropCache()
	entries, err := os.ReadDir(a.Dir)
	must(t, err)
	found := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(a.Path(e.Name()))
		must(t, err)
		kind := "ours"
		if strings.Contains(e.Name(), ".conflict-here-") {
			kind = "conflict"
		}
		found[kind] = string(data)
	}
	if found["ours"] != "from a" || found["conflict"] != "from b" || len(entries) != 2 {
		t.Errorf("got %v in %d files, want both versions", found, len(entries))
	}
}
