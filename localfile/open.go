// Package localfile opens the files of this machine that a user names in options, in the environment and in the configuration: it
// looks at kind, owner and mode of what is open, by the role that the file plays, and never waits for a writer that does not come.
package localfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Role is what a file is used for, and so who else may touch it.
type Role int

// The roles, each stricter than the one before it.
const (
	Data    Role = iota // content that proves itself, or that we only pass on: whoever may read it may use it
	Trusted             // it decides what we do, so that only this user and root may write it
	Secret              // only this user may read it; in a file of root's his group, too
	Own                 // one of our own files: this user's alone, whoever he is
)

// Refused says that a file is not one to use in its role. Mend is what to do about it, for a hint.
type Refused struct {
	Path string
	Why  string
	Mend string
}

// Error implements error.
func (r *Refused) Error() string { return r.Path + " " + r.Why }

// Open opens a file for reading. It is a regular file, or a pipe without a name that this process was given, as /dev/stdin and a
// shell's <(command) are: nobody but its holders reaches that; /dev/null is an empty file. Anything else is Refused, and so is a file that
// others can get at.
func Open(path string, role Role) (*os.File, error) {
	flags := os.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	if role == Own {
		flags |= unix.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0) //nolint:gosec // the user names the file
	if err != nil {
		return nil, explain(path, err)
	}
	if err := check(f, path, role); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Check looks at an open file again, when it has turned out to play another role than it was opened in.
func Check(f *os.File, role Role) error { return check(f, f.Name(), role) }

func check(f *os.File, path string, role Role) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if role != Own && (isPipe(f) || isNull(info)) {
		return nil
	}
	if !info.Mode().IsRegular() {
		return notRegular(path, info.Mode())
	}
	if err := blocking(f); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	return checkAccess(path, info, role)
}

// checkAccess refuses what others can get at, in the role's measure.
func checkAccess(path string, info fs.FileInfo, role Role) error {
	owner, perm := ownerOf(info), info.Mode().Perm()
	ours := owner == os.Geteuid()
	closed := map[Role]fs.FileMode{Trusted: 0o022, Secret: 0o077, Own: 0o077}[role]
	if role == Secret && !ours {
		closed = 0o027
	}
	switch {
	case role == Data:
		return nil
	case !ours && (owner != 0 || role == Own):
		return &Refused{Path: path, Why: fmt.Sprintf("belongs to user %d", owner), Mend: "its owner could change it: it must be yours or root's; copy it, or chown it"}
	case perm&closed == 0:
		return nil
	case role == Trusted:
		return &Refused{Path: path, Why: fmt.Sprintf("may be written by others: mode %04o", perm),
			Mend: "it decides what is done, so only you or root may write it: chmod go-w " + Word(path)}
	}
	return &Refused{Path: path, Why: fmt.Sprintf("is open to others: mode %04o", perm), Mend: "close it: chmod 600 " + Word(path)}
}

func ownerOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// explain names the kind of what cannot be opened because of it.
func explain(path string, err error) error {
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ELOOP) {
		if info, statErr := os.Lstat(path); statErr == nil && !info.Mode().IsRegular() {
			return notRegular(path, info.Mode())
		}
	}
	return err //nolint:wrapcheck // it names the path
}

func notRegular(path string, mode fs.FileMode) error {
	return &Refused{Path: path, Why: "is " + kindOf(mode) + ", not a file"}
}

// kindOf names the kind of a file for people.
func kindOf(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeNamedPipe:
		return "a named pipe"
	case fs.ModeSocket:
		return "a socket"
	case fs.ModeSymlink:
		return "a symbolic link"
	}
	return "a device"
}

// isPipe reports whether an open file is a pipe without a name.
func isPipe(f *os.File) bool {
	var st unix.Statfs_t
	err := withFD(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	return err == nil && st.Type == unix.PIPEFS_MAGIC
}

// isNull reports whether a file is /dev/null, whatever its name.
func isNull(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().Type() == fs.ModeDevice|fs.ModeCharDevice && st.Rdev == unix.Mkdev(1, 3)
}

// IsPipe reports whether a path names such a pipe: what is in it can be read once.
func IsPipe(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.PIPEFS_MAGIC
}

// blocking takes back the flag that kept the opening from waiting.
func blocking(f *os.File) error {
	return withFD(f, func(fd int) error { return unix.SetNonblock(fd, false) })
}

// withFD does something to the descriptor of a file, and leaves its mode alone.
func withFD(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err //nolint:wrapcheck // callers add the path
	}
	var done error
	if err := conn.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil { //nolint:gosec // a descriptor fits
		return err //nolint:wrapcheck // as above
	}
	return done
}
