package cache

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ossencfs/ossencfs/cache/index"
)

// maxSize is the largest object OSS can hold (48.8 TB).
const maxSize = 48_800_000_000_000

// Open counts an opening of a regular file; Release ends it.
func (c *Cache) Open(ctx context.Context, ino Ino, m OpenMode) error {
	call := c.arrived(ctx)
	if m.Write || m.Truncate {
		if err := c.writable(); err != nil {
			return err
		}
	}
	if err := c.known(ctx, ino); err != nil {
		return err
	}
	if m.Write || m.Truncate {
		if err := c.changeAllowed(ino); err != nil {
			return err
		}
	}
	if !m.Truncate && !m.Write { // the kernel truncates after it has opened for writing; other writes ask for the content
		if err := c.trusted(ino); err != nil {
			return err
		}
	}
	if err := c.addOpening(ino, m, call); err != nil {
		return err
	}
	if m.Append && m.Write {
		if err := c.appended(ino); err != nil {
			return orErr(err, c.Release(ctx, ino, m.Write))
		}
	}
	if !m.Truncate {
		return nil
	}
	if _, err := c.SetAttr(ctx, ino, Change{Set: SetSize, By: m.By}); err != nil {
		return orErr(err, c.Release(ctx, ino, m.Write))
	}
	return nil
}

// addOpening counts an opening of an inode that exists; a removal comes before it or after it.
func (c *Cache) addOpening(ino Ino, m OpenMode, call arrival) error {
	c.names.RLock()
	defer c.names.RUnlock()
	i, err := c.inode(ino)
	if err != nil {
		return err
	}
	if isDir(&i) {
		return ErrIsDir
	}
	if err := c.checkedAt(&i, call, m.Rights); err != nil {
		return err
	}
	if err := c.bodies.Pin(ino); err != nil {
		return err
	}
	c.opens.add(ino, m.Write)
	if m.Write {
		c.holesChange(&i)
	}
	return nil
}

// holesChange has the kernel ask again how many blocks a file has, because that depends on whether it is open for writing.
func (c *Cache) holesChange(i *index.Inode) {
	if i.Holes > 0 {
		c.kernel.get().ForgetAttr(i.Ino)
	}
}

// Release ends an opening. The last writer's seals the content, so that it can be uploaded.
func (c *Cache) Release(ctx context.Context, ino Ino, write bool) error {
	left := c.opens.remove(ino, write)
	c.bodies.Unpin(ino)
	if left.all == 0 {
		c.reap(ino)
	}
	if !write {
		return nil
	}
	if left.writers == 0 {
		if i, err := c.inode(ino); err == nil {
			c.holesChange(&i)
		}
	}
	return c.sealLast(ctx, ino, left.writers)
}

// sealLast seals what the last of its writers wrote.
func (c *Cache) sealLast(ctx context.Context, ino Ino, writers int) error {
	if writers > 0 || c.unlinked(ino) {
		return nil
	}
	// The bytes are safe already; what is missing for the upload is done even when nobody waits for it any more.
	if err := c.seal(context.WithoutCancel(ctx), ino); err != nil {
		c.resealer.add(ino, c.seal)
		return err
	}
	return nil
}

// unlinked reports whether an inode has no name, so that its content is never uploaded.
func (c *Cache) unlinked(ino Ino) bool {
	i, err := c.inode(ino)
	return err != nil || i.Unlinked
}

// seal makes the content of a file ready for upload and gives it its place in the order of uploads.
func (c *Cache) seal(ctx context.Context, ino Ino) error {
	committed := false
	err := c.bodies.SealWith(ctx, ino, func(tx *index.Tx) error {
		committed = true
		return c.committed(tx, ino)
	})
	if err != nil && !errors.Is(err, ErrNoContent) {
		return errors.Join(fmt.Errorf("seal: %w", err), c.commit(ino))
	}
	if committed {
		return nil
	}
	return c.commit(ino)
}

// commit notes that content was closed or fsynced: requests that destroy something and come later in the order wait until
// it is in the bucket.
func (c *Cache) commit(ino Ino) error {
	if unchanged, err := c.inBucket(ino); unchanged || err != nil {
		return err
	}
	return c.db.Update(func(tx *index.Tx) error { return c.committed(tx, ino) })
}

// commitSynced is commit of content that a program waits for: it does not appear in the bucket before what was there before it.
func (c *Cache) commitSynced(ino Ino) error {
	if unchanged, err := c.inBucket(ino); unchanged || err != nil {
		return err
	}
	return c.db.Update(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok || i.Unlinked {
			return err
		}
		i.Synced = true
		if err := tx.PutInode(i); err != nil {
			return err
		}
		return c.committed(tx, ino)
	})
}

// appended notes that a file is written to at its end, as logs are.
func (c *Cache) appended(ino Ino) error {
	i, err := c.inode(ino)
	if err != nil || i.Refers || isDir(&i) {
		return err
	}
	return c.db.Update(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return err
		}
		i.Refers = true
		return tx.PutInode(i)
	})
}

