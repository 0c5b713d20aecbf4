package cache

import (
	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// cleanAt reports whether a row of the bucket holds exactly what the inode is.
func (c *Cache) cleanAt(i *index.Inode, o *index.Object) bool {
	return o.Ino == i.Ino && o.Gen == i.Gen && i.Sealed && o.AttrVer == i.AttrVer && o.XattrVer == i.XattrVer &&
		c.opens.count(i.Ino).writers == 0
}

// rowOf records what a listing showed as the state of an inode.
func rowOf(i *index.Inode, e *object.Entry) index.Object {
	return index.Object{
		Key: e.Key, Ino: i.Ino, Gen: i.Gen, AttrVer: i.AttrVer, XattrVer: i.XattrVer,
		ETag: e.ETag, Size: e.Size, Modified: e.Modified.UnixNano(),
	}
}

// importNew gives an object that others wrote a name. Its attributes, type included, are asked for when needed. The kernel is not
// told about new names: that it remembers one as absent ends by itself after MetaTTL, while a note that comes late would
// take the entry away from a program that has found the new name already and works in it.
func (c *Cache) importNew(tx *index.Tx, dir Ino, name string, e *object.Entry, note *news) error {
	modified := object.Nanoseconds(e.Modified)
	i := index.Inode{
		Ino: tx.NextIno(), Gen: tx.NextGen(), Parent: dir, Name: name, Size: e.Size, Sealed: true,
		UID: c.o.UID, GID: c.o.GID, Atime: modified, Mtime: modified, Ctime: modified,
	}
	if err := c.see(tx, rowOf(&i, e), note); err != nil {
		return err
	}
	c.arrivals.add(e)
	return tx.PutInode(i)
}

// takeOutside gives a clean inode the version others wrote; info is nil when it was only listed. Its openings get ErrStale when they read on; package body drops the
// bytes of the old generation when it meets the new one.
func (c *Cache) takeOutside(tx *index.Tx, i *index.Inode, e *object.Entry, info *object.Info, note *news) error {
	i.Gen = tx.NextGen()
	i.Size, i.Holes, i.Sealed, i.CachedGen, i.Origin, i.Target, i.Xattrs = e.Size, 0, true, 0, index.ID{}, "", nil
	i.Mtime, i.Ctime = object.Nanoseconds(e.Modified), now()
	if err := c.noteFloor(tx, i.Ino, i.Gen); err != nil {
		return err
	}
	o := rowOf(i, e)
	if info != nil {
		setInfo(&o, info)
	}
	return c.askAgain(tx, i, &o, note)
}

// recheck records that an object may have other attributes now, and other proofs.
func (c *Cache) recheck(tx *index.Tx, i *index.Inode, o *index.Object, note *news) error {
	o.State, o.Reason = object.StateUnknown, object.ReasonNone
	return c.askAgain(tx, i, o, note)
}

// askAgain records a row and has the attributes asked for again.
func (c *Cache) askAgain(tx *index.Tx, i *index.Inode, o *index.Object, note *news) error {
	i.AttrKnown = false
	if err := c.forgetInode(tx, i.Ino, note); err != nil {
		return err
	}
	if err := c.see(tx, *o, note); err != nil {
		return err
	}
	return tx.PutInode(*i)
}

// dropImported takes away an inode whose object is gone. The caller has removed the row. c.names must be held for writing.
func (c *Cache) dropImported(tx *index.Tx, i *index.Inode, note *news) error {
	parent, name := i.Parent, i.Name
	note.tell(func(k Kernel) { k.ForgetName(parent, name) })
	if c.heir() || c.opens.Open(i.Ino) {
		i.Unlinked, i.Ctime = true, now()
		if err := c.orphan(tx, i.Ino, !c.heir()); err != nil {
			return err
		}
		if ino := i.Ino; c.heir() {
			note.tell(func(k Kernel) { k.AskInode(ino) })
		}
		return tx.PutInode(*i)
	}
	return c.erase(tx, i.Ino)
}
