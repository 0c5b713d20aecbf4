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

// PutObject writes the row of a key and queues the key when it differs from what is wanted.
func (tx *Tx) PutObject(o Object) error {
	if err := checkKey(o.Key); err != nil {
		return err
	}
	old, had, err := tx.Object(o.Key)
	if err != nil {
		return err
	}
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
	tx.touchKey(o.Key)
	return tx.set(nameKey(tableObject, o.Key), encodeObject(&o))
}

// DeleteObject removes the row of a key and queues the key. A key without a row is no error.
func (tx *Tx) DeleteObject(key string) error {
	old, had, err := tx.Object(key)
	if err != nil || !had {
		return err
	}
	if err := tx.setHolder(old.Ino, key, false); err != nil {
		return err
	}
	tx.touchKey(key)
	return tx.remove(nameKey(tableObject, key))
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
