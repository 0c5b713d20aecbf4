package cache

import (
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
)

// The kernel checks who may do what, by modes and owners that it remembers, and then asks us by number or by name. An import in between, be it one that
// the call itself has waited for, makes that check worth nothing. The call is refused then with an error upon which the kernel looks again.

// checked refuses a call that was checked by a mode or owner of before an import. c.names must be held, so that no import is committed and
// not told of.
func (c *Cache) checked(ino Ino) error {
	k := c.kernel.get()
	if !k.Outdated(ino) {
		return nil
	}
	k.ForgetAttr(ino) // it may have them from the listing of a directory, which is not noted
	return fmt.Errorf("inode %d: %w", ino, ErrOutdated)
}

// checkedChange refuses a change of attributes that was checked so. By whose right a mode or times are changed is known, where who asks can be judged
// from here: a program with an open file is not told to look again then. c.names must be held.
func (c *Cache) checkedChange(ino Ino, ch Change) error {
	const timesOrMode = SetMode | SetAtime | SetMtime
	switch {
	case ch.Set&(SetUID|SetGID) != 0, ch.Set == 0, ch.Set&SetMode != 0 && ch.Asked == nil:
		return c.checked(ino)
	case ch.Set&timesOrMode == 0, ch.Asked == nil, !c.kernel.get().Outdated(ino):
		return nil
	}
	i, err := c.inode(ino)
	if err != nil {
		return err
	}
	st := c.statOf(&i) // the owner that nobody vouches for is none
	is, known := ch.Asked.Owner(st.UID)
	switch setGID := ch.Set&SetMode != 0 && ch.Mode&unix.S_ISGID != 0; {
	case is && (!setGID || ch.Asked.InGroup(st.GID)):
		return nil
	case known && !is && !ch.Touch:
		return fmt.Errorf("inode %d: %w", ino, ErrNotPermitted)
	}
	return c.checked(ino)
}

// checkedXattr refuses a call for an extended attribute that was checked so. For those of trusted.* the kernel looks at no file.
func (c *Cache) checkedXattr(ino Ino, name string) error {
	if strings.HasPrefix(name, "trusted.") {
		return nil
	}
	return c.checked(ino)
}

// moment is a time in the order of the changes that others made, 0 is none.
type moment uint64

// changes notes when others changed an inode, for calls during which somebody else has the kernel look again: a call was checked before.
type changes struct {
	mu    sync.Mutex // guards the fields below
	clock moment
	last  map[Ino]moment
	floor moment // of what changed before it, nothing is noted any more
}

// maxChanges bounds the inodes of changes.
const maxChanges = 1 << 16

func (n *changes) note(ino Ino) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clock++
	switch {
	case n.last == nil:
		n.last = make(map[Ino]moment)
	case len(n.last) >= maxChanges:
		clear(n.last)
		n.floor = n.clock
	}
	n.last[ino] = n.clock
}

// begin is the moment of a call that has come.
func (n *changes) begin() moment {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.clock + 1
}

// since reports whether others changed an inode since a call came.
func (n *changes) since(ino Ino, begun moment) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last[ino] >= begun || n.floor >= begun
}

// checkedAt is checked for a call that came at a moment, and may have waited since. c.names must be held.
func (c *Cache) checkedAt(ino Ino, begun moment) error {
	if c.o.Shared && c.changes.since(ino, begun) {
		c.kernel.get().ForgetAttr(ino)
		return fmt.Errorf("inode %d: %w", ino, ErrOutdated)
	}
	return c.checked(ino)
}

// entered is checkedAt for a call that looks into a directory, or makes a name in it, without c.names: an import may wait for room on the disk with it.
// A call that comes while a change is being committed may be one of before; what came into being with the change is not known to it yet.
func (c *Cache) entered(dir Ino, begun moment) error { return c.checkedAt(dir, begun) }

// sight is what a name meant when a call came, 0 for nothing: the kernel cannot have seen anything newer.
type sight struct {
	ino   Ino
	begun moment
}

// look is what a name means now.
func (c *Cache) look(parent Ino, name string) sight {
	begun := c.changes.begin()
	ino, ok, err := c.db.Child(parent, name)
	if err != nil || !ok {
		ino = 0
	}
	return sight{ino, begun}
}

// sticks refuses to take something out of a directory that others changed, or out of a sticky one when it is not what the kernel has looked at: there
// it counts whose it is. before is what the name was when the call came. c.names must be held.
func (c *Cache) sticks(dir, i *index.Inode, before sight) error {
	if err := c.checkedAt(dir.Ino, before.begun); err != nil {
		return err
	}
	switch {
	case dir.Mode&unix.S_ISVTX == 0:
		return nil
	case i.Ino != before.ino:
		return fmt.Errorf("%q: %w", i.Name, ErrAppeared)
	}
	return c.checkedAt(i.Ino, before.begun)
}
