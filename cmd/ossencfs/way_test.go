package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/cache"
)

// stranger is a user of the machine who is neither this one nor root.
const stranger = 43000

// TestWayToOurFolders: a folder of ours that somebody else could exchange is refused, wherever above it he may do so.
func TestWayToOurFolders(t *testing.T) {
	for name, tt := range map[string]struct {
		root bool                     // only root can prepare it
		make func(above string) error // makes of a folder what the way leads through
		want string                   // in the error
	}{
		"ours":             {false, func(dir string) error { return os.Chmod(dir, 0o755) }, ""},
		"writable for all": {false, func(dir string) error { return os.Chmod(dir, 0o777) }, "is writable for others"},
		"sticky":           {false, func(dir string) error { return os.Chmod(dir, os.ModeSticky|0o777) }, ""},
		"of our own group": {false, func(dir string) error { return errors.Join(os.Chown(dir, -1, os.Getegid()), os.Chmod(dir, 0o775)) }, ""},
		"of a group":       {true, func(dir string) error { return errors.Join(os.Chown(dir, -1, stranger), os.Chmod(dir, 0o775)) }, "is writable for others"},
		"of somebody":      {true, func(dir string) error { return os.Chown(dir, stranger, stranger) }, "belongs to another user"},
		"of somebody, full": {true, func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/deep/own", 0o700), os.Chown(dir, stranger, -1))
		}, "belongs to another user"},
		"link of ours": {false, replaceByLink, ""},
		"link of somebody": {true, func(dir string) error {
			return errors.Join(replaceByLink(dir), os.Lchown(dir, stranger, stranger))
		}, "a link of another user"},
		"link to somebody's": {true, func(dir string) error {
			return errors.Join(replaceByLink(dir), os.Chown(dir, stranger, stranger))
		}, "belongs to another user"},
		"link in a circle": {false, func(dir string) error { return errors.Join(os.Remove(dir), os.Symlink(filepath.Base(dir), dir)) }, "too many levels"},
	} {
		if tt.root && os.Geteuid() != 0 {
			continue
		}
		above := filepath.Join(t.TempDir(), "above")
		if err := errors.Join(os.Mkdir(above, 0o755), tt.make(above)); err != nil {
			t.Fatal(err)
		}
		err := makePrivateDir(filepath.Join(above, "deep", "own"))
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

// replaceByLink puts a link to another folder into the place of an empty one.
func replaceByLink(dir string) error {
	return errors.Join(os.Rename(dir, dir+".real"), os.Symlink(filepath.Base(dir)+".real", dir))
}

// TestCacheInAFolderOfOthers: with a cache folder in the folder of another user, root would write to files that this one has linked to.
func TestCacheInAFolderOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has folders in those of others")
	}
	home := t.TempDir()
	if err := os.Chown(home, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	cfg := &mountConfig{dir: t.TempDir(), cache: cache.Options{Dir: filepath.Join(home, "cache")}}
	err := cfg.makeCacheDir()
	if f := explain(err); err == nil || f.code != exitCache {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(cfg.cache.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("made %s: %v", cfg.cache.Dir, err)
	}
}
