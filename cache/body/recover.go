package body

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc64"
	iofs "io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ossencfs/ossencfs/cache/index"
)

// metaBoot is the Meta row with the boot in which the cache was last open, or cleanClose after a clean end.
const (
	metaBoot   = "body boot"
	cleanClose = "clean"
)

// recover compares the folder with the index and returns the inodes that are not sealed.
func (s *Store) recover() (open []index.Ino, err error) {
	known := map[uint64]index.Ino{}
	powerCut, owners := false, map[uint32][]index.Ino{}
	boot := index.BootID()
	err = s.db.View(func(tx *index.Tx) error {
		was, ok, err := tx.Meta(metaBoot)
		if err != nil {
			return err
		}
		powerCut = ok && string(was) != cleanClose && string(was) != boot
		open, err = s.scanRows(tx, known)
		return err
	})
	if err != nil {
		return nil, err
	}
	var lost []index.Ino
	if lost, err = s.matchFiles(known); err != nil {
		return nil, err
	}
	missing, err := s.segs.removeUnknown()
	if err != nil {
		return nil, err
	}
	for _, seg := range missing {
		if owners[seg], err = s.inosIn(seg); err != nil {
			return nil, err
		}
		lost = append(lost, owners[seg]...)
	}
	if powerCut {
		unsure, err := s.damaged()
		if err != nil {
			return nil, err
		}
		lost = append(lost, unsure...)
	}
	for _, ino := range lost {
		if err := s.dropDamaged(ino); err != nil {
			return nil, err
		}
	}
	return open, s.db.Update(func(tx *index.Tx) error { return tx.PutMeta(metaBoot, []byte(boot)) })
}

// scanRows reads the owners of pieces and files and the list of what is not sealed.
func (s *Store) scanRows(tx *index.Tx, known map[uint64]index.Ino) (open []index.Ino, err error) {
	var bad error
	err = tx.ScanRaw(tablePieces, nil, func(key, value []byte) bool {
		var p piece
		if _, p, bad = decodePieceRow(key, value); bad == nil {
			s.segs.load(p)
		}
		return bad == nil
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, err
	}
	err = tx.ScanRaw(tableFiles, nil, func(key, value []byte) bool {
		if len(key) != 8 || len(value) != 8 {
			bad = errRow
			return false
		}
		known[binary.BigEndian.Uint64(key)] = index.Ino(binary.BigEndian.Uint64(value))
		return true
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, err
	}
	err = tx.ScanRaw(tableOpen, nil, func(key, _ []byte) bool {
		if len(key) != 8 {
			bad = errRow
			return false
		}
		open = append(open, index.Ino(binary.BigEndian.Uint64(key)))
		return true
	})
	return open, errors.Join(err, bad)
}

// matchFiles removes the files nobody owns, counts the others, and returns the owners of those that are gone.
func (s *Store) matchFiles(known map[uint64]index.Ino) (lost []index.Ino, err error) {
	found := map[uint64]bool{}
	err = listNumbered(filepath.Join(s.dir, "files"), 16, func(id uint64, path string, info iofs.FileInfo) error {
		ino, ok := known[id]
		if !ok {
			return os.Remove(path)
		}
		found[id] = true
		s.registerFile(id, ino, onDisk(info))
		return nil
	})
	for id, ino := range known {
		if !found[id] {
			lost = append(lost, ino)
		}
	}
	return lost, err
}

// onDisk is how many bytes of a file take room: those of its begin may be gone.
func onDisk(info iofs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(info.Size(), st.Blocks*512)
	}
	return info.Size()
}

// damaged lists the inodes whose bytes are not what they were: not every disk keeps what it promised when the power went.
func (s *Store) damaged() ([]index.Ino, error) {
	var unsure, lost []index.Ino
	err := s.db.View(func(tx *index.Tx) error {
		return tx.Bodies(func(ino index.Ino, row []byte) bool {
			if rec, err := decodeRecord(row); err == nil && rec.base.local() && rec.base.size > 0 {
				unsure = append(unsure, ino)
			}
			return true
		})
	})
	for _, ino := range unsure {
		if !s.intact(ino) {
			lost = append(lost, ino)
		}
	}
	return lost, err
}

// intact compares a sealed base with its digest. What has none, a stream, is taken as it is.
func (s *Store) intact(ino index.Ino) bool {
	b := s.acquire(ino)
	defer s.release(b)
	if _, err := s.readLock(b); err != nil {
		return true // nothing that could be checked
	}
	a := b.base
	b.mu.RUnlock()
	if a == nil || a.rowCopy().stage != nil { // the whole is compared when it is sent
		return true
	}
	size := a.rowCopy().size
	buf := s.buffer(stepSize)
	defer s.recycle(buf)
	crc := uint64(0)
	for off := int64(0); off < size; off += int64(len(buf)) {
		buf = buf[:min(int64(stepSize), size-off)]
		if s.readSealed(a, buf, off) != nil {
			return false
		}
		crc = crc64.Update(crc, crcTable, buf)
	}
	return checkDigest(a, crc) == nil
}

// dropDamaged handles content whose bytes are gone: what the bucket has is fetched again when it is wanted; anything else is
// reported, and reading it fails with ErrDamaged.
func (s *Store) dropDamaged(ino index.Ino) error {
	v, err := s.evictBody(ino, true)
	if err != nil || v == evicted {
		return err
	}
	s.o.Logger.Error("cache: content that was not uploaded is lost: its file in the cache folder is missing or damaged",
		"inode", uint64(ino))
	if err := s.giveUp(ino); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// giveUp forgets where the sealed body of an inode is, since it is not what was sealed. Without a home in the bucket, reading
// it is ErrDamaged from now on, until the file is emptied or removed.
func (s *Store) giveUp(ino index.Ino) error {
	b := s.acquire(ino)
	defer s.release(b)
	b.mu.Lock()
	defer b.mu.Unlock()
	in, err := s.currentLocked(b)
	if err != nil || !in.Sealed || b.base == nil {
		return err
	}
	e := b.editLocked(in)
	e.row.file, e.row.pieces, e.row.stage = 0, nil, nil
	e.sealed = true
	e.inode = func(in *index.Inode) { in.CachedGen = 0 }
	return s.commitLocked(b, e)
}

// sealOpen seals what was being written when the process ended, one after the other, and gives way to whoever writes on.
func (s *Store) sealOpen(open []index.Ino) {
	defer s.wg.Done()
	for _, ino := range open {
		b := s.acquire(ino)
		err := s.seal(s.ctx, b, sealJob{background: true})
		s.release(b)
		if s.ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, errYield) && !errors.Is(err, ErrNotFound) && !errors.Is(err, context.Canceled) {
			s.o.Logger.Error("cache: a file that was being written cannot be sealed", "inode", uint64(ino), "error", err)
		}
	}
}

// noteClean notes that all is on the disk.
func (s *Store) noteClean() error {
	return s.db.UpdateSync(func(tx *index.Tx) error { return tx.PutMeta(metaBoot, []byte(cleanClose)) })
}
