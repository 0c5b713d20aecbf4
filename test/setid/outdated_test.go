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

// shared is a mount that serves others, and forgets at once what it knows of the bucket.
var shared = testenv.Options{Cache: cache.Options{MetaTTL: time.Nanosecond}, Mount: gofs.Options{AllowOther: true}}

// twoMachines is a bucket with two mounts, of which the first serves others.
func twoMachines(t *testing.T) (here, there *testenv.Env) {
	t.Helper()
	options := shared
	here = testenv.New(t, options)
	options.Share = here
	openFolder(t, here.Dir)
	return here, testenv.New(t, options)
}

// strangers makes a file of other's here, opens it, and lets the other machine change it to one of uid's, of mode 0600.
func strangers(t *testing.T, here, there *testenv.Env, name string, uid uint32, change func(path string) error) (fd int) {
	t.Helper()
	must(t, caller{uid: other, gid: other}.as(func() error {
		fd, err := unix.Open(here.Path(name), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
		return errors.Join(err, unix.Fchown(fd, -1, other), unix.Close(fd))
	}))
	fd, err := unix.Open(here.Path(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	here.Sync()
	must(t, change(there.Path(name)))
	there.Sync()
	testenv.Eventually(t, "the change is known", func() bool { // to the cache, and not shown to the kernel
		st, _, err := here.Cache.Lookup(t.Context(), cache.Root, name)
		must(t, err)
		return st.UID == uid && st.Mode&0o7777 == 0o600
	})
	return fd
}

// calledBy has somebody call with an open file.
func calledBy(uid int, call func(fd int) error, fd int) error {
	return caller{uid: uid, gid: uid}.as(func() error { return call(fd) })
}

func narrow(fd int) error { return unix.Fchmod(fd, 0o640) }

// setTimes sets them to long ago, as programs do that unpack files.
func setTimes(fd int) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), []unix.Timespec{{Sec: 1}, {Sec: 1}}, 0)
}

// TestFormerOwnerChangesNothing: on another machine the file of a stranger became one of somebody else. The kernel here, which was told to forget the
// owner, remembers him all the same when it decides who may change mode and times, so that the stranger could open to himself what is in it now.
func TestFormerOwnerChangesNothing(t *testing.T) {
	requireRoot(t)
	here, there := twoMachines(t)
	for name, tt := range map[string]struct {
		change func(fd int) error
		want   []error
	}{
		"fchmod":              {change: func(fd int) error { return unix.Fchmod(fd, 0o777) }, want: []error{unix.EPERM}},
		"chmod by descriptor": {change: func(fd int) error { return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), 0o777) }, want: []error{unix.EPERM}},
		"fchown":              {change: func(fd int) error { return unix.Fchown(fd, -1, other) }, want: []error{unix.ESTALE, unix.EPERM}},
		"fchown to himself":   {change: func(fd int) error { return unix.Fchown(fd, other, -1) }, want: []error{unix.ESTALE, unix.EPERM}},
		"utimes":              {change: setTimes, want: []error{unix.EPERM}},
		"mtime": {change: func(fd int) error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: 1}}, 0)
		}, want: []error{unix.EPERM}},
		"utimes, now": {change: func(fd int) error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), nil, 0)
		}, want: []error{unix.ESTALE, unix.EACCES}},
	} {
		fd := strangers(t, here, there, name, owner, func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("secret"), 0o600), unix.Chmod(path, 0o600), unix.Chown(path, owner, owner))
		})
		for range 2 { // the second time the kernel may have looked
			err := calledBy(other, tt.change, fd)
			if !slices.ContainsFunc(tt.want, func(want error) bool { return errors.Is(err, want) }) {
				t.Errorf("%s: got %v, want one of %v", name, err, tt.want)
			}
			var st unix.Stat_t
			must(t, unix.Stat(here.Path(name), &st))
			if st.Uid != owner || st.Gid != owner || st.Mode&0o7777 != 0o600 || st.Mtim.Sec == 1 {
				t.Errorf("%s: now %o of %d:%d, of %d", name, st.Mode, st.Uid, st.Gid, st.Mtim.Sec)
			}
		}
		testenv.Eventually(t, "the owner may change the mode", func() bool {
			must(t, unix.Fstat(fd, new(unix.Stat_t)))
			return calledBy(owner, narrow, fd) == nil
		})
		must(t, unix.Close(fd))
	}
}

// TestOwnerChangesAtOnce: what another machine has changed leaves the owner who he is, and root may do everything, also with an open file, for which the
// kernel does not look again.
func TestOwnerChangesAtOnce(t *testing.T) {
	requireRoot(t)
	here, there := twoMachines(t)
	for name, call := range map[string]func(fd int) error{"fchmod": narrow, "utimes": setTimes} {
		for _, who := range []int{other, 0} {
			fd := strangers(t, here, there, fmt.Sprintf("%s by %d", name, who), other, func(path string) error {
				return errors.Join(os.WriteFile(path, []byte("more"), 0o600), unix.Chmod(path, 0o600))
			})
			if err := calledBy(who, call, fd); err != nil {
				t.Errorf("%s by %d: %v", name, who, err)
			}
			must(t, unix.Close(fd))
		}
	}
}
