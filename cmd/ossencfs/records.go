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

// record says where a session is to be found. It holds no secret. The file is NAME.json in a runtime folder, its socket
// NAME.sock beside it.
type record struct {
	Mountpoint string    `json:"mountpoint"`
	Source     string    `json:"source"` // oss://BUCKET[/PREFIX]
	PID        int       `json:"pid"`
	CacheDir   string    `json:"cache_dir"`
	LogFile    string    `json:"log_file,omitempty"` // empty in the foreground
	Started    time.Time `json:"started"`

	dir  string // the runtime folder that it is in; "" when an earlier release, which did not tell, is the supervisor
	name string // file name without its ending
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
	err := makePrivateDir(dir)
	var d *os.File
	if err == nil {
		d, err = openPrivateDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("runtime folder: %w", err)
	}
	defer d.Close()
	r.dir = dir
	socket := within(d, r.name+".sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("runtime folder: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: socket})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	raw, err := json.Marshal(r)
	if err == nil {
		err = os.Chmod(socket, 0o600)
	}
	if err == nil {
		err = os.WriteFile(within(d, r.name+".json"), raw, 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close(), r.forgetIn(d))
	}
	return l, nil
}

// within names a file in an open folder, whatever the folder's path names by now, and by a path that fits into a socket address.
func within(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}

// forget removes the record and its socket.
func (r *record) forget() error {
	d, err := openPrivateDir(r.dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("runtime folder: %w", err)
	}
	defer d.Close()
	return r.forgetIn(d)
}

func (r *record) forgetIn(dir *os.File) error {
	var errs []error
	for _, end := range []string{".json", ".sock"} {
		if err := os.Remove(within(dir, r.name+end)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// dial connects to the session. A record whose session is gone is removed, and errGone returned.
func (r *record) dial() (net.Conn, error) {
	d, err := openPrivateDir(r.dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	conn, err := net.DialTimeout("unix", within(d, r.name+".sock"), 5*time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, iofs.ErrNotExist) {
		return nil, errors.Join(errGone, r.forgetIn(d))
	}
	return conn, err
}

// errGone says that a record's session does not exist any more.
var errGone = errors.New("its process is gone")

// records lists the sessions of this user by mount point, the newest first. Some may be gone.
func (p *program) records() ([]*record, error) {
	places := p.runtimePlaces()
	var list []*record
	for _, dir := range places.all() {
		found, err := recordsIn(dir)
		if err != nil && dir == places.own {
			return nil, err
		}
		list = append(list, found...) // what others could have put into another folder is none of ours
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

// recordsIn reads the records in one folder, which may be missing.
func recordsIn(path string) ([]*record, error) {
	dir, names, err := listPrivateDir(path)
	if err != nil {
		return nil, fmt.Errorf("runtime folder: %w", err)
	}
	if dir == nil {
		return nil, nil
	}
	defer dir.Close()
	var list []*record
	for _, file := range names {
		name, ok := strings.CutSuffix(file, ".json")
		if !ok {
			continue
		}
		r, err := readRecord(dir, name)
		if errors.Is(err, iofs.ErrNotExist) {
			continue // it ended meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("record %s: %w", filepath.Join(path, file), err)
		}
		r.dir = path
		list = append(list, r)
	}
	return list, nil
}

// maxRecord bounds a record in bytes.
const maxRecord = 64 << 10

// readRecord reads the record of a name in an open folder.
func readRecord(dir *os.File, name string) (*record, error) {
	f, err := os.Open(within(dir, name+".json"))
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
