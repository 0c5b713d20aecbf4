package index

import (
	"encoding/binary"
	"errors"
)

// unsentEntry is the commits of one generation: the sequence numbers of the first and the last.
type unsentEntry struct{ gen, first, last uint64 }

// maxUnsent bounds the entries of an inode; above it the two newest become one.
const maxUnsent = 8

func encodeUnsent(list []unsentEntry) []byte {
	e := newEncoder(8 + 24*len(list))
	e.uint(uint64(len(list)))
	for _, u := range list {
		e.uint(u.gen)
		e.uint(u.first)
		e.uint(u.last)
	}
	return e.b
}

func decodeUnsent(row []byte) ([]unsentEntry, error) {
	d := newDecoder(row)
	n := d.uint()
	if n > maxUnsent {
		return nil, errors.New("too many entries")
	}
	list := make([]unsentEntry, 0, n)
	for range n {
		list = append(list, unsentEntry{gen: d.uint(), first: d.uint(), last: d.uint()})
	}
	return list, d.end()
}

func (tx *Tx) unsent(ino Ino) (list []unsentEntry, err error) {
	_, err = tx.get(inoKey(tableUnsent, ino), func(row []byte) (err error) {
		list, err = decodeUnsent(row)
		return err
	})
	if err != nil {
		return nil, tx.damaged("unsent content", err)
	}
	return list, nil
}

// storeUnsent replaces the entries of an inode.
func (tx *Tx) storeUnsent(ino Ino, old, list []unsentEntry) error {
	if len(old) > 0 && (len(list) == 0 || list[0].first != old[0].first) {
		if err := tx.remove(unsentByKey(old[0].first, ino)); err != nil {
			return err
		}
		tx.sent = true
	}
	if len(list) == 0 {
		if len(old) == 0 {
			return nil
		}
		return tx.remove(inoKey(tableUnsent, ino))
	}
	if first := list[0].first; first < tx.d.unsentFrom.Load() {
		tx.d.unsentFrom.Store(first) // under the writer's lock, as every change of it
	}
	if err := tx.set(unsentByKey(list[0].first, ino), nil); err != nil {
		return err
	}
	return tx.set(inoKey(tableUnsent, ino), encodeUnsent(list))
}

// SetUnsent notes that the present content of an inode was closed, fsynced or renamed at a sequence number and is not in the
// bucket yet. Destructive requests with later numbers wait for it. For each generation the first and the last number are kept.
func (tx *Tx) SetUnsent(ino Ino, seq uint64) error {
	i, err := tx.inode(ino)
	if err != nil || i == nil || i.Unlinked {
		return err
	}
	if seq > i.CommitSeq {
		committed := *i
		committed.CommitSeq = seq
		if err := tx.storeInode(&committed); err != nil {
			return err
		}
	}
	old, err := tx.unsent(ino)
	if err != nil {
		return err
	}
	list := append([]unsentEntry(nil), old...)
	if n := len(list); n > 0 && (list[n-1].gen == i.Gen || n == maxUnsent) {
		list[n-1] = unsentEntry{gen: i.Gen, first: min(list[n-1].first, seq), last: max(list[n-1].last, seq)}
	} else {
		list = append(list, unsentEntry{gen: i.Gen, first: seq, last: seq})
	}
	return tx.storeUnsent(ino, old, list)
}

// SentGen notes that the bucket holds a generation of an inode: what was committed of it and of earlier ones is no longer
// unsent.
func (tx *Tx) SentGen(ino Ino, gen uint64) error {
	old, err := tx.unsent(ino)
	if err != nil || len(old) == 0 {
		return err
	}
	n := 0
	for n < len(old) && old[n].gen <= gen {
		n++
	}
	if n == 0 {
		return nil
	}
	return tx.storeUnsent(ino, old, old[n:])
}

// ClearUnsent forgets that content of an inode is unsent: it is gone.
func (tx *Tx) ClearUnsent(ino Ino) error {
	old, err := tx.unsent(ino)
	if err != nil {
		return err
	}
	return tx.storeUnsent(ino, old, nil)
}

// UnsentOf tells the first and the last sequence number at which content of an inode was committed that the bucket does not
// hold.
func (tx *Tx) UnsentOf(ino Ino) (first, last uint64, ok bool, err error) {
	list, err := tx.unsent(ino)
	if err != nil || len(list) == 0 {
		return 0, 0, false, err
	}
	return list[0].first, list[len(list)-1].last, true, nil
}

// FirstUnsent finds the unsent content with the smallest sequence number, that of one inode left out (0: of none).
func (tx *Tx) FirstUnsent(except Ino) (seq uint64, ino Ino, ok bool, err error) {
	err = tx.Unsent(func(s uint64, i Ino) bool {
		if i == except {
			return true
		}
		seq, ino, ok = s, i, true
		return false
	})
	return seq, ino, ok, err
}

// Unsent walks unsent content by its first sequence number. fn ends the walk with false.
func (tx *Tx) Unsent(fn func(seq uint64, ino Ino) bool) error {
	return tx.scan([]byte{tableUnsentBy}, unsentByKey(tx.d.unsentFrom.Load(), 0), func(rest, _ []byte) (bool, error) {
		if len(rest) != 16 {
			return false, tx.damaged("unsent content", errShort)
		}
		return fn(binary.BigEndian.Uint64(rest), Ino(binary.BigEndian.Uint64(rest[8:]))), nil
	})
}

// raiseUnsent finds where unsent content begins after some was sent. The writer's lock must be held.
func (d *DB) raiseUnsent() error {
	tx := &Tx{d: d, reader: d.pebble}
	from := d.counters.seq // nothing: whatever comes has a later number, or lowers it
	err := tx.Unsent(func(seq uint64, _ Ino) bool {
		from = seq
		return false
	})
	if err == nil && from > d.unsentFrom.Load() {
		d.unsentFrom.Store(from)
	}
	return err
}
