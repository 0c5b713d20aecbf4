package index

import "encoding/binary"

// bulk is how many files of one directory may lose their names in a row before the order among the further ones is given up.
const bulk = 32

// leaving is the last names that went away, in one directory and with nothing in between.
type leaving struct {
	parent Ino
	seq    uint64 // of the last one
	count  int
}

// goneSeq numbers the end of a row of an inode. Very many files that are removed from one directory in a row have one number, so that
// they may be deleted from the bucket at the same time.
func (tx *Tx) goneSeq(i *Inode) (uint64, error) {
	l := &tx.d.leaving
	if i != nil && l.parent == i.Parent && l.seq == tx.counters.seq && l.seq > 0 {
		if l.count++; l.count > bulk {
			return l.seq, nil
		}
	} else {
		*l = leaving{count: 1}
		if i != nil {
			l.parent = i.Parent
		}
	}
	seq, err := tx.NextSeq()
	l.seq = seq
	return seq, err
}

func goneKey(seq uint64, key string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{tableGone}, seq), key...)
}

// setGone keeps the list of rows by GoneSeq.
func (tx *Tx) setGone(key string, was, is uint64) error {
	if was == is {
		return nil
	}
	if was != 0 {
		if err := tx.remove(goneKey(was, key)); err != nil {
			return err
		}
	}
	if is == 0 {
		return nil
	}
	return tx.set(goneKey(is, key), nil)
}

// setPendGone does the same for intents. A row that was recorded for one has its number, and keeps it.
func (tx *Tx) setPendGone(key string, was, is uint64) error {
	if was != 0 && was != is {
		if o, recorded, err := tx.Object(key); err != nil || recorded && o.GoneSeq == was {
			return err
		}
	}
	return tx.setGone(key, was, is)
}

// LeaveKey numbers the moment when an inode left its key, in the intent of the request that is under way for it. What it leaves in the
// bucket is garbage.
func (tx *Tx) LeaveKey(key string, ino Ino) error {
	p, pending, err := tx.Pend(key)
	if err != nil || !pending || p.Ino != ino || p.Op == Delete {
		return err
	}
	if p.GoneSeq, err = tx.NextSeq(); err != nil {
		return err
	}
	return tx.PutPend(p)
}

// leaveIntents is LeaveKey for an inode that lost its last name, for all keys it may be sent to.
func (tx *Tx) leaveIntents(i *Inode) error {
	if i.IsDir() {
		return nil
	}
	var keys []string
	if i.Refers { // it had other names
		err := tx.Pends(func(p Pend) bool {
			if p.Ino == i.Ino {
				keys = append(keys, p.Key)
			}
			return true
		})
		if err != nil {
			return err
		}
	} else if dir, linked := tx.Path(i.Parent); linked {
		keys = append(keys, dir+i.Name)
	}
	for _, key := range keys {
		if err := tx.LeaveKey(key, i.Ino); err != nil {
			return err
		}
	}
	return nil
}

// ReturnKey takes the note of LeaveKey back.
func (tx *Tx) ReturnKey(key string, ino Ino) error {
	p, pending, err := tx.Pend(key)
	if err != nil || !pending || p.Ino != ino || p.GoneSeq == 0 {
		return err
	}
	if err := tx.setPendGone(key, p.GoneSeq, 0); err != nil {
		return err
	}
	p.GoneSeq = 0
	tx.touchKey(key)
	return tx.set(nameKey(tablePend, key), encodePend(&p))
}

// Gone walks the keys whose rows or intents have a GoneSeq, by that number. fn ends the walk with false.
func (tx *Tx) Gone(fn func(seq uint64, key string) bool) error {
	return tx.scan([]byte{tableGone}, nil, func(rest, _ []byte) (bool, error) {
		if len(rest) <= 8 {
			return false, tx.damaged("row by its end", errShort)
		}
		return fn(binary.BigEndian.Uint64(rest), string(rest[8:])), nil
	})
}
