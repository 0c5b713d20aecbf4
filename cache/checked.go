package cache

import (
	"fmt"

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
