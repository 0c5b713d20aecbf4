package cache

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
)

// The kernel checks who may do what, by modes and owners that it remembers, and then asks us by number or by name. An import in between, be it one that
// the call itself has waited for, makes that check worth nothing. Nor can we tell when it remembers something newer: from an answer that a
// notification of ours overtakes it takes no attributes. So whoever asks for what others have changed under this mount is judged here, as the kernel
// would. Where only the kernel can tell what rights he has, the call is refused with an error upon which the kernel looks again.

// arrival is a call that has come: when, and by whom; nil is nobody whose rights are in question.
type arrival struct {
	begun moment
	by    Caller
}

// arrived is a call that comes now.
func (c *Cache) arrived(ctx context.Context) arrival {
	return arrival{begun: c.changes.begin(), by: callerOf(ctx)}
}

// callerOf is who makes a call, where the kernel asks on somebody's behalf.
func callerOf(ctx context.Context) Caller {
	if r, ok := ctx.(Request); ok {
		return r.Caller()
	}
	return nil
}

// judges reports whether the rights to an inode are for us to judge.
func (c *Cache) judges(ino Ino, by Caller) bool {
	return by != nil && c.changes.noted(ino)
}

// judge refuses a call to an inode, if that is for us to judge, by somebody who does not have the rights (unix.R_OK, W_OK, X_OK) to it. decided is false
// where it is the kernel's, and where the attributes have to be asked for first.
func (c *Cache) judge(i *index.Inode, by Caller, rights uint32) (decided bool, err error) {
	if !i.AttrKnown || !c.judges(i.Ino, by) {
		return false, nil
	}
	st := c.statOf(i)
	may, known := by.May(&st, rights)
	if known && !may {
		err = fmt.Errorf("inode %d: %w", i.Ino, ErrAccess)
	}
	return known, err
}

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

// checkedChange refuses a change of attributes that was checked so, and takes out of it what Linux would. A program with an open file is not told to
// look again where who asks can be judged. c.names must be held.
func (c *Cache) checkedChange(ino Ino, ch *Change) error {
	const rights = SetMode | SetUID | SetGID | SetAtime | SetMtime
	switch {
	case ch.Asked == nil && (ch.Set == 0 || ch.Set&(SetMode|SetUID|SetGID) != 0):
		return c.checked(ino)
	case ch.Asked == nil, ch.Set&rights == 0, !c.judges(ino, ch.Asked) && !c.kernel.get().Outdated(ino):
		return nil
	}
	i, err := c.inode(ino)
	if err != nil {
		return err
	}
	if !i.AttrKnown {
		return c.checked(ino)
	}
	st := c.statOf(&i) // the owner that nobody vouches for is none
	switch may, known := mayChange(&st, *ch); {
	case !known:
		return c.checked(ino)
	case may:
		if givesGroup(&st, ch) {
			ch.Mode &^= unix.S_ISGID
		}
		return nil
	case ch.Touch && ch.Set&(SetMode|SetUID|SetGID) == 0:
		return fmt.Errorf("inode %d: %w", ino, ErrAccess)
	}
	return fmt.Errorf("inode %d: %w", ino, ErrNotPermitted)
}

// mayChange is the rule of Linux for who may change attributes, on a local disk. known is false where only the kernel can tell.
func mayChange(st *Stat, ch Change) (may, known bool) {
	by := ch.Asked
	may = true
	needs := func(is, sure bool) { may, known = may && is, known || !is && sure }
	owner, sure := by.Owner(st.UID)
	if ch.Set&(SetUID|SetGID) != 0 {
		gives, sure := by.Gives()
		own := by.Is(st.UID)
		if ch.Set&SetUID != 0 {
			needs(gives || own && ch.UID == st.UID, sure)
		}
		if ch.Set&SetGID != 0 {
			needs(gives || own && (ch.GID == st.GID || by.InGroup(ch.GID)), sure)
		}
	}
	if ch.Set&SetMode != 0 {
		needs(owner, sure)
		if _, sure := by.Gives(); !sure && givesGroup(st, &ch) {
			needs(false, false) // the kernel takes the bit away, by the group that it remembers
		}
	}
	if ch.Set&(SetAtime|SetMtime) != 0 {
		writes, sureToo := false, true
		if ch.Touch {
			writes, sureToo = by.May(st, unix.W_OK)
		}
		needs(owner || writes, sure && sureToo)
	}
	return may, may || known
}

// givesGroup reports whether a change sets the set-group-id bit of a group that who asks is not in, and cannot set it for.
func givesGroup(st *Stat, ch *Change) bool {
	gid := st.GID
	if ch.Set&SetGID != 0 {
		gid = ch.GID
	}
	return ch.Set&SetMode != 0 && ch.Mode&unix.S_ISGID != 0 && !ch.Asked.InGroup(gid) && !ch.Asked.KeepsSetID()
}

