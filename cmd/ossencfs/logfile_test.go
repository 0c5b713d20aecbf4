package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLogIsBoundedAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLogFor(t, path)
	if err != nil {
		t.Fatal(err)
	}
	l.limit = 100
	line := strings.Repeat("x", 39) + "\n"
	for range 7 {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	for name, lines := range map[string]int{path: 1, path + ".1": 2} {
		raw, err := os.ReadFile(name)
		if err != nil || strings.Count(string(raw), "\n") != lines {
			t.Errorf("%s has %d lines, want %d; %v", name, strings.Count(string(raw), "\n"), lines, err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// openLogFor opens a log and closes it at the end of the test.
func openLogFor(t *testing.T, path string) (*logFile, error) {
	t.Helper()
	l, err := openLog(path)
	if err == nil {
		t.Cleanup(func() {
			if err := l.file.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return l, err
}

func TestLogGoesOnAfterAReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for range 2 {
		l, err := openLogFor(t, path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "line\nline\n" {
		t.Errorf("got %q, %v", raw, err)
	}
}

func TestLogIsNotWrittenThroughALink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "target"), filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	if _, err := openLogFor(t, filepath.Join(dir, "log")); err == nil {
		t.Error("a symbolic link was followed")
	}
}

func TestRate(t *testing.T) {
	var r rate
	start := time.Unix(1000, 0)
	for _, tc := range []struct {
		after time.Duration
		count int64
		want  int64
	}{
		{0, 100, 0}, {time.Second, 1100, 1000}, {2 * time.Second, 3100, 1500}, {7 * time.Second, 3100, 0}, {8 * time.Second, 9100, 1000},
	} {
		if got := r.per(start.Add(tc.after), tc.count); got != tc.want {
			t.Errorf("after %v: got %d, want %d", tc.after, got, tc.want)
		}
	}
}

// What a library prints of a server's bytes is one short line.
func TestLibraryLinesAreCut(t *testing.T) {
	var out strings.Builder
	l := libraryLog{newLogger(&out, "warn")}
	if n, err := l.Write([]byte("Unsolicited \x1b[2J\xff" + strings.Repeat("x", 64<<10) + "\n")); n < 64<<10 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || len(got) > 2*maxLibraryLine || strings.Contains(got, "\x1b") {
		t.Errorf("got %q", got)
	}
}

func TestSameLineIsLoggedOnce(t *testing.T) {
	var out strings.Builder
	log := newLogger(&out, "warn")
	for range 3 {
		log.Error("read failed", "path", "/a")
		log.Error("read failed", "path", "/b")
		log.With("mount", "x").Error("read failed", "path", "/a")
		log.Info("below the level")
	}
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("%d lines, want 3:\n%s", got, out.String())
	}
	recent := newOnceHandler(nil).recent
	start := time.Unix(1000, 0)
	for _, tc := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {time.Second, true}, {repeatAfter, false}, {repeatAfter + time.Second, true}} {
		if got := recent.again("line", start.Add(tc.after)); got != tc.want {
			t.Errorf("after %v: again is %v", tc.after, got)
		}
	}
	for i := range 3 * maxRecent {
		recent.again(strings.Repeat("x", i), start)
	}
	if len(recent.seen) > maxRecent {
		t.Errorf("%d lines are remembered", len(recent.seen))
	}
}

// TestNoFileIsNotRotated: /dev/null, which --log-file may name, is never put aside.
func TestNoFileIsNotRotated(t *testing.T) {
	l, err := openLogFor(t, os.DevNull)
	if err != nil || l.limit != math.MaxInt64 {
		t.Errorf("got limit %d, %v", l.limit, err)
	}
}
