package writeonly

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestHostSurvivesItsDaemon: a mount that can only write outlives its daemon, too: a file that is being written goes on with the next
// one, which has nothing but the bundle and the machine key.
func TestHostSurvivesItsDaemon(t *testing.T) {
	w := newWorld(t, "")
	d := w.host.Mount(t)
	f, err := os.Create(filepath.Join(w.host.Dir, "dump"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("before, "); err != nil {
		t.Fatal(err)
	}
	d.KillDaemon(t)
	if _, err := f.WriteString("after"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	w.host.Run(t, "sync", w.host.Dir)
	d.Unmount(t)
	got := filepath.Join(t.TempDir(), "dump")
	w.reader.Run(t, "get", "oss://"+procenv.Bucket+"/dump", got, "--rsa-key", w.reader.Key)
	if data, err := os.ReadFile(got); err != nil || string(data) != "before, after" {
		t.Errorf("the reader has %q, %v", data, err)
	}
}
