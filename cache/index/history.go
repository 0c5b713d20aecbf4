package index

import (
	"encoding/binary"

	"github.com/ossencfs/ossencfs/object"
)

// What the index remembers beyond the rows, to notice what an owner of the bucket does behind our back:
//
//   - for each key whose authentic object others took away or replaced, the upload id that it had. It is forgotten when this mount
//     writes or deletes the key, or when an authentic object is seen there again;
//   - the upload ids of objects that were superseded: an object that carries one has come back;
//   - the refused rows, so that each start judges them anew.

// maxOld bounds the superseded upload ids that are remembered; the oldest go first. They take about 60 bytes each.
const maxOld = 1 << 20

// oldMeta is where the number of the next superseded id is kept.
const oldMeta = "superseded"

// SawObject writes the row of an object that others left under a key, as a listing or HEAD showed it. back reports that it is an
// older version of what this mount wrote or saw.
func (tx *Tx) SawObject(o Object) (back bool, err error) {
	if err := checkKey(o.Key); err != nil {
		return false, err
	}
	old, had, err := tx.Object(o.Key)
	if err != nil {
		return false, err
	}
	last, lost, err := tx.lost(o.Key)
	if err != nil {
		return false, err
	}
	if old.Upload != (ID{}) {
		last = old.Upload
	}
	if o.Upload != (ID{}) && o.Upload != last {
		if back, err = tx.has(idKey(tableOld, o.Upload)); err != nil {
			return false, err
		}
	}
	switch {
	case o.State == object.StateAuthentic && lost:
		err = tx.remove(nameKey(tableLost, o.Key))
	case o.State != object.StateAuthentic && old.State == object.StateAuthentic:
		err = tx.set(nameKey(tableLost, o.Key), old.Upload[:])
	}
	if err == nil && o.State == object.StateAuthentic && o.Upload != last && !back {
		err = tx.supersede(last)
	}
	if err != nil {
		return back, err
	}
	return back, tx.putObject(&o, &old, had)
}

// SawGone removes the row of a key whose object others took away, and queues the key. A key without a row is no error.
func (tx *Tx) SawGone(key string) error {
	old, had, err := tx.Object(key)
	if err != nil || !had {
		return err
	}
	if old.State == object.StateAuthentic {
		if err := tx.set(nameKey(tableLost, key), old.Upload[:]); err != nil {
			return err
		}
	}
	return tx.deleteObject(&old)
}

// wrote notes that a request of this mount made o out of old. A copy of a refused object is not accepted at its new key either.
func (tx *Tx) wrote(o, old *Object) error {
	last, lost, err := tx.lost(o.Key)
	if err != nil {
		return err
	}
	if err := tx.supersede(old.Upload); err != nil {
		return err
	}
	if lost {
		if err := tx.supersede(last); err != nil {
			return err
		}
	}
	switch {
	case o.State == object.StateRefused:
		return tx.set(nameKey(tableLost, o.Key), make([]byte, len(ID{})))
	case lost:
		return tx.remove(nameKey(tableLost, o.Key))
	}
	return nil
}

// lost finds the upload id of an authentic object that others took away from a key.
func (tx *Tx) lost(key string) (upload ID, ok bool, err error) {
	ok, err = tx.get(nameKey(tableLost, key), func(value []byte) error {
		if copy(upload[:], value) != len(upload) {
			return tx.damaged("history of "+key, errShort)
		}
		return nil
	})
	return upload, ok, err
}

// Boxed reports whether the last object that this mount knew at a key and did not remove itself was authentic.
func (tx *Tx) Boxed(key string) (bool, error) {
	o, ok, err := tx.Object(key)
	if err != nil || ok && o.State == object.StateAuthentic {
		return ok, err
	}
	return tx.has(nameKey(tableLost, key))
}

// Superseded reports whether an upload id is not to come back.
func (tx *Tx) Superseded(upload ID) (bool, error) { return tx.has(idKey(tableOld, upload)) }

