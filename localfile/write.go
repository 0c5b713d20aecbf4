package localfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenLog opens a log for appending, or makes it, for this user alone. One that others may write or that has another name is Refused:
// what we log would show up where somebody else wants it. /dev/null is a log that nobody reads.
func OpenLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0o600) //nolint:gosec // the user names it
	if err != nil {
		return nil, explain(path, err)
	}
	if err := checkLog(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func checkLog(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if isNull(info) {
		return nil
	}
	if !info.Mode().IsRegular() {
		return notRegular(path, info.Mode())
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
		return &Refused{Path: path, Why: "has another name, a hard link", Mend: "name a file that does not exist yet"}
	}
	if err := checkAccess(path, info, Trusted); err != nil {
		var r *Refused
		if errors.As(err, &r) {
			r.Mend = "name another file, or one that does not exist yet"
			if info.Mode().Perm()&0o022 != 0 && ownerOf(info) == os.Geteuid() {
				r.Mend = "others could write into it: chmod go-w " + Word(path)
			}
		}
		return err
	}
	return blocking(f)
}

// CheckReplace refuses a path at which something else than a file stands, directly or behind a symbolic link: a rename would put a file in
// the place of a device.
func CheckReplace(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return notRegular(path, info.Mode())
	}
	return nil
}

// WriteNew writes a file that must not exist yet, else it is fs.ErrExist, and syncs it. After a failure no half file is left.
func WriteNew(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // the user names the file
	if err != nil {
		return err //nolint:wrapcheck // it names the path
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// PlaceNew gives a file another name, in a folder of the same file system. It replaces nothing: when the name is taken by then it is fs.ErrExist, and the
// file keeps the old one.
func PlaceNew(from, to string) error { return place(placings, from, to) }

// placings are the ways to do so, in the order of trial: file systems, such as NFS and many of FUSE, have not all of them. By the last one the
// name is there, with nothing in it, a moment before the file.
var placings = []func(from, to string) error{renameNew, linkNew, claimNew}

func place(ways []func(from, to string) error, from, to string) (err error) {
	for _, way := range ways {
		if err = way(from, to); !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
			break
		}
	}
	return err
}

func renameNew(from, to string) error {
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func linkNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err //nolint:wrapcheck // it names the paths
	}
	return os.Remove(from) //nolint:wrapcheck // it names the path
}

func claimNew(from, to string) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the user names the file
	if err != nil {
		return err //nolint:wrapcheck // it names the path
	}
	if err = errors.Join(f.Close(), os.Rename(from, to)); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}
