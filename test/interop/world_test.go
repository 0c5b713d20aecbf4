//go:build interop

package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// world is the emulator, the keys, the product's binary and the SDKs that ./run installed.
type world struct {
	server           *emulator.Server
	bucket           string
	binary           string
	python28         string
	python219        string
	pythonV2         string
	java             []string
	localRSA         string // folder in the form of the Python SDK
	privateFile      string
	privatePKCS8File string
	publicFile       string
	privatePEM       string
	publicPEM        string
	contextFile      string
	caFile           string
	kmsHost          string          // host:port of the KMS endpoint that speaks HTTPS
	transport        *http.Transport // trusts the emulator's CA
}

// need reads a variable that ./run sets.
func need(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: start this suite with test/interop/run", name)
	}
	return value
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{bucket: "interop", binary: need(t, "INTEROP_OSSENCFS"), python28: need(t, "INTEROP_PYTHON_28"),
		python219: need(t, "INTEROP_PYTHON_219"), pythonV2: need(t, "INTEROP_PYTHON_V2")}
	server, err := emulator.Start(emulator.Options{Buckets: []string{w.bucket}, TLS: true, AcceptAnyToken: true,
		CSEPartHeaders: emulator.Optional}) // the Java SDK sends no envelope with its parts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	w.server = server
	u, err := url.Parse(server.TLSEndpoint())
	if err != nil {
		t.Fatal(err)
	}
	w.kmsHost = "localhost:" + u.Port()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.CACertPEM())
	w.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	dir := t.TempDir()
	w.caFile = filepath.Join(dir, "ca.pem")
	w.contextFile = filepath.Join(dir, "context")
	writeFile(t, w.caFile, server.CACertPEM())
	writeFile(t, w.contextFile, []byte(kmsContext+"\n"))
	w.makeKeys(t, dir)
	if classpath := os.Getenv("INTEROP_JAVA_CLASSPATH"); classpath != "" {
		store := filepath.Join(dir, "trust.p12")
		run(t, "keytool", "-importcert", "-noprompt", "-alias", "emulator", "-file", w.caFile, "-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit")
		w.java = []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djavax.net.ssl.trustStore=" + store,
			"-Djavax.net.ssl.trustStorePassword=changeit", "-cp", classpath, "Agent"}
	}
	return w
}

