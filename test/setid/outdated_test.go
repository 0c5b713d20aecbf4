package setid

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestFormerOwnerChangesNothing: on another machine the file of a stranger became one of somebody else. The kernel here, which was told to forget the
// owner, remembers him all the same when it decides who may change the mode, so that the stranger could open to himself what is in it now.
func TestFormerOwnerChangesNothing(t *testing.T) {
	requireRoot(t)
	options := testenv.Options{Cache: cache.Options{MetaTTL: time.Nanosecond}, Mount: gofs.Options{AllowOther: true}}
	here := testenv.New(t, options)
	options.Share = here
	there := testenv.New(t, options)
	openFolder(t, here.Dir)
	stranger := caller{uid: other, gid: other}
	for name, change := range map[string]func(fd int) error{
		"fchmod":              func(fd int) error { return unix.Fchmod(fd, 0o777) },
		"chmod by descriptor": func(fd int) error { return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), 0o777) },
		"fchown":              func(fd int) error { return unix.Fchown(fd, -1, other) },
	} {
		var fd int
		must(t, stranger.as(func() (err error) {
			fd, err = unix.Open(here.Path(name), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
			return errors.Join(err, unix.Fchown(fd, -1, other), unix.Close(fd))
		}))
		fd, err := unix.Open(here.Path(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(t, err)
		here.Sync()
		must(t, os.WriteFile(there.Path(name), []byte("secret"), 0o600))
		must(t, unix.Chmod(there.Path(name), 0o600))
		must(t, unix.Chown(there.Path(name), owner, owner))
		must(t, os.WriteFile(there.Path(name+", done"), nil, 0o600))
		there.Sync()
		testenv.Eventually(t, "the change shows", func() bool {
			names, err := namesIn(here.Dir)
			must(t, err)
			return slices.Contains(names, name+", done")
		})
		for range 2 { // the second time the kernel may have looked
			err = stranger.as(func() error { return change(fd) })
			if !errors.Is(err, unix.ESTALE) && !errors.Is(err, unix.EPERM) {
				t.Errorf("%s: got %v", name, err)
			}
			var st unix.Stat_t
			must(t, unix.Stat(here.Path(name), &st))
			if st.Uid != owner || st.Gid != owner || st.Mode&0o7777 != 0o600 {
				t.Errorf("%s: now %o of %d:%d", name, st.Mode, st.Uid, st.Gid)
			}
		}
		testenv.Eventually(t, "the owner may change the mode", func() bool {
			must(t, unix.Fstat(fd, new(unix.Stat_t)))
			return caller{uid: owner, gid: owner}.as(func() error { return unix.Fchmod(fd, 0o640) }) == nil
		})
		must(t, unix.Close(fd))
	}
}

// namesIn reads names and nothing else of a directory.
func namesIn(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	return names, errors.Join(err, d.Close())
}
