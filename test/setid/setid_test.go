// Package setid compares what becomes of set-user-id and set-group-id bits on a mount with ext4: every call, by everybody, on every mode.
// The kernel leaves that to the file system (HANDLE_KILLPRIV_V2), and who may write to a program of somebody else must not get his rights.
package setid

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/test/loopdisk"
	"github.com/ossencfs/ossencfs/test/procenv"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// size is that of the files before the calls.
const size = 8192

// modes has each combination of the bits with execution by the group, writable for all or not.
var modes = []uint32{0o777, 0o4777, 0o2777, 0o2767, 0o6767, 0o6755}

// mounts are those that serve others.
var mounts = map[string]gofs.Options{
	"mount":     {AllowOther: true, Suid: true},
	"writeback": {AllowOther: true, Suid: true, Writeback: true},
}

// requireRoot skips: only root has other users, and a mount that keeps these bits for them.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can act as other users")
	}
}

// ext4 is a folder on an ext4 that others may use, to compare with.
func ext4(t *testing.T) string {
	t.Helper()
	dir := openFolder(t, t.TempDir())
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type == unix.EXT4_SUPER_MAGIC {
		return dir
	}
	return openFolder(t, loopdisk.New(t, t.TempDir(), 64).Dir())
}

// openFolder lets everybody write to a folder, and come to it from the temporary folder of the machine.
func openFolder(t *testing.T, dir string) string {
	t.Helper()
	must(t, os.Chmod(dir, 0o777))
	own := filepath.Clean(os.TempDir()) + "/"
	if !strings.HasPrefix(dir, own) {
		t.Fatalf("%s is not below %s, and no other folder is to be opened", dir, own)
	}
	for d := filepath.Dir(dir); strings.HasPrefix(d, own); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o711))
	}
	return dir
}

// mounted is a mount that others may use, served by this process.
func mounted(t *testing.T, o gofs.Options) string {
	t.Helper()
	return openFolder(t, testenv.New(t, testenv.Options{Mount: o}).Dir)
}

// daemon is the same, served by the product as users run it.
func daemon(t *testing.T) string {
	t.Helper()
	w := procenv.New(t)
	w.Mount(t, "--allow-other", "--suid")
	return openFolder(t, w.Dir)
}

func TestMain(m *testing.M) { procenv.Main(m) }

// TestSetID tries every call as everybody on files of every mode, and compares what it answers and the mode that the file has then.
// The kernel's memory of the mode counts: with that it runs programs.
func TestSetID(t *testing.T) {
	requireRoot(t)
	local, dirs := ext4(t), map[string]string{"daemon": daemon(t), "writeback": mounted(t, mounts["writeback"])}
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			for _, mode := range modes {
				for _, who := range callers {
					want := try(t, local, c, who, mode)
					for name, dir := range dirs {
						if got := try(t, dir, c, who, mode); got != want {
							t.Errorf("%s, %04o, %s: got %s, want %s", name, mode, who.name, got, want)
						}
					}
				}
			}
		})
	}
}

// try makes a file, lets somebody call, and tells the answer and the mode.
func try(t *testing.T, dir string, c call, who caller, mode uint32) string {
	t.Helper()
	at := target{path: filepath.Join(dir, "file"), sibling: filepath.Join(dir, "sibling")}
	source := filepath.Join(dir, "source")
	must(t, errors.Join(os.WriteFile(at.path, make([]byte, size), 0o600), os.WriteFile(source, make([]byte, size), 0o600)))
	must(t, errors.Join(unix.Chown(at.path, owner, team), unix.Chmod(at.path, mode)))
	var err error
	if at.fd, err = unix.Open(at.path, unix.O_RDWR|unix.O_CLOEXEC|c.flags, 0); err != nil {
		t.Fatal(err)
	}
	if at.source, err = unix.Open(source, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	answer := who.as(func() error { return c.do(&at) })
	if errors.Is(answer, errSetup) {
		t.Fatal(answer)
	}
	must(t, errors.Join(unix.Close(at.fd), unix.Close(at.source)))
	remembered, asked := modeOf(t, at.path, unix.STATX_MODE), modeOf(t, at.path, unix.STATX_BASIC_STATS)
	if c.unrefused {
		answer = nil
	}
	if remembered != asked {
		return fmt.Sprintf("%v, %04o, but %04o for the kernel", answer, asked, remembered)
	}
	must(t, errors.Join(os.Remove(at.path), os.Remove(source)))
	return fmt.Sprintf("%v, %04o", answer, asked)
}

// modeOf asks for some attributes: for the mode alone the kernel answers from memory unless it was told to forget it.
func modeOf(t *testing.T, path string, mask int) uint16 {
	t.Helper()
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, mask, &st); err != nil {
		t.Fatal(err)
	}
	return st.Mode & 0o7777
}

// TestProgramChangedByOthers has somebody write his own program into one that is set-user-id, and run it at once: it runs as himself.
func TestProgramChangedByOthers(t *testing.T) {
	requireRoot(t)
	program, err := exec.LookPath("id")
	if err != nil {
		t.Skip(err)
	}
	content, err := os.ReadFile(program)
	must(t, err)
	for name, o := range mounts {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(mounted(t, o), "program")
			must(t, errors.Join(os.WriteFile(path, []byte("root's own"), 0o700), unix.Chmod(path, 0o4777)))
			must(t, (caller{uid: other, gid: other}).as(func() error { return overwrite(path, content) }))
			// A shell runs it: this process serves the mount, and has to go on while the kernel reads the program from it.
			cmd := exec.Command("/bin/sh", "-c", `exec "$0" -u`, path)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: other, Gid: other}}
			out, err := cmd.CombinedOutput()
			if want := fmt.Sprintf("%d\n", other); err != nil || string(out) != want {
				t.Errorf("got %q, %v, want %q", out, err, want)
			}
		})
	}
}

// overwrite writes to a file without truncating it before.
func overwrite(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// TestNewFilesInSetGroupID makes files in folders of a group, as everybody.
func TestNewFilesInSetGroupID(t *testing.T) {
	requireRoot(t)
	local := ext4(t)
	for name, o := range mounts {
		t.Run(name, func(t *testing.T) {
			dir := mounted(t, o)
			for _, m := range makings {
				for _, mode := range []uint32{0o777, 0o2777, 0o2767} {
					for _, who := range callers {
						got, want := makeNew(t, dir, m, who, mode), makeNew(t, local, m, who, mode)
						if got != want {
							t.Errorf("%s in %04o, %s: got %s, want %s", m.name, mode, who.name, got, want)
						}
					}
				}
			}
		})
	}
}

// makeNew makes a folder, lets somebody make something in it, and tells the answer, the mode and the group.
func makeNew(t *testing.T, dir string, m making, who caller, mode uint32) string {
	t.Helper()
	in := filepath.Join(dir, "folder")
	must(t, os.Mkdir(in, 0o700))
	must(t, errors.Join(unix.Chown(in, owner, team), unix.Chmod(in, mode)))
	path := filepath.Join(in, "new")
	answer := who.as(func() error { return m.do(path) })
	if errors.Is(answer, errSetup) {
		t.Fatal(answer)
	}
	defer func() { must(t, os.RemoveAll(in)) }()
	if answer != nil {
		return answer.Error()
	}
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return fmt.Sprintf("%06o of %d:%d", st.Mode, st.Uid, st.Gid)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
