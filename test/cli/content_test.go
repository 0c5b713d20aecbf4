package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestNamesThatOSSCannotHold are refused at once, not when they are uploaded.
func TestNamesThatOSSCannotHold(t *testing.T) {
	w := procenv.New(t)
	mount(t, w)
	deep := w.Dir
	for range 4 {
		deep = filepath.Join(deep, strings.Repeat("d", 250))
	}
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, path string
		want       error
	}{
		{"component of 256 bytes", filepath.Join(w.Dir, strings.Repeat("x", 256)), syscall.ENAMETOOLONG},
		{"key of more than 1023 bytes", filepath.Join(deep, strings.Repeat("x", 30)), syscall.ENAMETOOLONG},
		{"backslash in front", filepath.Join(w.Dir, `\x`), syscall.EINVAL},
		{"hidden area", filepath.Join(w.Dir, ".ossencfs"), syscall.EACCES},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := os.WriteFile(tc.path, nil, 0o600); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
}

// TestObjectThatCannotBeDecrypted is EIO for its reader, and two lines in the log: what was not believed, and the call that failed for it.
// Everything else goes on.
func TestObjectThatCannotBeDecrypted(t *testing.T) {
	w := procenv.New(t)
	for _, name := range []string{"good", "damaged"} {
		ask(t, w, nil, "put", w.Key, "oss://"+procenv.Bucket+"/"+name, "--rsa-key", w.Key).want(t, ok)
	}
	err := w.Server.AlterObject(procenv.Bucket, "damaged", func(h http.Header, body []byte) []byte {
		for name := range h {
			if low := strings.ToLower(name); strings.HasSuffix(low, "-key") || strings.HasSuffix(low, "-start") {
				h[name] = []string{strings.Repeat("A", len(h[name][0]))}
			}
		}
		return body
	})
	if err != nil {
		t.Fatal(err)
	}
	a := mount(t, w)
	if _, err := os.ReadFile(filepath.Join(w.Dir, "damaged")); !errors.Is(err, syscall.EIO) {
		t.Errorf("damaged: got %v, want EIO", err)
	}
	if _, err := os.ReadFile(filepath.Join(w.Dir, "good")); err != nil {
		t.Errorf("good: %v", err)
	}
	log, err := os.ReadFile(filepath.Join(w.Cache, "ossencfs.log"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(log, []byte("\n")); n != 2 || bytes.Count(log, []byte("path=/damaged ")) != 2 || !bytes.Contains(log, []byte("kind=tampered")) {
		t.Errorf("want two lines that name the object, got:\n%s%s", log, a.stderr)
	}
	ask(t, w, nil, "get", "oss://"+procenv.Bucket+"/damaged", filepath.Join(w.Base, "out"), "--rsa-key", w.Key).want(t, trust, "damaged")
	if _, err := os.Stat(filepath.Join(w.Base, "out")); err == nil {
		t.Error("get left a file")
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
}

// TestPutGetInspect: whole files without a mount, empty and in parts too.
func TestPutGetInspect(t *testing.T) {
	w := procenv.New(t)
	for _, tc := range []struct {
		name string
		size int
		more []string
	}{{"empty", 0, nil}, {"small", 1000, nil}, {"in parts", 1 << 20, []string{"--multipart-threshold", "200KiB", "--part-size", "112KiB"}}} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Repeat("canary-55aa ", tc.size/12+1)[:tc.size]
			in := write(t, filepath.Join(t.TempDir(), "in"), text, 0o640)
			out := filepath.Join(t.TempDir(), "out")
			url := "oss://" + procenv.Bucket + "/dir/" + strings.ReplaceAll(tc.name, " ", "-")
			ask(t, w, nil, append([]string{"put", in, url, "--rsa-key", w.Key}, tc.more...)...).want(t, ok)
			ask(t, w, nil, "get", url, out, "--rsa-key", w.Key).want(t, ok)
			got, err := os.ReadFile(out)
			if err != nil || string(got) != text {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
			if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode: %v, %v", info, err)
			}
			ask(t, w, nil, "get", url, out, "--rsa-key", w.Key).want(t, 1, "exists already", "--force")
			ask(t, w, nil, "get", url, out, "--rsa-key", w.Key, "--force").want(t, ok)
			a := ask(t, w, nil, "get", url, "-", "--rsa-key", w.Key)
			if a.stdout != text {
				t.Errorf("to the standard output: %d bytes", len(a.stdout))
			}
			a = ask(t, w, nil, "inspect", url)
			a.want(t, ok)
			if !strings.Contains(a.stdout, "RSA/NONE/PKCS1Padding") {
				t.Errorf("inspect says:\n%s", a.stdout)
			}
		})
	}
	ask(t, w, nil, "get", "oss://"+procenv.Bucket+"/none", filepath.Join(w.Base, "o"), "--rsa-key", w.Key).want(t, bucket, "object not found")
	ask(t, w, nil, "inspect", "oss://"+procenv.Bucket+"/none").want(t, bucket, "object not found")
	ask(t, w, nil, "put", filepath.Join(w.Base, "none"), "oss://"+procenv.Bucket+"/x", "--rsa-key", w.Key).want(t, 1, "no such file")
	ask(t, w, nil, "put", w.Base, "oss://"+procenv.Bucket+"/x", "--rsa-key", w.Key).want(t, usage, "is a directory")
	ask(t, w, nil, "keygen", w.Key).want(t, 1, "exists already")
}

