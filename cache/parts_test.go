package cache

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

func TestActivity(t *testing.T) {
	a := newActivity()
	a.begin("before")()
	running := a.begin("d/running")
	w := a.watch()
	defer w.stop()
	during := a.begin("d/during")
	during()
	for key, want := range map[string]bool{"before": false, "d/running": true, "d/during": true, "other": false} {
		if got := w.touched(key); got != want {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	if !w.touchedUnder("d/") || w.touchedUnder("e/") {
		t.Error("touchedUnder sees the wrong keys")
	}
	running()
	if !w.touched("d/running") {
		t.Error("a request that ended during the watch is forgotten")
	}
	later := a.watch()
	defer later.stop()
	if later.touched("d/during") {
		t.Error("a request that ended before the watch counts")
	}
}

func TestActivityForgets(t *testing.T) {
	a := newActivity()
	w := a.watch()
	a.begin("k")()
	w.stop()
	if len(a.ended)+len(a.inflight) != 0 {
		t.Errorf("kept %v and %v with nobody watching", a.ended, a.inflight)
	}
}

func TestOpens(t *testing.T) {
	o := newOpens()
	o.add(5, true)
	o.add(5, false)
	if got := o.writing(); len(got) != 1 || got[0] != 5 {
		t.Errorf("got writers %v", got)
	}
	if left := o.remove(5, true); left != (openCount{all: 1}) {
		t.Errorf("got %+v, want one reader", left)
	}
	if left := o.remove(5, false); left != (openCount{}) || o.Open(5) {
		t.Errorf("got %+v, want none", left)
	}
	o.remove(7, true) // opened before a restart
}

func TestApplyChange(t *testing.T) {
	file := index.Inode{Ino: 9, Mode: unix.S_IFREG | 0o6755, UID: 1, GID: 2, Mtime: 10, AttrVer: 3}
	dir := index.Inode{Ino: 8, Mode: unix.S_IFDIR | 0o755, Mtime: 10, AttrVer: 3}
	for _, c := range []struct {
		name            string
		i               index.Inode
		ch              Change
		changed, upload bool
		mode            uint32
	}{
		{"mode", file, Change{Set: SetMode, Mode: 0o600}, true, true, unix.S_IFREG | 0o600},
		{"same mode", file, Change{Set: SetMode, Mode: 0o6755}, true, false, unix.S_IFREG | 0o6755},
		{"owner", file, Change{Set: SetUID | SetGID, UID: 5, GID: 6, By: person{}}, true, true, unix.S_IFREG | 0o755},
		{"access time", file, Change{Set: SetAtime, Atime: 77}, true, false, file.Mode},
		{"nothing to drop", index.Inode{Ino: 9, Mode: unix.S_IFREG | 0o644}, Change{By: person{}}, false, false, unix.S_IFREG | 0o644},
		{"to nobody else", file, Change{By: person{owner: true}}, true, true, unix.S_IFREG | 0o755},
		{"to nobody else, by a stranger", file, Change{By: person{}}, false, false, file.Mode},
		{"size only", file, Change{Set: SetSize}, false, false, file.Mode},
		{"times of a directory", dir, Change{Set: SetMtime, Mtime: 10}, true, true, dir.Mode},
		{"root", index.Inode{Ino: Root, Mode: unix.S_IFDIR | 0o755}, Change{Set: SetMode, Mode: 0o700}, true, true, unix.S_IFDIR | 0o700},
	} {
		i := c.i
		changed := applyChange(&i, c.ch)
		if changed != c.changed || (i.AttrVer != c.i.AttrVer) != c.upload || i.Mode != c.mode {
			t.Errorf("%s: got changed %v, version %d, mode %o", c.name, changed, i.AttrVer, i.Mode)
		}
	}
}

func TestDiffers(t *testing.T) {
	row := index.Object{ETag: "A", Size: 3}
	for _, c := range []struct {
		name string
		e    object.Entry
		want bool
	}{
		{"equal", object.Entry{ETag: "A", Size: 3}, false},
		{"other bytes", object.Entry{ETag: "B", Size: 3}, true},
		{"other size", object.Entry{ETag: "A", Size: 4}, true},
	} {
		if got := differs(&row, &c.e); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCleanHost(t *testing.T) {
	for in, want := range map[string]string{"": "unknown", "a/b c": "a_b_c", "host.example": "host.example"} {
		if got := cleanHost(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
