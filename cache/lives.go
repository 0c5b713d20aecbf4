package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/ossencfs/ossencfs/cache/index"
)

// A mount that survives its process is served by several processes, one after the other: its lives. What the kernel keeps over a
// change of lives (open files, working directories, names it knows, requests without an answer) must mean the same to the next:
//
//	inodes       node ids are inode numbers, so there is nothing to find again
//	openings     a handle carries its life and the generation that was opened; counts of earlier lives are not known. Nothing that
//	             may be open is erased: whether the kernel still knows an inode without a name it is asked
//	directories  positions are inode numbers; those of large directories are kept in the index, see Dir
//	requests     those that change names come again after they were executed; see answers
const (
	// floorTable has, per inode that others changed under this mount, the generation they made.
	floorTable = 'f'
	lifeBits   = 16
	genBits    = 64 - lifeBits
)

// lives is what this life knows of earlier ones.
type lives struct {
	mu     sync.Mutex     // guards the fields below
	floors map[Ino]uint64 // handles of earlier lives with a smaller generation are stale
}

// survives reports whether another life may follow this one.
func (c *Cache) survives() bool { return c.o.Life > 0 }

// heir reports whether another life went before.
func (c *Cache) heir() bool { return c.o.Life > 1 }

// Handle names an opening of an inode to the kernel, so that a later life knows what was opened.
func (c *Cache) Handle(ino Ino) uint64 {
	if !c.survives() {
		return 0
	}
	i, err := c.inode(ino)
	if err != nil {
		return c.tag()
	}
	return c.tag() | i.Gen&(1<<genBits-1)
}

// HandleTag marks handles of this life in their upper bits; the others are the caller's.
func (c *Cache) HandleTag() uint64 { return c.tag() }

// tag marks what belongs to this life in the upper bits of a handle.
func (c *Cache) tag() uint64 { return uint64(c.o.Life) << genBits }

// earlier reports whether a handle is of an earlier life.
func (c *Cache) earlier(handle uint64) bool {
	return c.heir() && handle>>genBits != c.tag()>>genBits
}

// Resume is called before a handle is used: one of an earlier life counts as an opening from then on, and is stale when
// others changed the file since.
func (c *Cache) Resume(ino Ino, handle uint64, write bool) error {
	if !c.earlier(handle) {
		return nil
	}
	c.opens.addEarlier(ino, write)
	c.lives.mu.Lock()
	floor := c.lives.floors[ino]
	c.lives.mu.Unlock()
	if handle&(1<<genBits-1) < floor {
		return ErrStale
	}
	return nil
}

// ReleaseHandle ends the opening that a handle names.
func (c *Cache) ReleaseHandle(ctx context.Context, ino Ino, handle uint64, write bool) error {
	if !c.earlier(handle) {
		return c.Release(ctx, ino, write)
	}
	// There may be more of them: the next use of one notes it again.
	c.opens.removeEarlier(ino)
	if !write {
		return nil
	}
	c.bodies.Closed(ino)
	return c.sealLast(ctx, ino, c.opens.count(ino).writers)
}

// FlushHandle is Flush for the opening that a handle names. Whether one of an earlier life wrote is not known.
func (c *Cache) FlushHandle(ctx context.Context, ino Ino, handle uint64) error {
	if !c.earlier(handle) || !c.o.CloseRemote {
		return c.Flush(ctx, ino)
	}
	return c.push(ctx, ino)
}

// noteFloor keeps, in the transaction of the change, that an inode changed in another way than the kernel asked for: who opened an older
// generation is stale, and later lives tell the kernel again. Without a new generation gen is 0.
func (c *Cache) noteFloor(tx *index.Tx, ino Ino, gen uint64) error {
	if !c.survives() {
		return nil
	}
	c.lives.mu.Lock()
	defer c.lives.mu.Unlock()
	gen = max(gen, c.lives.floors[ino])
	if c.lives.floors == nil {
		c.lives.floors = make(map[Ino]uint64)
	}
	c.lives.floors[ino] = gen
	return tx.PutRaw(floorTable, orphanKey(ino), binary.BigEndian.AppendUint64(nil, gen))
}

// forgetInode has the kernel forget, when the transaction is done, what it remembers of an inode; later lives repeat it.
func (c *Cache) forgetInode(tx *index.Tx, ino Ino, note *news) error {
	c.changes.note(ino) // who sees anything of the transaction finds it noted
	note.tell(func(k Kernel) {
		c.changes.note(ino)
		k.ForgetInode(ino)
	})
	return c.noteFloor(tx, ino, 0)
}

// begin takes over from the life before, or wipes what is left of another mount.
func (c *Cache) begin() error {
	if !c.heir() {
		err := c.db.Update(func(tx *index.Tx) error {
			return errors.Join(tx.DeleteRawPrefix(floorTable, nil), tx.DeleteRawPrefix(answerTable, nil), tx.DeleteRawPrefix(markTable, nil))
		})
		return errors.Join(err, c.eraseOrphans())
	}
	return c.db.View(func(tx *index.Tx) error {
		err := tx.ScanRaw(orphanTable, nil, func(key, _ []byte) bool {
			if ino, ok := parseOrphanKey(key); ok {
				c.orphans.known[ino] = false
			}
			return true
		})
		c.lives.floors = make(map[Ino]uint64)
		err = errors.Join(err, tx.ScanRaw(floorTable, nil, func(key, value []byte) bool {
			if ino, ok := parseOrphanKey(key); ok && len(value) == 8 {
				c.lives.floors[ino] = binary.BigEndian.Uint64(value)
				c.changes.note(ino)
			}
			return true
		}))
		return errors.Join(err, c.answers.load(tx))
	})
}

// meetKernel asks about inodes without a name, whose FORGET an earlier life may have taken along, and repeats what it may not
// have told.
func (c *Cache) meetKernel(k Kernel) {
	for _, ino := range c.orphans.waiting() {
		k.AskInode(ino)
	}
	c.lives.mu.Lock()
	defer c.lives.mu.Unlock()
	for ino := range c.lives.floors {
		k.ForgetInode(ino)
	}
}

// held tells converge what is open: in a life that is not the first also what may be.
type held struct{ c *Cache }

// Open reports whether an inode is open, or may be.
func (h held) Open(ino Ino) bool {
	return h.c.opens.Open(ino) || h.c.heir() && h.c.orphans.waits(ino)
}
