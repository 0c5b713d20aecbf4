package two

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// write replaces a file through one mount; the bucket has it afterwards.
func (w *world) write(host int, name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.hosts[host].Path(name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.hosts[host].Sync()
}

func (w *world) read(host int, name string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.hosts[host].Path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESTALE) {
		w.t.Fatal(err)
	}
	return string(text)
}

// TestCloseToOpen: who opens a file sees what was closed and uploaded elsewhere, also when the kernel holds its pages and nothing but the content
// tells the versions apart; listings follow.
func TestCloseToOpen(t *testing.T) {
	const size = 64 << 10
	w := newWorld(t, options(cache.Options{}))
	w.write(0, "f", strings.Repeat("0", size))
	for _, c := range "12345" {
		want := strings.Repeat(string(c), size)
		testenv.Eventually(t, "the file", func() bool { return len(w.read(1, "f")) == size }) // its pages are in the kernel now
		w.write(0, "f", want)
		testenv.Eventually(t, "the new version", func() bool { return w.read(1, "f") == want })
		if now := w.read(1, "f"); now != want {
			t.Fatalf("an older version came back: %.10q", now)
		}
	}
	if err := os.Rename(w.hosts[0].Path("f"), w.hosts[0].Path("g")); err != nil {
		t.Fatal(err)
	}
	w.hosts[0].Sync()
	testenv.Eventually(t, "the new name alone", func() bool {
		list, err := os.ReadDir(w.hosts[1].Dir)
		return err == nil && len(list) == 1 && list[0].Name() == "g"
	})
}

// TestMetadataTTL: a change shows within the time that listings are remembered for.
func TestMetadataTTL(t *testing.T) {
	w := newWorld(t, options(cache.Options{MetaTTL: time.Hour}))
	w.write(0, "f", "old")
	if got := w.read(1, "f"); got != "old" {
		t.Fatalf("got %q", got)
	}
	w.write(0, "f", "new")
	w.write(0, "g", "new")
	if got := w.read(1, "f"); got != "old" {
		t.Errorf("got %q within the time, want what is known", got)
	}
	if got := w.read(1, "g"); got != "" {
		t.Errorf("got %q of a name that is not in the listing", got)
	}
}

// TestOneCreates: of two programs on two machines that create a file at the same moment one gets it, as git and restic need it.
func TestOneCreates(t *testing.T) {
	w := newWorld(t, options(cache.Options{CreateRemote: true}))
	for range 20 {
		var made atomic.Int32
		w.both(func(host int) {
			f, err := os.OpenFile(w.hosts[host].Path("index.lock"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			switch {
			case err == nil:
				made.Add(1)
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
		if got := made.Load(); got != 1 {
			t.Fatalf("%d have created it, want 1", got)
		}
		testenv.Eventually(t, "both see it, and one removes it", func() bool {
			for host := range w.hosts {
				if _, err := os.Lstat(w.hosts[host].Path("index.lock")); err != nil {
					return false
				}
			}
			return os.Remove(w.hosts[0].Path("index.lock")) == nil
		})
		w.sync()
		testenv.Eventually(t, "it is gone for both", func() bool {
			_, err := os.Lstat(w.hosts[1].Path("index.lock"))
			return errors.Is(err, fs.ErrNotExist)
		})
	}
}
