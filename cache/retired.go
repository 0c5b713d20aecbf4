package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// What a machine has from the bucket was verified when it came, under a volume key that may be retired since: then a former holder can have made
// it, and nobody would know that any more once this machine had sealed it under the key in use. So each file remembers on whose word its
// content rests (index.Inode.Origin). When keys are retired, what rests on them is asked for again, and dropped unless the bucket has the
// same under a key that counts; until then it is neither changed in part nor uploaded. What was written here is this machine's own.

// mayReseal reports whether the content of an inode that is here may be sealed anew, in whole or in part.
func (c *Cache) mayReseal(i *index.Inode) bool { return !c.bucket.Retired(object.ID(i.Origin)) }

// Retired implements object.History.
func (h history) Retired() {
	h.c.work.run(func() {
		if err := h.c.leaveRetired(); err != nil && !errors.Is(err, index.ErrClosed) {
			h.c.o.Logger.Error("look for what rests on a retired volume key", "error", err)
		}
	})
}

// Retired implements converge.Importer: a question that went without an answer is asked again.
func (m importer) Retired(ctx context.Context, ino index.Ino) error {
	return ignore(m.c.known(ctx, ino), ErrGone)
}

// retiredMeta is where the index keeps for which retired volume keys everything was looked through.
const retiredMeta = "retired"

// leaveRetired has everything asked for again that rests on a volume key which is retired.
func (c *Cache) leaveRetired() error {
	var list []byte
	for _, id := range c.bucket.RetiredVolumes() {
		list = append(list, id[:]...)
	}
	known := false
	err := c.db.View(func(tx *index.Tx) error {
		before, _, err := tx.Meta(retiredMeta)
		known = bytes.Equal(before, list)
		return err
	})
	if err != nil || known {
		return err
	}
	keys, bare, err := c.onRetired()
	if err == nil {
		err = c.outliveAll(bare)
	}
	for len(keys) > 0 && err == nil {
		n := min(len(keys), importBatch)
		err = c.doubt(keys[:n])
		keys = keys[n:]
	}
	if err != nil {
		return err
	}
	return c.db.Update(func(tx *index.Tx) error { return tx.PutMeta(retiredMeta, list) })
}

// onRetired lists the keys of what rests on retired volume keys, attributes or content, and directories of which the bucket has no marker.
func (c *Cache) onRetired() (keys []string, bare []Ino, err error) {
	err = c.db.View(func(tx *index.Tx) error {
		err := tx.ObjectsAfter("", func(o index.Object) bool {
			if c.bucket.Retired(object.ID(o.Volume)) {
				keys = append(keys, o.Key)
			}
			return true
		})
		if err != nil {
			return err
		}
		var inodes []index.Inode
		err = tx.Inodes(func(i index.Inode) bool {
			if !c.mayReseal(&i) {
				inodes = append(inodes, i)
			}
			return true
		})
		for n := 0; n < len(inodes) && err == nil; n++ {
			var o index.Object
			var found bool
			o, found, err = homeRow(tx, &inodes[n])
			switch {
			case found && !c.bucket.Retired(object.ID(o.Volume)):
				keys = append(keys, o.Key)
			case !found && isDir(&inodes[n]):
				bare = append(bare, inodes[n].Ino)
			}
		}
		return err
	})
	return keys, bare, err
}

