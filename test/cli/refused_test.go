package cli

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// otherKey makes a second key.
func otherKey(t *testing.T, w *procenv.World, name string, more ...string) string {
	t.Helper()
	path := filepath.Join(w.Base, name)
	w.Run(t, append([]string{"keygen", "--bits", "2048", path}, more...)...)
	return path
}

// write writes a file of the test.
func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMountRefusesWrongBucketAndCredentials: said at mount time, with a hint, no mount left behind.
func TestMountRefusesWrongBucketAndCredentials(t *testing.T) {
	w := procenv.New(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>welcome</html>"))
	}))
	defer web.Close()
	for _, tc := range []struct {
		name  string
		env   []string
		args  []string
		code  int
		texts []string
	}{
		{"bucket that does not exist", nil, []string{"mount", "oss://no-such-bucket", w.Dir, "--rsa-key", w.Key, "--cache-dir", w.Cache},
			bucket, []string{"no-such-bucket", "bucket not found", "hint: look at the bucket's name"}},
		{"bucket name that cannot exist", nil, []string{"mount", "oss://No_Bucket", w.Dir, "--rsa-key", w.Key, "--cache-dir", w.Cache},
			usage, []string{"No_Bucket", "lower-case"}},
		{"wrong region", nil, mountArgs(w, "--region", "us-west-1"), bucket, []string{"region", "hint: look at --endpoint and --region"}},
		{"nothing listens", nil, mountArgs(w, "--endpoint", "http://"+closedPort(t)), unreachable, []string{"server unreachable", "hint: look at --endpoint"}},
		{"no such host", nil, mountArgs(w, "--endpoint", "https://no-such-host.invalid"), unreachable, []string{"no-such-host.invalid", "hint: look at --endpoint"}},
		{"server that is not OSS", nil, mountArgs(w, "--endpoint", web.URL), bucket, []string{"wrong region or endpoint"}},
		{"endpoint that is no endpoint", nil, mountArgs(w, "--endpoint", "http://host/path"), usage, []string{"http://host/path"}},
		{"unknown access key", []string{"OSS_ACCESS_KEY_ID=LTAI0000"}, mountArgs(w), credentials, []string{"credentials refused", "hint: look at OSS_ACCESS_KEY_ID"}},
		{"wrong secret", []string{"OSS_ACCESS_KEY_SECRET=wrong"}, mountArgs(w), credentials, []string{"credentials refused", "hint: look at OSS_ACCESS_KEY_ID"}},
		{"wrong token", []string{"OSS_SESSION_TOKEN=1234"}, mountArgs(w), credentials, []string{"hint: look at OSS_ACCESS_KEY_ID"}},
		{"no credentials", []string{"OSS_ACCESS_KEY_ID=", "OSS_ACCESS_KEY_SECRET="}, mountArgs(w, "--credentials", "env"),
			credentials, []string{"hint: set OSS_ACCESS_KEY_ID"}},
		{"half a credential", []string{"OSS_ACCESS_KEY_SECRET="}, mountArgs(w), credentials, []string{"OSS_ACCESS_KEY_SECRET is not"}},
		{"credentials command that fails", nil, mountArgs(w, "--credentials", "command:false"), credentials, []string{"error"}},
		{"KMS that does not answer", nil, []string{"mount", "oss://" + procenv.Bucket, w.Dir, "--kms-key", "key-1", "--kms-endpoint", "http://" + closedPort(t), "--cache-dir", w.Cache},
			unreachable, []string{"KMS", "hint: look at --kms-endpoint"}},
		{"KMS key that does not exist", nil, []string{"mount", "oss://" + procenv.Bucket, w.Dir, "--kms-key", "key-1", "--kms-endpoint", w.Server.KMSEndpoint(), "--cache-dir", w.Cache},
			credentials, []string{"KMS", "kms:GenerateDataKey"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := ask(t, w, tc.env, tc.args...)
			a.want(t, tc.code, tc.texts...)
			wantNothingLeft(t, w)
		})
	}
}

// TestMountRefusesWrongKey: the canary object cannot be opened.
func TestMountRefusesWrongKey(t *testing.T) {
	w := procenv.New(t)
	ask(t, w, nil, "put", w.Key, "oss://"+procenv.Bucket+"/file", "--rsa-key", w.Key).want(t, ok)
	other := otherKey(t, w, "other.pem")
	with := func(more ...string) []string {
		return append([]string{"mount", "oss://" + procenv.Bucket, w.Dir, "--cache-dir", w.Cache}, more...)
	}
	a := ask(t, w, nil, with("--rsa-key", other)...)
	a.want(t, key, "wrong master key", "hint: the bucket holds files under another key")
	wantNothingLeft(t, w)
	mount(t, w)
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	if err := os.RemoveAll(w.Cache); err != nil {
		t.Fatal(err)
	}
	a = ask(t, w, nil, with("--rsa-key", other)...)
	a.want(t, key, "wrong master key", "no slot is for a key that is given")
	wantNothingLeft(t, w)
	locked := otherKey(t, w, "locked.pem", "--key-passphrase-file", write(t, filepath.Join(w.Base, "right"), "right\n", 0o600))
	wrong := write(t, filepath.Join(w.Base, "wrong"), "wrong\n", 0o600)
	for _, tc := range []struct {
		name  string
		args  []string
		code  int
		texts []string
	}{
		{"wrong passphrase", with("--rsa-key", locked, "--key-passphrase-file", wrong), key, []string{"wrong passphrase"}},
		{"no passphrase", with("--rsa-key", locked), key, []string{"get the key's passphrase: no terminal to ask on", "--key-passphrase-file"}},
		{"passphrase file that is missing", with("--rsa-key", locked, "--key-passphrase-file", wrong+"-missing"), key, []string{"wrong-missing"}},
		{"passphrase variable that is not set", with("--rsa-key", locked, "--key-passphrase-env", "NOT_SET"), key, []string{"NOT_SET"}},
		{"passphrase command that fails", with("--rsa-key", locked, "--key-passphrase-command", "exit 3"), key, []string{"passphrase command"}},
		{"no key", with(), key, []string{"no master key is given", "ossencfs keygen"}},
		{"key file that is missing", with("--rsa-key", other+"-missing"), key, []string{"missing"}},
		{"key file that is no key", with("--rsa-key", wrong), key, []string{"not a usable RSA key"}},
		{"public key", with("--rsa-key", w.Key+".pub"), key, []string{"private key"}},
		{"both kinds of key", with("--rsa-key", w.Key, "--kms-key", "k"), usage, []string{"--read-kms-key"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ask(t, w, nil, tc.args...).want(t, tc.code, tc.texts...)
			wantNothingLeft(t, w)
		})
	}
}

