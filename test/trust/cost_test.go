package trust

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestCostOfReading counts what reading files costs that the mount wrote, by a new process: with the index of before and without it, under
// an RSA key and under KMS. OSSENCFS_COST_FILES sets their number: 5000 in the long form, 300 otherwise.
func TestCostOfReading(t *testing.T) {
	files := 300
	if text := os.Getenv("OSSENCFS_COST_FILES"); text != "" {
		n, err := strconv.Atoi(text)
		must(t, err)
		files = n
	}
	for _, kind := range []string{"rsa", "kms"} {
		t.Run(kind, func(t *testing.T) { countReading(t, kind, files) })
	}
}

// countReading writes, and reads with and without the index of before.
func countReading(t *testing.T, kind string, files int) {
	master, err := rsaKey()
	must(t, err)
	clock := testenv.NewClock()
	e := testenv.New(t, testenv.Options{Prefix: "rsa/", Emulator: clock.Use, Object: object.Options{Keyring: keys.NewKeyring(master)}})
	if kind == "kms" {
		e = testenv.New(t, testenv.Options{Share: e, Prefix: "kms/", Object: object.Options{Keyring: keys.NewKeyring(kmsOf(t, e))}})
	}
	const dirs = 20
	name := func(i int) string { return e.Path(fmt.Sprintf("d%02d", i%dirs), fmt.Sprintf("f%04d", i)) }
	for i := range files {
		must(t, os.MkdirAll(filepath.Dir(name(i)), 0o755))
		must(t, os.WriteFile(name(i), pattern(4096, byte(i)), 0o640))
	}
	e.Sync()
	clock.Advance(time.Minute) // what was stored within two seconds is asked for again by the next listing
	for _, kept := range []bool{true, false} {
		e.Unmount()
		if !kept {
			must(t, os.RemoveAll(e.CacheDir))
		}
		before := master.PrivateOps()
		e.Server.ResetRequests()
		e.Remount()
		for i := range files {
			if !bytes.Equal(read(t, name(i)), pattern(4096, byte(i))) {
				t.Fatalf("file %d is another", i)
			}
		}
		n := e.Server.Requests()
		kms := n["Decrypt"] + n["Encrypt"] + n["GenerateDataKey"]
		t.Logf("%d files, index kept %v: %d RSA operations, %d KMS calls, requests %v", files, kept, master.PrivateOps()-before, kms, n)
		if ops := master.PrivateOps() - before; ops > 2 || kms > 2 {
			t.Errorf("index kept %v: %d RSA operations and %d KMS calls, at most 2 are needed", kept, ops, kms)
		}
		// The canary is one HEAD, each directory's marker another, the root's included; the record is one GET.
		if n["HeadObject"] > 2+dirs || n["GetObject"] > files+2 || !kept && n["GetObject"] < files {
			t.Errorf("index kept %v: requests %v, want one GET for each of %d files at most, and a HEAD for no file", kept, n, files)
		}
	}
}

// kmsOf is a key in the emulator's KMS.
func kmsOf(t *testing.T, e *testenv.Env) *keys.KMS {
	t.Helper()
	s := e.Server
	k, err := keys.NewKMS(keys.KMSConfig{KeyID: s.KMSKeyID(), Region: s.Region(), Endpoint: s.KMSEndpoint(), QPS: 100_000,
		Credentials: func(context.Context) (string, string, string, error) {
			return s.AccessKeyID(), s.AccessKeySecret(), "", nil
		}})
	must(t, err)
	t.Cleanup(k.Close)
	return k
}

// TestCostOfForeignObjects: an object that an SDK wrote costs two unwraps, however often and in whatever pieces it is read.
func TestCostOfForeignObjects(t *testing.T) {
	w := newWorld(t, object.Options{})
	for i := range 10 {
		key := fmt.Sprintf("sdk-%d", i)
		w.put(t, key, w.sdkObject(t, key, pattern(3*leafSize, byte(i))))
	}
	e, _ := w.mount(t, object.Options{Trust: object.Trust{AcceptForeign: []string{""}}})
	before := w.master.PrivateOps()
	for range 2 {
		for i := range 10 {
			if !bytes.Equal(read(t, e.Path(fmt.Sprintf("sdk-%d", i))), pattern(3*leafSize, byte(i))) {
				t.Errorf("object %d is another", i)
			}
		}
	}
	if ops := w.master.PrivateOps() - before; ops != 20 {
		t.Errorf("%d RSA operations for 10 objects of the SDK, want 2 each", ops)
	}
}
