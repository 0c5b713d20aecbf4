package cache

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// importer takes in what converge found under a key instead of what it expected. It implements converge.Importer.
type importer struct{ c *Cache }

// Import takes over the state of a key that others changed; found is nil when they deleted the object. A clean file follows.
// Otherwise both versions are kept: theirs becomes a file "name.conflict-HOST-TIME" beside ours, whose content is where it is
// until it is moved there.
func (m importer) Import(_ context.Context, key string, found *object.Info) error {
	c := m.c
	var note []func(Kernel)
	c.names.Lock()
	defer c.names.Unlock()
	err := c.db.Update(func(tx *index.Tx) error {
		note = note[:0]
		return c.importKey(tx, key, found, &note)
	})
	if err != nil {
		return fmt.Errorf("import %q: %w", key, err)
	}
	for _, tell := range note {
		tell(c.kernel.get())
	}
	return nil
}

// importKey decides what becomes of a key that others changed.
func (c *Cache) importKey(tx *index.Tx, key string, found *object.Info, note *[]func(Kernel)) error {
	o, recorded, err := tx.Object(key)
	if err != nil {
		return err
	}
	ino, named, err := tx.Resolve(key)
	if err != nil {
		return err
	}
	if !named {
		return c.importForeign(tx, key, recorded)
	}
	i, ok, err := tx.Inode(ino)
	if err != nil || !ok {
		return err
	}
	clean := recorded && c.cleanAt(&i, &o)
	if found == nil {
		if err := tx.DeleteObject(key); err != nil || !clean || isDir(&i) {
			return err
		}
		return c.dropImported(tx, &i, note)
	}
	entry := object.Entry{Key: key, Size: found.Size, ETag: found.ETag, Modified: found.Modified}
	switch {
	case isDir(&i):
		return c.adoptMarker(tx, &i, &entry, found, note)
	case clean:
		return c.takeOutside(tx, &i, &entry, note)
	}
	return c.keepBoth(tx, &i, &entry, found)
}

// importForeign forgets a key that we meant to delete or leave and that others wrote meanwhile: it is theirs now. Its
// directory is listed anew at its next use and shows it.
func (c *Cache) importForeign(tx *index.Tx, key string, recorded bool) error {
	if recorded {
		if err := tx.DeleteObject(key); err != nil {
			return err
		}
	}
	for dir := strings.TrimSuffix(key, "/"); dir != ""; {
		dir = dir[:strings.LastIndexByte(dir, '/')+1]
		ino, ok, err := tx.Resolve(dir)
		if err != nil {
			return err
		}
		if !ok {
			dir = strings.TrimSuffix(dir, "/")
			continue
		}
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return err
		}
		i.ListedAt = 0
		return tx.PutInode(i)
	}
	return nil
}

// adoptMarker records a directory's marker that others wrote. Attributes that were changed here are written over it;
// otherwise theirs are asked for.
func (c *Cache) adoptMarker(tx *index.Tx, i *index.Inode, e *object.Entry, found *object.Info, note *[]func(Kernel)) error {
	row := rowOf(i, e)
	row.Upload, row.Generation = found.Upload, found.Generation
	o, recorded, err := tx.Object(e.Key)
	if err != nil {
		return err
	}
	if recorded && c.cleanAt(i, &o) {
		return c.recheck(tx, i, &row, note)
	}
	row.AttrVer, row.XattrVer = 0, 0 // older than anything made here: ours is written again
	return tx.PutObject(row)
}

// keepBoth gives the version of others a name of its own beside ours.
func (c *Cache) keepBoth(tx *index.Tx, ours *index.Inode, e *object.Entry, found *object.Info) error {
	name, err := c.conflictName(tx, ours)
	if err != nil {
		return err
	}
	if err := c.importNew(tx, ours.Parent, name, e); err != nil {
		return err
	}
	theirs, err := childInode(tx, ours.Parent, name)
	if err != nil {
		return err
	}
	// Its content will be copied to the new name, and the attributes travel with the copy.
	if err := c.adopt(tx, &theirs, e, found, c.modeOf(&theirs, found)); err != nil {
		return err
	}
	c.o.Logger.Warn("changed here and elsewhere: both versions are kept", "path", c.keyPath(e.Key), "theirs", name)
	c.conflicts.Add(1)
	return nil
}

// conflictName finds a free name beside an inode's.
func (c *Cache) conflictName(tx *index.Tx, i *index.Inode) (string, error) {
	suffix := fmt.Sprintf(".conflict-%s-%s", cleanHost(c.o.Host), time.Now().UTC().Format("20060102T150405Z"))
	base := i.Name
	if room := MaxName - len(suffix) - len("-999"); len(base) > room {
		base = strings.ToValidUTF8(base[:room], "")
	}
	for n := 0; n < 1000; n++ {
		name := base + suffix
		if n > 0 {
			name = fmt.Sprintf("%s-%d", name, n)
		}
		_, taken, err := tx.Child(i.Parent, name)
		if err != nil || !taken {
			return name, err
		}
	}
	return "", fmt.Errorf("no free name beside %q", i.Name)
}

// maxHost bounds the part of a conflict's name that tells the host.
const maxHost = 64

// cleanHost makes a host's name fit for a file name.
func cleanHost(host string) string {
	host = strings.Map(func(r rune) rune {
		if r == '/' || r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(host, ""))
	if host == "" {
		return "unknown"
	}
	return strings.ToValidUTF8(host[:min(len(host), maxHost)], "")
}

// keyPath shows a key as a path of the mount, for messages.
func (c *Cache) keyPath(key string) string { return "/" + strings.TrimSuffix(key, "/") }
