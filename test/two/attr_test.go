package two

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// stoppedClock is options of a bucket whose clock stands.
func stoppedClock() (testenv.Options, *testenv.Clock) {
	o, clock := options(cache.Options{}), testenv.NewClock()
	o.Emulator = clock.Use
	return o, clock
}

const noted = "user.note"

func (w *world) note(host int, name, value string) {
	w.t.Helper()
	if err := unix.Setxattr(w.hosts[host].Path(name), noted, []byte(value), 0); err != nil {
		w.t.Fatal(err)
	}
	w.hosts[host].Sync()
}

// noteOf is what note has set, or "".
func (w *world) noteOf(host int, name string) string {
	w.t.Helper()
	value := make([]byte, 100)
	n, err := unix.Getxattr(w.hosts[host].Path(name), noted, value)
	if err != nil && !errors.Is(err, unix.ENODATA) && !passing(err) {
		w.t.Fatal(err)
	}
	return string(value[:max(n, 0)])
}

func (w *world) modeOf(host int, name string) os.FileMode {
	w.t.Helper()
	info, err := os.Stat(w.hosts[host].Path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return info.Mode().Perm()
}

// TestAttributesOfOthersStay: attributes that another mount set, unseen here, are there after the file was written or moved here, or got
// other attributes. Extended attributes count as one: those of the later writer stay.
func TestAttributesOfOthersStay(t *testing.T) {
	w := newWorld(t, options(cache.Options{MetaTTL: time.Hour}))
	for _, c := range []struct {
		name   string
		change func(path string) error
		mode   os.FileMode
		note   string
		moved  bool
	}{
		{"written", func(path string) error { return os.WriteFile(path, []byte("new"), 0o600) }, 0o640, "theirs", false},
		{"appended", func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		}, 0o640, "theirs", false},
		{"chmod", func(path string) error { return os.Chmod(path, 0o400) }, 0o400, "theirs", false},
		{"renamed", func(path string) error { return os.Rename(path, path+"-") }, 0o640, "theirs", true},
		{"replaced", func(path string) error {
			return errors.Join(os.Rename(path, path+"-"), os.WriteFile(path, []byte("another"), 0o600))
		}, 0o640, "theirs", true},
		{"xattr", func(path string) error { return unix.Setxattr(path, "user.other", []byte("1"), 0) }, 0o640, "", false},
	} {
		for n := range 3 {
			writer, old := n%2, "old"
			if n == 2 { // stored again by who wrote it, an empty file keeps its generation, while others get a new one
				old = ""
			}
			if old == "" && c.name == "written" {
				continue // to empty it first sets its time
			}
			t.Run(fmt.Sprintf("%s, %d bytes, written by %s", c.name, len(old), hostNames[writer]), func(t *testing.T) {
				name := fmt.Sprintf("%s-%d", c.name, n)
				w.write(writer, name, old)
				w.hosts[1-writer].DropCache()
				if w.read(0, name) != old || w.read(1, name) != old {
					t.Fatal("the file does not show")
				}
				if err := os.Chmod(w.hosts[0].Path(name), 0o640); err != nil {
					t.Fatal(err)
				}
				w.note(0, name, "theirs") // in one request, without a tag
				if err := c.change(w.hosts[1].Path(name)); err != nil {
					t.Fatal(err)
				}
				w.hosts[1].Sync()
				if c.moved {
					name += "-"
				}
				for _, when := range []string{"at once", "in a new cache"} {
					if note, mode := w.noteOf(1, name), w.modeOf(1, name); note != c.note || mode != c.mode {
						t.Errorf("%s: note %q and mode %v, want %q and %v", when, note, mode, c.note, c.mode)
					}
					w.hosts[1].DropCache()
				}
			})
		}
	}
	if list, err := filepath.Glob(w.hosts[1].Path("*.conflict-*")); err != nil || len(list) > 0 {
		t.Errorf("%q, %v: nobody else wrote content", list, err)
	}
}

