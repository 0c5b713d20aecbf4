package space

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/procenv"
)

// pending is the exit code of a command that leaves something to be uploaded.
const pending = 3

// command runs the program, and expects an exit code and some texts.
func command(t *testing.T, w *procenv.World, code int, texts []string, args ...string) {
	t.Helper()
	cmd := exec.Command(procenv.Binary(t), args...)
	cmd.Env = w.Env()
	out, _ := cmd.CombinedOutput() // its exit code is looked at
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			t.Errorf("%s does not say %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
}

// TestCommandsOnFullDisk: where a file cannot be sealed because the disk of the cache is full, every command says so and how much stays; the mount can be
// ended and begun again meanwhile, the log on that disk goes on, and once there is room the file is uploaded.
func TestCommandsOnFullDisk(t *testing.T) {
	w, disk := diskWorldOf(t, 128)
	ballast := filepath.Join(disk.Dir(), "ballast") // with it the disk has no room for the file twice
	if err := os.WriteFile(ballast, content("ballast", 52<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	mount := []string{"mount", "oss://" + procenv.Bucket, w.Dir, "--rsa-key", w.Key, "--cache-dir", w.Cache}
	command(t, w, 0, nil, mount...)
	t.Cleanup(func() {
		if procenv.Mounted(w.Dir) {
			command(t, w, pending, nil, "umount", "--now", w.Dir)
		}
	})
	mustWrite(t, w, "sealed", content("sealed", 1000))
	f, err := os.Create(filepath.Join(w.Dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := content("open", 28<<20)
	w.Server.AddFault(emulator.Fault{Operation: "PutObject", Status: 503, Code: "ServiceUnavailable"})
	for at := len(data) - 1<<20; at >= 0; at -= 1 << 20 { // backwards, so that it is no stream
		if _, err := f.WriteAt(data[at:at+1<<20], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	disk.Fill()
	w.Server.ClearFaults()
	why := []string{"not in the bucket: /open: no room on this machine", "no space left on device"}
	command(t, w, pending, append(why, "hint: the local disk is full"), "sync", w.Dir)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	command(t, w, 0, nil, "sync", filepath.Join(w.Dir, "sealed"))
	command(t, w, pending, why, "sync", w.Dir)
	command(t, w, 0, []string{"1 file, 28.0 MiB", "/open: no room on this machine", "disk        full"}, "status", w.Dir)
	command(t, w, pending, nil, "status", "--check", w.Dir)
	left := append(why, "not in the bucket yet: 1 file, 28.0 MiB", "the next mount with cache folder "+w.Cache)
	command(t, w, pending, left, "umount", w.Dir)
	text, err := os.ReadFile(filepath.Join(w.Cache, "ossencfs.log"))
	if err != nil || !strings.Contains(string(text), "no space left on device") {
		t.Errorf("the log: %v: %s", err, text)
	}
	command(t, w, 0, nil, mount...)
	mustRead(t, w, "open", data)
	command(t, w, pending, left, "umount", w.Dir)
	if err := os.Remove(filepath.Join(w.Cache, "index", "reserve")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	disk.Fill()
	command(t, w, 1, []string{"the disk has room for 0 KiB, the index needs 4096"}, mount...)
	disk.Free()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	command(t, w, 0, nil, mount...)
	command(t, w, 0, []string{"the bucket has everything"}, "umount", w.Dir)
	readFromBucket(t, w, map[string][]byte{"open": data, "sealed": content("sealed", 1000)})
}
