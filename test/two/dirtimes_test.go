package two

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestEntriesMoveTimesOnly: who makes a file in a directory whose mode, time or attributes another host has set meanwhile, seen here or not, leaves
// them as that host has set them, and each of the two sees the later time.
func TestEntriesMoveTimesOnly(t *testing.T) {
	for name, ttl := range map[string]time.Duration{"unseen": time.Hour, "seen": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			o := options(cache.Options{MetaTTL: ttl, Settle: time.Hour})
			clock := testenv.NewClock()
			o.Emulator = clock.Use
			w := newWorld(t, o)
			dir := w.hosts[0].Path("d")
			w.must(os.Mkdir(dir, 0o755))
			w.hosts[0].Sync()
			clock.Advance(5 * time.Second)
			testenv.Eventually(t, "the directory", func() bool { _, err := os.Stat(w.hosts[1].Path("d")); return err == nil })
			w.must(os.WriteFile(w.hosts[1].Path("d/f"), nil, 0o644)) // on the way while the other one sets attributes
			made := w.times(1, "d")
			w.must(os.Chmod(dir, 0o700))
			w.note(0, "d", "others")
			if ttl < time.Second {
				testenv.Eventually(t, "the new mode, before anything is sent", func() bool {
					_, err := os.ReadDir(w.hosts[1].Path("d"))
					return err == nil && w.modeOf(1, "d") == 0o700
				})
			}
			w.hosts[1].Sync()
			w.hosts[0].DropCache()
			if got, note := w.modeOf(0, "d"), w.noteOf(0, "d"); got != 0o700 || note != "others" {
				t.Errorf("the mode is %o and the note %q, want those that the other host set", got, note)
			}
			if got := w.times(0, "d"); got.Before(made) {
				t.Errorf("the time is %v, want at least %v", got, made)
			}
			for host := range w.hosts { // nothing goes on between the two
				w.hosts[host].Sync()
			}
			testenv.Eventually(t, "the same mode and time for both", func() bool {
				_, err := os.ReadDir(w.hosts[1].Path("d"))
				return err == nil && w.modeOf(1, "d") == 0o700 && w.times(1, "d").Equal(w.times(0, "d"))
			})
		})
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) times(host int, name string) time.Time {
	w.t.Helper()
	info, err := os.Stat(w.hosts[host].Path(name))
	w.must(err)
	return info.ModTime()
}

// TestRootOfTwo: attributes of the mount point that another host set show here, and are not undone by one who makes a file.
func TestRootOfTwo(t *testing.T) {
	o := options(cache.Options{MetaTTL: time.Millisecond, Settle: time.Hour})
	clock := testenv.NewClock()
	o.Emulator = clock.Use
	w := newWorld(t, o)
	for round, mode := range []os.FileMode{0o711, 0o750} {
		w.must(os.WriteFile(w.hosts[1].Path(fmt.Sprint("f", round)), nil, 0o644)) // on the way while the other one sets attributes
		w.must(os.Chmod(w.hosts[0].Dir, mode))
		w.hosts[0].Sync()
		w.hosts[1].Sync()
		clock.Advance(5 * time.Second)
		if round == 0 {
			w.hosts[1].Remount() // nobody asks for an object that it has never seen
		}
		testenv.Eventually(t, "the mode that the other set", func() bool {
			_, err := os.ReadDir(w.hosts[1].Dir)
			return err == nil && w.modeOf(1, "") == mode
		})
		w.hosts[0].DropCache()
		if got := w.modeOf(0, ""); got != mode {
			t.Errorf("the mode is %o, want %o", got, mode)
		}
	}
}

// TestDirectoryLeavesWhatOthersTouched: a directory that is removed or renamed here is gone from its old name, although another host has made and removed an
// entry in it meanwhile, unseen here, whose time is in its marker.
func TestDirectoryLeavesWhatOthersTouched(t *testing.T) {
	for name, leave := range map[string]func(w *world) error{
		"removed": func(w *world) error { return os.Remove(w.hosts[0].Path("d")) },
		"renamed": func(w *world) error { return os.Rename(w.hosts[0].Path("d"), w.hosts[0].Path("e")) },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(cache.Options{MetaTTL: time.Hour, Settle: time.Hour})
			clock := testenv.NewClock()
			o.Emulator = clock.Use
			w := newWorld(t, o)
			w.must(os.Mkdir(w.hosts[0].Path("d"), 0o755))
			w.hosts[0].Sync()
			clock.Advance(5 * time.Second)
			testenv.Eventually(t, "the directory", func() bool { _, err := os.Stat(w.hosts[1].Path("d")); return err == nil })
			w.must(os.WriteFile(w.hosts[1].Path("d/f"), nil, 0o644))
			w.must(os.Remove(w.hosts[1].Path("d/f")))
			w.hosts[1].Sync()
			w.must(leave(w))
			w.hosts[0].Sync()
			w.hosts[1].DropCache()
			if _, err := os.Stat(w.hosts[1].Path("d")); !os.IsNotExist(err) {
				t.Errorf("it is there still: %v", err)
			}
		})
	}
}
