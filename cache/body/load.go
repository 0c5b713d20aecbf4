package body

import (
	"encoding/binary"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
	"github.com/ossencfs/ossencfs/object"
)

// Tables of the index that belong to this package; doc.go says what they hold.
const (
	tablePieces  = 'S'
	tableFiles   = 'F'
	tableWindows = 'W'
	tableOpen    = 'U'
	tableDigests = 'D'

	tableStages   = 'G'
	tableUnstaged = 'g'
)

// contentSecret is the length of a content key's secret.
const contentSecret = 48

// Labels under which secrets are sealed in the index.
const (
	labelContent = "body content key"
	labelCopy    = "body working copy key"
)

func inoKey(ino index.Ino) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(ino))
}

func windowKey(ino index.Ino, w int64) []byte {
	return binary.BigEndian.AppendUint64(inoKey(ino), uint64(w))
}

func fileKey(id uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 0, 8), id) }

// readRecord reads the inode's Body row, and the digest where that is a row of its own.
func readRecord(tx *index.Tx, ino index.Ino) (record, bool, error) {
	row, ok, err := tx.Body(ino)
	if err != nil || !ok {
		return record{}, false, err
	}
	rec, err := decodeRecord(row)
	if err != nil {
		return record{}, false, fmt.Errorf("inode %d: %w", ino, err)
	}
	if rec.apart {
		digest, ok, err := tx.GetRaw(tableDigests, inoKey(ino))
		if err != nil {
			return record{}, false, err
		}
		if !ok || int64(len(digest)) != object.SealedRecordSize(rec.base.size) {
			return record{}, false, fmt.Errorf("inode %d: digest of %d bytes: %w", ino, len(digest), errRow)
		}
		rec.base.digest, rec.apart = digest, false
	}
	if rec.staged {
		if rec.base.stage, err = readStage(tx, ino); err != nil {
			return record{}, false, err
		}
		rec.staged = false
	}
	return rec, true, nil
}

// readOverlay reads the windows of the inode.
func readOverlay(tx *index.Tx, ino index.Ino) (overlay, error) {
	over := overlay{}
	var bad error
	err := tx.ScanRaw(tableWindows, inoKey(ino), func(key, value []byte) bool {
		if len(key) != 16 {
			bad = fmt.Errorf("window of inode %d: %w", ino, errRow)
			return false
		}
		var ext []extent
		if ext, bad = decodeWindow(value); bad != nil {
			return false
		}
		over[int64(binary.BigEndian.Uint64(key[8:]))] = ext
		return true
	})
	if err == nil {
		err = bad
	}
	return over, err
}

// loadLocked reads what the index knows of b.
func (s *Store) loadLocked(b *body, in index.Inode) error {
	var rec record
	var known bool
	over := overlay{}
	err := s.db.View(func(tx *index.Tx) (err error) {
		rec, known, err = readRecord(tx, b.ino)
		if err == nil && known && !in.Sealed { // what is sealed has no overlay; what has no record has nothing
			over, err = readOverlay(tx, b.ino)
		}
		return err
	})
	if err != nil {
		return err
	}
	b.rec, b.base, b.log, b.over, b.stream = rec, nil, nil, over, nil
	b.holes = holes{}
	for w, ext := range over {
		b.holes.beyond += added(ext, w, rec.visible)
	}
	b.open = false
	if !known {
		b.rec.gen = in.Gen
		b.loaded = true
		return nil
	}
	if b.base, err = s.openBase(rec.base); err != nil {
		return fmt.Errorf("inode %d: %w", b.ino, err)
	}
	if rec.log.file != 0 {
		key, err := s.db.OpenSecret(labelCopy, rec.log.secret)
		if err != nil {
			return fmt.Errorf("inode %d: key of the working copy: %w", b.ino, err)
		}
		if b.log, err = newChunkLog(b.ino, rec.log, key); err != nil {
			return err
		}
		b.log.resume(over)
	}
	b.rec.base = baseRow{}
	b.loaded = true
	return nil
}

// openBase opens the keys of a base's row; nil when there is no base.
func (s *Store) openBase(row baseRow) (*base, error) {
	if len(row.secret) == 0 {
		return nil, nil
	}
	secret, err := s.db.OpenSecret(labelContent, row.secret)
	if err != nil {
		return nil, fmt.Errorf("content key: %w", err)
	}
	a := &base{row: row}
	defer clear(secret)
	if len(row.digest) > 0 {
		if a.sealed, err = object.UnmarshalSealed(row.digest, secret); err != nil {
			return nil, fmt.Errorf("digests: %w", err)
		}
		a.key = a.sealed.ContentKey()
		return a, nil
	}
	if row.stage != nil && len(secret) > contentSecret { // with the key of the tags
		secret = secret[:contentSecret:contentSecret]
	}
	if a.key, err = object.UnmarshalContentKey(secret); err != nil {
		return nil, fmt.Errorf("content key: %w", err)
	}
	return a, nil
}

// discardLocked drops what b holds of an older generation than the inode's.
func (s *Store) discardLocked(b *body, in index.Inode) error {
	if b.away != nil {
		s.dropRemote(b)
	}
	if b.rec.gen == in.Gen {
		return nil
	}
	e := edit{rec: record{gen: in.Gen}, resetWindows: true, noInode: true}
	e.then = func(tx *index.Tx) error { return tx.DeleteRaw(tableOpen, inoKey(b.ino)) }
	b.open = false
	return s.commitLocked(b, &e)
}

// describe makes digest and secret of a row those of a sealed body; the secret then holds the key of its tags, too.
func (s *Store) describe(row *baseRow, sealed *object.Sealed) {
	record, secret := sealed.Marshal()
	defer clear(secret)
	row.digest, row.secret = record, s.db.SealSecret(labelContent, secret)
}

// sealKey is the form at rest of a content key alone.
func (s *Store) sealKey(key *object.ContentKey) []byte {
	secret := key.MarshalSecret()
	defer clear(secret)
	return s.db.SealSecret(labelContent, secret)
}