// outliveAll is outlive for directories of which the bucket had no marker before.
func (c *Cache) outliveAll(dirs []Ino) error {
	var note news
	c.names.Lock()
	defer c.names.Unlock()
	for len(dirs) > 0 {
		n := min(len(dirs), importBatch)
		err := c.db.Update(func(tx *index.Tx) error {
			note.clear()
			for _, ino := range dirs[:n] {
				i, ok, err := tx.Inode(ino)
				if err == nil && ok {
					err = c.outlive(tx, &i, "", &note)
				}
				if err != nil {
					return err
				}
				if !ok {
					continue
				}
				if err := tx.PutInode(i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		c.spread(&note)
		dirs = dirs[n:]
	}
	return nil
}

// doubt has some objects asked for again at their next use, and at once where that is now: a program has them open, or they are to be stored again.
func (c *Cache) doubt(keys []string) error {
	var note news
	var open []Ino
	c.names.Lock()
	defer c.names.Unlock()
	err := c.db.Update(func(tx *index.Tx) error {
		note.clear()
		open = open[:0]
		for _, key := range keys {
			o, recorded, err := tx.Object(key)
			if err != nil {
				return err
			}
			i, ok, err := tx.Inode(o.Ino)
			switch {
			case err != nil:
				return err
			case !recorded:
				continue
			case ok && o.Gen == i.Gen && i.Sealed && o.AttrVer == i.AttrVer && o.XattrVer == i.XattrVer:
				path, _ := tx.Path(i.Ino)
				if c.opens.Open(i.Ino) || isDir(&i) && path != key { // a directory that was moved here has its marker stored again
					open = append(open, i.Ino)
				}
				err = c.recheck(tx, &i, &o, &note)
			default: // what was changed here is still to be sent: the look before that asks
				o.State, o.Reason = object.StateUnknown, object.ReasonNone
				err = c.see(tx, o, &note)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.spread(&note)
	for _, ino := range open {
		c.heads.join(c.heads.running, ino, c.askAlone)
	}
	return nil
}

// changing makes a change of content. Where that is refused because what is here rests on a retired volume key, the object is asked for: the bucket may
// have the same under a key that counts.
func (c *Cache) changing(ctx context.Context, ino Ino, change func() error) error {
	err := change()
	if !errors.Is(err, object.ErrRetired) {
		return err
	}
	i, lookErr := c.inode(ino)
	if lookErr != nil || !i.Cached() || c.mayReseal(&i) {
		return err
	}
	home, lookErr := c.home(ino)
	if lookErr == nil {
		lookErr = c.doubt([]string{home.Key})
	}
	if lookErr == nil {
		lookErr = c.known(ctx, ino)
	}
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	return change()
}

// compare reads the content of an inode that is here and rests on a retired volume key, and compares it with an object that seems to hold the same. It takes
// as long as the caller has; what was not compared to its end is asked for anew.
func (c *Cache) compare(ctx context.Context, i *index.Inode, found *object.Info) {
	if found == nil || found.Content == nil || c.mayReseal(i) || !i.Sealed || i.CachedGen != i.Gen || i.Size != found.Size {
		return
	}
	body, _, err := c.bodies.OpenSealed(i.Ino, i.Gen)
	if err != nil {
		return
	}
	defer body.Close()
	whole := io.NewSectionReader(body, 0, i.Size)
	if err := found.Content.Compare(readerUntil{ctx, whole}, i.Gen); err != nil {
		c.o.Logger.Debug("content from a retired volume key is not what the bucket has", "inode", i.Ino, "error", err)
	}
}

// readerUntil ends with a context.
type readerUntil struct {
	ctx context.Context //nolint:containedctx // of the call that reads
	r   io.Reader
}

// Read implements io.Reader.
func (r readerUntil) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// settleOrigin is for when the bucket has told what an object is: where its content is here, and was compared, it rests on the word of today from then
// on. It is dropped where it rests on a volume key that was retired, and the object is another one, or refused. The row goes along.
func (c *Cache) settleOrigin(tx *index.Tx, i *index.Inode, o *index.Object, found *object.Info, note *news) error {
	if i.Origin == (index.ID{}) || isDir(i) {
		return nil
	}
	holds := o.Ino == i.Ino && o.Gen == i.Gen
	if holds && found.State == object.StateAuthentic && o.Generation == index.ID(found.Generation) && found.Content.Holds(i.Gen) {
		i.Origin = index.ID(found.Volume)
	}
	if c.mayReseal(i) {
		return nil
	}
	dropContent(tx, i)
	if holds {
		o.Gen = i.Gen
	}
	note.tell(func(k Kernel) { k.ForgetInode(i.Ino) })
	return c.noteFloor(tx, i.Ino, i.Gen)
}

// dropContent gives an inode a generation of which nothing is here.
func dropContent(tx *index.Tx, i *index.Inode) {
	i.Gen, i.CachedGen, i.Holes, i.Origin, i.Target = tx.NextGen(), 0, 0, index.ID{}, ""
}

// lostWord reports whether the object of an inode, which holds the same as before, is refused now, because the volume key was retired on whose word its
// content or attributes rest.
func (c *Cache) lostWord(i *index.Inode, o *index.Object, found *object.Info) bool {
	same := o.Ino == i.Ino && o.Gen == i.Gen && i.Sealed && o.ETag == found.ETag && o.Size == found.Size
	return found.State == object.StateRefused && same && (!c.mayReseal(i) || c.bucket.Retired(object.ID(o.Volume)))
}

// unvouch gives an inode the attributes of what nobody vouches for.
func (c *Cache) unvouch(i *index.Inode) {
	a := c.defaultAttr(isDir(i), time.Unix(0, i.Mtime))
	i.Mode, i.UID, i.GID, i.Rdev, i.Xattrs = i.Mode&modeType|a.Mode&modePerm, a.UID, a.GID, a.Rdev, a.Xattrs
	i.Unproven |= object.FieldMode
	if isDir(i) {
		i.Origin = index.ID{}
	}
}

// outlive is for a directory whose marker is not there any more: it goes on with the attributes that it had, if the volume key counts on whose word
// they rest. Whoever may write to the bucket could else keep what a former holder said by taking it away.
func (c *Cache) outlive(tx *index.Tx, i *index.Inode, key string, note *news) error {
	o, recorded, err := tx.Object(key)
	if err != nil || c.mayReseal(i) && !(recorded && c.bucket.Retired(object.ID(o.Volume))) {
		return err
	}
	c.unvouch(i)
	return c.forgetInode(tx, i.Ino, note)
}
