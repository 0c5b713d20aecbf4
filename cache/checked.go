package cache

import (
	"fmt"
	"strings"

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
	is, known := ch.Asked.Owner(i.UID)
	switch setGID := ch.Set&SetMode != 0 && ch.Mode&unix.S_ISGID != 0; {
	case is && (!setGID || ch.Asked.InGroup(i.GID)):
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

// sight is what a name means now, 0 for nothing: the kernel cannot have seen anything newer.
func (c *Cache) sight(parent Ino, name string) Ino {
	ino, ok, err := c.db.Child(parent, name)
	if err != nil || !ok {
		return 0
	}
	return ino
}

// sticks refuses to take something out of a sticky directory that is not what the kernel has looked at: there it counts whose it is. Elsewhere
// it is the directory's mode that counts. before is what the name was when the call came. c.names must be held.
func (c *Cache) sticks(dir, i *index.Inode, before Ino) error {
	switch {
	case dir.Mode&unix.S_ISVTX == 0:
		return nil
	case i.Ino != before:
		return fmt.Errorf("%q: %w", i.Name, ErrAppeared)
	}
	return c.checked(i.Ino)
}
