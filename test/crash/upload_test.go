package crash

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

const crashFiles = 1000

func crashFile(n int) (name string, content []byte) {
	content = make([]byte, 100+n*7%9000)
	rand.New(rand.NewSource(int64(n))).Read(content)
	return fmt.Sprintf("d%02d/file-%04d", n%20, n), content
}

// TestKillWhileUploading kills the daemon when a part of 1,000 closed files has reached the bucket, mounts again on the dead mount
// point and finds all of them in the bucket, read with a cache that has never seen them.
func TestKillWhileUploading(t *testing.T) {
	w := procenv.New(t)
	w.Server.AddFault(emulator.Fault{Operation: "PutObject", Delay: 20 * time.Millisecond})
	d := w.Mount(t, "--settle", "0s")
	for n := range crashFiles {
		name, content := crashFile(n)
		if err := os.MkdirAll(filepath.Join(w.Dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.Dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	procenv.WaitFor(t, "a part of the uploads", func() bool { return w.Server.Requests()["PutObject"] >= crashFiles/5 })
	d.Crash(t)
	sent := w.Server.Requests()["PutObject"]
	if sent >= crashFiles {
		t.Fatalf("all %d files were sent before the kill: the test shows nothing", sent)
	}
	w.Server.ClearFaults()
	w.Extra = []string{"--late-limit", "2s"}
	d = w.Mount(t)
	w.Run(t, "sync", w.Dir)
	d.Unmount(t)
	t.Logf("%d PUT before the kill, %d in all", sent, w.Server.Requests()["PutObject"])
	w.Cache = filepath.Join(w.Base, "other-cache")
	d = w.Mount(t)
	for n := range crashFiles {
		name, want := crashFile(n)
		got, err := os.ReadFile(filepath.Join(w.Dir, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
		}
	}
	d.Unmount(t)
}

// TestKillAtBeginningOfParts kills the daemon when an upload in parts was begun whose id it does not know yet. The next one goes on with
// another upload, or removes the file, and leaves none behind.
func TestKillAtBeginningOfParts(t *testing.T) {
	for _, removed := range []bool{false, true} {
		w := procenv.New(t)
		w.Extra = []string{"--settle", "0s", "--late-limit", "1s", "--multipart-threshold", "1MiB", "--part-size", "256KiB"}
		d := w.Start(t, nil)
		var once sync.Once
		w.Server.Watch(func(s emulator.Step) {
			if s.Operation == "InitiateMultipartUpload" && s.Moment == emulator.After {
				once.Do(d.Strike)
			}
		})
		if !d.Ready(t) {
			t.Fatal("the mount ended")
		}
		file := filepath.Join(w.Dir, "large")
		if err := os.WriteFile(file, make([]byte, 3<<20), 0o644); err != nil {
			t.Fatal(err)
		}
		procenv.WaitFor(t, "the end of the daemon", d.Ended)
		d.Crash(t)
		w.Server.Watch(nil)
		if len(w.Server.Uploads(procenv.Bucket)) != 1 {
			t.Fatal("no upload was begun: the test shows nothing")
		}
		d = w.Mount(t)
		if removed {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		w.Run(t, "sync", w.Dir)
		d.Unmount(t)
		if left := w.Server.Uploads(procenv.Bucket); len(left) > 0 {
			t.Errorf("removed %t: uploads are left: %q", removed, left)
		}
	}
}
