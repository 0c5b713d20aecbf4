package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// fifo makes a named pipe that nobody writes into.
func fifo(t *testing.T, w *procenv.World) string {
	t.Helper()
	path := filepath.Join(w.Base, "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNamedPipesAreRefused: wherever a file can be named, a named pipe and a device are refused at once, by their kind.
func TestNamedPipesAreRefused(t *testing.T) {
	w := procenv.New(t)
	pipe := fifo(t, w)
	url := "oss://" + procenv.Bucket + "/x"
	home := filepath.Join(w.Base, "home")
	if err := errors.Join(os.Mkdir(home, 0o700), unix.Mkfifo(filepath.Join(home, ".ossutilconfig"), 0o600)); err != nil {
		t.Fatal(err)
	}
	locked := otherKey(t, w, "locked.pem", "--key-passphrase-file", write(t, filepath.Join(w.Base, "pass"), "passphrase", 0o600))
	get := []string{"get", url, "-", "--rsa-key", w.Key}
	for name, args := range map[string][]string{
		"rsa-key":             {"get", url, "-", "--rsa-key", pipe},
		"read-rsa-key":        append(get, "--read-rsa-key", pipe),
		"rsa-key of a mount":  {"mount", "oss://" + procenv.Bucket, w.Dir, "--rsa-key", pipe, "--cache-dir", w.Cache},
		"key-passphrase-file": {"get", url, "-", "--rsa-key", locked, "--key-passphrase-file", pipe},
		"config":              append(get, "--config", pipe),
		"ca-file":             append(get, "--ca-file", pipe),
		"credentials":         append(get, "--credentials", "ossutil"),
		"host-bundle":         {"mount", "oss://" + procenv.Bucket, w.Dir, "--host-bundle", pipe, "--cache-dir", w.Cache},
		"log-file":            mountArgs(w, "--log-file", pipe),
		"recovery-code-file":  {"key", "check", "oss://" + procenv.Bucket, "--recovery-code-file", pipe},
		"key import":          {"key", "import", "oss://" + procenv.Bucket, pipe, "--rsa-key", w.Key},
		"new-rsa-key":         {"key", "add", "oss://" + procenv.Bucket, "--rsa-key", w.Key, "--new-rsa-key", pipe},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, w, []string{"HOME=" + home}, args...)
			if a.code == ok || !strings.Contains(a.stderr, "is a named pipe, not a file") {
				t.Errorf("exit code %d\n%s", a.code, a.stderr)
			}
		})
	}
	ask(t, w, nil, append(get, "--config", "/dev/zero")...).want(t, usage, "/dev/zero is a device, not a file")
	wantNothingLeft(t, w)
}

