package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestRootAttributes: what programs set for the mount point itself is in the bucket, whether all of it is mounted or a prefix: another machine shows the
// same.
func TestRootAttributes(t *testing.T) {
	for name, prefix := range map[string]string{"bucket": "", "prefix": "some/where/"} {
		t.Run(name, func(t *testing.T) {
			env := testenv.New(t, testenv.Options{Prefix: prefix})
			fresh, group := attributes(t, env.Dir), 4711
			if os.Geteuid() != 0 {
				group = os.Getegid() // there may be no other
			}
			env.DropCache()
			if got := attributes(t, env.Dir); got.Mode != fresh.Mode || got.Uid != fresh.Uid {
				t.Errorf("a root without attributes of its own shows %+v, then %+v", fresh, got)
			}
			for _, call := range []struct {
				name string
				do   func() error
			}{
				{"chmod", func() error { return os.Chmod(env.Dir, 0o710) }},
				{"chown", func() error { return os.Chown(env.Dir, os.Getuid(), group) }},
				{"utimens", func() error { return os.Chtimes(env.Dir, testTime, testTime) }},
				{"setxattr", func() error { return unix.Setxattr(env.Dir, "user.a", []byte(strings.Repeat("b", 300)), 0) }},
				{"create", func() error { return os.WriteFile(env.Path("new"), nil, 0o600) }}, // moves the time
			} {
				if err := call.do(); err != nil {
					t.Errorf("%s: %v", call.name, err)
				}
				want := attributes(t, env.Dir)
				env.DropCache()
				got := attributes(t, env.Dir)
				if got.Mode != want.Mode || got.Gid != want.Gid || got.Mtim != want.Mtim {
					t.Errorf("after %s a new machine shows mode %o, group %d, time %v, want %o, %d, %v", call.name, got.Mode, got.Gid, got.Mtim, want.Mode, want.Gid, want.Mtim)
				}
			}
			value := make([]byte, 1000)
			if n, err := unix.Getxattr(env.Dir, "user.a", value); n != 300 {
				t.Errorf("the extended attribute has %d bytes, %v", n, err)
			}
			if n, err := unix.Getxattr(env.Dir, "user.ossencfs.verified", value); err != nil || string(value[:n]) != "yes" {
				t.Errorf("the marker is verified: %q, %v", value[:max(n, 0)], err)
			}
		})
	}
}

func attributes(t *testing.T, path string) syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	must(t, syscall.Stat(path, &st))
	return st
}

// TestRootAnswersWithoutBucket: who asks for the attributes of the mount point does not wait for the bucket, which others have changed meanwhile.
func TestRootAnswersWithoutBucket(t *testing.T) {
	clock := testenv.NewClock()
	env := testenv.New(t, testenv.Options{Prefix: "p/", Cache: shortMemory, Emulator: clock.Use})
	must(t, os.Chmod(env.Dir, 0o711))
	env.Sync()
	clock.Advance(5 * time.Second)
	other := testenv.New(t, testenv.Options{Share: env, Prefix: "p/"})
	must(t, os.Chmod(other.Dir, 0o755))
	other.Sync()
	env.Server.AddFault(emulator.Fault{Operation: "HeadObject", Status: 503, Code: "ServiceUnavailable"})
	_, _ = os.ReadDir(env.Dir) // shows that the marker is another
	if got := attributes(t, env.Dir); got.Mode&0o777 != 0o711 {
		t.Errorf("the mode is %o", got.Mode)
	}
	env.Server.ClearFaults()
	testenv.Eventually(t, "the other mode", func() bool {
		_, err := os.ReadDir(env.Dir)
		return err == nil && attributes(t, env.Dir).Mode&0o777 == 0o755
	})
}

// TestRootMarkerOfOthers: an object with content at the key of a mounted prefix is nobody's attributes, and stays what it is.
func TestRootMarkerOfOthers(t *testing.T) {
	env := testenv.New(t, testenv.Options{Prefix: "p/"})
	must(t, env.Server.WriteObject(testenv.Bucket, "p/", nil, []byte("content")))
	env.DropCache()
	must(t, os.Chmod(env.Dir, 0o711))
	must(t, os.WriteFile(env.Path("f"), []byte("x"), 0o644))
	env.Sync()
	if data, _, err := env.Server.ReadObject(testenv.Bucket, "p/"); err != nil || string(data) != "content" {
		t.Errorf("it has %q, %v", data, err)
	}
}

// TestRootMarkerGoes: without its marker, which somebody removes, the root goes on with what it shows, and gets another one with the next change.
func TestRootMarkerGoes(t *testing.T) {
	for name, prefix := range map[string]string{"bucket": "", "prefix": "p/"} {
		t.Run(name, func(t *testing.T) {
			env := testenv.New(t, testenv.Options{Prefix: prefix, Cache: shortMemory})
			must(t, os.Chmod(env.Dir, 0o711))
			env.Sync()
			key := ".ossencfs/root/"
			if prefix != "" {
				key = prefix
			}
			must(t, env.Server.RemoveObject(testenv.Bucket, key))
			testenv.Eventually(t, "that it is noticed", func() bool {
				_, err := os.ReadDir(env.Dir)
				must(t, err)
				_, err = unix.Getxattr(env.Dir, "user.ossencfs.etag", make([]byte, 100))
				return err != nil
			})
			if got := attributes(t, env.Dir); got.Mode&0o777 != 0o711 {
				t.Errorf("the mode is %o", got.Mode)
			}
			must(t, os.Chmod(env.Dir, 0o713))
			env.DropCache()
			if got := attributes(t, env.Dir); got.Mode&0o777 != 0o713 {
				t.Errorf("the mode is %o on a new machine", got.Mode)
			}
		})
	}
}
