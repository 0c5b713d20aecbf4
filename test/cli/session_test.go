package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// status is what the tests read of `ossencfs status --json`.
type status struct {
	Mounts []struct {
		Mountpoint   string `json:"mountpoint"`
		Source       string `json:"source"`
		PID          int    `json:"pid"`
		CacheDir     string `json:"cache_dir"`
		LogFile      string `json:"log_file"`
		Unmounted    bool   `json:"unmounted"`
		PendingFiles int64  `json:"pending_files"`
		Requests     struct{ Put int64 }
		Failures     []struct{ Path, Error string }
		Volume       struct {
			Writer    string
			Epoch     int
			Authentic bool
		}
		Integrity struct {
			Counts map[string]int
			Last   []struct{ Kind, Path, Error string }
		}
		Daemon     int `json:"daemon_pid"`
		Error      string
		MasterKeys struct {
			RSA int64 `json:"rsa_private_operations"`
			KMS int64 `json:"kms_calls"`
		} `json:"master_keys"`
	}
}

func readStatus(t *testing.T, w *procenv.World) status {
	t.Helper()
	a := ask(t, w, nil, "status", "--json")
	var s status
	if err := json.Unmarshal([]byte(a.stdout), &s); err != nil || a.code != ok {
		t.Fatalf("status: exit code %d, %v\n%s", a.code, err, a.stdout)
	}
	return s
}

