package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// cutOff makes every request to the bucket break off. KMS goes on answering.
var cutOff = emulator.Fault{Bucket: procenv.Bucket, ResetAfterBytes: -1}

// warm makes a mount that has written and uploaded a file, and ends it.
func warm(t *testing.T, w *procenv.World, args ...string) {
	t.Helper()
	ask(t, w, nil, args...).want(t, ok)
	write(t, filepath.Join(w.Dir, "known"), "known content", 0o600)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
}

// away tells what the status of the only mount says of the bucket.
func away(t *testing.T, w *procenv.World) string {
	t.Helper()
	var s struct{ Mounts []struct{ Away string } }
	a := ask(t, w, nil, "status", "--json")
	if err := json.Unmarshal([]byte(a.stdout), &s); err != nil || len(s.Mounts) != 1 {
		t.Fatalf("status: %v\n%s", err, a.stdout)
	}
	return s.Mounts[0].Away
}

// TestWarmCacheMountsWithoutTheBucket: what this machine knows of a bucket is mounted while that cannot be reached, and the mount says so. What is
// here is read, what is written waits, and all of it goes up by itself afterwards.
func TestWarmCacheMountsWithoutTheBucket(t *testing.T) {
	w := procenv.New(t)
	warm(t, w, mountArgs(w)...)
	w.Server.AddFault(cutOff)
	a := mount(t, w)
	if !strings.Contains(a.stdout, "the bucket cannot be reached: ") || !strings.Contains(a.stdout, "what is in the cache can be read, and what is changed waits") {
		t.Errorf("the mount does not say so:\n%s", a.stdout)
	}
	if away(t, w) == "" {
		t.Error("status does not say so")
	}
	if text, err := os.ReadFile(filepath.Join(w.Dir, "known")); err != nil || string(text) != "known content" {
		t.Errorf("got %q, %v", text, err)
	}
	if list, err := os.ReadDir(w.Dir); err != nil || len(list) != 1 {
		t.Errorf("got %v, %v", list, err)
	}
	write(t, filepath.Join(w.Dir, "new"), "new content", 0o600)
	if err := os.Rename(filepath.Join(w.Dir, "known"), filepath.Join(w.Dir, "renamed")); err != nil {
		t.Error(err)
	}
	ask(t, w, nil, "umount", "--now", w.Dir).want(t, pending)
	mount(t, w) // once more, with what waits
	w.Server.ClearFaults()
	ask(t, w, nil, "sync", w.Dir).want(t, ok)
	if why := away(t, w); why != "" {
		t.Errorf("after the bucket was reached: %s", why)
	}
	for _, name := range []string{"new", "renamed"} {
		ask(t, w, nil, "get", "oss://"+procenv.Bucket+"/"+name, filepath.Join(w.Base, name), "--rsa-key", w.Key).want(t, ok)
	}
	if text, err := os.ReadFile(filepath.Join(w.Base, "renamed")); err != nil || string(text) != "known content" {
		t.Errorf("got %q, %v", text, err)
	}
}

// TestColdCacheNeedsTheBucket: where this machine does not know the volume, or has no cache of it, a mount ends as before.
func TestColdCacheNeedsTheBucket(t *testing.T) {
	w := procenv.New(t)
	warm(t, w, mountArgs(w)...)
	w.Server.AddFault(cutOff)
	ask(t, w, nil, "mount", "oss://"+procenv.Bucket, w.Dir, "--rsa-key", w.Key, "--cache-dir", filepath.Join(w.Base, "other")).want(t, unreachable)
	ask(t, w, []string{"OSSENCFS_STATE_DIR=" + filepath.Join(w.Base, "other state")}, mountArgs(w)...).want(t, unreachable)
	wrong := otherKey(t, w, "wrong.pem")
	ask(t, w, nil, "mount", "oss://"+procenv.Bucket, w.Dir, "--rsa-key", wrong, "--cache-dir", w.Cache).want(t, key)
	wantNoSession(t, w)
}

// TestRecordsAreOfTheirCache: a mount that is refused the cache folder of another prefix leaves there what that one needs without the bucket.
func TestRecordsAreOfTheirCache(t *testing.T) {
	w := procenv.New(t)
	warm(t, w, mountArgs(w)...)
	ask(t, w, nil, "mount", "oss://"+procenv.Bucket+"/below", w.Dir, "--rsa-key", w.Key, "--cache-dir", w.Cache).want(t, cacheFolder)
	w.Server.AddFault(cutOff)
	mount(t, w)
}

