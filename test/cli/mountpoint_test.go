package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossencfs/ossencfs/test/procenv"
)

// TestMountPointIsTheOneChecked: a mount point may lie in a folder of another user, who turns it into a symbolic link while root is asked for
// a passphrase. Otherwise he could have his files mounted on any folder of the machine, over those of root.
func TestMountPointIsTheOneChecked(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("ordinary users mount on what is theirs, fusermount3 sees to that")
	}
	w := procenv.New(t)
	pass := write(t, filepath.Join(w.Base, "pass"), "passphrase", 0o600)
	locked := otherKey(t, w, "locked.pem", "--key-passphrase-file", pass)
	elsewhere := filepath.Join(w.Base, "elsewhere")
	outer := filepath.Join(w.Base, "outer")
	inner := filepath.Join(outer, "inner")
	for name, swap := range map[string]string{
		"the folder itself": fmt.Sprintf("rmdir %s && ln -s %s %s", inner, filepath.Join(elsewhere, "inner"), inner),
		"a folder above it": fmt.Sprintf("mv %s %s.old && ln -s %s %s", outer, outer, elsewhere, outer),
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(os.MkdirAll(inner, 0o755), os.MkdirAll(filepath.Join(elsewhere, "inner"), 0o755)); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := errors.Join(os.RemoveAll(outer), os.RemoveAll(outer+".old")); err != nil {
					t.Error(err)
				}
			}()
			a := ask(t, w, nil, "mount", "oss://"+procenv.Bucket, inner, "--rsa-key", locked, "--cache-dir", w.Cache,
				"--key-passphrase-command", "test -L "+outer+" || test -L "+inner+" || { "+swap+"; }; cat "+pass)
			a.want(t, mountPoint, "symbolic link")
			if at := filepath.Join(elsewhere, "inner"); procenv.Mounted(at) {
				t.Errorf("mounted on %s", at)
				procenv.Detach(t, at)
			}
		})
	}
	wantNoSession(t, w)
}