// committed is commit in a transaction.
func (c *Cache) committed(tx *index.Tx, ino Ino) error {
	i, ok, err := tx.Inode(ino)
	if err != nil || !ok || i.Unlinked {
		return err
	}
	i.ClosedAt = now()
	if err := tx.PutInode(i); err != nil {
		return err
	}
	return c.noteUnsent(tx, &i, 0)
}

// inBucket reports whether the bucket holds the present content of a file.
func (c *Cache) inBucket(ino Ino) (held bool, err error) {
	err = c.db.View(func(tx *index.Tx) error {
		i, ok, err := tx.Inode(ino)
		if err != nil || !ok {
			return err
		}
		held, err = heldIn(tx, &i)
		return err
	})
	return held, err
}

func heldIn(tx *index.Tx, i *index.Inode) (bool, error) {
	rows, err := tx.ObjectsOf(i.Ino)
	for _, o := range rows {
		if o.Gen == i.Gen {
			return true, err
		}
	}
	return false, err
}

// noteUnsent gives a file whose content is not in the bucket its number in the order; 0 takes the next one.
func (c *Cache) noteUnsent(tx *index.Tx, i *index.Inode, seq uint64) error {
	if isDir(i) || i.Unlinked {
		return nil
	}
	held, err := heldIn(tx, i)
	if err != nil || held {
		return err
	}
	if seq == 0 {
		if seq, err = tx.NextSeq(); err != nil {
			return err
		}
	}
	return tx.SetUnsent(i.Ino, seq)
}

// Read fills p from off on and returns how much there was: nothing at the end of the file and behind it.
func (c *Cache) Read(ctx context.Context, ino Ino, off int64, p []byte) (int, error) {
	n, err := c.bodies.Read(ctx, ino, off, p)
	if err != nil {
		return 0, fmt.Errorf("read at %d: %w", off, err)
	}
	return n, nil
}

// Write stores p at off; it outlives a crash of this process when Write returns. by is whose writing takes set-id bits away, nil nobody's.
func (c *Cache) Write(ctx context.Context, ino Ino, off int64, p []byte, by Caller) error {
	if err := c.writable(); err != nil {
		return err
	}
	if off+int64(len(p)) > maxSize {
		return ErrTooBig
	}
	if err := c.dropSetID(ctx, ino, by); err != nil {
		return err
	}
	if err := c.changing(ctx, ino, func() error { return c.bodies.Write(ctx, ino, off, p) }); err != nil {
		return fmt.Errorf("write at %d: %w", off, err)
	}
	return nil
}

// truncate changes the size of a file. A file that nobody has open for writing is sealed at once.
func (c *Cache) truncate(ctx context.Context, ino Ino, size int64) error {
	if size > maxSize {
		return ErrTooBig
	}
	i, err := c.inode(ino)
	if err != nil {
		return err
	}
	if isDir(&i) {
		return ErrIsDir
	}
	if err := c.changing(ctx, ino, func() error { return c.bodies.Truncate(ctx, ino, size) }); err != nil {
		return fmt.Errorf("truncate to %d: %w", size, err)
	}
	if c.opens.count(ino).writers > 0 {
		return nil
	}
	return c.seal(ctx, ino)
}

// Flush is called at each close when close waits for the bucket.
func (c *Cache) Flush(ctx context.Context, ino Ino) error {
	if !c.o.CloseRemote || c.opens.count(ino).writers == 0 {
		return nil
	}
	return c.push(ctx, ino)
}

// CloseWaits reports whether close waits for the bucket.
func (c *Cache) CloseWaits() bool { return c.o.CloseRemote }

// Fsync makes content and attributes outlive a power cut, and with FsyncRemote waits until the bucket has them.
func (c *Cache) Fsync(ctx context.Context, ino Ino) error {
	i, err := c.inode(ino)
	if err != nil {
		return err
	}
	if isDir(&i) {
		return c.FsyncDir(ctx, ino)
	}
	if err := c.commitSynced(ino); err != nil {
		return fmt.Errorf("fsync: %w", err)
	}
	if err := c.bodies.Fsync(ctx, ino); err != nil {
		return fmt.Errorf("fsync: %w", err)
	}
	if !c.o.FsyncRemote {
		return c.refusal(ino, true)
	}
	return c.push(ctx, ino)
}

// refusal is why the bucket refuses a file that was accepted here, be it closed since. once answers each refusal one time.
func (c *Cache) refusal(ino Ino, once bool) error {
	key, err := c.dirKey(ino)
	if err != nil {
		return ignore(err, ErrNotFound)
	}
	if err := c.converge.Refusal(key, once); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return nil
}

// FsyncDir makes the names of a directory outlive a power cut, and with FsyncRemote waits until the bucket has what
// is in it.
func (c *Cache) FsyncDir(ctx context.Context, ino Ino) error {
	if err := c.db.Sync(); err != nil {
		return fmt.Errorf("fsync directory: %w", err)
	}
	if !c.o.FsyncRemote {
		return nil
	}
	key, err := c.dirKey(ino)
	if err != nil {
		return ignore(err, ErrNotFound)
	}
	return c.converge.Sync(ctx, key, nil)
}