// TestAwayBelievesNoOlderRecords: what is kept with the cache is no way around what this machine has seen since.
func TestAwayBelievesNoOlderRecords(t *testing.T) {
	w := procenv.New(t)
	warm(t, w, mountArgs(w)...)
	ask(t, w, nil, "key", "add", "oss://"+procenv.Bucket, "--rsa-key", w.Key, "--new-rsa-key", otherKey(t, w, "second.pem")).want(t, ok)
	w.Server.AddFault(cutOff)
	ask(t, w, nil, mountArgs(w)...).want(t, unreachable, "cannot be used", "older than the one seen before")
	wantNoSession(t, w)
}

// TestAwayMeetsAnotherRecord: when the bucket is back, its records are read before anything is sent or read: with the record removed nothing is.
func TestAwayMeetsAnotherRecord(t *testing.T) {
	w := procenv.New(t)
	warm(t, w, mountArgs(w)...)
	w.Server.AddFault(cutOff)
	mount(t, w)
	write(t, filepath.Join(w.Dir, "new"), "new content", 0o600)
	for _, o := range w.Server.Objects(procenv.Bucket) {
		if strings.HasPrefix(o.Key, ".ossencfs/volume/") {
			if err := w.Server.RemoveObject(procenv.Bucket, o.Key); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.Server.ClearFaults()
	w.Server.ResetRequests()
	procenv.WaitFor(t, "the missing record to be told", func() bool {
		return strings.Contains(away(t, w), "the record of a known volume is missing") && len(readStatus(t, w).Mounts[0].Failures) > 0
	})
	ask(t, w, nil, "umount", "--now", w.Dir).want(t, pending)
	for op, n := range w.Server.Requests() {
		if op != "ListObjectsV2" && n > 0 {
			t.Errorf("%d requests %s were sent to a bucket whose records are not right", n, op)
		}
	}
}

// TestAwayTakesUpANewEpoch: what was written while the bucket was away is sealed under the volume key that is in use there by then.
func TestAwayTakesUpANewEpoch(t *testing.T) {
	w := procenv.New(t)
	warm(t, w, mountArgs(w)...)
	elsewhere := []string{"OSSENCFS_STATE_DIR=" + filepath.Join(w.Base, "elsewhere")}
	ask(t, w, elsewhere, "key", "rotate", "oss://"+procenv.Bucket, "--rsa-key", w.Key, "--new-epoch").want(t, ok)
	w.Server.AddFault(cutOff)
	mount(t, w)
	write(t, filepath.Join(w.Dir, "new"), "new content", 0o600)
	w.Server.ClearFaults()
	ask(t, w, nil, "sync", w.Dir).want(t, ok)
	a := ask(t, w, nil, "inspect", "oss://"+procenv.Bucket+"/new", "--rsa-key", w.Key)
	if a.want(t, ok); !strings.Contains(a.stdout, "epoch 2") {
		t.Errorf("it is not under the new volume key:\n%s", a.stdout)
	}
}

// TestAwayWithKMS: the records and with them the cache open through KMS. Where that answers the mount works, and else it says what is missing.
func TestAwayWithKMS(t *testing.T) {
	w := procenv.New(t)
	args := []string{"mount", "oss://" + procenv.Bucket, w.Dir, "--kms-key", w.Server.KMSKeyID(), "--kms-endpoint", w.Server.KMSEndpoint(), "--cache-dir", w.Cache}
	warm(t, w, args...)
	w.Server.AddFault(cutOff)
	ask(t, w, nil, args...).want(t, ok)
	if text, err := os.ReadFile(filepath.Join(w.Dir, "known")); err != nil || string(text) != "known content" {
		t.Errorf("got %q, %v", text, err)
	}
	ask(t, w, nil, "umount", "--now", w.Dir).want(t, ok)
	w.Server.AddFault(emulator.Fault{ResetAfterBytes: -1})
	ask(t, w, nil, args...).want(t, unreachable, "the volume records that are kept in", "KMS", "ossencfs: hint: ")
	wantNoSession(t, w)
}
