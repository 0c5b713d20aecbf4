package cache

import (
	"context"
	"crypto/rand"
	"encoding/binary"

	"github.com/ossencfs/ossencfs/cache/index"
)

// generationMeta is a random number that a cache folder has for good. An inode number is never used twice in it, but by the next folder: with this number a
// file handle, which an NFS client keeps for as long as it likes, leads to no other file there.
const generationMeta = "generation"

// keepGeneration reads the number, and draws it when there is none.
func (c *Cache) keepGeneration(tx *index.Tx) error {
	row, known, err := tx.Meta(generationMeta)
	if err != nil {
		return err
	}
	if !known || len(row) != 4 {
		row = make([]byte, 4)
		_, _ = rand.Read(row) // never fails
		row[0] |= 1           // not 0, which is the root's
		if err := tx.PutMeta(generationMeta, row); err != nil {
			return err
		}
	}
	c.generation = binary.BigEndian.Uint32(row)
	return nil
}

// Generation goes with the number of an inode into file handles. The kernel gives its root none.
func (c *Cache) Generation(ino Ino) uint64 {
	if ino == Root {
		return 0
	}
	return uint64(c.generation)
}

// Again shows an inode to the kernel, which has forgotten it and has a file handle of it. One without a name is gone.
func (c *Cache) Again(ctx context.Context, ino Ino) (Stat, error) {
	i, err := c.inode(ino)
	if err != nil {
		return Stat{}, err
	}
	if i.Unlinked {
		return Stat{}, ErrNotFound
	}
	return c.GetAttr(ctx, ino)
}

// Above is Again for the directory that an inode is in.
func (c *Cache) Above(ctx context.Context, ino Ino) (Stat, error) {
	i, err := c.inode(ino)
	switch {
	case err != nil:
		return Stat{}, err
	case i.Unlinked:
		return Stat{}, ErrNotFound
	case ino == Root:
		return c.Again(ctx, Root)
	}
	return c.Again(ctx, i.Parent)
}
