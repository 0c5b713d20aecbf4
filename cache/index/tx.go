package index

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Tx is one transaction: a consistent state to read and, within Update, to change. It is used by one goroutine and ends with
// the function it was given to. A method that returns no error keeps it: the Update or View fails with it.
type Tx struct {
	d        *DB
	batch    *pebble.Batch // nil in a View
	reader   pebble.Reader
	version  uint64
	counters counters
	inodes   map[Ino]*Inode   // changed in this transaction; nil: deleted
	dirents  map[dirent]Ino   // changed in this transaction; 0: removed
	held     map[Ino][]string // holders changed in this transaction
	touched  map[string]struct{}
	queued   []string
	unlinked []Ino
	secrets  int64 // inodes more whose row seals something
	sent     bool  // unsent content was taken off the list
	err      error // of a method that cannot return it
}

var errReadOnly = fmt.Errorf("%w: change within a View", ErrInvalid)

// keep remembers the first error of methods that return none.
func (tx *Tx) keep(err error) {
	if tx.err == nil {
		tx.err = err
	}
}

// get reads a value and hands it to use, which must not keep it.
func (tx *Tx) get(key []byte, use func(value []byte) error) (ok bool, err error) {
	value, closer, err := tx.reader.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, tx.d.readError(err)
	}
	if use != nil {
		err = use(value)
	}
	if closeErr := closer.Close(); err == nil && closeErr != nil {
		err = tx.d.readError(closeErr)
	}
	return err == nil, err
}

// has reports whether a key exists.
func (tx *Tx) has(key []byte) (bool, error) { return tx.get(key, nil) }

// copyOf reads a value that may be kept.
func (tx *Tx) copyOf(key []byte) (value []byte, ok bool, err error) {
	ok, err = tx.get(key, func(v []byte) error {
		value = append([]byte{}, v...)
		return nil
	})
	return value, ok, err
}

func (tx *Tx) set(key, value []byte) error {
	if tx.batch == nil {
		return errReadOnly
	}
	if err := tx.batch.Set(key, value, nil); err != nil {
		return fmt.Errorf("change index: %w", err)
	}
	return nil
}

func (tx *Tx) remove(key []byte) error {
	if tx.batch == nil {
		return errReadOnly
	}
	if err := tx.batch.Delete(key, nil); err != nil {
		return fmt.Errorf("change index: %w", err)
	}
	return nil
}

// scan walks the keys that begin with prefix, those behind from only when it is given. fn gets the rest of each key, which it
// must not keep, and ends the walk with false.
func (tx *Tx) scan(prefix, from []byte, fn func(rest, value []byte) (bool, error)) (err error) {
	lower := prefix
	if bytes.Compare(from, lower) > 0 {
		lower = from
	}
	it, err := tx.reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper(prefix)})
	if err != nil {
		return tx.d.readError(err)
	}
	defer func() {
		if closeErr := it.Close(); err == nil && closeErr != nil {
			err = tx.d.readError(closeErr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return tx.d.readError(err)
		}
		more, err := fn(it.Key()[len(prefix):], value)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// damaged names a row that cannot be read.
func (tx *Tx) damaged(what string, err error) error {
	return fmt.Errorf("%w: %s: %s: %w", ErrCorrupt, tx.d.dir, what, err)
}

// NextIno takes an inode number.
func (tx *Tx) NextIno() Ino {
	tx.counters.ino++
	return Ino(tx.counters.ino)
}

// NextGen takes a generation number.
func (tx *Tx) NextGen() uint64 {
	tx.counters.gen++
	return tx.counters.gen
}

// NextSeq takes a sequence number: the order of changes.
func (tx *Tx) NextSeq() (uint64, error) {
	if tx.batch == nil {
		return 0, errReadOnly
	}
	tx.counters.seq++
	return tx.counters.seq, nil
}

// LastSeq is the sequence number taken last.
func (tx *Tx) LastSeq() uint64 { return tx.counters.seq }

// Meta reads a named value.
func (tx *Tx) Meta(name string) ([]byte, bool, error) { return tx.copyOf(nameKey(tableMeta, name)) }

// PutMeta writes a named value.
func (tx *Tx) PutMeta(name string, value []byte) error {
	return tx.set(nameKey(tableMeta, name), value)
}

// Body reads what package body keeps of an inode.
func (tx *Tx) Body(ino Ino) ([]byte, bool, error) { return tx.copyOf(inoKey(tableBody, ino)) }

// PutBody writes what package body keeps of an inode.
func (tx *Tx) PutBody(ino Ino, row []byte) error { return tx.set(inoKey(tableBody, ino), row) }

// DeleteBody removes what package body keeps of an inode.
func (tx *Tx) DeleteBody(ino Ino) error { return tx.remove(inoKey(tableBody, ino)) }

// Bodies walks all rows of PutBody by inode number. fn must not keep the row and ends the walk with false.
func (tx *Tx) Bodies(fn func(ino Ino, row []byte) bool) error {
	return tx.scan([]byte{tableBody}, nil, func(rest, row []byte) (bool, error) {
		ino, err := parseIno(rest)
		if err != nil {
			return false, tx.damaged("body", err)
		}
		return fn(ino, row), nil
	})
}

// GetRaw reads a row of another package's table.
func (tx *Tx) GetRaw(table byte, key []byte) ([]byte, bool, error) {
	return tx.copyOf(rawKey(table, key))
}

// PutRaw writes a row of another package's table.
func (tx *Tx) PutRaw(table byte, key, value []byte) error { return tx.set(rawKey(table, key), value) }

// DeleteRaw removes a row of another package's table.
func (tx *Tx) DeleteRaw(table byte, key []byte) error { return tx.remove(rawKey(table, key)) }

// ScanRaw walks the rows of another package's table whose keys begin with prefix, sorted by key. fn gets the whole key; it must
// keep neither key nor value, and ends the walk with false. Rows that fn adds or removes may be seen or not.
func (tx *Tx) ScanRaw(table byte, prefix []byte, fn func(key, value []byte) bool) error {
	return tx.scan(rawKey(table, prefix), nil, func(rest, value []byte) (bool, error) {
		return fn(append(append(make([]byte, 0, len(prefix)+len(rest)), prefix...), rest...), value), nil
	})
}

// DeleteRawPrefix removes all rows of another package's table whose keys begin with prefix.
func (tx *Tx) DeleteRawPrefix(table byte, prefix []byte) error {
	if tx.batch == nil {
		return errReadOnly
	}
	return tx.scan(rawKey(table, prefix), nil, func(rest, _ []byte) (bool, error) {
		return true, tx.remove(append(rawKey(table, prefix), rest...))
	})
}
