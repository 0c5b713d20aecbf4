package cache

import (
	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Without versioning two writers can look at a key, and then both write it: the one who comes first loses. He finds it out at his next
// look, because what lies there says what it was written over (object.Info.Over), and his version is not among that.

// unseen reports whether an object was written over a version of ours by somebody who had not seen it. With versioning that is his
// business: he finds ours below his.
func unseen(tx *index.Tx, o *index.Object, found *object.Info) (bool, error) {
	if o.Sent == (index.ID{}) || found == nil || found.Version != "" {
		return false, nil
	}
	for _, id := range found.Over {
		switch index.ID(id) {
		case o.Sent, o.Upload:
			return false, nil
		case o.Base:
			return true, nil
		}
		if older, err := tx.Superseded(index.ID(id)); err != nil || older {
			return older, err
		}
	}
	return false, nil
}

// follow lets a clean inode take what others wrote. When they had not seen our version, and it is still in the cache, it is kept: under
// a name of its own, since everybody else sees theirs under the old one. aside reports that.
func (c *Cache) follow(tx *index.Tx, i *index.Inode, o *index.Object, e *object.Entry, found *object.Info, note *news) (aside bool, err error) {
	lost := false
	if path, named := tx.Path(i.Ino); named && path == e.Key && !isDir(i) {
		lost, err = unseen(tx, o, found)
	}
	if lost && err == nil {
		if aside, err = c.keepOurs(tx, i, e, found, note); err == nil && !aside {
			note.report(object.NoticeLost, e.Key)
		}
	}
	if err != nil || aside {
		return aside, err
	}
	return false, c.takeOutside(tx, i, e, found, note)
}

// keepOurs moves our version aside, from where it is uploaded again, and gives theirs an inode under the old name.
func (c *Cache) keepOurs(tx *index.Tx, i *index.Inode, e *object.Entry, found *object.Info, note *news) (bool, error) {
	parent, name := i.Parent, i.Name
	if !i.Cached() || !c.mayReseal(i) {
		return false, nil
	}
	aside, err := c.conflictName(tx, i)
	if err != nil {
		return false, err
	}
	if i.PathSeq, err = tx.NextSeq(); err != nil {
		return false, err
	}
	i.Name, i.Ctime = aside, now()
	i.ChangedAt = i.Ctime
	i.AttrKnown = true // they are those of the version that was sent
	if err := tx.PutInode(*i); err != nil {
		return false, err
	}
	if err := c.importNew(tx, parent, name, e, note); err != nil {
		return false, err
	}
	theirs, err := childInode(tx, parent, name)
	if err != nil {
		return false, err
	}
	if err := c.adopt(tx, &theirs, e, found, c.modeOf(&theirs, found), note); err != nil {
		return false, err
	}
	if err := c.noteUnsent(tx, i, i.PathSeq); err != nil {
		return false, err
	}
	note.tell(func(k Kernel) { k.ForgetName(parent, name) })
	c.o.Logger.Warn("written here and elsewhere at the same moment: both versions are kept", "path", c.keyPath(e.Key), "ours", aside)
	c.conflicts.Add(1)
	return true, nil
}

// strand takes care of an inode whose content was under a key that somebody has written over or deleted. Where that was all that there is
// of it, the file is gone: it never shows other bytes. It is reported when it was ours; of a version of others that was on its way to a
// name of its own, its writer knew.
func (c *Cache) strand(tx *index.Tx, o *index.Object, note *news) error {
	i, ok, err := tx.Inode(o.Ino)
	if err != nil || !ok || isDir(&i) || i.Gen != o.Gen || !i.Sealed || i.Cached() && c.mayReseal(&i) {
		return err
	}
	rows, err := tx.ObjectsOf(i.Ino)
	if err != nil {
		return err
	}
	for _, other := range rows {
		if other.Key != o.Key && other.Gen == i.Gen {
			return nil
		}
	}
	if key, named := tx.Path(i.Ino); !named || key == o.Key {
		return nil // nobody misses it, or the caller decides
	}
	if o.Sent != (index.ID{}) {
		note.report(object.NoticeLost, o.Key)
	}
	return c.dropImported(tx, &i, note)
}
