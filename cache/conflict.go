package cache

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
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
func (m importer) Import(ctx context.Context, key string, found *object.Info) error {
	c := m.c
	if i, ok, err := c.named(key); err != nil {
		return fmt.Errorf("import %q: %w", key, err)
	} else if ok {
		c.compare(ctx, &i, found)
	}
	var note news
	c.names.Lock()
	defer c.names.Unlock()
	err := c.db.Update(func(tx *index.Tx) error {
		note.clear()
		return c.importKey(tx, key, found, &note)
	})
	if err != nil {
		return fmt.Errorf("import %q: %w", key, err)
	}
	c.spread(&note)
	return nil
}

// named finds the inode that has the name of a key.
func (c *Cache) named(key string) (i index.Inode, ok bool, err error) {
	err = c.db.View(func(tx *index.Tx) error {
		ino, named, err := tx.Resolve(key)
		if err == nil && named {
			i, ok, err = tx.Inode(ino)
		}
		return err
	})
	return i, ok, err
}

// importKey decides what becomes of a key that others changed.
func (c *Cache) importKey(tx *index.Tx, key string, found *object.Info, note *news) error {
	o, recorded, err := tx.Object(key)
	if err != nil {
		return err
	}
	ino, named, err := tx.Resolve(key)
	if err != nil {
		return err
	}
	kept := recorded && found != nil && keptContent(&o, found)
	if kept && (!named || o.Ino != ino) {
		moved, err := c.catchUp(tx, &o, found, note)
		if err != nil {
			return err
		}
		if moved || !named {
			return c.seeAnew(tx, &o, found, note)
		}
	}
	if !named && recorded && found != nil && writtenOver(&o, found) {
		return c.seeAnew(tx, &o, found, note) // a directory that is gone here is gone, whatever was made in it or set for it elsewhere
	}
	if !named {
		return c.importForeign(tx, key, recorded, note)
	}
	i, ok, err := tx.Inode(ino)
	if err != nil || !ok {
		return err
	}
	if recorded && !kept && o.Ino != i.Ino {
		if err := c.strand(tx, &o, note); err != nil {
			return err
		}
	}
	clean := recorded && c.cleanAt(&i, &o)
	if found != nil && object.IsFullMarker(key, found.Size) {
		return c.occupied(tx, &i, key, note)
	}
	if found == nil && isDir(&i) {
		return c.loseMarker(tx, &i, key, note)
	}
	if found == nil {
		if recorded {
			err = c.vanished(tx, &o, note)
		}
		if err != nil || !clean {
			return err
		}
		return c.dropImported(tx, &i, note)
	}
	entry := object.Entry{Key: key, Size: found.Size, ETag: found.ETag, Modified: found.Modified}
	switch {
	case isDir(&i):
		return c.adoptMarker(tx, &i, &entry, found, note)
	case kept && o.Ino != i.Ino: // of an inode that is gone; i comes in its place
		return c.seeAnew(tx, &o, found, note)
	case kept && clean:
		i.AttrKnown = false
		if err := orErr(c.forgetInode(tx, i.Ino, note), tx.PutInode(i)); err != nil {
			return err
		}
		return c.seeAnew(tx, &o, found, note)
	case clean:
		_, err := c.follow(tx, &i, &o, &entry, found, note)
		return err
	case kept, recorded && c.lostWord(&i, &o, found):
		return c.meet(tx, &i, &o, found, note)
	}
	return c.keepBoth(tx, &i, &entry, found, note)
}

// loseMarker forgets a directory's marker that others deleted.
func (c *Cache) loseMarker(tx *index.Tx, i *index.Inode, key string, note *news) error {
	if err := c.outlive(tx, i, key, note); err != nil {
		return err
	}
	if o, recorded, err := tx.Object(key); err != nil {
		return err
	} else if recorded && i.OnlyMoved(&o) {
		i.Marker = false // it lives by what is in it
	}
	if err := tx.PutInode(*i); err != nil {
		return err
	}
	return tx.SawGone(key)
}

