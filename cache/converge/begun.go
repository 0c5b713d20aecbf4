package converge

import (
	"context"
	"errors"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// An upload in parts is known by the id that the bucket gives it. Between the bucket's answer and the moment when the index has the id
// the process may end, or the answer is lost: then there is an upload that nobody goes on with, and whose parts cost money. Its key is
// noted, and before anything else is sent there, or once a look has shown what became of the request, all uploads of the key are
// aborted. R1 says that none of them is under way here.

// noteBegun says that a key may have such an upload.
func (c *Converger) noteBegun(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun[key] = struct{}{}
}

// noteInterrupted notes the key of a request that an earlier process did not end, if it may have been one in parts.
func (c *Converger) noteInterrupted(tx *index.Tx, p *index.Pend) error {
	if p.Op != index.Put || p.Answered || len(p.Multipart) > 0 {
		return nil
	}
	i, ok, err := tx.Inode(p.Ino)
	if err != nil || ok && (i.IsDir() || i.Gen == p.Gen && i.Size < object.MinPart) {
		return err
	}
	c.noteBegun(p.Key)
	return nil
}

// abortBegun aborts the uploads of a key, if it is noted. What fails is tried again before the next request for the key, unless the
// bucket does not allow it.
func (c *Converger) abortBegun(ctx context.Context, key string) {
	c.mu.Lock()
	_, noted := c.begun[key]
	c.mu.Unlock()
	if !noted {
		return
	}
	err := c.o.Store.AbortBegun(ctx, key)
	if err != nil {
		c.log.Debug("parts of an interrupted upload may be left in the bucket", "key", key, "error", err)
	}
	if err != nil && !errors.Is(err, object.ErrDenied) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.begun, key)
}
