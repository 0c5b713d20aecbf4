package cache

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
)

// person is a caller that is told what it is.
type person struct {
	owner, fsetid bool
	groups        []uint32
}

func (p person) MayChange(uint32) bool             { return p.owner }
func (p person) Owner(uint32) (is, known bool)     { return p.owner, true }
func (p person) InGroup(gid uint32) bool           { return slices.Contains(p.groups, gid) }
func (p person) KeepsSetID() bool                  { return p.fsetid }
func (p person) Is(uint32) bool                    { return p.owner }
func (person) Gives() (may, known bool)            { return false, false }
func (person) May(*Stat, uint32) (may, known bool) { return false, false }

// TestSetIDRule has the rule without a kernel, in the cases that a kernel of today decides before it asks us, too.
func TestSetIDRule(t *testing.T) {
	const file, dir, fifo = unix.S_IFREG, unix.S_IFDIR, unix.S_IFIFO
	member, stranger, root := person{groups: []uint32{5}}, person{groups: []uint32{6}}, person{fsetid: true}
	written := func(i *index.Inode, by Caller) uint32 { return modeWritten(i, by) }
	given := func(gid uint32) func(*index.Inode, Caller) uint32 {
		return func(i *index.Inode, by Caller) uint32 { return modeGiven(i, gid, by) }
	}
	made := func(i *index.Inode, by Caller) uint32 {
		n := *i
		inheritGroup(&index.Inode{Mode: dir | 0o2777, GID: 5}, &n, by)
		return n.Mode
	}
	for _, tt := range []struct {
		name       string
		rule       func(*index.Inode, Caller) uint32
		mode, want uint32
		by         Caller
	}{
		{"written", written, file | 0o6777, file | 0o777, member},
		{"written, member", written, file | 0o6767, file | 0o2767, member},
		{"written, stranger", written, file | 0o6767, file | 0o767, stranger},
		{"written, CAP_FSETID", written, file | 0o6777, file | 0o6777, root},
		{"written, sticky", written, file | 0o7777, file | 0o1777, stranger},
		{"written, no file", written, fifo | 0o6777, fifo | 0o6777, stranger},
		{"given", given(6), file | 0o6777, file | 0o777, member},
		{"given by CAP_FSETID", given(6), file | 0o6777, file | 0o777, root},
		{"given by CAP_FSETID, no execution", given(6), file | 0o6767, file | 0o2767, root},
		{"given by a member to his group", given(5), file | 0o6767, file | 0o2767, member},
		{"given by a member to another group", given(6), file | 0o6767, file | 0o767, member},
		{"given by a member, mode stays", given(6), file | 0o2767, file | 0o2767, member},
		{"given by a stranger", given(6), file | 0o2767, file | 0o767, stranger},
		{"given, no file", given(6), fifo | 0o6777, fifo | 0o777, root},
		{"given, directory", given(6), dir | 0o6777, dir | 0o6777, stranger},
		{"made by a member", made, file | 0o2755, file | 0o2755, member},
		{"made by a stranger", made, file | 0o2755, file | 0o755, stranger},
		{"made by a stranger, no execution", made, file | 0o2644, file | 0o2644, stranger},
		{"made by a stranger, set-user-id", made, file | 0o6755, file | 0o4755, stranger},
		{"made by CAP_FSETID", made, file | 0o2755, file | 0o2755, root},
		{"made for nobody", made, file | 0o2755, file | 0o2755, nil},
		{"directory made by a stranger", made, dir | 0o755, dir | 0o2755, stranger},
	} {
		if got := tt.rule(&index.Inode{Mode: tt.mode, GID: 5}, tt.by); got != tt.want {
			t.Errorf("%s: %06o became %06o, want %06o", tt.name, tt.mode, got, tt.want)
		}
	}
}