// markerGone forgets a marker somebody deleted; the directory lives on by what is in it, and gets a new one when its
// attributes change.
func (c *Cache) markerGone(tx *index.Tx, i *index.Inode, key string, note *news) error {
	o, recorded, err := tx.Object(key)
	if err != nil || !recorded || !c.cleanAt(i, &o) && !i.OnlyMoved(&o) {
		return err
	}
	i.Marker = false
	if err := c.outlive(tx, i, key, note); err != nil {
		return err
	}
	return tx.SawGone(key)
}

// keptContent reports whether an object holds the content that is recorded, and others changed no more than its headers and tags: it was
// rewrapped, or got other attributes. Who had not written the content himself stores the same ciphertext as a generation of its own then.
func keptContent(o *index.Object, found *object.Info) bool {
	if found.State != object.StateAuthentic || o.Size != found.Size || o.Generation == (index.ID{}) {
		return false
	}
	return o.Generation == found.Generation || o.ETag == found.ETag && o.Size > 0
}

// writtenOver reports whether the marker of a directory was stored anew by somebody who knew the one that is recorded.
func writtenOver(o *index.Object, found *object.Info) bool {
	return index.IsDirKey(o.Key) && found.State == object.StateAuthentic && found.Size == 0 && slices.Contains(found.Over, object.ID(o.Upload))
}

// meet brings together what an object tells and what was changed here since it was recorded: of content and attributes, what was
// changed here stays, and is still to be sent.
func (c *Cache) meet(tx *index.Tx, i *index.Inode, o *index.Object, found *object.Info, note *news) error {
	if back, err := superseded(tx, found); err != nil {
		return err
	} else if !back && found.State != object.StateRefused {
		c.takeAttr(i, o, found)
	}
	if c.lostWord(i, o, found) {
		o.AttrVer, o.XattrVer = i.AttrVer, i.XattrVer // nothing can be added to it
		c.unvouch(i)
	}
	if err := c.settleOrigin(tx, i, o, found, note); err != nil {
		return err
	}
	i.AttrKnown = true
	if err := c.forgetInode(tx, i.Ino, note); err != nil {
		return err
	}
	if err := tx.PutInode(*i); err != nil {
		return err
	}
	return c.seeAnew(tx, o, found, note)
}

// takeAttr takes over the attributes that were not changed here since the row was recorded.
func (c *Cache) takeAttr(i *index.Inode, o *index.Object, found *object.Info) {
	a := &found.Attr
	if i.AttrVer == o.AttrVer {
		i.Mode, i.UID, i.GID = i.Mode&modeType|c.modeOf(i, found)&modePerm, a.UID, a.GID
		i.Unproven = found.Unproven
		if i.Gen == o.Gen {
			i.Mtime = a.Mtime
		} else {
			i.Unproven &^= object.FieldMtime
		}
	}
	if i.XattrVer == o.XattrVer && found.XattrErr == nil { // unknown ones must not be written over as none
		i.Xattrs = a.Xattrs
	}
}

// catchUp gives an inode that was moved away from a key, which waits to be removed or to get another content, the attributes that others
// set there meanwhile. It reports whether there is such an inode.
func (c *Cache) catchUp(tx *index.Tx, o *index.Object, found *object.Info, note *news) (moved bool, err error) {
	i, ok, err := tx.Inode(o.Ino)
	if err != nil || !ok || i.Unlinked || isDir(&i) || found.State == object.StateRefused {
		return false, err
	}
	if back, err := superseded(tx, found); err != nil || back {
		return !back, err
	}
	old := i
	if c.takeAttr(&i, o, found); i.Mode != old.Mode || i.UID != old.UID || i.GID != old.GID || i.Mtime != old.Mtime {
		i.AttrVer++ // they are to be sent to where the content is now
	}
	if !maps.EqualFunc(i.Xattrs, old.Xattrs, bytes.Equal) {
		i.XattrVer++
	}
	if err := c.forgetInode(tx, i.Ino, note); err != nil {
		return false, err
	}
	return true, tx.PutInode(i)
}

