package cache

import (
	"encoding/binary"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
)

// markTable has the marks of streams of large directories, by handle and position, so that a later life goes on where the
// answers of this one ended. The value is the name.
const markTable = 'm'

// SetHandle names the stream: a later life resumes it under this name.
func (d *Dir) SetHandle(handle uint64) {
	if d.c.survives() {
		d.handle = handle
	}
}

func markKey(handle uint64) []byte { return binary.BigEndian.AppendUint64(nil, handle) }

// keepMark writes a new mark, before the answer that ends there is given.
func (d *Dir) keepMark() error {
	m := d.fresh
	d.fresh = nil
	if m == nil || d.handle == 0 {
		return nil
	}
	return d.c.db.Update(func(tx *index.Tx) error {
		return tx.PutRaw(markTable, binary.BigEndian.AppendUint64(markKey(d.handle), m.off), []byte(m.name))
	})
}

// dropMarks forgets what keepMark wrote. A failure leaves rows that the next mount removes.
func (d *Dir) dropMarks() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handle == 0 || len(d.marks) == 0 {
		return
	}
	if err := d.c.db.Update(func(tx *index.Tx) error { return tx.DeleteRawPrefix(markTable, markKey(d.handle)) }); err != nil {
		d.c.o.Logger.Debug("forget the marks of a directory stream", "error", err)
	}
}

// ResumeDir continues a directory stream that an earlier life began.
func (c *Cache) ResumeDir(ino Ino, handle uint64) (*Dir, error) {
	if !c.earlier(handle) {
		return nil, ErrInvalid
	}
	i, err := c.openDirInode(ino)
	if err != nil {
		return nil, err
	}
	d := c.dirFor(&i)
	d.handle, d.taken = handle, true
	err = c.db.View(func(tx *index.Tx) error {
		return tx.ScanRaw(markTable, markKey(handle), func(key, value []byte) bool {
			if len(key) == 16 {
				d.marks = append(d.marks, mark{binary.BigEndian.Uint64(key[8:]), string(value)})
			}
			return true
		})
	})
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("resume a directory stream: %w", err)
	}
	if d.large = len(d.marks) > 0; d.large {
		d.taken = false
	}
	return d, nil
}
