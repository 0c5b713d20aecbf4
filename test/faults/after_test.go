package faults

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestErrorAfterClose: what the bucket refuses after close is told by the file, by status, by the log and once by fsync. The bytes stay, and
// are uploaded when the bucket takes them.
func TestErrorAfterClose(t *testing.T) {
	for _, tt := range []struct {
		name, code string
		want       unix.Errno
	}{
		{"denied", "AccessDenied", unix.EACCES},
		{"quota", "QuotaExceeded", unix.EDQUOT},
		{"retention", "FileImmutable", unix.EPERM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := testenv.New(t, testenv.Options{Cache: cache.Options{Settle: time.Millisecond}})
			inject(emulator.Fault{Operation: "PutObject", Status: 403, Code: tt.code})(&rig{T: t, env: env})
			path := env.Path("file")
			r := &rig{T: t}
			r.must(os.WriteFile(path, []byte("accepted"), 0o644))
			value := make([]byte, 4096)
			testenv.Eventually(t, "the file to tell", func() bool {
				n, err := unix.Getxattr(path, "user.ossencfs.error", value)
				return err == nil && strings.HasPrefix(string(value[:n]), "upload: ")
			})
			if n, err := unix.Listxattr(path, value); n != 0 || err != nil {
				t.Errorf("listed: %q, %v", value[:max(n, 0)], err)
			}
			if s := env.Cache.Status(); len(s.Failures) != 1 || s.Failures[0].Path != "/file" || s.PendingFiles != 1 {
				t.Errorf("status: %+v", s)
			}
			if log := env.Log(); !strings.Contains(log, "key=file") {
				t.Errorf("the log does not name the file:\n%s", log)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			r.must(err)
			defer f.Close()
			if err := f.Sync(); !errors.Is(err, tt.want) {
				t.Errorf("first fsync: %v, want %v", err, tt.want)
			}
			if err := f.Sync(); err != nil {
				t.Errorf("second fsync: %v", err)
			}
			r.must(same(path, []byte("accepted")))
			env.Server.ClearFaults()
			env.Sync()
			if _, err := unix.Getxattr(path, "user.ossencfs.error", value); !errors.Is(err, unix.ENODATA) {
				t.Errorf("afterwards the file tells: %q, %v", value, err)
			}
			r.must(f.Sync())
			r.must(f.Close())
			env.DropCache()
			r.must(same(path, []byte("accepted")))
		})
	}
}

// TestOutageIsNoError: while the bucket is away fsync is what it always is.
func TestOutageIsNoError(t *testing.T) {
	// What became of the empty file that may have been sent before the content came is certain after the late limit only.
	env := testenv.New(t, testenv.Options{Cache: cache.Options{Settle: time.Millisecond, LateLimit: time.Second}})
	inject(emulator.Fault{Operation: "PutObject", Status: 503, Code: "ServiceUnavailable"})(&rig{T: t, env: env})
	f, err := os.Create(env.Path("file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.WriteString("accepted")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "an attempt", func() bool { return env.Cache.Status().Errors > 0 })
	if f, err = os.Open(env.Path("file")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Errorf("fsync: %v", err)
	}
	if _, err := unix.Getxattr(env.Path("file"), "user.ossencfs.error", make([]byte, 4096)); !errors.Is(err, unix.ENODATA) {
		t.Errorf("the file tells of it: %v", err)
	}
	env.Server.ClearFaults()
	env.Sync()
}
