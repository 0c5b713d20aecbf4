package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrHeld says that the mount is not in this process's mount namespace any more, and goes on in another one, such as a container's.
var ErrHeld = errors.New("another mount namespace has a copy of the mount")

// heldAfter is how long the kernel may take to end a mount that nobody has any more.
const heldAfter = 3 * time.Second

// Holder is a process in another mount namespace that has a copy of a mount.
type Holder struct {
	PID  int
	Name string // of its command
	Dir  string // where its namespace has the mount
}

// String names the process.
func (h Holder) String() string { return fmt.Sprintf("process %d (%s)", h.PID, h.Name) }

// Holders are the first process of each other mount namespace that has the mount, as far as this user may know.
func (s *Server) Holders() []Holder {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil
	}
	tables, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		return nil
	}
	var list []Holder
	seen := map[string]bool{own: true}
	for _, table := range tables {
		dir := filepath.Dir(table)
		space, err := os.Readlink(dir + "/ns/mnt")
		if err != nil || seen[space] {
			continue
		}
		seen[space] = true
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		at, is := mountedIn(text, s.dev)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if !is || err != nil {
			continue
		}
		name, _ := os.ReadFile(dir + "/comm") // without it the number has to do
		list = append(list, Holder{PID: pid, Name: strings.TrimSpace(string(name)), Dir: at})
	}
	return list
}

// mountedIn finds a device in a table of mounts, and where it is mounted.
func mountedIn(table []byte, dev uint64) (dir string, is bool) {
	for line := range bytes.Lines(table) {
		fields := bytes.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if got, err := ParseDevice(string(fields[2])); err == nil && got == dev {
			return string(fields[4]), true
		}
	}
	return "", false
}

// mountedHere reports whether a device is in the table of mounts of this process; true where that cannot be told.
func mountedHere(dev uint64) bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if dev == 0 || err != nil {
		return true
	}
	_, is := mountedIn(table, dev)
	return is
}

// ended waits for the end of a mount that has left the tree. An ordinary user cannot see who has it.
func (s *Server) ended() error {
	tick := time.NewTicker(heldAfter)
	defer tick.Stop()
	for {
		select {
		case <-s.served:
			s.Wait()
			return nil
		case <-tick.C:
			if os.Geteuid() != 0 || len(s.Holders()) > 0 {
				return ErrHeld
			}
		}
	}
}

// Collect has the kernel send what it has collected of a mount that only others have (Options.Writeback).
func (s *Server) Collect(holders []Holder) {
	for _, h := range holders {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/root%s", h.PID, h.Dir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil && st.Dev == s.dev {
			_ = unix.Syncfs(fd) // what cannot be had is lost with the copy
		}
		_ = unix.Close(fd) // it was only read
		return
	}
}
