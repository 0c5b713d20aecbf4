package fs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
)

// caller is who made a request. A request tells user and group; second groups and capabilities are those of the thread that waits for the
// answer, and are looked up when a set-id bit is at stake. They cannot change meanwhile, because only a thread itself changes them.
// What cannot be found out (the thread was killed, is in another PID namespace, acts with borrowed rights) counts as not being there.
type caller struct {
	id           fuse.Caller
	unprivileged bool // the kernel says that it lacks CAP_FSETID
	asked        bool
	rights       rights // of the thread, once asked
}

var _ cache.Caller = (*caller)(nil)

// rights are what a request does not tell.
type rights struct {
	groups       []uint32
	capabilities uint64
	initial      bool // the thread is in the user namespace that the system began with, and its rights are known
}

// callerOf is for requests that come with no word about set-id bits.
func callerOf(h *fuse.InHeader) cache.Caller { return &caller{id: h.Caller} }

// killerOf is for requests by which the kernel asks to drop set-id bits, or not: nobody then.
func killerOf(h *fuse.InHeader, kill bool) cache.Caller {
	if !kill {
		return nil
	}
	return &caller{id: h.Caller, unprivileged: true}
}

// MayChange implements cache.Caller.
func (c *caller) MayChange(uid uint32) bool {
	return c.id.Uid == uid || c.capable(unix.CAP_FOWNER)
}

// Owner implements cache.Caller. The capabilities of a caller in another user namespace hold for owners that only the kernel can tell.
func (c *caller) Owner(uid uint32) (is, known bool) {
	is = c.MayChange(uid)
	return is, is || c.look().initial
}

// Is implements cache.Caller.
func (c *caller) Is(uid uint32) bool { return c.id.Uid == uid }

// Gives implements cache.Caller.
func (c *caller) Gives() (may, known bool) {
	return c.capable(unix.CAP_CHOWN), c.look().initial
}

// May implements cache.Caller. Execution of a file takes the right of somebody, whatever the capabilities. Where the bits alone give the rights, nothing
// is looked up: capabilities take none away, and who is not the owner has those that the group and others have in common.
func (c *caller) May(st *cache.Stat, rights uint32) (may, known bool) {
	byMode := st.Mode >> 3 & st.Mode & 7
	if c.Is(st.UID) {
		byMode = st.Mode >> 6 & 7
	}
	if rights&^byMode == 0 {
		return true, true
	}
	granted := st.Mode & 7
	switch {
	case c.Is(st.UID):
		granted = st.Mode >> 6 & 7
	case c.InGroup(st.GID):
		granted = st.Mode >> 3 & 7
	}
	dir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if c.capable(unix.CAP_DAC_READ_SEARCH) {
		granted |= unix.R_OK
		if dir {
			granted |= unix.X_OK
		}
	}
	if c.capable(unix.CAP_DAC_OVERRIDE) {
		granted |= unix.R_OK | unix.W_OK
		if dir || st.Mode&0o111 != 0 {
			granted |= unix.X_OK
		}
	}
	if !c.look().initial {
		return false, false
	}
	return rights&^granted == 0, true
}

// InGroup implements cache.Caller.
func (c *caller) InGroup(gid uint32) bool {
	if c.id.Gid == gid {
		return true
	}
	for _, g := range c.look().groups {
		if g == gid {
			return true
		}
	}
	return false
}

// KeepsSetID implements cache.Caller.
func (c *caller) KeepsSetID() bool { return !c.unprivileged && c.capable(unix.CAP_FSETID) }

func (c *caller) capable(capability uint) bool { return c.look().capabilities>>capability&1 == 1 }

func (c *caller) look() *rights {
	if !c.asked {
		c.asked = true
		c.rights, _ = rightsOf(c.id)
	}
	return &c.rights
}

// initialUserNamespace is the inode number of the user namespace that the system began with. A capability of another one holds only there.
const initialUserNamespace = 0xeffffffd

// rightsOf reads the rights of the thread that made a request.
func rightsOf(id fuse.Caller) (rights, error) {
	if self, err := os.Readlink("/proc/self"); err != nil {
		return rights{}, err
	} else if self != strconv.Itoa(os.Getpid()) {
		return rights{}, fmt.Errorf("/proc counts in another PID namespace: %s", self)
	}
	dir := "/proc/" + strconv.FormatUint(uint64(id.Pid), 10)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return rights{}, err
	}
	r, err := parseStatus(status, id.Owner)
	if err != nil {
		return rights{}, err
	}
	var st unix.Stat_t
	if r.initial = unix.Stat(dir+"/ns/user", &st) == nil && st.Ino == initialUserNamespace; !r.initial {
		r.capabilities = 0
	}
	return r, nil
}

// parseStatus reads the rights of a thread from its status in /proc. One that does not act as the given owner is not the one that made the
// request, or made it with the rights of somebody else.
func parseStatus(status []byte, who fuse.Owner) (rights, error) {
	var r rights
	found := 0
	for line := range bytes.Lines(status) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		fields := bytes.Fields(value)
		var err error
		switch string(name) {
		case "Uid":
			err = lastIs(fields, who.Uid)
		case "Gid":
			err = lastIs(fields, who.Gid)
		case "Groups":
			r.groups, err = numbers(fields)
		case "CapEff":
			r.capabilities, err = strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		default:
			continue
		}
		if err != nil {
			return rights{}, fmt.Errorf("status, %s: %w", name, err)
		}
		found++
	}
	if found != 4 {
		return rights{}, fmt.Errorf("status has %d of 4 lines", found)
	}
	return r, nil
}

// lastIs checks the id for file systems, the last of four.
func lastIs(fields [][]byte, want uint32) error {
	ids, err := numbers(fields)
	if err == nil && (len(ids) != 4 || ids[3] != want) {
		err = fmt.Errorf("got %d, want %d for file systems", ids, want)
	}
	return err
}

func numbers(fields [][]byte) ([]uint32, error) {
	var all []uint32
	for _, f := range fields {
		n, err := strconv.ParseUint(string(f), 10, 32)
		if err != nil {
			return nil, err
		}
		all = append(all, uint32(n))
	}
	return all, nil
}
