package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMounts(t *testing.T) {
	text := `22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw
40 1 0:36 / /mnt/with\040space rw,nosuid,nodev - fuse.ossencfs oss://bucket/a\040b rw,user_id=0
broken line
41 1 0:37 / /mnt - ext4
`
	want := []mounted{{21, "/proc", "proc", "proc"}, {36, "/mnt/with space", "fuse.ossencfs", "oss://bucket/a b"}}
	if got := parseMounts([]byte(text)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add([]byte("36 35 98:0 / /mnt rw - fuse.ossencfs oss://b rw\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, m := range parseMounts(raw) {
			if m.fstype == "" || m.dir == "" && m.source == "" {
				t.Errorf("%q gives %+v", raw, m)
			}
		}
	})
}

func TestIsBelow(t *testing.T) {
	for _, tc := range []struct {
		path, dir string
		want      bool
	}{
		{"/a/b", "/a", true}, {"/a", "/a", true}, {"/ab", "/a", false}, {"/", "/a", false}, {"/a/..b", "/a", true}, {"/x", "/", true},
	} {
		if got := isBelow(tc.path, tc.dir); got != tc.want {
			t.Errorf("%s below %s: got %v", tc.path, tc.dir, got)
		}
	}
}

func TestResolveDirThroughLinks(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(base, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ dir, want string }{
		{"link", "real"}, {"real", "real"}, {"link/none", "real/none"}, {"real/../link", "real"},
	} {
		if got, err := resolveDir(base + "/" + tc.dir); err != nil || got != filepath.Join(base, tc.want) {
			t.Errorf("%s: got %q, %v", tc.dir, got, err)
		}
	}
	if _, err := resolveDir(filepath.Join(base, "none", "none")); err == nil {
		t.Error("a path without a parent was resolved")
	}
}

func TestIsDead(t *testing.T) {
	for err, want := range map[error]bool{unix.ENOTCONN: true, unix.ECONNABORTED: true, unix.EIO: false, nil: false} {
		if got := isDead(err); got != want {
			t.Errorf("%v: got %v", err, got)
		}
	}
	if err := probe(t.TempDir()); err != nil {
		t.Errorf("a living folder: %v", err)
	}
}
