package fs

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache"
)

const aStatus = "Name:\tan\\nUid:\t0\nUid:\t1\t2\t3\t1000\nGid:\t4\t5\t6\t1001\nGroups:\t7 1002 \nCapEff:\t0000000000000010\n"

func TestParseStatus(t *testing.T) {
	me := fuse.Owner{Uid: 1000, Gid: 1001}
	r, err := parseStatus([]byte(aStatus), me)
	if err != nil || !slices.Equal(r.groups, []uint32{7, 1002}) || r.capabilities != 1<<unix.CAP_FSETID {
		t.Errorf("got %+v, %v", r, err)
	}
	for name, tt := range map[string]struct {
		status string
		who    fuse.Owner
	}{
		"another user":  {aStatus, fuse.Owner{Uid: 0, Gid: 1001}},
		"another group": {aStatus, fuse.Owner{Uid: 1000, Gid: 6}},
		"empty":         {"", me},
		"cut":           {aStatus[:len(aStatus)-30], me},
		"twice":         {aStatus + aStatus, me},
		"no numbers":    {"Uid:\tx\n" + aStatus, me},
		"groups":        {"Groups:\t-1\n" + aStatus, me},
	} {
		if r, err := parseStatus([]byte(tt.status), tt.who); err == nil || len(r.groups) > 0 || r.capabilities != 0 {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
}

// TestRootOfANamespace looks at a process that has every capability in a user namespace of its own: none counts outside.
func TestRootOfANamespace(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("there are no user namespaces here: %v", err)
	}
	defer func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	}()
	id := fuse.Caller{Owner: fuse.Owner{Uid: uint32(uid), Gid: uint32(gid)}, Pid: uint32(cmd.Process.Pid)}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := parseStatus(status, id.Owner); err != nil || r.capabilities>>unix.CAP_FSETID&1 == 0 {
		t.Fatalf("inside: got %+v, %v, want CAP_FSETID", r, err)
	}
	if r, err := rightsOf(id); err != nil || r.capabilities != 0 {
		t.Errorf("outside: got %+v, %v, want no capability", r, err)
	}
}

// TestCallerUnknown: who cannot be looked at is in the group that the request names, and has no rights.
func TestCallerUnknown(t *testing.T) {
	me := fuse.Owner{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}
	for name, id := range map[string]fuse.Caller{
		"no process":    {Owner: me, Pid: 0},
		"gone":          {Owner: me, Pid: math.MaxInt32},
		"somebody else": {Owner: fuse.Owner{Uid: me.Uid + 1, Gid: me.Gid}, Pid: uint32(os.Getpid())},
	} {
		c := callerOf(&fuse.InHeader{Caller: id})
		if c.KeepsSetID() || c.MayChange(id.Uid+7) || !c.MayChange(id.Uid) || !c.InGroup(id.Gid) || c.InGroup(id.Gid+7) {
			t.Errorf("%s: got %+v", name, c)
		}
	}
	if by := killerOf(&fuse.InHeader{}, false); by != cache.Caller(nil) {
		t.Errorf("without a mark: got %+v, want nobody", by)
	}
}

// TestCallerMay: the rule of mode bits and capabilities. Only what is known of a caller counts.
func TestCallerMay(t *testing.T) {
	const all = unix.R_OK | unix.W_OK | unix.X_OK
	caps := func(list ...uint) (set uint64) {
		for _, c := range list {
			set |= 1 << c
		}
		return set
	}
	for name, tt := range map[string]struct {
		mode   uint32
		uid    uint32
		groups []uint32
		caps   uint64
		want   uint32 // the rights that are there
	}{
		"owner":                       {mode: 0o700, uid: 1, want: all},
		"owner, though others may":    {mode: 0o077, uid: 1, groups: []uint32{5}},
		"group":                       {mode: 0o050, uid: 2, groups: []uint32{4, 5}, want: unix.R_OK | unix.X_OK},
		"group, though others may":    {mode: 0o007, uid: 2, groups: []uint32{5}},
		"others":                      {mode: 0o772, uid: 2, groups: []uint32{4}, want: unix.W_OK},
		"override":                    {mode: 0, uid: 2, caps: caps(unix.CAP_DAC_OVERRIDE), want: unix.R_OK | unix.W_OK},
		"override, somebody may run":  {mode: 0o010, uid: 2, caps: caps(unix.CAP_DAC_OVERRIDE), want: all},
		"override, directory":         {mode: unix.S_IFDIR, uid: 2, caps: caps(unix.CAP_DAC_OVERRIDE), want: all},
		"search":                      {mode: 0o111, uid: 1, caps: caps(unix.CAP_DAC_READ_SEARCH), want: unix.R_OK | unix.X_OK},
		"search, nobody may run":      {mode: 0o222, uid: 1, caps: caps(unix.CAP_DAC_READ_SEARCH), want: unix.R_OK | unix.W_OK},
		"search, directory":           {mode: unix.S_IFDIR, uid: 2, caps: caps(unix.CAP_DAC_READ_SEARCH), want: unix.R_OK | unix.X_OK},
		"owner of files, not of this": {mode: 0o700, uid: 2, caps: caps(unix.CAP_FOWNER, unix.CAP_CHOWN)},
	} {
		c := &caller{id: fuse.Caller{Owner: fuse.Owner{Uid: tt.uid, Gid: 9}}, asked: true, rights: rights{groups: tt.groups, capabilities: tt.caps, initial: true}}
		st := &cache.Stat{Mode: tt.mode, UID: 1, GID: 5}
		for asked := range uint32(all + 1) {
			if may, known := c.May(st, asked); !known || may != (asked&^tt.want == 0) {
				t.Errorf("%s: rights %o: got %t, %t", name, asked, may, known)
			}
		}
		c.rights.initial = false
		byMode := tt.mode >> 3 & tt.mode & 7
		if tt.uid == st.UID {
			byMode = tt.mode >> 6 & 7
		}
		for asked := range uint32(all + 1) {
			if may, known := c.May(st, asked); may != (asked&^byMode == 0) || known != may {
				t.Errorf("%s, in another user namespace: rights %o: got %t, %t", name, asked, may, known)
			}
		}
	}
}

// TestCallerMayAsks: a caller's groups and capabilities are looked up only where his rights depend on them.
func TestCallerMayAsks(t *testing.T) {
	for _, tt := range []struct {
		mode, uid, rights uint32
		asks              bool
	}{
		{0o600, 1, unix.R_OK | unix.W_OK, false},
		{0o400, 1, unix.W_OK, true},
		{0o644, 2, unix.R_OK, false},
		{0o640, 2, unix.R_OK, true},
		{0o604, 2, unix.R_OK, true},
		{0o755, 2, unix.W_OK, true},
	} {
		c := &caller{id: fuse.Caller{Owner: fuse.Owner{Uid: tt.uid, Gid: 9}}}
		if c.May(&cache.Stat{Mode: tt.mode, UID: 1, GID: 5}, tt.rights); c.asked != tt.asks {
			t.Errorf("%o, user %d, rights %o: asked %t", tt.mode, tt.uid, tt.rights, c.asked)
		}
	}
}