// push uploads one file now and waits for it.
func (c *Cache) push(ctx context.Context, ino Ino) error {
	if err := c.seal(ctx, ino); err != nil {
		return err
	}
	key, err := c.dirKey(ino)
	if err != nil {
		return ignore(err, ErrNotFound) // without a name there is nothing the bucket should have
	}
	return c.converge.Sync(ctx, key, nil)
}

// Fallocate reserves (mode 0 or KEEP_SIZE), punches or zeroes a range, as a change of content by somebody.
func (c *Cache) Fallocate(ctx context.Context, ino Ino, off, length int64, mode uint32, by Caller) error {
	if err := c.writable(); err != nil {
		return err
	}
	if off < 0 || length <= 0 {
		return ErrInvalid
	}
	if off+length > maxSize {
		return ErrTooBig
	}
	keep := mode&unix.FALLOC_FL_KEEP_SIZE != 0
	var change func() error
	switch mode &^ unix.FALLOC_FL_KEEP_SIZE {
	case 0:
		change = func() error { return c.bodies.Allocate(ctx, ino, off, length, keep) }
	case unix.FALLOC_FL_PUNCH_HOLE:
		if !keep {
			return ErrNotSupported
		}
		change = func() error { return c.bodies.PunchHole(ctx, ino, off, length) }
	case unix.FALLOC_FL_ZERO_RANGE:
		change = func() error { return c.bodies.ZeroRange(ctx, ino, off, length, keep) }
	default:
		return ErrNotSupported
	}
	if err := c.dropSetID(ctx, ino, by); err != nil {
		return err
	}
	before, err := c.inode(ino)
	if err == nil {
		err = c.changing(ctx, ino, change)
	}
	if err != nil {
		return fmt.Errorf("allocate %d bytes at %d: %w", length, off, err)
	}
	_, err = c.updateInode(ino, func(i *index.Inode) bool { // it moves the time even when no byte is another
		return i.Mtime == before.Mtime && applyChange(i, Change{Set: SetMtime, Mtime: now()})
	})
	return ignore(err, ErrGone)
}

// Lseek finds data or a hole at or after off.
func (c *Cache) Lseek(ctx context.Context, ino Ino, off int64, whence uint32) (int64, error) {
	i, err := c.inode(ino)
	if err != nil {
		return 0, err
	}
	if off < 0 || off >= i.Size {
		return 0, ErrNoOffset
	}
	switch whence {
	case unix.SEEK_DATA:
		return c.bodies.SeekData(ctx, ino, off)
	case unix.SEEK_HOLE:
		return c.bodies.SeekHole(ctx, ino, off)
	}
	return 0, ErrInvalid
}

// copyStep is how much CopyRange holds in memory.
const copyStep = 1 << 20

// CopyRange copies length bytes between two files for somebody, or up to the end of the first, and returns how many.
func (c *Cache) CopyRange(ctx context.Context, in Ino, inOff int64, out Ino, outOff, length int64, by Caller) (int64, error) {
	if err := c.writable(); err != nil {
		return 0, err
	}
	const most = 1 << 30 // the answer has 32 bits
	length = min(length, most)
	buf := make([]byte, min(length, copyStep))
	var done int64
	for done < length {
		n, err := c.bodies.Read(ctx, in, inOff+done, buf[:min(int64(len(buf)), length-done)])
		if err != nil {
			return done, partial(done, err)
		}
		if n == 0 {
			break
		}
		if err := c.Write(ctx, out, outOff+done, buf[:n], by); err != nil {
			return done, partial(done, err)
		}
		done += int64(n)
	}
	return done, nil
}

// partial drops an error after some bytes were copied: the caller sees a short count and asks again.
func partial(done int64, err error) error {
	if done > 0 {
		return nil
	}
	return err
}

// Readlink reads a symbolic link; the target of one that others wrote is fetched at its first use.
func (c *Cache) Readlink(ctx context.Context, ino Ino) (string, error) {
	i, err := c.knownInode(ctx, ino)
	if err != nil {
		return "", err
	}
	if !isSymlink(&i) {
		return "", ErrInvalid
	}
	if i.Target != "" {
		return i.Target, nil
	}
	if err := c.trusted(ino); err != nil {
		return "", err
	}
	if i.Size > maxTarget {
		return "", fmt.Errorf("target of %d bytes: %w", i.Size, ErrNameTooLong)
	}
	target := make([]byte, i.Size)
	n, err := c.bodies.Read(ctx, ino, 0, target)
	if err != nil {
		return "", fmt.Errorf("read target: %w", err)
	}
	err = c.db.Update(func(tx *index.Tx) error {
		now, ok, err := tx.Inode(ino)
		if err != nil || !ok || now.Gen != i.Gen {
			return err
		}
		now.Target = string(target[:n])
		return tx.PutInode(now)
	})
	return string(target[:n]), err
}
