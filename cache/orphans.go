package cache

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/ossencfs/ossencfs/cache/index"
)

// orphanTable lists in the index the inodes without a name. They are erased when nobody can reach them any more, or at the next
// start. The value of those that never had one, and may get one, is nameless; of the others it is empty.
const orphanTable = 'o'

var nameless = []byte{1}

// eraseBatch bounds the inodes erased in one transaction.
const eraseBatch = 128

// orphans knows which inodes have no name any more and waits until both the kernel has forgotten them and the last opening has
// ended. The kernel can open an inode it knows although its name is gone: a program may be between finding and opening it.
type orphans struct {
	mu      sync.Mutex   // guards the fields below
	known   map[Ino]bool // whether the kernel has forgotten it
	erase   []Ino
	running bool
}

func newOrphans() *orphans { return &orphans{known: make(map[Ino]bool)} }

func orphanKey(ino Ino) []byte { return index.AppendIno(nil, ino) }

func parseOrphanKey(key []byte) (ino Ino, ok bool) {
	if len(key) != 8 {
		return 0, false
	}
	return Ino(binary.BigEndian.Uint64(key)), true
}

// orphan lists an inode that is losing its name, in the transaction that takes it. forgotten tells that the kernel does not
// have to be waited for.
func (c *Cache) orphan(tx *index.Tx, ino Ino, forgotten bool) error {
	c.orphans.mu.Lock()
	c.orphans.known[ino] = forgotten || !c.kernel.present() && !c.heir()
	c.orphans.mu.Unlock()
	return tx.PutRaw(orphanTable, orphanKey(ino), nil)
}

// adopted takes an inode off the list that is getting its first name, in the transaction that gives it. One that lost its name gets no other.
func (c *Cache) adopted(tx *index.Tx, ino Ino) error {
	mark, _, err := tx.GetRaw(orphanTable, orphanKey(ino))
	if err == nil && !bytes.Equal(mark, nameless) {
		err = ErrNotFound
	}
	if err != nil {
		return err
	}
	c.orphans.mu.Lock()
	delete(c.orphans.known, ino)
	c.orphans.mu.Unlock()
	return tx.DeleteRaw(orphanTable, orphanKey(ino))
}

// waiting lists the inodes that the kernel has not forgotten.
func (o *orphans) waiting() []Ino {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []Ino
	for ino, forgotten := range o.known {
		if !forgotten {
			list = append(list, ino)
		}
	}
	return list
}

// waits reports whether an inode has no name and the kernel has not forgotten it.
func (o *orphans) waits(ino Ino) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	forgotten, known := o.known[ino]
	return known && !forgotten
}

// Forget tells that the kernel dropped an inode, so that nothing has it open.
func (c *Cache) Forget(ino Ino) {
	if c.heir() {
		c.opens.removeEarlier(ino)
	}
	c.orphans.mu.Lock()
	_, removed := c.orphans.known[ino]
	if removed {
		c.orphans.known[ino] = true
	}
	c.orphans.mu.Unlock()
	if removed {
		c.reap(ino)
	}
}

// reap erases an inode in the background if it has no name, no opening, and nobody in the kernel who knows it.
func (c *Cache) reap(ino Ino) {
	o := c.orphans
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.known[ino] || c.opens.Open(ino) {
		return
	}
	delete(o.known, ino)
	o.erase = append(o.erase, ino)
	if !o.running {
		o.running = c.work.run(c.eraseForgotten)
	}
}

// eraseForgotten works off the list and ends when it is empty.
func (c *Cache) eraseForgotten() {
	for {
		batch := c.orphans.take()
		if len(batch) == 0 {
			return
		}
		err := c.db.Update(func(tx *index.Tx) error {
			for _, ino := range batch {
				if err := c.eraseOrphan(tx, ino); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			c.o.Logger.Error("erase removed files; the next start does it", "count", len(batch), "error", err)
		}
	}
}

func (o *orphans) take() []Ino {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.erase), eraseBatch)
	batch := o.erase[:n:n]
	o.erase = o.erase[n:]
	if n == 0 {
		o.erase, o.running = nil, false
	}
	return batch
}

// eraseOrphan removes an inode without a name for good, unless it was removed already.
func (c *Cache) eraseOrphan(tx *index.Tx, ino Ino) error {
	i, ok, err := tx.Inode(ino)
	if err != nil {
		return err
	}
	if ok && i.Unlinked {
		if err := c.erase(tx, ino); err != nil {
			return err
		}
	}
	return tx.DeleteRaw(orphanTable, orphanKey(ino))
}

// erase removes an inode and its bytes on the local disk. Its rows of the bucket stay, as garbage for converge.
func (c *Cache) erase(tx *index.Tx, ino Ino) error {
	if err := c.bodies.Drop(tx, ino); err != nil {
		return err
	}
	c.leftOut.forget(ino)
	return tx.DeleteInode(ino)
}

// eraseOrphans removes all inodes without a name: nobody has them open before a mount begins and after it has ended.
func (c *Cache) eraseOrphans() error {
	return c.db.Update(func(tx *index.Tx) error {
		var list []Ino
		err := tx.ScanRaw(orphanTable, nil, func(key, _ []byte) bool {
			if ino, ok := parseOrphanKey(key); ok {
				list = append(list, ino)
			}
			return true
		})
		for _, ino := range list {
			if err == nil {
				err = c.eraseOrphan(tx, ino)
			}
		}
		return err
	})
}