// TestMountRefusesBadMountPoints: missing, not empty, busy; in the foreground as well as in the background.
func TestMountRefusesBadMountPoints(t *testing.T) {
	w := procenv.New(t)
	file := write(t, filepath.Join(w.Base, "file"), "x", 0o600)
	full := filepath.Join(w.Base, "full")
	if err := os.Mkdir(full, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(full, "x"), "x", 0o600)
	for _, tc := range []struct {
		name, dir string
		more      []string
		code      int
		texts     []string
	}{
		{"missing", w.Base + "/none", nil, mountPoint, []string{"does not exist", "hint: make it with `mkdir -p"}},
		{"missing, in the foreground", w.Base + "/none", []string{"--foreground"}, mountPoint, []string{"does not exist"}},
		{"below a missing folder", w.Base + "/none/dir", nil, mountPoint, []string{"does not exist"}},
		{"file", file, nil, mountPoint, []string{"is not a directory"}},
		{"not empty", full, nil, mountPoint, []string{"is not empty", "--nonempty"}},
		{"around the cache folder", w.Base, []string{"--nonempty"}, cacheFolder, []string{"lie within each other"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"mount", "oss://" + procenv.Bucket, tc.dir, "--rsa-key", w.Key, "--cache-dir", w.Cache}, tc.more...)
			ask(t, w, nil, args...).want(t, tc.code, tc.texts...)
			wantNothingLeft(t, w)
		})
	}
	mount(t, w)
	ask(t, w, nil, mountArgs(w, "--cache-dir", w.Cache)...).want(t, mountPoint, "is busy", "hint: unmount it with `ossencfs umount "+w.Dir)
	if !procenv.Mounted(w.Dir) {
		t.Error("the first mount is gone")
	}
}

// TestDeadMountIsCleanedUp: what a crash left is removed by the next mount, or by umount.
func TestDeadMountIsCleanedUp(t *testing.T) {
	w := procenv.New(t)
	d := w.Mount(t)
	d.Crash(t)
	if _, err := os.ReadDir(w.Dir); err == nil {
		t.Fatal("the mount still answers")
	}
	a := mount(t, w)
	a.want(t, ok, "removed the dead mount")
	if err := os.WriteFile(filepath.Join(w.Dir, "x"), []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	w.Mount(t).Crash(t)
	a = ask(t, w, nil, "umount", w.Dir)
	a.want(t, ok)
	if !strings.Contains(a.stdout, "removed the dead mount") || procenv.Mounted(w.Dir) {
		t.Errorf("umount of a dead mount said %q", a.stdout)
	}
	wantNoSession(t, w)
}

// TestMountRefusesBadCacheFolders: in use, another bucket's, another key's, open to others.
func TestMountRefusesBadCacheFolders(t *testing.T) {
	w := procenv.New(t)
	second := filepath.Join(w.Base, "second")
	if err := os.Mkdir(second, 0o755); err != nil {
		t.Fatal(err)
	}
	on := func(source, dir, cache string, more ...string) []string {
		return append([]string{"mount", source, dir, "--rsa-key", w.Key, "--cache-dir", cache}, more...)
	}
	mount(t, w)
	ask(t, w, nil, on("oss://"+procenv.Bucket, second, w.Cache)...).want(t, cacheFolder, "in use by another mount", "--cache-dir")
	if procenv.Mounted(second) || !procenv.Mounted(w.Dir) {
		t.Error("the second mount is there, or the first is gone")
	}
	ask(t, w, nil, "umount", w.Dir).want(t, ok)
	ask(t, w, nil, on("oss://"+procenv.Bucket+"/prefix", second, w.Cache)...).want(t, cacheFolder, "belongs to another bucket", "--cache-dir")
	open := filepath.Join(w.Base, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	ask(t, w, nil, on("oss://"+procenv.Bucket, second, open)...).want(t, cacheFolder, "is open to other users", "chmod 700")
	file := write(t, filepath.Join(w.Base, "file"), "x", 0o600)
	ask(t, w, nil, on("oss://"+procenv.Bucket, second, file)...).want(t, cacheFolder, "cache folder")
	ask(t, w, nil, on("oss://"+procenv.Bucket, second, filepath.Join(second, "cache"))...).want(t, cacheFolder, "lie within each other")
	if procenv.Mounted(second) {
		t.Error("the second mount is there")
	}
	wantNoSession(t, w)
}
