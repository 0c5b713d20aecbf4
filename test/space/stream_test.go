package space

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// smallest is the smallest cache, streamed a size that does not fit into it.
const (
	smallest = "16MiB"
	streamed = 40 << 20
)

// streamWorld is a mount with the smallest cache.
func streamWorld(t *testing.T) (*procenv.World, *procenv.Daemon) {
	t.Helper()
	t.Parallel() // they mostly wait
	w := procenv.New(t)
	w.Extra = []string{"--cache-size", smallest, "--settle", "0s", "--late-limit", "2s"}
	showLog(t, w)
	return w, w.Mount(t)
}

// begin writes a file that is larger than the cache and leaves it open.
func begin(t *testing.T, w *procenv.World, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(w.Dir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := call(t, "write", func() error {
		_, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{stream(streamed)}, make([]byte, 1<<20))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return f
}

// stored says whether the bucket has an object.
func stored(w *procenv.World, key string) bool {
	for _, o := range w.Server.Objects(procenv.Bucket) {
		if o.Key == key {
			return true
		}
	}
	return false
}

// wantStream checks that a machine which has never seen it reads the file as written, with more behind it, and that nothing is left of
// what was stored ahead.
func wantStream(t *testing.T, w *procenv.World, d *procenv.Daemon, name string, more []byte) {
	t.Helper()
	w.Run(t, "sync", w.Dir)
	procenv.WaitFor(t, "the end of what was stored ahead", func() bool { return len(ahead(w)) == 0 })
	d.Unmount(t)
	w.Cache = filepath.Join(w.Base, "fresh")
	d = w.Mount(t)
	f, err := os.Open(filepath.Join(w.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, want := sum(t, f), sum(t, io.MultiReader(stream(streamed), bytes.NewReader(more))); got != want {
		t.Errorf("%s reads as something else: %08x, want %08x", name, got, want)
	}
	f.Close()
	d.Unmount(t)
}

// TestStream writes a file larger than the cache, and says what can be done with it meanwhile.
func TestStream(t *testing.T) {
	w, d := streamWorld(t)
	f := begin(t, w, "large")
	if len(ahead(w)) == 0 || stored(w, "large") {
		t.Errorf("stored ahead: %v; under its name: %v", ahead(w), stored(w, "large"))
	}
	for _, c := range []struct {
		what string
		do   func() error
		want unix.Errno
	}{
		{"overwrite of the begin", func() error { _, err := f.WriteAt([]byte("x"), 0); return err }, unix.ENOSPC},
		{"write behind a gap", func() error { _, err := f.WriteAt([]byte("x"), streamed+1<<20); return err }, unix.ENOSPC},
		{"truncate", func() error { return f.Truncate(1000) }, unix.ENOSPC},
		{"hole", func() error {
			return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)
		}, unix.ENOSPC},
		{"read of the begin", func() error { return readDirect(filepath.Join(w.Dir, "large"), 0) }, unix.EBUSY},
		{"read of the end", func() error { return readDirect(filepath.Join(w.Dir, "large"), streamed-1<<20) }, 0},
		{"fsync", f.Sync, 0},
	} {
		err := call(t, c.what, c.do)
		if c.want == 0 && err != nil || c.want != 0 && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
	more := content("more", 3<<20)
	if err := call(t, "append", func() error { _, err := f.Write(more); return err }); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	wantStream(t, w, d, "large", more)
}

// readDirect reads a block past the page cache.
func readDirect(name string, off int64) error {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	raw := make([]byte, 2*4096)
	skip := -int(uintptr(unsafe.Pointer(&raw[0]))) & 4095
	_, err = f.ReadAt(raw[skip:skip+4096], off)
	return err
}

// TestStreamRemoved removes a file while it is written: nothing of it stays in the bucket.
func TestStreamRemoved(t *testing.T) {
	w, d := streamWorld(t)
	f := begin(t, w, "large")
	if err := os.Remove(filepath.Join(w.Dir, "large")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	procenv.WaitFor(t, "the end of what was stored ahead", func() bool { return len(ahead(w)) == 0 })
	d.Unmount(t)
	if stored(w, "large") {
		t.Error("a removed file is in the bucket")
	}
}

// TestStreamKilled kills the daemon while a file larger than the cache is written: nothing is under its name, and the next mount
// uploads what was synced, without sending again what the bucket has.
func TestStreamKilled(t *testing.T) {
	w, d := streamWorld(t)
	f := begin(t, w, "large")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	d.Crash(t)
	if stored(w, "large") {
		t.Error("half a file is in the bucket")
	}
	before := w.Server.Bytes().In
	d = w.Mount(t)
	w.Run(t, "sync", w.Dir)
	if sent := w.Server.Bytes().In - before; sent > streamed*3/4 {
		t.Errorf("%d bytes were sent after the kill, of %d in all", sent, streamed)
	}
	wantStream(t, w, d, "large", nil)
}

// TestWaitingWriterCanBeKilled fills the cache while the bucket refuses everything: the writer waits, and SIGKILL ends it.
func TestWaitingWriterCanBeKilled(t *testing.T) {
	w, d := streamWorld(t)
	for _, op := range []string{"InitiateMultipartUpload", "UploadPart", "PutObject"} {
		w.Server.AddFault(emulator.Fault{Operation: op, Status: 503, Code: "ServiceUnavailable"})
	}
	cmd := exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(w.Dir, "large"), "bs=1M", "count=64")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	procenv.WaitFor(t, "a full cache", func() bool { return used(t, w) > 15<<20 && w.Server.Requests()["InitiateMultipartUpload"] > 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := call(t, "a killed writer", cmd.Wait); err == nil {
		t.Error("the writer was not killed: it had ended")
	}
	w.Server.ClearFaults()
	w.Run(t, "sync", w.Dir)
	d.Unmount(t)
	wantNothingAhead(t, w)
}

// TestStreamLostAnswers loses the answers of the requests that give a large file its name: it arrives whole, and once.
func TestStreamLostAnswers(t *testing.T) {
	w, d := streamWorld(t)
	for _, op := range []string{"UploadPart", "CompleteMultipartUpload", "CopyObject"} {
		w.Server.AddFault(emulator.Fault{Operation: op, LoseResponse: true, Count: 1})
	}
	if err := begin(t, w, "large").Close(); err != nil {
		t.Fatal(err)
	}
	wantStream(t, w, d, "large", nil)
	if n := w.Server.Requests()["CopyObject"]; n < 1 || n > 2 {
		t.Errorf("%d copies, want the lost one and at most one more", n)
	}
}

// TestStreamReadAfterClose reads the begin of a large file right after its close: the reader waits until it is there.
func TestStreamReadAfterClose(t *testing.T) {
	w, d := streamWorld(t)
	if err := begin(t, w, "large").Close(); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, streamed / 2, streamed - 4096} {
		if err := call(t, "read", func() error { return readDirect(filepath.Join(w.Dir, "large"), off) }); err != nil {
			t.Errorf("read at %d: %v", off, err)
		}
	}
	wantStream(t, w, d, "large", nil)
}

// TestStreamsTogether writes three files at a time, none of which fits beside the others.
func TestStreamsTogether(t *testing.T) {
	w, d := streamWorld(t)
	names := []string{"one", "two", "three"}
	done := make(chan error, len(names))
	for _, name := range names {
		go func() { done <- os.WriteFile(filepath.Join(w.Dir, name), content(name, 12<<20), 0o644) }()
	}
	for range names {
		if err := call(t, "three writers", func() error { return <-done }); err != nil {
			t.Error(err)
		}
	}
	w.Run(t, "sync", w.Dir)
	for _, name := range names {
		mustRead(t, w, name, content(name, 12<<20))
	}
	procenv.WaitFor(t, "the end of what was stored ahead", func() bool { return len(ahead(w)) == 0 })
	d.Unmount(t)
}

// TestSmallStreamStays: while uploads make room, the begin of an open file that would fit into the cache stays where it can be read.
func TestSmallStreamStays(t *testing.T) {
	w, d := streamWorld(t)
	open, err := os.OpenFile(filepath.Join(w.Dir, "open"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for n := range 12 {
		name := fmt.Sprintf("closed-%d", n)
		err := call(t, "write beside it", func() error {
			if _, err := open.Write(content("open", 12*256<<10)[n*256<<10:][:256<<10]); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(w.Dir, name), content(name, 4<<20), 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
		if begun := ahead(w); len(begun) > 0 {
			t.Fatalf("stored ahead: %v", begun)
		}
	}
	if err := readDirect(open.Name(), 0); err != nil {
		t.Errorf("read of the begin: %v", err)
	}
	w.Run(t, "sync", w.Dir)
	mustRead(t, w, "open", content("open", 12*256<<10))
	open.Close()
	d.Unmount(t)
}
