package setid

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestFolderClosedElsewhere: on another machine a folder is closed to others, and filled after that. The kernel here lets a stranger in by the mode of
// before, and his call is the one that learns of the change: it shows him nothing of what is new, and changes nothing.
func TestFolderClosedElsewhere(t *testing.T) {
	requireRoot(t)
	clock := testenv.NewClock()
	options := testenv.Options{Cache: cache.Options{MetaTTL: 1}, Mount: gofs.Options{AllowOther: true}, Emulator: clock.Use}
	here := testenv.New(t, options)
	options.Share = here
	there := testenv.New(t, options)
	openFolder(t, here.Dir)
	stranger := caller{uid: other, gid: other}
	for name, tt := range map[string]struct {
		mode uint32
		call func(dir int) error
	}{
		"open": {0o700, func(dir int) error { return closed(unix.Openat(dir, "secret", unix.O_RDONLY|unix.O_CLOEXEC, 0)) }},
		"list": {0o700, func(dir int) error {
			return closed(unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0))
		}},
		"stat": {0o700, func(dir int) error { return unix.Fstatat(dir, "secret", new(unix.Stat_t), 0) }},
		"create": {0o755, func(dir int) error {
			return closed(unix.Openat(dir, "new", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600))
		}},
		"mkdir":                    {0o755, func(dir int) error { return unix.Mkdirat(dir, "new", 0o700) }},
		"mknod":                    {0o755, func(dir int) error { return unix.Mknodat(dir, "new", unix.S_IFIFO|0o600, 0) }},
		"link":                     {0o755, func(dir int) error { return unix.Symlinkat("/", dir, "new") }},
		"unlink":                   {0o755, func(dir int) error { return unix.Unlinkat(dir, "old", 0) }},
		"rmdir":                    {0o755, func(dir int) error { return unix.Unlinkat(dir, "empty", unix.AT_REMOVEDIR) }},
		"rename":                   {0o755, func(dir int) error { return unix.Renameat(dir, "old", dir, "moved") }},
		"unlink what is another's": {0o1777, func(dir int) error { return unix.Unlinkat(dir, "old", 0) }},
		"rename over another's":    {0o1777, func(dir int) error { return unix.Renameat(dir, "mine", dir, "old") }},
	} {
		folder := here.Path(name)
		must(t, os.Mkdir(folder, 0o777))
		must(t, unix.Chmod(folder, 0o777))
		must(t, os.WriteFile(folder+"/old", nil, 0o644))
		must(t, os.Mkdir(folder+"/empty", 0o755))
		must(t, os.WriteFile(folder+"/mine", nil, 0o644))
		must(t, unix.Chown(folder+"/mine", other, other))
		here.Sync()
		var dir int
		must(t, stranger.as(func() (err error) {
			dir, err = unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			for _, known := range []string{"old", "mine", "empty"} {
				err = errors.Join(err, unix.Fstatat(dir, known, new(unix.Stat_t), 0))
			}
			return err
		}))
		t.Cleanup(func() { must(t, unix.Close(dir)) })
		clock.Advance(2 * time.Second)
		must(t, unix.Chmod(there.Path(name), tt.mode))
		must(t, os.WriteFile(there.Path(name)+"/secret", []byte("secret"), 0o644))
		there.Sync()
		want := map[uint32]error{0o700: unix.EACCES, 0o755: unix.EACCES, 0o1777: unix.EPERM}[tt.mode]
		// What was stored in this very second is looked at again each time.
		if err := stranger.as(func() error { return tt.call(dir) }); !errors.Is(err, unix.ESTALE) && !errors.Is(err, want) {
			t.Errorf("%s: got %v", name, err)
		}
		clock.Advance(5 * time.Second)
		testenv.Eventually(t, name+": no look is in its way", func() bool {
			err := stranger.as(func() error { return tt.call(dir) })
			if !errors.Is(err, unix.ESTALE) && !errors.Is(err, want) {
				t.Errorf("%s, later: got %v", name, err)
				return true
			}
			return errors.Is(err, want)
		})
	}
}

// closed closes what was opened.
func closed(fd int, err error) error {
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}
