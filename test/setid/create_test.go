package setid

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
	gofs "github.com/ossencfs/ossencfs/fs"
	"github.com/ossencfs/ossencfs/test/testenv"
)

// TestCreateOpensNoFileUnchecked: a file came into being since the kernel looked, as when another machine made it. Who creates its name then
// opens it, and the kernel, which believes that he made it, does not look at its mode. So he is to get what its mode lets him have.
func TestCreateOpensNoFileUnchecked(t *testing.T) {
	requireRoot(t)
	env := testenv.New(t, testenv.Options{Cache: cache.Options{MetaTTL: time.Hour}, Mount: gofs.Options{AllowOther: true}})
	dir := openFolder(t, env.Dir)
	var root unix.Stat_t
	must(t, unix.Stat(dir, &root))
	for _, tt := range []struct {
		name  string
		mode  uint32
		who   caller
		flags int
		want  error
	}{
		{"secret, stranger reads", 0o600, caller{uid: other, gid: other}, unix.O_RDONLY, unix.EACCES},
		{"secret, stranger writes", 0o600, caller{uid: other, gid: other}, unix.O_WRONLY, unix.EACCES},
		{"secret, stranger truncates", 0o600, caller{uid: other, gid: other}, unix.O_RDWR | unix.O_TRUNC, unix.EACCES},
		{"readable, stranger writes", 0o644, caller{uid: other, gid: other}, unix.O_RDWR, unix.EACCES},
		{"readable, stranger reads", 0o644, caller{uid: other, gid: other}, unix.O_RDONLY, nil},
		{"writable by the group, member writes", 0o660, caller{uid: other, gid: team}, unix.O_RDWR, nil},
		{"secret, owner writes", 0o600, caller{uid: owner, gid: team}, unix.O_RDWR, nil},
		{"writable, stranger wants it new", 0o666, caller{uid: other, gid: other}, unix.O_RDWR | unix.O_EXCL, unix.EEXIST},
	} {
		path := filepath.Join(dir, tt.name)
		if err := unix.Access(path, unix.F_OK); !errors.Is(err, unix.ENOENT) { // the kernel remembers that there is none
			t.Fatal(err)
		}
		st, err := env.Cache.Create(t.Context(), cache.Ino(root.Ino), tt.name, cache.New{Mode: tt.mode, UID: owner, GID: team}, cache.OpenMode{Write: true})
		must(t, err)
		must(t, env.Cache.Write(t.Context(), st.Ino, 0, []byte("secret"), nil))
		must(t, env.Cache.Release(t.Context(), st.Ino, true))
		err = tt.who.as(func() error {
			fd, err := unix.Open(path, tt.flags|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		var is unix.Stat_t
		must(t, unix.Stat(path, &is))
		if is.Size != int64(len("secret")) || is.Uid != owner {
			t.Errorf("%s: %d bytes of user %d afterwards", tt.name, is.Size, is.Uid)
		}
	}
}
