package main

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/localfile"
)

// runtimePlaces are the folders of a user's records and sockets.
type runtimePlaces struct {
	own    string   // where a new mount leaves its own; "" when there is no such place
	others []string // where a mount that was made in other surroundings, or by an earlier release, may have left its own
}

// all lists the folders to look into.
func (r runtimePlaces) all() []string {
	if r.own == "" {
		return r.others
	}
	return append([]string{r.own}, r.others...)
}

// runtimePlaces finds them. A folder that somebody else could have made first, as in the temporary folder, is no place for a new mount:
// he would keep all others from mounting. Root does not follow XDG_RUNTIME_DIR, which may be that of the user who became root, and whose
// folder goes when a login ends.
func (p *program) runtimePlaces() runtimePlaces {
	if dir := p.getenv("OSSENCFS_RUNTIME_DIR"); dir != "" {
		return runtimePlaces{own: dir}
	}
	uid := strconv.Itoa(os.Geteuid())
	var places []string
	if uid == "0" {
		places = append(places, "/run/ossencfs")
	}
	logins := slices.Compact([]string{filepath.Clean(p.getenv("XDG_RUNTIME_DIR")), filepath.Join("/run/user", uid)})
	for _, login := range logins {
		if filepath.IsAbs(login) && checkPrivateDir(login) == nil {
			places = append(places, filepath.Join(login, "ossencfs"))
		}
	}
	if state, err := p.stateDir(); err == nil {
		places = append(places, filepath.Join(state, "run"))
	}
	r := runtimePlaces{}
	if len(places) > 0 {
		r.own, r.others = places[0], places[1:]
	}
	r.others = append(r.others, filepath.Join(os.TempDir(), "ossencfs-"+uid)) // of earlier releases
	return r
}

// runtimeDir is the folder for the record and socket of a new mount.
func (p *program) runtimeDir() (string, error) {
	dir := p.runtimePlaces().own
	if dir == "" {
		return "", usageError(errors.New("there is no place for the control socket: neither XDG_RUNTIME_DIR nor HOME is set"), "name a folder in OSSENCFS_RUNTIME_DIR")
	}
	return filepath.Abs(dir)
}

// makePrivateDir makes a folder for this user alone, or checks that it is one.
func makePrivateDir(dir string) error {
	if err := checkWay(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return checkPrivateDir(dir)
}

// checkPrivateDir refuses a folder that others could have filled.
func checkPrivateDir(dir string) error {
	f, err := openPrivateDir(dir)
	if err != nil {
		return err
	}
	return f.Close()
}

// listPrivateDir opens a folder of this user's and lists the files in it. The folder is nil when it is missing.
func listPrivateDir(path string) (*os.File, []string, error) {
	dir, err := openPrivateDir(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, nil, errors.Join(err, dir.Close())
	}
	return dir, names, nil
}

// openPrivateDir opens a folder and refuses it when others could have filled it. What is then reached through the open folder is in the
// one that was checked.
func openPrivateDir(dir string) (*os.File, error) {
	if err := checkWay(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	var info iofs.FileInfo
	if err == nil {
		info, err = f.Stat()
	} else if is, failed := os.Lstat(dir); failed == nil { // what it is says more than why it cannot be opened
		info = is
	}
	if info != nil {
		if wrong := privateDir(dir, info); wrong != nil {
			err = wrong
		}
	}
	if err != nil && f != nil {
		err = errors.Join(err, f.Close())
		f = nil
	}
	return f, err
}

// privateDir says what is wrong with a folder that should be this user's alone.
func privateDir(dir string, info iofs.FileInfo) error { return unsharedDir(dir, info, 0o077) }

// unsharedDir refuses a folder that is somebody else's, or gives others one of some rights.
func unsharedDir(dir string, info iofs.FileInfo, rights iofs.FileMode) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case ok && int(st.Uid) != os.Geteuid():
		return fail(exitFailure, fmt.Errorf("%s belongs to another user", dir))
	case info.Mode().Perm()&rights != 0:
		return fail(exitFailure, fmt.Errorf("%s is open to other users", dir), "close it: chmod 700 "+localfile.Word(dir))
	}
	return nil
}
