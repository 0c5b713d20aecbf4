package setid

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// xattrCalls are the calls for one extended attribute of a file that has it where the file system lets it have it.
var xattrCalls = map[string]func(path, name string) error{
	"get":     func(path, name string) error { _, err := unix.Lgetxattr(path, name, make([]byte, 64)); return err },
	"set":     func(path, name string) error { return unix.Lsetxattr(path, name, []byte("new"), 0) },
	"replace": func(path, name string) error { return unix.Lsetxattr(path, name, []byte("new"), unix.XATTR_REPLACE) },
	"create":  func(path, name string) error { return unix.Lsetxattr(path, name, []byte("new"), unix.XATTR_CREATE) },
	"remove":  func(path, name string) error { return unix.Lremovexattr(path, name) },
}

// TestXattrs has everybody make every call for attributes of each kind that a mount keeps, on files and directories, and compares with ext4. A list of names
// has those alone that the caller may read.
func TestXattrs(t *testing.T) {
	requireRoot(t)
	local, here := ext4(t), daemon(t)
	for _, dir := range []bool{false, true} {
		for _, mode := range []uint32{0o644, 0o666, 0o600, 0o1777} {
			for _, who := range callers {
				for _, name := range []string{"user.a", "trusted.a"} {
					for call, do := range xattrCalls {
						f := func(path string) string { return fmt.Sprint(do(path, name)) }
						compareXattr(t, fmt.Sprintf("%s %s, %04o, directory %t, %s", call, name, mode, dir, who.name), local, here, dir, mode, who, f)
					}
				}
				compareXattr(t, fmt.Sprintf("list, %04o, directory %t, %s", mode, dir, who.name), local, here, dir, mode, who, names)
			}
		}
	}
}

// TestXattrsNotKept: what a mount does not keep is refused to everybody, and read as not there.
func TestXattrsNotKept(t *testing.T) {
	requireRoot(t)
	path := xattrFile(t, daemon(t), false, 0o666)
	for _, who := range callers {
		for _, name := range []string{"security.a", "system.posix_acl_access", "system.a"} {
			for call, do := range xattrCalls {
				err := who.as(func() error { return do(path, name) })
				if err == nil || call == "get" && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
					t.Errorf("%s %s, %s: got %v", call, name, who.name, err)
				}
			}
		}
	}
}

func compareXattr(t *testing.T, what, local, here string, dir bool, mode uint32, who caller, f func(path string) string) {
	t.Helper()
	answers := map[string]string{}
	for _, in := range []string{local, here} {
		path := xattrFile(t, in, dir, mode)
		must(t, who.as(func() error { answers[in] = f(path); return nil }))
		must(t, os.RemoveAll(path))
	}
	if answers[here] != answers[local] {
		t.Errorf("%s: got %s, want %s", what, answers[here], answers[local])
	}
}

// xattrFile makes a file or directory of owner's with attributes of each kind.
func xattrFile(t *testing.T, in string, dir bool, mode uint32) string {
	t.Helper()
	path := filepath.Join(in, "with xattrs")
	if dir {
		must(t, os.Mkdir(path, 0o700))
	} else {
		must(t, os.WriteFile(path, nil, 0o600))
	}
	must(t, errors.Join(unix.Setxattr(path, "user.a", []byte("v"), 0), unix.Setxattr(path, "trusted.a", []byte("v"), 0), unix.Chown(path, owner, team),
		unix.Chmod(path, mode)))
	return path
}

// names lists the attributes, but for labels of the machine.
func names(path string) string {
	list := make([]byte, 1<<10)
	n, err := unix.Llistxattr(path, list)
	if err != nil {
		return err.Error()
	}
	var kept []string
	for name := range bytes.SplitSeq(list[:n], []byte{0}) {
		if len(name) > 0 && !bytes.HasPrefix(name, []byte("security.")) {
			kept = append(kept, string(name))
		}
	}
	if size, err := unix.Llistxattr(path, nil); err != nil || size != n {
		return fmt.Sprintf("%d bytes, but %d, %v without a buffer", n, size, err)
	}
	return fmt.Sprint(len(kept), strings.Contains(strings.Join(kept, " "), "user."), strings.Contains(strings.Join(kept, " "), "trusted."))
}
