package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// kmsAlone is a KMS of its own, so that its calls and faults are told from those of OSS, and a keyring under its key.
func kmsAlone(t *testing.T, deadline time.Duration) (*emulator.Server, *keys.Keyring) {
	t.Helper()
	s, err := emulator.Start(emulator.Options{})
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	k, err := keys.NewKMS(keys.KMSConfig{KeyID: s.KMSKeyID(), Region: s.Region(), Endpoint: s.KMSEndpoint(), Deadline: deadline, QPS: 10_000,
		Credentials: func(context.Context) (string, string, string, error) {
			return s.AccessKeyID(), s.AccessKeySecret(), "", nil
		}})
	must(t, err)
	t.Cleanup(k.Close)
	return s, keys.NewKeyring(k)
}

// total counts all requests of a server.
func total(s *emulator.Server) (n int) {
	for _, k := range s.Requests() {
		n += k
	}
	return n
}

// poolShare is for how many sealings one content key is prepared ahead, and poolUnused how many prepared ones belong to files that were not uploaded.
const poolShare, poolUnused = 16, 64

// TestKMSCalls counts the calls of KMS: at most 3 for each file that was written and those of prepared keys, none for reading, be the
// cache warm or cold.
func TestKMSCalls(t *testing.T) {
	const files = 100
	for _, tt := range []struct {
		dialect string
		each    int
	}{{"both", 3}, {"current", 2}} {
		t.Run(tt.dialect, func(t *testing.T) {
			kms, ring := kmsAlone(t, time.Minute)
			a := testenv.New(t, testenv.Options{Object: object.Options{Keyring: ring, Dialect: tt.dialect}})
			reader := testenv.New(t, testenv.Options{Share: a, Cache: cache.Options{MetaTTL: time.Millisecond}, Object: object.Options{Keyring: ring, Dialect: tt.dialect}})
			kms.ResetRequests()
			for n := range files {
				must(t, os.WriteFile(a.Path(fmt.Sprint(n)), fmt.Appendf(nil, "text %d", n), 0o644))
			}
			a.Sync()
			if n, most := total(kms), tt.each*(files+files/poolShare); n > most || n < tt.each*files {
				t.Errorf("%d calls for %d files written, want %d to %d", n, files, tt.each*files, most)
			}
			kms.ResetRequests()
			for _, env := range []*testenv.Env{a, reader} {
				for n := range files {
					var data []byte
					testenv.Eventually(t, "the file", func() bool {
						var err error
						data, err = os.ReadFile(env.Path(fmt.Sprint(n)))
						return err == nil
					})
					if want := fmt.Sprintf("text %d", n); string(data) != want {
						t.Errorf("got %q, want %q", data, want)
					}
				}
			}
			// The pool may still be preparing keys for more files, which is Encrypt.
			if n := kms.Requests()["Decrypt"]; n != 0 {
				t.Errorf("%d calls for reading: %v", n, kms.Requests())
			}
		})
	}
}

// TestKMSCallsOfAFew: a few small files cost what each of them costs, and no keys are drawn for files that never come. What changes attributes alone
// costs nothing, although a small file that loses rights is stored anew.
func TestKMSCallsOfAFew(t *testing.T) {
	const files = 8
	kms, ring := kmsAlone(t, time.Minute)
	env := testenv.New(t, testenv.Options{Object: object.Options{Keyring: ring}})
	cost := func(what string, want int, do func(path string) error) {
		t.Helper()
		kms.ResetRequests()
		for n := range files {
			must(t, do(env.Path(fmt.Sprint(n))))
		}
		env.Sync()
		if n := total(kms); n != want {
			t.Errorf("%s: %d calls for %d files, want %d: %v", what, n, files, want, kms.Requests())
		}
	}
	cost("written", 3*files, func(path string) error { return os.WriteFile(path, []byte("text"), 0o644) })
	cost("read", 0, func(path string) error {
		_, err := os.ReadFile(path)
		return err
	})
	cost("closed to others", 0, func(path string) error { return os.Chmod(path, 0o600) })
	cost("closed once more", 0, func(path string) error { return os.Chmod(path, 0o400) })
	cost("opened", 0, func(path string) error { return os.Chmod(path, 0o644) })
	cost("renamed", 0, func(path string) error { return os.Rename(path, path+".renamed") })
	for _, again := range []struct {
		what  string
		mount func()
		want  int
	}{{"a mount with its cache", env.Remount, 1}, {"a mount with a new cache", env.DropCache, 2}} {
		kms.ResetRequests()
		again.mount()
		for n := range files {
			_, err := os.ReadFile(env.Path(fmt.Sprint(n, ".renamed")))
			must(t, err)
		}
		if n := total(kms); n != again.want {
			t.Errorf("%s: %d calls, want %d whatever the number of files: %v", again.what, n, again.want, kms.Requests())
		}
	}
}

// TestKMSDown takes KMS away from two mounts: files are written, closed and read, also those that are not in the cache, and what was
// written is uploaded when KMS is back.
func TestKMSDown(t *testing.T) {
	kms, ring := kmsAlone(t, 200*time.Millisecond)
	a := testenv.New(t, testenv.Options{Object: object.Options{Keyring: ring}})
	for n := range 50 {
		must(t, os.WriteFile(a.Path(fmt.Sprint("old", n)), fmt.Append(nil, n), 0o644))
	}
	a.Sync()
	cold := testenv.New(t, testenv.Options{Share: a, Object: object.Options{Keyring: ring}})
	kms.AddFault(emulator.Fault{Status: 503, Code: "ServiceUnavailable"})
	before := len(a.Keys())
	const files = poolUnused + 50 // more than there can be prepared keys
	for n := range files {
		must(t, os.WriteFile(a.Path(fmt.Sprint("new", n)), fmt.Append(nil, n), 0o644))
	}
	for n := range 50 {
		for _, env := range []*testenv.Env{a, cold} {
			data, err := os.ReadFile(env.Path(fmt.Sprint("old", n)))
			if err != nil || string(data) != fmt.Sprint(n) {
				t.Fatalf("reading without KMS: %q, %v", data, err)
			}
		}
	}
	for n := range files {
		if data, err := os.ReadFile(a.Path(fmt.Sprint("new", n))); err != nil || string(data) != fmt.Sprint(n) {
			t.Fatalf("reading what is not uploaded: %q, %v", data, err)
		}
	}
	if now := len(a.Keys()); now >= before+files {
		t.Errorf("%d objects: all were uploaded without KMS", now-before)
	}
	kms.ClearFaults()
	a.Sync()
	a.DropCache()
	for n := range files {
		if data, err := os.ReadFile(a.Path(fmt.Sprint("new", n))); err != nil || string(data) != fmt.Sprint(n) {
			t.Fatalf("after KMS came back: %q, %v", data, err)
		}
	}
}