// TestAttributesWithinASecond: what another mount changed shows, also when OSS's Last-Modified stays as it was.
func TestAttributesWithinASecond(t *testing.T) {
	o, clock := stoppedClock()
	w := newWorld(t, o)
	for _, name := range []string{"f", "empty"} {
		text := ""
		if name == "f" {
			text = "text"
		}
		w.write(0, name, text)
		testenv.Eventually(t, "the file", func() bool { return w.read(1, name) == text && w.noteOf(1, name) == "" })
		for _, value := range []string{"one", "two"} {
			w.note(0, name, value)
			testenv.Eventually(t, "what the other mount set", func() bool { return w.noteOf(1, name) == value })
		}
	}
	clock.Advance(time.Minute)
	w.look()
	w.look()
	before := w.hosts[0].Requests()["HeadObject"]
	w.look()
	if got := w.hosts[0].Requests()["HeadObject"] - before; got != 0 {
		t.Errorf("objects that are older than the clocks differ were asked for %d times more", got)
	}
}

// TestTagsShowInNoListing: a mode that another mount set, and that gives more rights, is seen by who writes the file, and with a new cache, but by no listing.
func TestTagsShowInNoListing(t *testing.T) {
	o, clock := stoppedClock()
	w := newWorld(t, o)
	w.write(0, "f", "text")
	w.write(0, "g", "text")
	clock.Advance(time.Minute)
	for _, name := range []string{"f", "g"} {
		testenv.Eventually(t, "the file", func() bool { return w.read(1, name) == "text" && w.modeOf(1, name) == 0o644 })
		if err := os.Chmod(w.hosts[0].Path(name), 0o664); err != nil {
			t.Fatal(err)
		}
	}
	w.sync()
	w.look()
	if got := w.modeOf(1, "f"); got != 0o644 {
		t.Errorf("mode %v by a listing: SEMANTICS.md may promise more", got)
	}
	if err := os.Chtimes(w.hosts[1].Path("g"), time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	w.write(1, "f", "new")
	w.sync()
	if got := w.modeOf(1, "f"); got != 0o664 {
		t.Errorf("mode %v after a write, want that of the other mount", got)
	}
	w.hosts[0].DropCache()
	if got := w.modeOf(0, "g"); got != 0o644 {
		t.Errorf("mode %v, want that of the later writer", got)
	}
	w.hosts[1].DropCache()
	if got := w.modeOf(1, "f"); got != 0o664 {
		t.Errorf("mode %v with a new cache, want that of the other mount", got)
	}
}

// TestAttributesBeforeTheFirstListing: a mount has not listed since it wrote a file whose attributes another one changed.
func TestAttributesBeforeTheFirstListing(t *testing.T) {
	o, clock := stoppedClock()
	w := newWorld(t, o)
	w.write(0, "f", "text")
	clock.Advance(time.Minute)
	w.note(1, "f", "theirs")
	testenv.Eventually(t, "what the other mount set", func() bool { return w.noteOf(0, "f") == "theirs" })
}

// TestRemovedAfterAttributesChanged: a file that is removed here is gone, also when another mount changed its attributes unseen.
func TestRemovedAfterAttributesChanged(t *testing.T) {
	w := newWorld(t, options(cache.Options{MetaTTL: time.Hour}))
	for _, c := range []struct {
		name   string
		change func(path string) error
	}{
		{"mode", func(path string) error { return os.Chmod(path, 0o640) }},
		{"note", func(path string) error { return unix.Setxattr(path, noted, []byte("1"), 0) }},
	} {
		w.write(0, c.name, "text")
		w.hosts[1].DropCache()
		if got := w.read(1, c.name); got != "text" {
			t.Fatalf("got %q", got)
		}
		if err := c.change(w.hosts[0].Path(c.name)); err != nil {
			t.Fatal(err)
		}
		w.hosts[0].Sync()
		if err := os.Remove(w.hosts[1].Path(c.name)); err != nil {
			t.Fatal(err)
		}
		w.hosts[1].Sync()
		w.hosts[1].DropCache()
		if _, err := os.Lstat(w.hosts[1].Path(c.name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want it gone", c.name, err)
		}
	}
}
