package space

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/loopdisk"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// content is n bytes that belong to a name.
func content(name string, n int) []byte {
	seed := int64(n)
	for _, c := range []byte(name) {
		seed = seed*131 + int64(c)
	}
	b := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

// patience bounds one call of a program on a full or broken disk.
const patience = time.Minute

// call runs one call of a program and fails the test when it does not return.
func call(t *testing.T, what string, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		t.Fatalf("%s hangs", what)
		return nil
	}
}

// wantErrno checks that a call failed with one errno.
func wantErrno(t *testing.T, what string, err error, want unix.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// state is what status says of the one mount.
type state struct {
	Pending int64  `json:"pending_files"`
	Disk    string `json:"disk"`
}

func status(t *testing.T, w *procenv.World) state {
	t.Helper()
	var all struct{ Mounts []state }
	text := w.Run(t, "status", "--json", w.Dir)
	if err := json.Unmarshal([]byte(text), &all); err != nil || len(all.Mounts) != 1 {
		t.Fatalf("status: %v: %s", err, text)
	}
	return all.Mounts[0]
}

func write(t *testing.T, w *procenv.World, name string, data []byte) error {
	t.Helper()
	return call(t, "write "+name, func() error { return os.WriteFile(filepath.Join(w.Dir, name), data, 0o644) })
}

func mustWrite(t *testing.T, w *procenv.World, name string, data []byte) {
	t.Helper()
	if err := write(t, w, name, data); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, w *procenv.World, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(w.Dir, name))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, want %d as written, %v", name, len(got), len(want), err)
	}
}

// diskWorld is a world whose cache lies on a disk of 64 MiB.
func diskWorld(t *testing.T) (*procenv.World, *loopdisk.Disk) { return diskWorldOf(t, 64) }

// diskWorldOf is a world whose cache lies on a disk of some MiB.
func diskWorldOf(t *testing.T, mib int64) (*procenv.World, *loopdisk.Disk) {
	t.Helper()
	t.Parallel()
	w := procenv.New(t)
	d := loopdisk.New(t, w.Base, mib)
	w.Cache = filepath.Join(d.Dir(), "cache")
	w.Extra = []string{"--settle", "0s", "--late-limit", "2s"}
	showLog(t, w)
	return w, d
}

// showLog shows what the daemons said when the test fails.
func showLog(t *testing.T, w *procenv.World) {
	t.Cleanup(func() {
		if text, err := os.ReadFile(w.LogFile); err == nil && t.Failed() {
			t.Logf("the daemon's last words: %s", text[max(0, len(text)-4000):])
		}
	})
}

