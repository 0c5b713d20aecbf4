// Package writeonly proves what a host can do that holds public keys only, and what it cannot do.
package writeonly

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/procenv"
)

func TestMain(m *testing.M) { procenv.Main(m) }

// world is a bucket, a reader of it and a host that can only write.
type world struct {
	reader *procenv.World
	host   *procenv.World
	bundle string
}

// newWorld makes a bucket with one older file, "older", and lets a host write below prefix ("" is everywhere).
func newWorld(t *testing.T, prefix string) *world {
	t.Helper()
	w := &world{reader: procenv.New(t)}
	d := w.reader.Mount(t)
	write(t, filepath.Join(w.reader.Dir, "older"), []byte("written by the reader"))
	d.Unmount(t)
	w.reader.Cache = filepath.Join(w.reader.Base, "cache-2") // the next mount sees everything at once
	w.bundle = filepath.Join(w.reader.Base, "host.bundle")
	args := []string{"key", "export-host", "oss://" + procenv.Bucket, w.bundle, "--name", "web-1", "--rsa-key", w.reader.Key}
	if prefix != "" {
		args = append(args, "--prefix", prefix)
	}
	w.reader.Run(t, args...)
	host := *w.reader
	host.Dir, host.Cache, host.LogFile = filepath.Join(w.reader.Base, "host"), filepath.Join(w.reader.Base, "host-cache"), filepath.Join(w.reader.Base, "host.log")
	host.Keys = []string{"--host-bundle", w.bundle}
	host.Extra = []string{"--settle", "10ms", "--late-limit", "2s"}
	w.host = &host
	if err := os.Mkdir(host.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

// write makes a file.
func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o640); err != nil {
		t.Fatal(err)
	}
}

// sourceTree makes a tree to back up: files of many sizes, an empty one, directories with modes, links, times long ago.
func sourceTree(t *testing.T, files int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	for n := range files {
		path := filepath.Join(dir, fmt.Sprintf("d%d/e%d/file-%03d", n%3, n%5, n))
		if err := os.MkdirAll(filepath.Dir(path), 0o751); err != nil {
			t.Fatal(err)
		}
		size := []int{0, 1, 100, 5000, 70_000, 1_200_000}[n%6] + n
		if n%6 == 0 {
			size = 0
		}
		data := make([]byte, size)
		rand.New(rand.NewSource(int64(n))).Read(data)
		write(t, path, data)
		when := time.Unix(1_500_000_000+int64(n), int64(n)*1000)
		if err := errors.Join(os.Chmod(path, os.FileMode(0o600|n%8)), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("../file", filepath.Join(dir, "d0/link")), os.Symlink("/nowhere", filepath.Join(dir, "dangling")),
		os.Mkdir(filepath.Join(dir, "empty"), 0o700)); err != nil {
		t.Fatal(err)
	}
	// Directories get times long ago, the deepest first: rsync takes times within one second for equal.
	for _, pattern := range []string{"*/*", "*", ""} {
		dirs, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for n, path := range dirs {
			when := time.Unix(1_400_000_000+int64(n), 7000)
			if info, err := os.Lstat(path); err != nil || info.IsDir() && os.Chtimes(path, when, when) != nil {
				t.Fatalf("times of %s: %v", path, err)
			}
		}
	}
	return dir
}

// rsync copies a tree.
func rsync(t *testing.T, from, to string, more ...string) (string, error) {
	t.Helper()
	out, err := exec.Command("rsync", append(append([]string{"-a"}, more...), from+"/", to+"/")...).CombinedOutput()
	return string(out), err
}

// sealed waits until none of the files below a directory can be read any more, and reports the error of one that fails otherwise.
func sealed(t *testing.T, dir string) {
	t.Helper()
	procenv.WaitFor(t, "all files to be sealed", func() bool {
		readable := false
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			f, err := os.Open(path)
			switch {
			case err == nil:
				readable = true
				return f.Close()
			case errors.Is(err, unix.EACCES):
				return nil
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return !readable
	})
}

// volumeSecret unwraps the volume key from its record as the format says, without the product's code: 32 bytes that no API hands out.
func (w *world) volumeSecret(t *testing.T) []byte {
	t.Helper()
	private := w.privateKey(t)
	for _, o := range w.reader.Server.Objects(procenv.Bucket) {
		if !strings.HasPrefix(o.Key, ".ossencfs/volume/") {
			continue
		}
		text, _, err := w.reader.Server.ReadObject(procenv.Bucket, o.Key)
		if err != nil {
			t.Fatal(err)
		}
		var record struct {
			Slots []struct {
				Type    string
				Wrapped []byte
			}
		}
		if err := json.Unmarshal(text, &record); err != nil {
			t.Fatal(err)
		}
		secret, err := rsa.DecryptOAEP(sha256.New(), nil, private, record.Slots[0].Wrapped, []byte("ossencfs volume v1"))
		if err != nil || len(secret) != 32 {
			t.Fatalf("volume key of %d bytes, %v", len(secret), err)
		}
		return secret
	}
	t.Fatal("the bucket has no volume record")
	return nil
}

// privateKey reads the reader's RSA key.
func (w *world) privateKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(w.reader.Key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("the key is no PEM")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// open opens the bucket as its reader.
func (w *world) open(t *testing.T) *object.Bucket {
	t.Helper()
	key, err := keys.LoadRSA(w.reader.Key, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := w.reader.Server
	b, err := object.Open(t.Context(), object.Options{Keyring: keys.NewKeyring(key), Connection: object.Connection{
		Bucket: procenv.Bucket, Endpoint: s.Endpoint(), Region: s.Region(), Credentials: object.StaticCredentials{ID: s.AccessKeyID(), Secret: s.AccessKeySecret()}}})
	if err == nil {
		err = b.OpenVolume(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// contentKeys are the content keys of all objects below a prefix, by key.
func (w *world) contentKeys(t *testing.T, prefix string) map[string][]byte {
	t.Helper()
	b := w.open(t)
	found := map[string][]byte{}
	for _, o := range w.reader.Server.Objects(procenv.Bucket) {
		if !strings.HasPrefix(o.Key, prefix) || strings.HasPrefix(o.Key, ".ossencfs/") {
			continue
		}
		d, err := b.Get(t.Context(), object.GetRequest{Key: o.Key})
		if err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		if d.Info.State != object.StateAuthentic {
			t.Errorf("%s is %v, want authentic", o.Key, d.Info.State)
		}
		found[o.Key] = d.Content.MarshalSecret()[:32]
		if err := d.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	return found
}
