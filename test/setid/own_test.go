package setid

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// access asks with the rights of the caller as access(2) does.
func access(mode uint32) func(string) error {
	return func(path string) error { return unix.Access(path, mode) }
}

// ownCalls are calls that take a right; each leaves the folder as it was.
var ownCalls = map[string]func(path string) error{
	"access, read":      access(unix.R_OK),
	"access, write":     access(unix.W_OK),
	"access, run":       access(unix.X_OK),
	"access in it":      func(p string) error { return unix.Access(p+"/entry", unix.F_OK) },
	"working directory": func(p string) error { return inWorkingDirectory(p) },
	"the same, by dot":  func(p string) error { return unix.Access(p+"/.", unix.F_OK) },
	"fifo": func(p string) error {
		return closed(unix.Open(filepath.Dir(p)+"/fifo", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0))
	},
	"open, read":     judgedCalls["read"].call,
	"open, write":    judgedCalls["write"].call,
	"open, truncate": func(p string) error { return closed(unix.Open(p, unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)) },
	"create":         func(p string) error { return errors.Join(unix.Mkdir(p+"/new", 0o700), removed(p+"/new")) },
}

// removed removes what a call made, if it has.
func removed(path string) error {
	if err := unix.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.EACCES) {
		return err
	}
	return nil
}

// inWorkingDirectory opens a folder and goes there, with a working directory of the thread's own.
func inWorkingDirectory(dir string) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return errors.Join(errSetup, err)
	}
	return unix.Chdir(dir)
}

// TestModesHoldForTheOwner: without --allow-other, too, a mode is what it is on a local disk, for the user of the mount himself: a file of mode 444 is not
// overwritten, a program without x is not run, and access(2) tells so.
func TestModesHoldForTheOwner(t *testing.T) {
	requireRoot(t)
	local := ext4(t)
	for name, mount := range map[string]gofs.Options{"mount": {}, "writeback": {Writeback: true}} {
		dir := testenv.New(t, testenv.Options{Mount: mount}).Dir
		for _, in := range []string{local, dir} {
			must(t, errors.Join(os.WriteFile(in+"/file", []byte("text"), 0o600), os.Mkdir(in+"/dir", 0o700), entry(in+"/dir"), unix.Mkfifo(in+"/fifo", 0o600)))
		}
		for _, mode := range []uint32{0, 0o111, 0o444, 0o555, 0o644, 0o070, 0o007, 0o700, 0o755} {
			for _, owner := range []int{0, owner} {
				for _, who := range itself {
					for call, do := range ownCalls {
						for _, kind := range []string{"file", "dir"} {
							var got [2]string
							for n, in := range []string{local, dir} {
								path := filepath.Join(in, kind)
								for _, p := range []string{path, in + "/fifo"} {
									must(t, errors.Join(unix.Chown(p, owner, team), unix.Chmod(p, mode)))
								}
								err := who.as(func() error { return do(path) })
								if errors.Is(err, errSetup) {
									t.Fatal(err)
								}
								got[n] = fmt.Sprint(err)
							}
							if got[1] != got[0] {
								t.Errorf("%s: %s of %s, %04o of %d, %s: got %s, want %s", name, call, kind, mode, owner, who.name, got[1], got[0])
							}
						}
					}
				}
			}
		}
		must(t, errors.Join(os.RemoveAll(local+"/file"), os.RemoveAll(local+"/dir"), os.Remove(local+"/fifo")))
	}
}

// TestNewTreeIsEntered: of a path whose directories are all new to the cache, each of which the call itself learns to have another mode than was thought, the
// last is reached at once. The kernel looks again once for a whole path.
func TestNewTreeIsEntered(t *testing.T) {
	for _, mount := range []gofs.Options{{}, {AllowOther: true}} {
		env := testenv.New(t, testenv.Options{Mount: mount})
		const path = "a/b/c/d/e/f"
		must(t, os.MkdirAll(env.Path(path), 0o700))
		must(t, os.WriteFile(env.Path(path, "file"), []byte("text"), 0o600))
		env.DropCache()
		entries, err := os.ReadDir(env.Path(path))
		if err != nil || len(entries) != 1 {
			t.Errorf("%+v: %d entries, %v", mount, len(entries), err)
		}
		env.DropCache()
		if got, err := os.ReadFile(env.Path(path, "file")); err != nil || string(got) != "text" {
			t.Errorf("%+v: got %q, %v", mount, got, err)
		}
		env.DropCache()
		if err := os.Remove(env.Path(path, "file")); err != nil {
			t.Errorf("%+v: %v", mount, err)
		}
	}
}
