package fs

import (
	"math"
	"os"
	"slices"
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