// TestFullDisk fills the disk of the cache from outside while nothing can be uploaded: writers get ENOSPC, what was there stays, and
// when there is room and the bucket is back, everything that was accepted is uploaded without anybody's help.
func TestFullDisk(t *testing.T) {
	w, disk := diskWorld(t)
	d := w.Mount(t)
	accepted := map[string][]byte{}
	keep := func(name string, n int) {
		mustWrite(t, w, name, content(name, n))
		accepted[name] = content(name, n)
	}
	keep("old", 300_000)
	w.Run(t, "sync", w.Dir)
	w.Server.AddFault(emulator.Fault{Operation: "PutObject", Status: 503, Code: "ServiceUnavailable"})
	for n := range 30 {
		keep(fmt.Sprintf("before-%02d", n), 3000+n*20_000)
	}
	editMiddle(t, w, accepted, "old")
	held, err := os.OpenFile(filepath.Join(w.Dir, "before-00"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	disk.Fill()

	refused := 0
	for n := range 20 {
		name := fmt.Sprintf("during-%03d", n)
		if err := write(t, w, name, content(name, 100_000)); err != nil {
			wantErrno(t, "create on a full disk", err, unix.ENOSPC)
			refused++
			_ = os.Remove(filepath.Join(w.Dir, name))
		} else {
			accepted[name] = content(name, 100_000)
		}
		disk.Fill()
	}
	if refused == 0 {
		t.Fatal("nothing was refused: the disk was not full")
	}
	err = call(t, "overwrite", func() error { _, err := held.WriteAt(content("new", 2<<20), 0); return err })
	wantErrno(t, "overwrite on a full disk", err, unix.ENOSPC)
	changeMuch(t, w)
	for name, want := range accepted {
		mustRead(t, w, name, want)
	}
	if s := status(t, w); s.Disk == "" {
		t.Error("status does not say that the disk is full")
	}
	if err := held.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	t.Logf("%d refused, %d accepted", refused, len(accepted))

	w.Server.ClearFaults()
	disk.Free()
	procenv.WaitFor(t, "the uploads, by themselves", func() bool { s := status(t, w); return s.Pending == 0 && s.Disk == "" })
	mustWrite(t, w, "after", content("after", 1<<20))
	accepted["after"] = content("after", 1<<20)
	d.Unmount(t)
	readFromBucket(t, w, accepted)
}

// editMiddle overwrites some bytes of a file.
func editMiddle(t *testing.T, w *procenv.World, accepted map[string][]byte, name string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(w.Dir, name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("changed"), 100_000); err != nil {
		t.Fatal(err)
	}
	copy(accepted[name][100_000:], "changed")
}

// changeMuch changes attributes and names until that is refused or has been done often: on a full disk each change is done or ENOSPC.
func changeMuch(t *testing.T, w *procenv.World) {
	t.Helper()
	name := filepath.Join(w.Dir, "before-01")
	for n := range 3000 {
		if err := call(t, "chmod", func() error { return os.Chmod(name, os.FileMode(0o600+n%8*8)) }); err != nil {
			wantErrno(t, "chmod on a full disk", err, unix.ENOSPC)
			return
		}
	}
}

// readFromBucket compares the files with what a machine reads that has never seen them.
func readFromBucket(t *testing.T, w *procenv.World, want map[string][]byte) {
	t.Helper()
	w.Cache = filepath.Join(w.Base, "fresh")
	d := w.Mount(t)
	for name, data := range want {
		mustRead(t, w, name, data)
	}
	d.Unmount(t)
}

// TestMountOnFullDisk mounts with a full disk: reading what is there works or the mount says what is wrong, and once there is room all
// is as it was.
func TestMountOnFullDisk(t *testing.T) {
	w, disk := diskWorld(t)
	for _, reserve := range []bool{true, false} {
		name := fmt.Sprintf("file-%v", reserve)
		d := w.Mount(t)
		mustWrite(t, w, name, content(name, 200_000))
		d.Crash(t)
		procenv.Detach(t, w.Dir)
		if !reserve {
			if err := os.Remove(filepath.Join(w.Cache, "index", "reserve")); err != nil {
				t.Fatal(err)
			}
		}
		disk.Fill()
		d = w.Start(t, nil)
		if d.Ready(t) {
			mustRead(t, w, name, content(name, 200_000))
			wantErrno(t, "create", write(t, w, "new", content("new", 1<<20)), unix.ENOSPC)
			d.Kill(t)
		} else {
			text, err := os.ReadFile(w.LogFile)
			if err != nil || !bytes.Contains(text, []byte("no space left on device")) {
				t.Errorf("the mount says: %s", text)
			}
		}
		disk.Free()
		d = w.Mount(t)
		mustRead(t, w, name, content(name, 200_000))
		d.Unmount(t)
	}
}

// TestBrokenDisk lets the disk of the cache break: writers get EIO, the daemon lives and says so, and what was synced is there again
// when the disk is.
func TestBrokenDisk(t *testing.T) {
	w, disk := diskWorld(t)
	d := w.Mount(t)
	mustWrite(t, w, "old", content("old", 3<<20))
	f, err := os.OpenFile(filepath.Join(w.Dir, "old"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	disk.Break()
	err = call(t, "write", func() error { _, err := f.WriteAt(content("new", 2<<20), 0); return err })
	wantErrno(t, "write on a broken disk", err, unix.EIO)
	wantErrno(t, "create on a broken disk", write(t, w, "new", content("new", 1000)), unix.EIO)
	if s := status(t, w); s.Disk == "" {
		t.Error("status does not say that the disk is broken")
	}
	f.Close()
	_, _ = w.Try(t, "umount", "--now", w.Dir)
	d.Kill(t)
	disk.Restore()
	d = w.Mount(t)
	mustRead(t, w, "old", content("old", 3<<20))
	d.Unmount(t)
}
