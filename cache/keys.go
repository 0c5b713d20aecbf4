package cache

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// hidden reports whether a name is not shown: in the root it is this program's own area. Below the root an inode has the reserved name only
// in a cache that was made before the name was reserved there; it is shown until a listing finds that the bucket has all of it.
func hidden(parent Ino, name string) bool { return parent == Root && object.Reserved(name) }

// checkName refuses names that cannot be made here.
func (c *Cache) checkName(parent Ino, name string) error {
	switch {
	case len(name) > MaxName:
		return ErrNameTooLong
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("name %q: %w", name, ErrInvalid)
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not UTF-8: %w", name, ErrInvalid)
	case object.Reserved(name):
		return fmt.Errorf("%w: %w", object.ErrReserved, ErrAccess)
	case parent == Root && c.bucket.Prefix() == "" && name[0] == '\\':
		return fmt.Errorf("name %q begins with a backslash: %w", name, ErrInvalid)
	}
	return nil
}

// checkKey refuses a key that is too long with the mounted prefix, that lies below a reserved name, or where this host may not write.
func (c *Cache) checkKey(key string) error {
	if object.Reserved(key) {
		return fmt.Errorf("%.100q: %w: %w", key, object.ErrReserved, ErrAccess)
	}
	if len(key) > c.bucket.KeyRoom() {
		return ErrNameTooLong
	}
	return c.mayWrite(key)
}

// childKey is the key a name gets in a directory; ok is false when the directory itself has none (it was removed).
func childKey(tx *index.Tx, parent Ino, name string, dir bool) (key string, ok bool) {
	key, ok = tx.Path(parent)
	if dir {
		name += "/"
	}
	return key + name, ok
}

// PathOf shows where an inode is, for messages: the path below the mount point, or its number when it has none.
func (c *Cache) PathOf(ino Ino) string {
	path := ""
	err := c.db.View(func(tx *index.Tx) error {
		if key, ok := tx.Path(ino); ok {
			path = "/" + strings.TrimSuffix(key, "/")
		}
		return nil
	})
	if err != nil || path == "" {
		return fmt.Sprintf("inode %d", ino)
	}
	return path
}