// TestBackgroundMount: the command returns when the mount answers, says what is promised, and the mount outlives it.
func TestBackgroundMount(t *testing.T) {
	w := procenv.New(t)
	a := mount(t, w)
	for _, text := range []string{"mounted oss://" + procenv.Bucket + " on " + w.Dir, "durability: close waits for this machine (close=local)", "log: " + w.Cache} {
		if !strings.Contains(a.stdout, text) {
			t.Errorf("%q is not said in:\n%s", text, a.stdout)
		}
	}
	if err := os.WriteFile(filepath.Join(w.Dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := readStatus(t, w)
	if len(s.Mounts) != 1 || s.Mounts[0].Mountpoint != w.Dir || s.Mounts[0].CacheDir != w.Cache || s.Mounts[0].Source != "oss://"+procenv.Bucket {
		t.Errorf("status: %+v", s)
	}
	ask(t, w, nil, "sync", filepath.Join(w.Dir, "file")).want(t, ok)
	if _, _, err := w.Server.ReadObject(procenv.Bucket, "file"); err != nil {
		t.Errorf("after sync: %v", err)
	}
	if s := readStatus(t, w); s.Mounts[0].PendingFiles != 0 || s.Mounts[0].Requests.Put == 0 {
		t.Errorf("status after sync: %+v", s)
	}
	human := ask(t, w, nil, "status", w.Dir)
	human.want(t, ok)
	if !strings.Contains(human.stdout, "pending     0 files") {
		t.Errorf("status for people:\n%s", human.stdout)
	}
	info, err := os.Stat(s.Mounts[0].LogFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("log: %v, %v", info.Mode(), err)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	wantNoSession(t, w)
	ask(t, w, nil, "umount", w.Dir).want(t, mountPoint, "nothing of ours is mounted")
	ask(t, w, nil, "status", w.Dir).want(t, mountPoint, "nothing of ours is mounted")
	ask(t, w, nil, "sync", w.Dir).want(t, mountPoint, "is not in a mount")
}

// TestStatusCheck: a script can ask whether the bucket has everything.
func TestStatusCheck(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	ask(t, w, nil, "status", "--check", w.Dir).want(t, ok)
	w.Server.AddFault(emulator.Fault{Operation: "PutObject", Status: 403, Code: "AccessDenied"})
	if err := os.WriteFile(filepath.Join(w.Dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, w, nil, "status", "--check"); a.code != pending || a.stdout != "" {
		t.Errorf("while a file is pending: exit code %d, %q", a.code, a.stdout)
	}
	w.Server.ClearFaults()
	ask(t, w, nil, "sync", w.Dir).want(t, ok)
	ask(t, w, nil, "status", "--check", w.Dir).want(t, ok)
	if err := os.Remove(filepath.Join(w.Dir, "file")); err != nil {
		t.Fatal(err)
	}
	ask(t, w, nil, "status", "--check", w.Dir).want(t, pending)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	ask(t, w, nil, "status", "--check", w.Dir).want(t, mountPoint, "nothing of ours is mounted")
}

// TestBusyMountStays: umount of a mount in use says so and changes nothing.
func TestBusyMountStays(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	f, err := os.Create(filepath.Join(w.Dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, mountPoint, "is busy", "fuser")
	if _, err := f.WriteString("still works"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	wantNoSession(t, w)
}

// TestUmountNowLeavesUploads: the number of files is said, and the next mount uploads them.
func TestUmountNowLeavesUploads(t *testing.T) {
	w := procenv.New(t)
	mount(t, w, "--settle", "1h")
	w.Server.AddFault(emulator.Fault{Operation: "PutObject", Status: 503, Code: "ServiceUnavailable"})
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(w.Dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := ask(t, w, nil, "umount", "--now", w.Dir)
	a.want(t, pending, "the next mount with cache folder "+w.Cache+" uploads them")
	if !strings.Contains(a.stdout, "not in the bucket yet: 3 files") {
		t.Errorf("umount --now said %q", a.stdout)
	}
	wantNoSession(t, w)
	w.Server.ClearFaults()
	if a := mount(t, w); !strings.Contains(a.stdout, "it goes on with 3 files, 3 B, of an earlier mount") {
		t.Errorf("the next mount said %q", a.stdout)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	for _, name := range []string{"a", "b", "c"} {
		if _, _, err := w.Server.ReadObject(procenv.Bucket, name); err != nil {
			t.Error(err)
		}
	}
}

// TestSignalEndsInOrder: SIGTERM uploads and unmounts, with exit code 0.
func TestSignalEndsInOrder(t *testing.T) {
	w := procenv.New(t)
	cmd := exec.Command(procenv.Binary(t), mountArgs(w, "--foreground", "--settle", "1h")...)
	cmd.Env = w.Env()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	procenv.WaitFor(t, "the mount", func() bool { return procenv.Mounted(w.Dir) && len(readStatus(t, w).Mounts) == 1 })
	if err := os.WriteFile(filepath.Join(w.Dir, "late"), []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the daemon ended with %v\n%s", err, &errs)
	}
	if _, _, err := w.Server.ReadObject(procenv.Bucket, "late"); err != nil {
		t.Error(err)
	}
	wantNoSession(t, w)
}

// TestMountHelper: mount.fuse and mount(8) call the program without a command word.
func TestMountHelper(t *testing.T) {
	w := procenv.New(t)
	options := "rw,noauto,user,_netdev,nofail,x-systemd.mount-timeout=30,nosuid,nodev,region=" + w.Server.Region() + ",rsa_key=" + w.Key + ",cache_dir=" + w.Cache
	ask(t, w, nil, "oss://"+procenv.Bucket+"/sub", w.Dir, "-o", options).want(t, ok)
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if want := "oss://" + procenv.Bucket + "/sub " + w.Dir + " fuse.ossencfs rw,nosuid,nodev"; !strings.Contains(string(mounts), want) {
		t.Errorf("the mount table lacks %q", want)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	ask(t, w, nil, "oss://"+procenv.Bucket+"/sub", w.Dir, "-o", strings.Replace(options, "rw,", "ro,", 1)).want(t, ok)
	if err := os.WriteFile(filepath.Join(w.Dir, "x"), nil, 0o600); !strings.Contains(errText(err), "read-only") {
		t.Errorf("write to a read-only mount: %v", err)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	wantNoSession(t, w)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestUnmountFromOutside: after fusermount3 -u or umount(8) the daemon uploads what is left and ends by itself.
func TestUnmountFromOutside(t *testing.T) {
	w := procenv.New(t)
	mount(t, w, "--settle", "1h")
	if err := os.WriteFile(filepath.Join(w.Dir, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	procenv.Detach(t, w.Dir)
	wantNoSession(t, w)
	if _, _, err := w.Server.ReadObject(procenv.Bucket, "file"); err != nil {
		t.Error(err)
	}
}
