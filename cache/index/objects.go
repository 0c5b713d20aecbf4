package index

import (
	"bytes"
)

// Object reads the row of a key.
func (tx *Tx) Object(key string) (Object, bool, error) {
	var o Object
	ok, err := tx.get(nameKey(tableObject, key), func(row []byte) (err error) {
		o, err = decodeObject(key, row)
		return err
	})
	if err != nil {
		return Object{}, false, tx.damaged("row of "+key, err)
	}
	return o, ok, nil
}

// PutObject writes the row of a key and queues the key when it differs from what is wanted. A row with another upload id than the
// one before says that this mount wrote the object; what others left is for SawObject.
func (tx *Tx) PutObject(o Object) error {
	if err := checkKey(o.Key); err != nil {
		return err
	}
	old, had, err := tx.Object(o.Key)
	if err != nil {
		return err
	}
	if !had || old.Upload != o.Upload {
		if err := tx.wrote(&o, &old); err != nil {
			return err
		}
	}
	if err := tx.putObject(&o, &old, had); err != nil || !had {
		return err
	}
	return tx.unused(&old, o.Generation)
}

// putObject writes a row and what is found through it. old is the row before, when there was one.
func (tx *Tx) putObject(o, old *Object, had bool) error {
	if had && old.Ino != o.Ino {
		if err := tx.setHolder(old.Ino, o.Key, false); err != nil {
			return err
		}
	}
	if !had || old.Ino != o.Ino {
		if err := tx.setHolder(o.Ino, o.Key, true); err != nil {
			return err
		}
	}
	if err := tx.setMarks(o.Key, old, o); err != nil {
		return err
	}
	if err := tx.setGone(o.Key, old.GoneSeq, o.GoneSeq); err != nil {
		return err
	}
	tx.touchKey(o.Key)
	return tx.set(nameKey(tableObject, o.Key), encodeObject(o))
}

// DeleteObject removes the row of a key that this mount deleted, and queues the key. A key without a row is no error. What others
// took away is for SawGone.
func (tx *Tx) DeleteObject(key string) error {
	old, had, err := tx.Object(key)
	if err != nil || !had {
		return err
	}
	if err := tx.wrote(&Object{Key: key}, &old); err != nil {
		return err
	}
	if err := tx.deleteObject(&old); err != nil {
		return err
	}
	return tx.unused(&old, ID{})
}

func (tx *Tx) deleteObject(old *Object) error {
	if err := tx.setHolder(old.Ino, old.Key, false); err != nil {
		return err
	}
	if err := tx.setMarks(old.Key, old, &Object{}); err != nil {
		return err
	}
	if err := tx.setGone(old.Key, old.GoneSeq, 0); err != nil {
		return err
	}
	tx.touchKey(old.Key)
	return tx.remove(nameKey(tableObject, old.Key))
}

// ObjectsOf lists the rows that hold an inode, of any generation, sorted by key.
func (tx *Tx) ObjectsOf(ino Ino) ([]Object, error) {
	keys, err := tx.holders(ino)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	rows := make([]Object, 0, len(keys))
	for _, key := range keys {
		o, ok, err := tx.Object(key)
		if err != nil {
			return nil, err
		}
		if ok {
			rows = append(rows, o)
		}
	}
	return rows, nil
}

// ObjectsUnder walks the rows whose keys begin with prefix, sorted by key. fn ends the walk with false.
func (tx *Tx) ObjectsUnder(prefix string, fn func(o Object) bool) error {
	return tx.scan(nameKey(tableObject, prefix), nil, func(rest, row []byte) (bool, error) {
		key := prefix + string(rest)
		o, err := decodeObject(key, row)
		if err != nil {
			return false, tx.damaged("row of "+key, err)
		}
		return fn(o), nil
	})
}

// ObjectsAfter walks the rows whose keys come after a key, sorted by key. fn ends the walk with false.
func (tx *Tx) ObjectsAfter(after string, fn func(o Object) bool) error {
	from := append(nameKey(tableObject, after), 0)
	return tx.scan([]byte{tableObject}, from, func(rest, row []byte) (bool, error) {
		o, err := decodeObject(string(rest), row)
		if err != nil {
			return false, tx.damaged("row of "+string(rest), err)
		}
		return fn(o), nil
	})
}

// Pend reads the intent of the request under way for a key.
func (tx *Tx) Pend(key string) (Pend, bool, error) {
	var p Pend
	ok, err := tx.get(nameKey(tablePend, key), func(row []byte) (err error) {
		p, err = decodePend(key, row)
		return err
	})
	if err != nil {
		return Pend{}, false, tx.damaged("intent for "+key, err)
	}
	return p, ok, nil
}

// PutPend writes the intent of a request and queues its key.
func (tx *Tx) PutPend(p Pend) error {
	if err := checkKey(p.Key); err != nil {
		return err
	}
	old, had, err := tx.Pend(p.Key)
	if err != nil {
		return err
	}
	if had && old.Src != "" && old.Src != p.Src {
		if err := tx.remove(sourceKey(old.Src, p.Key)); err != nil {
			return err
		}
	}
	if p.Src != "" {
		if err := tx.set(sourceKey(p.Src, p.Key), nil); err != nil {
			return err
		}
	}
	if had && old.Upload == p.Upload && p.GoneSeq == 0 {
		p.GoneSeq = old.GoneSeq // LeaveKey may have come since p was read
	}
	if err := tx.setPendGone(p.Key, old.GoneSeq, p.GoneSeq); err != nil {
		return err
	}
	tx.touchKey(p.Key)
	return tx.set(nameKey(tablePend, p.Key), encodePend(&p))
}

// DeletePend removes the intent for a key and queues the key. A key without one is no error.
func (tx *Tx) DeletePend(key string) error {
	old, had, err := tx.Pend(key)
	if err != nil || !had {
		return err
	}
	if old.Src != "" {
		if err := tx.remove(sourceKey(old.Src, key)); err != nil {
			return err
		}
	}
	if err := tx.setPendGone(key, old.GoneSeq, 0); err != nil {
		return err
	}
	tx.touchKey(key)
	return tx.remove(nameKey(tablePend, key))
}

// PendsFrom lists the intents of copies from a source.
func (tx *Tx) PendsFrom(src string) ([]Pend, error) {
	var keys []string
	prefix := sourceKey(src, "")
	err := tx.scan(prefix, nil, func(rest, _ []byte) (bool, error) {
		keys = append(keys, string(rest))
		return true, nil
	})
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	pends := make([]Pend, 0, len(keys))
	for _, key := range keys {
		p, ok, err := tx.Pend(key)
		if err != nil {
			return nil, err
		}
		if ok {
			pends = append(pends, p)
		}
	}
	return pends, nil
}

// Pends walks all intents, sorted by key. fn ends the walk with false.
func (tx *Tx) Pends(fn func(p Pend) bool) error { return tx.PendsUnder("", fn) }

// PendsUnder walks the intents whose keys begin with prefix, sorted by key. fn ends the walk with false.
func (tx *Tx) PendsUnder(prefix string, fn func(p Pend) bool) error {
	return tx.scan(nameKey(tablePend, prefix), nil, func(rest, row []byte) (bool, error) {
		key := prefix + string(rest)
		p, err := decodePend(key, bytes.Clone(row))
		if err != nil {
			return false, tx.damaged("intent for "+key, err)
		}
		return fn(p), nil
	})
}
