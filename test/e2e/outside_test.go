package e2e

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// TestChangedWhileAnOldVersionIsOpen: a file that a program has open here, while another mount gave it other content, is changed here in ways that are
// stored with the content. That does not wait for the program to close it, which goes on to have a stale file.
func TestChangedWhileAnOldVersionIsOpen(t *testing.T) {
	a := testenv.New(t, testenv.Options{Cache: shortMemory})
	b := testenv.New(t, testenv.Options{Share: a, Cache: shortMemory})
	tests := map[string]struct {
		change func(path string) error
		took   func(path string) bool
	}{
		"chmod": {
			func(path string) error { return os.Chmod(path, 0o600) },
			func(path string) bool { fi, err := os.Stat(path); return err == nil && fi.Mode().Perm() == 0o600 },
		},
		"setxattr": {
			func(path string) error { return unix.Setxattr(path, "user.a", []byte("b"), 0) },
			func(path string) bool { n, err := unix.Getxattr(path, "user.a", nil); return err == nil && n == 1 },
		},
		"chmod and rename": {
			func(path string) error { return errors.Join(os.Chmod(path, 0o600), os.Rename(path, path+".new")) },
			func(path string) bool {
				fi, err := os.Stat(path + ".new")
				return err == nil && fi.Mode().Perm() == 0o600
			},
		},
	}
	for name, tt := range tests {
		must(t, os.WriteFile(a.Path(name), []byte("old"), 0o644))
		f, err := os.Open(a.Path(name))
		must(t, err)
		a.Sync()
		replaced := func(path string) func() bool {
			return func() bool { fi, err := os.Stat(path); return err == nil && fi.Size() == int64(len("the new one")) }
		}
		must(t, os.WriteFile(b.Path(name), []byte("the new one"), 0o644))
		b.Sync()
		testenv.Eventually(t, "the new content", replaced(a.Path(name)))
		must(t, tt.change(a.Path(name)))
		a.Sync()
		if n, err := f.ReadAt(make([]byte, 3), 0); !errors.Is(err, unix.ESTALE) {
			t.Errorf("%s: the open file reads %d bytes, %v, want ESTALE", name, n, err)
		}
		must(t, f.Close())
	}
	fresh := testenv.New(t, testenv.Options{Share: a})
	for name, tt := range tests {
		if !tt.took(fresh.Path(name)) {
			t.Errorf("%s: a new machine does not see it", name)
		}
	}
}
