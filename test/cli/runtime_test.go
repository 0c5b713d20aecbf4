package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// nobody is the id of a user who owns nothing.
const nobody = 65534

// as runs the program as another user, with nothing but the given environment.
func as(t *testing.T, uid uint32, program string, env []string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), procenv.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir = append(env, "PATH="+os.Getenv("PATH")), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code tells
	return answer{code: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errs.String()}
}

// publicDir is a folder that every user can reach; the test's own is closed to them.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ossencfs-public-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, os.ModeSticky|0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// publicBinary is the program where every user can run it.
func publicBinary(t *testing.T, dir string) string {
	t.Helper()
	from, err := os.Open(procenv.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "ossencfs")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// folderOf makes a folder that belongs to a user.
func folderOf(t *testing.T, uid int, path string) string {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, uid, uid); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTakenTemporaryFolder: somebody who makes ossencfs-UID in the temporary folder first stops nobody.
func TestTakenTemporaryFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be two users")
	}
	dir := publicDir(t)
	program, home := publicBinary(t, dir), folderOf(t, nobody, filepath.Join(dir, "home"))
	folderOf(t, nobody-1, filepath.Join(dir, "ossencfs-65534"))
	a := as(t, nobody, program, []string{"TMPDIR=" + dir, "HOME=" + home}, "status")
	a.want(t, ok)
	if a.stderr != "" {
		t.Errorf("status: %s", a.stderr)
	}
}

// rootEnv is the world's environment without a runtime folder, as after sudo -E in a login whose runtime folder is given.
func rootEnv(w *procenv.World, login string) []string {
	env := []string{"XDG_RUNTIME_DIR=" + login}
	for _, v := range w.Env() {
		if !strings.HasPrefix(v, "OSSENCFS_RUNTIME_DIR=") && !strings.HasPrefix(v, "XDG_RUNTIME_DIR=") {
			env = append(env, v)
		}
	}
	return env
}

// TestRootDoesNotFollowTheRuntimeFolderOfALogin: the folder of the user who became root is not used, whatever is in it, and a mount
// whose record an earlier release left there is found.
func TestRootDoesNotFollowTheRuntimeFolderOfALogin(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("for root")
	}
	w := procenv.New(t)
	dir := publicDir(t)
	login := folderOf(t, nobody, filepath.Join(dir, "login"))
	theirs := folderOf(t, nobody, filepath.Join(login, "ossencfs"))
	run := func(env []string, args ...string) answer {
		t.Helper()
		return as(t, 0, procenv.Binary(t), env, args...)
	}
	run(rootEnv(w, login), mountArgs(w)...).want(t, ok)
	t.Cleanup(func() {
		if procenv.Mounted(w.Dir) {
			run(rootEnv(w, login), "umount", "--now", w.Dir)
		}
	})
	if entries, err := os.ReadDir(theirs); err != nil || len(entries) != 0 {
		t.Errorf("in the user's folder: %v, %v", entries, err)
	}
	if a := run(rootEnv(w, dir), "status", w.Dir); a.code != ok || !strings.Contains(a.stdout, w.Dir) {
		t.Errorf("status in another login: exit code %d\n%s%s", a.code, a.stdout, a.stderr)
	}
	run(rootEnv(w, login), "umount", w.Dir).want(t, ok)

	own := folderOf(t, 0, filepath.Join(dir, "own"))
	run(append(rootEnv(w, own), "OSSENCFS_RUNTIME_DIR="+filepath.Join(own, "ossencfs")), mountArgs(w)...).want(t, ok)
	run(rootEnv(w, own), "sync", w.Dir).want(t, ok)
	run(rootEnv(w, own), "umount", w.Dir).want(t, ok)
	wantNoSession(t, w)
}

// TestRuntimeFolderIsRemoved: a mount whose runtime folder is taken away, as at the end of a login, is found again, also by another daemon.
func TestRuntimeFolderIsRemoved(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	found := func() bool { return len(readStatus(t, w).Mounts) == 1 && readStatus(t, w).Mounts[0].Error == "" }
	for range 2 {
		if err := os.RemoveAll(filepath.Join(w.Base, "run")); err != nil {
			t.Fatal(err)
		}
		procenv.WaitFor(t, "the mount to be found again", found)
		writeFile(t, w, "file")
		ask(t, w, nil, "sync", w.Dir).want(t, ok)
	}
	before := readStatus(t, w).Mounts[0].Daemon
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	procenv.WaitFor(t, "the next daemon to be found", func() bool { return found() && readStatus(t, w).Mounts[0].Daemon != before })
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	wantNoSession(t, w)
}
