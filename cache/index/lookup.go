package index

import (
	"slices"
	"strings"
)

// Inode reads one inode in its newest state; it is View with Tx.Inode at less cost. The Xattrs must not be written to.
func (d *DB) Inode(ino Ino) (i Inode, ok bool, err error) {
	if err := d.open(); err != nil {
		return Inode{}, false, err
	}
	if known, hit := d.inodes.get(ino, latest); hit {
		if known == nil {
			return Inode{}, false, nil
		}
		return *known, true, nil
	}
	err = d.View(func(tx *Tx) (err error) {
		i, ok, err = tx.Inode(ino)
		return err
	})
	return i, ok, err
}

// Child finds a name in a directory in its newest state; it is View with Tx.Child at less cost.
func (d *DB) Child(parent Ino, name string) (ino Ino, ok bool, err error) {
	if err := d.open(); err != nil {
		return 0, false, err
	}
	if ino, hit := d.dirents.get(dirent{parent, name}, latest); hit {
		return ino, ino != 0, nil
	}
	err = d.View(func(tx *Tx) (err error) {
		ino, ok, err = tx.Child(parent, name)
		return err
	})
	return ino, ok, err
}

// open is ErrClosed once the database is closed.
func (d *DB) open() error {
	d.use.Lock()
	defer d.use.Unlock()
	if d.closed {
		return ErrClosed
	}
	return nil
}

// Child finds a name in a directory.
func (tx *Tx) Child(parent Ino, name string) (Ino, bool, error) {
	entry := dirent{parent, name}
	if ino, ok := tx.dirents[entry]; ok {
		return ino, ino != 0, nil
	}
	if ino, ok := tx.d.dirents.get(entry, tx.version); ok {
		return ino, ino != 0, nil
	}
	var ino Ino
	_, err := tx.get(direntKey(parent, name), func(value []byte) (err error) {
		ino, err = parseIno(value)
		return err
	})
	if err != nil {
		return 0, false, tx.damaged("directory entry", err)
	}
	entry.name = strings.Clone(name)
	tx.d.dirents.fill(entry, ino, tx.version)
	return ino, ino != 0, nil
}

// setDirent gives a name to an inode; 0 takes it away.
func (tx *Tx) setDirent(parent Ino, name string, ino Ino) error {
	if tx.dirents == nil {
		tx.dirents = make(map[dirent]Ino)
	}
	tx.dirents[dirent{parent, name}] = ino
	if ino == 0 {
		return tx.remove(direntKey(parent, name))
	}
	return tx.set(direntKey(parent, name), AppendIno(nil, ino))
}

// holders lists the keys whose rows hold an inode, sorted. The list must not be written to.
func (tx *Tx) holders(ino Ino) ([]string, error) {
	if keys, ok := tx.held[ino]; ok {
		return keys, nil
	}
	if keys, ok := tx.d.holders.get(ino, tx.version); ok {
		return keys, nil
	}
	if tx.numbered(ino) {
		return nil, nil
	}
	var keys []string
	err := tx.scan(holderKey(ino, ""), nil, func(rest, _ []byte) (bool, error) {
		keys = append(keys, string(rest))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	tx.d.holders.fill(ino, keys, tx.version)
	return keys, nil
}

// numbered reports whether this transaction took the number: no row can be about it that the transaction did not write.
func (tx *Tx) numbered(ino Ino) bool {
	return tx.batch != nil && uint64(ino) > tx.d.counters.ino && uint64(ino) <= tx.counters.ino
}

// setHolder notes that the row of a key holds an inode, or does not any more.
func (tx *Tx) setHolder(ino Ino, key string, holds bool) error {
	keys, err := tx.holders(ino)
	if err != nil {
		return err
	}
	at, found := slices.BinarySearch(keys, key)
	if found == holds {
		return nil
	}
	keys = slices.Clone(keys)
	if holds {
		keys = slices.Insert(keys, at, key)
	} else {
		keys = slices.Delete(keys, at, at+1)
	}
	if tx.held == nil {
		tx.held = make(map[Ino][]string)
	}
	tx.held[ino] = keys
	if holds {
		return tx.set(holderKey(ino, key), nil)
	}
	return tx.remove(holderKey(ino, key))
}

// publishRows hands the rows which a transaction changed to the caches. DB.commit is held.
func (d *DB) publishRows(tx *Tx) {
	for ino, i := range tx.inodes {
		d.inodes.change(ino, i, d.version)
		if tx.numbered(ino) {
			d.holders.change(ino, tx.held[ino], d.version)
		}
	}
	for entry, ino := range tx.dirents {
		d.dirents.change(entry, ino, d.version)
	}
	for ino, keys := range tx.held {
		d.holders.change(ino, keys, d.version)
	}
}