// seeAnew records that an object which we know was stored again with the same content, under a new envelope.
func (c *Cache) seeAnew(tx *index.Tx, o *index.Object, found *object.Info, note *news) error {
	o.ETag, o.Modified = found.ETag, index.TimeSeen(found)
	setInfo(o, found)
	return c.see(tx, *o, note)
}

// importForeign forgets a key that we meant to delete or leave and that others wrote meanwhile: it is theirs now. Its
// directory is listed anew at its next use and shows it.
func (c *Cache) importForeign(tx *index.Tx, key string, recorded bool, note *news) error {
	if recorded {
		o, _, err := tx.Object(key)
		if err != nil {
			return err
		}
		if err := c.strand(tx, &o, note); err != nil {
			return err
		}
		if err := tx.SawGone(key); err != nil {
			return err
		}
	}
	return listAgain(tx, key)
}

// listAgain has the nearest directory that a key is in listed at its next use.
func listAgain(tx *index.Tx, key string) error {
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
func (c *Cache) adoptMarker(tx *index.Tx, i *index.Inode, e *object.Entry, found *object.Info, note *news) error {
	row := rowOf(i, e)
	setInfo(&row, found)
	o, recorded, err := tx.Object(e.Key)
	if err != nil {
		return err
	}
	if recorded && c.cleanAt(i, &o) {
		return c.askAgain(tx, i, &row, note)
	}
	if recorded && i.OnlyMoved(&o) {
		return c.adopt(tx, i, e, found, c.modeOf(i, found), note)
	}
	row.AttrVer, row.XattrVer = 0, 0 // older than anything made here: ours is written again
	return c.see(tx, row, note)
}

// keepBoth gives the version of others a name of its own beside ours.
func (c *Cache) keepBoth(tx *index.Tx, ours *index.Inode, e *object.Entry, found *object.Info, note *news) error {
	name, err := c.conflictName(tx, ours)
	if err != nil {
		return err
	}
	if err := c.importNew(tx, ours.Parent, name, e, note); err != nil {
		return err
	}
	theirs, err := childInode(tx, ours.Parent, name)
	if err != nil {
		return err
	}
	// Its content will be copied to the new name, and the attributes travel with the copy.
	if err := c.adopt(tx, &theirs, e, found, c.modeOf(&theirs, found), note); err != nil {
		return err
	}
	c.o.Logger.Warn("changed here and elsewhere: both versions are kept", "path", c.keyPath(e.Key), "theirs", name)
	c.conflicts.Add(1)
	return nil
}

// conflictName finds a free name beside an inode's.
func (c *Cache) conflictName(tx *index.Tx, i *index.Inode) (string, error) {
	dir, _ := tx.Path(i.Parent)
	for n := range maxConflicts {
		name := c.conflictOf(dir, i.Name, time.Now(), n)
		_, taken, err := tx.Child(i.Parent, name)
		if err != nil || !taken {
			return name, err
		}
	}
	return "", fmt.Errorf("no free name beside %q", i.Name)
}

// maxConflicts is how many conflicts of one name in one second find a name of their own.
const maxConflicts = 1000

// conflictOf is the n-th name in a directory for a version of another writer that this machine found.
func (c *Cache) conflictOf(dir, base string, at time.Time, n int) string {
	suffix := fmt.Sprintf(".conflict-%s-%s", cleanHost(c.o.Host), at.UTC().Format("20060102T150405Z"))
	room := max(0, min(MaxName, c.bucket.KeyRoom()-len(dir))-len(suffix)-len("-999"))
	if len(base) > room {
		base = strings.ToValidUTF8(base[:room], "")
	}
	if n == 0 {
		return base + suffix
	}
	return fmt.Sprintf("%s%s-%d", base, suffix, n)
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