// TestFilesOfOthersAreRefused: what others can write decides nothing, what they can read is no secret, and each is told with what mends it.
func TestFilesOfOthersAreRefused(t *testing.T) {
	w := procenv.New(t)
	url := "oss://" + procenv.Bucket + "/x"
	pass := write(t, filepath.Join(w.Base, "pass"), "passphrase", 0o600)
	locked := otherKey(t, w, "locked.pem", "--key-passphrase-file", pass)
	ask(t, w, nil, "put", pass, url, "--rsa-key", locked, "--key-passphrase-file", pass).want(t, ok)
	code := write(t, filepath.Join(w.Base, "code"), "AAAAA-AAAAA-AAAAA-AAAAA-AAAAA-AAAAA", 0o640)
	public := locked + ".pub"
	home := filepath.Join(w.Base, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	ossutil := write(t, filepath.Join(home, ".ossutilconfig"), "[default]\naccessKeyID=a\naccessKeySecret=b\n", 0o662)
	ca := write(t, filepath.Join(w.Base, "ca.pem"), string(w.Server.CACertPEM()), 0o622)
	for name, c := range map[string]struct {
		file string
		mode os.FileMode
		args []string
		mend string
	}{
		"passphrase, group":    {pass, 0o640, []string{"get", url, "-", "--rsa-key", locked, "--key-passphrase-file", pass}, "chmod 600"},
		"passphrase, world":    {pass, 0o604, []string{"get", url, "-", "--rsa-key", locked, "--key-passphrase-file", pass}, "chmod 600"},
		"of a new key":         {pass, 0o644, []string{"keygen", filepath.Join(w.Base, "new.pem"), "--key-passphrase-file", pass}, "chmod 600"},
		"recovery code":        {code, 0o640, []string{"key", "check", "oss://" + procenv.Bucket, "--recovery-code-file", code}, "chmod 600"},
		"public key":           {public, 0o664, []string{"key", "export-host", "oss://" + procenv.Bucket, filepath.Join(w.Base, "bundle"), "--name", "n", "--rsa-key", locked, "--key-passphrase-file", pass, "--rsa-public", public}, "chmod go-w"},
		"credentials":          {ossutil, 0o662, []string{"get", url, "-", "--rsa-key", w.Key, "--credentials", "ossutil"}, "chmod go-w"},
		"certificates":         {ca, 0o622, []string{"get", url, "-", "--rsa-key", w.Key, "--ca-file", ca}, "chmod go-w"},
		"log, world":           {write(t, filepath.Join(w.Base, "log"), "", 0o602), 0o602, mountArgs(w, "--log-file", filepath.Join(w.Base, "log")), "chmod go-w"},
		"private key of a put": {w.Key, 0o640, []string{"put", pass, url, "--rsa-key", w.Key}, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Chmod(c.file, c.mode); err != nil {
				t.Fatal(err)
			}
			a := ask(t, w, []string{"HOME=" + home}, c.args...)
			if a.code == ok || !strings.Contains(a.stderr, c.file) || !strings.Contains(a.stderr, "ossencfs: hint: ") || !strings.Contains(a.stderr, c.mend+" "+c.file) {
				t.Errorf("exit code %d\n%s", a.code, a.stderr)
			}
			if err := os.Chmod(c.file, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	wantNothingLeft(t, w)
}

// TestKeyFolderOfThePythonSDK: the SDK writes its private key as the umask lets it, and such a key is refused. The one command of the hint, as it
// is printed, is enough.
func TestKeyFolderOfThePythonSDK(t *testing.T) {
	w := procenv.New(t)
	content := write(t, filepath.Join(w.Base, "content"), "content", 0o600)
	for name, mode := range map[string]os.FileMode{"umask 022": 0o644, "umask 002": 0o664, "umask 0": 0o666} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(w.Base, "home of "+name, ".oss-local-rsa")
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			for from, to := range map[string]string{w.Key: ".private_key.pem", w.Key + ".pub": ".public_key.pem"} {
				text, err := os.ReadFile(from)
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(folder, to), string(text), mode)
			}
			put := []string{"put", content, "oss://" + procenv.Bucket + "/" + name, "--rsa-key", folder}
			a := ask(t, w, nil, put...)
			a.want(t, key, "is open to others", "ossencfs: hint: close it: chmod 600 ")
			_, line, _ := strings.Cut(a.stderr, "hint: close it: ")
			line, _, _ = strings.Cut(line, "\n")
			if out, err := exec.Command("/bin/sh", "-c", line).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
			ask(t, w, nil, put...).want(t, ok)
		})
	}
}

// TestLogsOfOthersAreRefused: a background mount does not write into a file that somebody else owns or has another name for.
func TestLogsOfOthersAreRefused(t *testing.T) {
	w := procenv.New(t)
	log := write(t, filepath.Join(w.Base, "log"), "", 0o600)
	victim := write(t, filepath.Join(w.Base, "victim"), "text", 0o600)
	refused := func(words ...string) {
		t.Helper()
		ask(t, w, nil, mountArgs(w, "--log-file", log)...).want(t, 1, append(words, "log file: "+log)...)
		wantNothingLeft(t, w)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(log, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		refused("belongs to user 65534", "hint: name another file")
	}
	if err := errors.Join(os.Remove(log), os.Link(victim, log)); err != nil {
		t.Fatal(err)
	}
	refused("hard link")
	if err := errors.Join(os.Remove(log), os.Symlink(victim, log)); err != nil {
		t.Fatal(err)
	}
	refused("is a symbolic link")
	if text, err := os.ReadFile(victim); err != nil || string(text) != "text" {
		t.Errorf("got %q, %v", text, err)
	}
	ask(t, w, nil, mountArgs(w, "--log-file", "/dev/null")...).want(t, ok)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
}

// TestFailedMountLeavesOtherLogs: a mount that fails takes away the empty log that it made with its cache folder, and no file elsewhere.
func TestFailedMountLeavesOtherLogs(t *testing.T) {
	w := procenv.New(t)
	log := write(t, filepath.Join(w.Base, "log"), "", 0o600)
	ask(t, w, []string{"OSS_ACCESS_KEY_SECRET=wrong"}, mountArgs(w, "--log-file", log)...).want(t, credentials)
	if _, err := os.Stat(log); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, w)
}
