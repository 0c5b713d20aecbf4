package cli

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// contain starts a program in a mount namespace of its own, which gets a copy of the mount, and writes a file there that it keeps open. It gives up the
// copies of what other tests have mounted.
func contain(t *testing.T, w *procenv.World, name string) (pid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root makes mount namespaces here")
	}
	const script = `awk -v own="$1" '$5 ~ /^\/tmp\// && $5 != own {print $5}' /proc/self/mountinfo | sort -r | xargs -r umount -l -c -i -n
		exec 3>"$1/$2"; echo text >&3; echo ready; exec cat`
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", w.Dir, name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // its file went with the mount
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the contained program says %q, %v", line, err)
	}
	return cmd.Process.Pid
}

// wantStored expects a file of contain's in the bucket, and the cache free for another mount.
func wantStored(t *testing.T, w *procenv.World, name string) {
	t.Helper()
	wantNoSession(t, w)
	mount(t, w)
	if text, err := os.ReadFile(filepath.Join(w.Dir, name)); err != nil || string(text) != "text\n" {
		t.Errorf("%s: %q, %v", name, text, err)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	if _, _, err := w.Server.ReadObject(procenv.Bucket, name); err != nil {
		t.Error(err)
	}
}

// TestUmountOfACopiedMount: while another mount namespace has a copy of the mount, umount uploads, says who has it, and ends; the copy ends, too.
func TestUmountOfACopiedMount(t *testing.T) {
	for name, more := range map[string][]string{"plain": nil, "writeback": {"--writeback"}} {
		t.Run(name, func(t *testing.T) {
			w := procenv.New(t)
			mount(t, w, more...)
			pid := contain(t, w, "open")
			ask(t, w, nil, "umount", w.Dir).want(t, ok, fmt.Sprintf("that of process %d (cat)", pid))
			wantStored(t, w, "open")
		})
	}
	t.Run("from outside", func(t *testing.T) {
		w := procenv.New(t)
		mount(t, w)
		contain(t, w, "open")
		if err := syscall.Unmount(w.Dir, 0); err != nil {
			t.Fatal(err)
		}
		ask(t, w, nil, "umount", w.Dir).want(t, ok, "(cat)")
		wantStored(t, w, "open")
	})
}

// TestSignalWithACopiedMount: SIGTERM ends a mount that a container has a copy of, as it ends any other.
func TestSignalWithACopiedMount(t *testing.T) {
	w := procenv.New(t)
	cmd := exec.Command(procenv.Binary(t), mountArgs(w, "--foreground")...)
	cmd.Env = w.Env()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	procenv.WaitFor(t, "the mount", func() bool { return procenv.Mounted(w.Dir) })
	contain(t, w, "open")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the mount ended with %v", err)
	}
	wantStored(t, w, "open")
}
