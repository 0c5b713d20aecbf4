// Package posix runs go-fuse's tests of POSIX behaviour on a mount.
package posix

import (
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"github.com/ossencfs/ossencfs/test/testenv"
)

// exceptions are the tests that do not apply, with the reason.
var exceptions = map[string]string{
	"FcntlFlockLocksFile": "wants a process to be shut out by its own POSIX lock, which fcntl(2) rules out; " +
		"go-fuse leaves it out of its own runs, too",
	"Link":             "an object has one key, so a file has one name: link(2) is EPERM",
	"LinkUnlinkRename": "needs link(2), see Link",
}

func TestPosix(t *testing.T) {
	env := testenv.New(t, testenv.Options{})
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		t.Run(name, func(t *testing.T) {
			if reason, ok := exceptions[name]; ok {
				t.Skip(reason)
			}
			dir := env.Path(name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			posixtest.All[name](t, dir)
		})
	}
}

// TestExceptions notices when a test of the list is renamed or removed.
func TestExceptions(t *testing.T) {
	for name := range exceptions {
		if _, ok := posixtest.All[name]; !ok {
			t.Errorf("there is no test %q", name)
		}
	}
}