// makeKeys makes one RSA key and stores it in every form that an SDK wants.
func (w *world) makeKeys(t *testing.T, dir string) {
	t.Helper()
	w.localRSA = filepath.Join(dir, "local-rsa")
	if err := os.Mkdir(w.localRSA, 0o700); err != nil {
		t.Fatal(err)
	}
	w.privateFile = filepath.Join(w.localRSA, ".private_key.pem")
	w.publicFile = filepath.Join(w.localRSA, ".public_key.pem")
	w.privatePKCS8File = filepath.Join(dir, "pkcs8.pem")
	run(t, "openssl", "genrsa", "-traditional", "-out", w.privateFile, "2048")
	run(t, "openssl", "rsa", "-in", w.privateFile, "-pubout", "-out", w.publicFile)
	run(t, "openssl", "pkcs8", "-topk8", "-nocrypt", "-in", w.privateFile, "-out", w.privatePKCS8File)
	w.privatePEM, w.publicPEM = readFile(t, w.privateFile), readFile(t, w.publicFile)
	if _, err := keys.LoadRSA(w.privateFile, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// sdks lists every SDK with every provider it has.
func (w *world) sdks() []actor {
	py := func(python, agent string) []string {
		script, _ := filepath.Abs(filepath.Join("agents", agent))
		return []string{python, script}
	}
	old, cur := py(w.python28, "agent.py"), py(w.python219, "agent.py")
	list := []actor{
		agent{w: w, title: "py-2.8.0 localrsa", command: old, provider: "localrsa", noParts: true, noRange: true},
		agent{w: w, title: "py-2.8.0 kms", command: old, provider: "kms", noParts: true, noRange: true},
		agent{w: w, title: "py-2.8.0 kms context", command: old, provider: "kms", context: kmsContext, noParts: true, noRange: true},
		agent{w: w, title: "py-2.19.1 localrsa", command: cur, provider: "localrsa"},
		agent{w: w, title: "py-2.19.1 rsa", command: cur, provider: "rsa"},
		agent{w: w, title: "py-2.19.1 kms", command: cur, provider: "kms"},
		agent{w: w, title: "py-2.19.1 kms context", command: cur, provider: "kms", context: kmsContext},
		agent{w: w, title: "pyv2-1.4.1 rsa", command: py(w.pythonV2, "agent2.py"), provider: "rsa"},
		goV1{w: w}, goV1{w: w, kms: true}, goV2{w: w},
	}
	if w.java != nil {
		list = append(list, agent{w: w, title: "java rsa", command: w.java, provider: "rsa"},
			agent{w: w, title: "java kms", command: w.java, provider: "kms"})
	}
	return list
}

// keyOf is the kind of key with which the mount reads what an SDK wrote.
func (w *world) keyOf(sdk string) string {
	switch {
	case strings.Contains(sdk, "context"):
		return "kms+context"
	case strings.Contains(sdk, "kms"):
		return "kms"
	default:
		return "rsa"
	}
}

// flags are the key and endpoint flags of the product for a kind of key.
func (w *world) flags(kind string) []string {
	list := []string{"--endpoint", w.server.Endpoint(), "--region", w.server.Region()}
	switch kind {
	case "rsa":
		return append(list, "--rsa-key", w.privateFile)
	case "kms":
		return append(list, "--kms-key", w.server.KMSKeyID(), "--kms-endpoint", w.server.KMSEndpoint())
	default:
		return append(list, "--kms-key", w.server.KMSKeyID(), "--kms-endpoint", w.server.KMSEndpoint(), "--key-passphrase-file", w.contextFile)
	}
}

func (w *world) ossencfs(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.binary, args...)
	cmd.Env = append(os.Environ(), "OSS_ACCESS_KEY_ID="+w.server.AccessKeyID(), "OSS_ACCESS_KEY_SECRET="+w.server.AccessKeySecret(),
		"OSSENCFS_STATE_DIR="+w.state())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ossencfs %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// folder is the prefix of the bucket for objects of one kind of key: a mount refuses a prefix whose objects it cannot open.
func folder(kind string) string { return strings.ReplaceAll(kind, "+", "-") + "/" }

// mount mounts a prefix of the bucket with an empty cache.
func (w *world) mount(t *testing.T, prefix, kind, dialect string) string {
	t.Helper()
	base := t.TempDir()
	dir := filepath.Join(base, "mnt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"mount", "oss://" + w.bucket + "/" + prefix, dir, "--new-volume"}, w.flags(kind)...)
	args = append(args, "--dialect", dialect, "--cache-dir", filepath.Join(base, "cache"),
		"--multipart-threshold", "256KiB", "--part-size", "100KiB")
	if err := w.ossencfs(args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if mounted(dir) {
			_ = w.ossencfs("umount", "--now", dir)
		}
	})
	return dir
}

// state is the folder in which this host remembers volumes.
func (w *world) state() string { return filepath.Join(filepath.Dir(w.caFile), "state") }

// empty removes all objects.
func (w *world) empty(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(w.state()); err != nil { // the host that comes next does not know this bucket
		t.Fatal(err)
	}
	for _, o := range w.server.Objects(w.bucket) {
		if err := w.server.RemoveObject(w.bucket, o.Key); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) unmount(t *testing.T, dir string) {
	t.Helper()
	if err := w.ossencfs("umount", dir); err != nil {
		t.Fatal(err)
	}
}

func mounted(dir string) bool {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(mounts), " "+dir+" ")
}

func (w *world) writeThroughMount(t *testing.T, dir, prefix string, files []payload) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, prefix), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range files {
		if err := os.WriteFile(filepath.Join(dir, prefix, p.name), p.data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) sameThroughMount(dir, prefix string, p payload) error {
	got, err := os.ReadFile(filepath.Join(dir, prefix, p.name))
	if err != nil {
		return fmt.Errorf("through the mount: %w", err)
	}
	if !bytes.Equal(got, p.data) {
		return fmt.Errorf("through the mount: %d bytes differ from the %d written", len(got), len(p.data))
	}
	return nil
}

func (w *world) sameThroughGet(kind, object string, p payload) error {
	file := p.file + ".got"
	defer os.Remove(file)
	if err := w.ossencfs(append([]string{"get", "oss://" + w.bucket + "/" + object, file}, w.flags(kind)...)...); err != nil {
		return err
	}
	got, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, p.data) {
		return fmt.Errorf("ossencfs get: %d bytes differ from the %d written", len(got), len(p.data))
	}
	return nil
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