// supersede remembers an upload id that is not to come back; the zero id is none.
func (tx *Tx) supersede(upload ID) error {
	if upload == (ID{}) {
		return nil
	}
	if known, err := tx.has(idKey(tableOld, upload)); err != nil || known {
		return err
	}
	raw, _, err := tx.Meta(oldMeta)
	if err != nil {
		return err
	}
	var n uint64
	if len(raw) == 8 {
		n = binary.BigEndian.Uint64(raw)
	}
	if n >= maxOld {
		if err := tx.forgetOld(n - maxOld); err != nil {
			return err
		}
	}
	if err := tx.set(idKey(tableOld, upload), binary.BigEndian.AppendUint64(nil, n)); err != nil {
		return err
	}
	if err := tx.set(numberKey(tableOldByNum, n), upload[:]); err != nil {
		return err
	}
	return tx.PutMeta(oldMeta, binary.BigEndian.AppendUint64(nil, n+1))
}

// forgetOld forgets the superseded id with a number.
func (tx *Tx) forgetOld(n uint64) error {
	var upload ID
	found, err := tx.get(numberKey(tableOldByNum, n), func(value []byte) error {
		copy(upload[:], value)
		return nil
	})
	if err != nil || !found {
		return err
	}
	if err := tx.remove(idKey(tableOld, upload)); err != nil {
		return err
	}
	return tx.remove(numberKey(tableOldByNum, n))
}

// setMarks keeps what rows are found by beside their key: refused ones, and large ones by generation.
func (tx *Tx) setMarks(key string, old, o *Object) error {
	was, is := old.State == object.StateRefused, o.State == object.StateRefused
	if err := tx.mark(nameKey(tableRefused, key), was, is); err != nil {
		return err
	}
	if old.large() == o.large() && old.Generation == o.Generation || !old.large() && !o.large() {
		return nil
	}
	if err := tx.mark(append(idKey(tableLarge, old.Generation), key...), old.large(), false); err != nil {
		return err
	}
	return tx.mark(append(idKey(tableLarge, o.Generation), key...), false, o.large())
}

// mark sets or removes a row without a value when it was otherwise.
func (tx *Tx) mark(row []byte, was, is bool) error {
	switch {
	case was == is:
		return nil
	case is:
		return tx.set(row, nil)
	}
	return tx.remove(row)
}

// Refused walks the keys of refused rows that come after a key, sorted. fn ends the walk with false.
func (tx *Tx) Refused(after string, fn func(key string) bool) error {
	var from []byte
	if after != "" {
		from = append(nameKey(tableRefused, after), 0)
	}
	return tx.scan([]byte{tableRefused}, from, func(rest, _ []byte) (bool, error) { return fn(string(rest)), nil })
}

// largeObject is the size in bytes above which an object has its leaf tags in an object of their own (docs/FORMAT.md).
const largeObject = 128 << 20

func (o *Object) large() bool { return o.Size > largeObject && o.Generation != (ID{}) }

// unused notes that nothing needs the leaf tags of an object any more which a request of this mount replaced or deleted, unless
// another key holds the same generation.
func (tx *Tx) unused(old *Object, now ID) error {
	if !old.large() || old.Generation == now {
		return nil
	}
	held, err := tx.LeafNeeded(old.Generation)
	if err != nil || held {
		return err
	}
	return tx.set(idKey(tableLeaf, old.Generation), nil)
}

// LeafNeeded reports whether a row of a large object has a generation.
func (tx *Tx) LeafNeeded(id ID) (needed bool, err error) {
	err = tx.scan(idKey(tableLarge, id), nil, func(_, _ []byte) (bool, error) {
		needed = true
		return false, nil
	})
	return needed, err
}

// UnusedLeaves lists at most limit generations whose leaf-tag objects are to be removed from the bucket.
func (tx *Tx) UnusedLeaves(limit int) (list []ID, err error) {
	err = tx.scan([]byte{tableLeaf}, nil, func(rest, _ []byte) (bool, error) {
		var id ID
		if copy(id[:], rest) != len(id) {
			return false, tx.damaged("leaf-tag objects to remove", errShort)
		}
		list = append(list, id)
		return len(list) < limit, nil
	})
	return list, err
}

// LeafRemoved forgets a leaf-tag object that was to be removed.
func (tx *Tx) LeafRemoved(id ID) error { return tx.remove(idKey(tableLeaf, id)) }

func idKey(table byte, id ID) []byte { return append(append(make([]byte, 0, 64), table), id[:]...) }

func numberKey(table byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), table), n)
}