// TestSecretsStayOut: no passphrase, access key secret or content in logs, records and command lines.
func TestSecretsStayOut(t *testing.T) {
	w := procenv.New(t)
	passphrase := "canary-passphrase-9c1d"
	file := write(t, filepath.Join(w.Base, "passphrase"), passphrase+"\n", 0o600)
	locked := otherKey(t, w, "locked.pem", "--key-passphrase-file", file)
	ask(t, w, nil, "mount", "oss://"+procenv.Bucket+"/locked", w.Dir, "--rsa-key", locked, "--key-passphrase-file", file, "--cache-dir", w.Cache, "--log-level", "debug").want(t, ok)
	content := "canary-content-77e0"
	if err := os.WriteFile(filepath.Join(w.Dir, "file"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	ask(t, w, nil, "sync", w.Dir).want(t, ok)
	for _, id := range processes(t, w) {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(id), "cmdline"))
		if err == nil && (bytes.Contains(line, []byte(passphrase)) || bytes.Contains(line, []byte(w.Server.AccessKeySecret()))) {
			t.Errorf("a secret is on the command line %q", line)
		}
	}
	secrets := []string{passphrase, content, w.Server.AccessKeySecret()}
	search(t, filepath.Join(w.Base, "run"), secrets)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	search(t, w.Cache, secrets)
	search(t, w.Store, secrets[:2])
}

// search looks for texts in all files below a folder.
func search(t *testing.T, dir string, texts []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, text := range texts {
			if bytes.Contains(data, []byte(text)) {
				t.Errorf("%s holds %s", path, text)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDemo: one command gives a working mount; the exit code of what runs in it is passed on; nothing plain is kept.
func TestDemo(t *testing.T) {
	w := procenv.New(t)
	dir := filepath.Join(w.Base, "demo", "mnt")
	a := ask(t, w, nil, "demo", dir, "--", "sh", "-c", "echo canary-demo > motto.txt; cat motto.txt; umask")
	a.want(t, ok)
	if !strings.Contains(a.stdout, "canary-demo\n") {
		t.Errorf("the command printed %q", a.stdout)
	}
	search(t, filepath.Join(w.Base, "demo"), []string{"canary-demo"})
	a = ask(t, w, nil, "demo", dir, "--", "sh", "-c", "cat motto.txt; exit 7")
	if a.code != 7 || !strings.Contains(a.stdout, "canary-demo\n") {
		t.Errorf("the second demo: exit code %d, %q %q", a.code, a.stdout, a.stderr)
	}
	ask(t, w, nil, "demo", dir, "--", "no-such-command-here").want(t, 127)
	if procenv.Mounted(dir) {
		t.Error("the demo left its mount")
	}
	wantNoSession(t, w)
}

// TestDemoServesItself: a demo is one process by design, and what its status says of that is so, and what it advises can be done.
func TestDemoServesItself(t *testing.T) {
	w := procenv.New(t)
	dir := filepath.Join(w.Base, "demo", "mnt")
	const so = "a demo serves its mount itself, so the two end together"
	a := ask(t, w, nil, "demo", dir, "--", procenv.Binary(t), "status")
	if a.want(t, ok); !strings.Contains(a.stdout, so) || strings.Contains(a.stdout, "supervisor") {
		t.Errorf("status says %s", a.stdout)
	}
	ask(t, w, nil, "demo", dir, "--", procenv.Binary(t), "status", "--check").want(t, ok)
	ask(t, w, nil, "demo", dir, "--", procenv.Binary(t), "upgrade", dir).want(t, 1, so, "start it again")
}

// TestDemoAsOrdinaryUser does the same without privilege, with fusermount3.
func TestDemoAsOrdinaryUser(t *testing.T) {
	info, err := os.Stat("/dev/fuse")
	if os.Geteuid() != 0 {
		t.Skip("this is an ordinary user: TestDemo is this test")
	}
	if err != nil || info.Mode().Perm()&0o006 != 0o006 {
		t.Skip("/dev/fuse is for root only on this machine")
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		t.Skip("fusermount3 is not installed")
	}
	const nobody = 65534
	base, err := os.MkdirTemp("", "ossencfs-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	binary := filepath.Join(base, "ossencfs")
	program, err := os.ReadFile(procenv.Binary(t))
	if err == nil {
		err = errors.Join(os.WriteFile(binary, program, 0o755), os.Chown(base, nobody, nobody))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "demo", filepath.Join(base, "mnt"), "--", "sh", "-c", "id -u; echo hello > f; cat f")
	cmd.Dir = base
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + base, "OSSENCFS_RUNTIME_DIR=" + filepath.Join(base, "run")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "65534\nhello\n" {
		t.Errorf("%v\n%s", err, out)
	}
	if procenv.Mounted(filepath.Join(base, "mnt")) {
		t.Error("the demo left its mount")
	}
}

// TestSDKDebugging: the Alibaba SDK prints requests and answers of KMS, keys included, where DEBUG asks for it.
func TestSDKDebugging(t *testing.T) {
	w := procenv.New(t)
	plain := filepath.Join(w.Base, "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := ask(t, w, []string{"DEBUG=sdk,tea"}, "put", plain, "oss://"+procenv.Bucket+"/f", "--kms-key", w.Server.KMSKeyID(), "--kms-endpoint", w.Server.KMSEndpoint())
	got.want(t, ok)
	for _, secret := range []string{"Plaintext", "CiphertextBlob", "Signature"} {
		if strings.Contains(got.stdout+got.stderr, secret) {
			t.Errorf("%q is in the output:\n%.500s", secret, got.stdout+got.stderr)
		}
	}
}
