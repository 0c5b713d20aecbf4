package index

import "encoding/binary"

// Lost content was committed under a name that came by a rename, or by fsync, and went away again before the bucket had it. States
// between the two moments can no longer be had: what was made then may refer to it, and waits for what was there when it went.
type lost struct {
	from uint64
	dir  Ino
}

// maxLost bounds the notes of lost content; above it the newest are not taken.
const maxLost = 512

func (l *lost) row() []byte {
	e := newEncoder(24)
	e.uint(l.from)
	e.uint(uint64(l.dir))
	return e.b
}

func (tx *Tx) decodeLost(row []byte) (lost, error) {
	d := newDecoder(row)
	l := lost{from: d.uint(), dir: Ino(d.uint())}
	if err := d.end(); err != nil {
		return lost{}, tx.damaged("lost content", err)
	}
	return l, nil
}

func lostKey(to uint64) []byte { return binary.BigEndian.AppendUint64([]byte{tableLostSeq}, to) }

// noteLost notes that unsent content loses its name.
func (tx *Tx) noteLost(i *Inode) error {
	if i.IsDir() || !i.Refers && !i.Synced {
		return nil
	}
	list, err := tx.unsent(i.Ino)
	if err != nil || len(list) == 0 {
		return err
	}
	count := 0
	if err := tx.Lost(0, func(uint64, uint64, Ino) bool { count++; return count < maxLost }); err != nil || count >= maxLost {
		return err
	}
	dir, err := tx.inode(i.Parent)
	if err != nil {
		return err
	}
	l := lost{from: list[0].first, dir: i.Parent}
	if dir != nil && dir.FansOut() {
		l.dir = dir.Parent
	}
	to, err := tx.NextSeq()
	if err != nil {
		return err
	}
	return tx.set(lostKey(to), l.row())
}

// Lost walks the lost content that went away after a number: when it was committed, when it went, and from which directory, a
// directory that fans out standing for its parent. fn ends the walk with false.
func (tx *Tx) Lost(after uint64, fn func(from, to uint64, dir Ino) bool) error {
	return tx.scan([]byte{tableLostSeq}, lostKey(after+1), func(rest, row []byte) (bool, error) {
		l, err := tx.decodeLost(row)
		if err != nil || len(rest) != 8 {
			return false, tx.damaged("lost content", orShort(err))
		}
		return fn(l.from, binary.BigEndian.Uint64(rest), l.dir), nil
	})
}

// forgetLost removes the notes of states that are over: all content older than the end of one is in the bucket.
func (tx *Tx) forgetLost() error {
	var over []uint64
	first, _, unsent, err := tx.FirstUnsent(0)
	if err != nil {
		return err
	}
	err = tx.Lost(0, func(_, to uint64, _ Ino) bool {
		if unsent && to > first {
			return false
		}
		over = append(over, to)
		return true
	})
	for _, to := range over {
		if err := tx.remove(lostKey(to)); err != nil {
			return err
		}
	}
	return err
}
