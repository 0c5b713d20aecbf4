package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// record says where a session is to be found. It holds no secret. The file is NAME.json in the runtime folder, its socket
// NAME.sock beside it.
type record struct {
	Mountpoint string    `json:"mountpoint"`
	Source     string    `json:"source"` // oss://BUCKET[/PREFIX]
	PID        int       `json:"pid"`
	CacheDir   string    `json:"cache_dir"`
	LogFile    string    `json:"log_file,omitempty"` // empty in the foreground
	Started    time.Time `json:"started"`

	name string // file name without its ending
}

// runtimeDir is the folder of records and sockets, only for this user.
func (p *program) runtimeDir() string {
	switch dir, uid := p.getenv("OSSENCFS_RUNTIME_DIR"), os.Geteuid(); {
	case dir != "":
		return dir
	case p.getenv("XDG_RUNTIME_DIR") != "":
		return filepath.Join(p.getenv("XDG_RUNTIME_DIR"), "ossencfs")
	case uid == 0:
		return "/run/ossencfs"
	default:
		return filepath.Join(os.TempDir(), fmt.Sprintf("ossencfs-%d", uid))
	}
}

// makePrivateDir makes a folder for this user alone, or checks that it is one.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return checkPrivateDir(dir)
}

// checkPrivateDir refuses a folder that others could have filled.
func checkPrivateDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case ok && int(st.Uid) != os.Geteuid():
		return fail(exitFailure, fmt.Errorf("%s belongs to another user", dir))
	case info.Mode().Perm()&0o077 != 0:
		return fail(exitFailure, fmt.Errorf("%s is open to other users", dir), "close it: chmod 700 "+dir)
	}
	return nil
}

// newRecord names a session.
func newRecord(mountpoint, source, cacheDir, logFile string) *record {
	sum := sha256.Sum256([]byte(mountpoint))
	pid := os.Getpid()
	return &record{Mountpoint: mountpoint, Source: source, PID: pid, CacheDir: cacheDir, LogFile: logFile, Started: time.Now().UTC(),
		name: fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:6]), pid)}
}

// listen makes the control socket and then the record. The caller removes both with forget.
func (r *record) listen(dir string) (*net.UnixListener, error) {
	if err := makePrivateDir(dir); err != nil {
		return nil, fmt.Errorf("runtime folder: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("runtime folder: %w", err)
	}
	defer d.Close()
	socket := filepath.Join(dir, r.name+".sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("runtime folder: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: shortPath(d, r.name)})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	raw, err := json.Marshal(r)
	if err == nil {
		err = os.Chmod(socket, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, r.name+".json"), raw, 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close(), r.forget(dir))
	}
	return l, nil
}

// shortPath names a socket in an open folder by a path that fits into a socket address however long the folder's is.
func shortPath(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s.sock", dir.Fd(), name)
}

// forget removes the record and its socket.
func (r *record) forget(dir string) error {
	var errs []error
	for _, end := range []string{".json", ".sock"} {
		if err := os.Remove(filepath.Join(dir, r.name+end)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// dial connects to the session. A record whose session is gone is removed, and errGone returned.
func (r *record) dial(dir string) (net.Conn, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	conn, err := net.DialTimeout("unix", shortPath(d, r.name), 5*time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, iofs.ErrNotExist) {
		return nil, errors.Join(errGone, r.forget(dir))
	}
	return conn, err
}

// errGone says that a record's session does not exist any more.
var errGone = errors.New("its process is gone")

// records lists the sessions of this user by mount point, the newest first. Some may be gone.
func (p *program) records() ([]*record, error) {
	dir := p.runtimeDir()
	err := checkPrivateDir(dir) // in a shared folder another user could have made it first
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("runtime folder: %w", err)
	}
	var list []*record
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		r, err := readRecord(dir, name)
		if errors.Is(err, iofs.ErrNotExist) {
			continue // it ended meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("record %s: %w", filepath.Join(dir, e.Name()), err)
		}
		list = append(list, r)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.Mountpoint != b.Mountpoint {
			return a.Mountpoint < b.Mountpoint
		}
		return a.Started.After(b.Started)
	})
	return list, nil
}

// maxRecord bounds a record in bytes.
const maxRecord = 64 << 10

// readRecord reads the record of a name.
func readRecord(dir, name string) (*record, error) {
	f, err := os.Open(filepath.Join(dir, name+".json"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := readLimited(f, maxRecord)
	if err != nil {
		return nil, err
	}
	return parseRecord(name, raw)
}

// parseRecord reads what listen wrote.
func parseRecord(name string, raw []byte) (*record, error) {
	r := &record{name: name}
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(r.Mountpoint) || r.PID <= 0 {
		return nil, fmt.Errorf("process %d on %q is no session", r.PID, r.Mountpoint)
	}
	return r, nil
}