// checkedSize refuses a truncation by name that was checked so. Who has opened the file for writing may truncate it.
func (c *Cache) checkedSize(ino Ino, a arrival) error {
	if a.by == nil {
		return nil
	}
	c.names.RLock()
	defer c.names.RUnlock()
	i, err := c.inode(ino)
	if err != nil {
		return err
	}
	return c.checkedAt(&i, a, unix.W_OK)
}

// checkedXattr refuses a call for an extended attribute that was checked so. For those of trusted.* the kernel looks at no file. c.names must be held.
func (c *Cache) checkedXattr(ctx context.Context, ino Ino, name string, rights uint32) error {
	by := callerOf(ctx)
	switch {
	case strings.HasPrefix(name, "trusted."):
		return nil
	case !c.judges(ino, by):
		return c.checked(ino)
	}
	i, err := c.inode(ino)
	if err != nil {
		return err
	}
	decided, err := c.judge(&i, by, rights)
	if decided && err == nil && rights == unix.W_OK && isDir(&i) && i.Mode&unix.S_ISVTX != 0 {
		return c.owns(by, &i)
	}
	if decided {
		return err
	}
	return c.checked(ino)
}

// owns refuses a caller who is known not to own any of these.
func (c *Cache) owns(by Caller, any ...*index.Inode) error {
	for _, i := range any {
		st := c.statOf(i)
		if is, known := by.Owner(st.UID); is || !known {
			return nil
		}
	}
	return fmt.Errorf("inode %d: %w", any[0].Ino, ErrNotPermitted)
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

// noted reports whether others changed an inode at all, as far as that is known.
func (n *changes) noted(ino Ino) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last[ino] > 0 || n.floor > 0
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

// checkedAt is checked for a call that may have waited since it came, and needs rights. c.names must be held.
func (c *Cache) checkedAt(i *index.Inode, a arrival, rights uint32) error {
	if decided, err := c.judge(i, a.by, rights); decided {
		return err
	}
	return c.unchanged(i.Ino, a)
}

// unchanged refuses a call to what others have changed since the kernel looked. c.names must be held.
func (c *Cache) unchanged(ino Ino, a arrival) error {
	if a.by != nil && c.changes.since(ino, a.begun) {
		c.kernel.get().ForgetAttr(ino)
		return fmt.Errorf("inode %d: %w", ino, ErrOutdated)
	}
	return c.checked(ino)
}

// entered is checkedAt for a call that looks into a directory, or makes a name in it, without c.names: an import may wait for room on the disk with it.
// A call that comes while a change is being committed may be one of before; what came into being with the change is not known to it yet.
func (c *Cache) entered(ctx context.Context, dir Ino, a arrival, rights uint32) error {
	if !c.judges(dir, a.by) {
		return c.unchanged(dir, a)
	}
	if err := c.settled(ctx, dir, a.by); err != nil {
		return err
	}
	i, err := c.inode(dir)
	if err != nil {
		return err
	}
	return c.checkedAt(&i, a, rights)
}

// settled asks for the attributes of what is for us to judge, after an import has made them unknown. Without it the call would be refused so that the
// kernel looks again, which it does once for a whole path, of which each directory may be new.
func (c *Cache) settled(ctx context.Context, ino Ino, by Caller) error {
	if !c.judges(ino, by) {
		return nil
	}
	return ignore(c.known(ctx, ino), ErrGone)
}

// sight is what a name meant when a call came, 0 for nothing: the kernel cannot have seen anything newer.
type sight struct {
	ino Ino
	arrival
}

// look is what a name means now.
func (c *Cache) look(ctx context.Context, parent Ino, name string) sight {
	a := c.arrived(ctx)
	ino, ok, err := c.db.Child(parent, name)
	if err != nil || !ok {
		ino = 0
	}
	return sight{ino, a}
}

// changesNames are the rights to a directory that it takes to make and remove names in it.
const changesNames = unix.W_OK | unix.X_OK

// leavesDir refuses to move a directory to another one by somebody who may not write in it: its parent is one of its entries.
func (c *Cache) leavesDir(i *index.Inode, from, to place, before sight) error {
	if !isDir(i) || from.parent == to.parent {
		return nil
	}
	_, err := c.judge(i, before.by, unix.W_OK)
	return err
}

// sticks refuses to take something out of a directory that others changed, or out of a sticky one when it is not what the kernel has looked at: there
// it counts whose it is. before is what the name was when the call came. c.names must be held.
func (c *Cache) sticks(dir, i *index.Inode, before sight) error {
	if err := c.checkedAt(dir, before.arrival, changesNames); err != nil || dir.Mode&unix.S_ISVTX == 0 {
		return err
	}
	appeared := i.Ino != before.ino
	if by := before.by; by != nil && i.AttrKnown && dir.AttrKnown && (appeared || c.judges(i.Ino, by) || c.judges(dir.Ino, by)) {
		st := c.statOf(i)
		if _, known := by.Owner(st.UID); known {
			return c.owns(by, i, dir)
		}
	}
	if appeared {
		return fmt.Errorf("%q: %w", i.Name, ErrAppeared)
	}
	return c.unchanged(i.Ino, before.arrival)
}
