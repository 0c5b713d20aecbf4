package index

import "slices"

// touchPath notes that the key an inode wants may differ from what the bucket has.
func (tx *Tx) touchPath(i *Inode) {
	if key, ok := tx.Path(i.Ino); ok {
		tx.touchKey(key)
	}
}

// touch notes the same of the key an inode wants and of all that hold it.
func (tx *Tx) touch(i *Inode) error {
	tx.touchPath(i)
	rows, err := tx.ObjectsOf(i.Ino)
	if err != nil {
		return err
	}
	for _, o := range rows {
		tx.touchKey(o.Key)
	}
	return nil
}

// touchKey notes a key for finish.
func (tx *Tx) touchKey(key string) {
	if tx.touched == nil {
		tx.touched = make(map[string]struct{})
	}
	tx.touched[key] = struct{}{}
}

// finish queues the touched keys that are not settled in the state which the transaction leaves, and writes the counters.
func (tx *Tx) finish() error {
	if err := tx.finishUnlinked(); err != nil {
		return err
	}
	for key := range tx.touched {
		settled, err := tx.Settled(key)
		if err != nil {
			return err
		}
		if settled {
			continue
		}
		if err := tx.set(nameKey(tableQueue, key), nil); err != nil {
			return err
		}
		tx.queued = append(tx.queued, key)
	}
	if tx.sent {
		if err := tx.forgetLost(); err != nil {
			return err
		}
	}
	if tx.counters != tx.d.counters {
		if err := tx.set(countersKey, tx.counters.row()); err != nil {
			return err
		}
	}
	return tx.err
}

// finishUnlinked handles the inodes that lost their name and did not get another one in the same transaction.
func (tx *Tx) finishUnlinked() error {
	for _, ino := range tx.unlinked {
		i, err := tx.inode(ino)
		if err != nil {
			return err
		}
		if i == nil || !i.Unlinked {
			continue
		}
		if err := tx.leaveIntents(i); err != nil {
			return err
		}
		if err := tx.noteLost(i); err != nil {
			return err
		}
		if err := tx.ClearUnsent(ino); err != nil {
			return err
		}
		if err := tx.leaveKeys(ino, false); err != nil {
			return err
		}
	}
	return nil
}

// Settled reports whether nothing is to be done for a key: no request is under way, and the bucket holds exactly what is
// wanted there, nothing included.
func (tx *Tx) Settled(key string) (bool, error) {
	ino, wanted, err := tx.Resolve(key)
	if err != nil {
		return false, err
	}
	var i *Inode
	if wanted {
		if i, err = tx.inode(ino); err != nil {
			return false, err
		}
		if ready, err := tx.mayBeSettled(i, key); err != nil || !ready {
			return false, err
		}
	}
	o, recorded, err := tx.Object(key)
	if err != nil {
		return false, err
	}
	if pending, err := tx.has(nameKey(tablePend, key)); err != nil || pending {
		return false, err
	}
	if !wanted {
		return !recorded, nil
	}
	if !recorded { // a directory that wants no marker
		return true, nil
	}
	return o.Ino == ino && (i.Sealed || i.IsDir()) && o.Gen == i.Gen && o.AttrVer == i.AttrVer && o.XattrVer == i.XattrVer, nil
}

// mayBeSettled is false when what is in memory shows that the bucket lacks what an inode wants at its key: most transactions are
// about files that are being written.
func (tx *Tx) mayBeSettled(i *Inode, key string) (bool, error) {
	if i.IsDir() && !i.WantsMarker() {
		return true, nil
	}
	if !i.IsDir() && !i.Sealed {
		return false, nil
	}
	keys, err := tx.holders(i.Ino)
	return slices.Contains(keys, key), err
}

// Enqueue puts a key into the work queue, whatever its state.
func (tx *Tx) Enqueue(key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	tx.queued = append(tx.queued, key)
	return tx.set(nameKey(tableQueue, key), nil)
}

// Dequeue takes a key out of the work queue. When the same transaction also changes what the key is about, and leaves it
// unsettled, the key is queued again.
func (tx *Tx) Dequeue(key string) error { return tx.remove(nameKey(tableQueue, key)) }

// Queued reports whether a key is in the work queue.
func (tx *Tx) Queued(key string) (bool, error) { return tx.has(nameKey(tableQueue, key)) }

// Queue walks the queued keys that begin with prefix and come after a key, sorted. fn ends the walk with false.
func (tx *Tx) Queue(prefix, after string, fn func(key string) bool) error {
	var from []byte
	if after != "" {
		from = append(nameKey(tableQueue, after), 0)
	}
	return tx.scan(nameKey(tableQueue, prefix), from, func(rest, _ []byte) (bool, error) {
		return fn(prefix + string(rest)), nil
	})
}

// markSubtree notes that everything below a directory wants other keys. The note stays until ClearSubtree.
func (tx *Tx) markSubtree(ino Ino) error {
	return tx.set(inoKey(tableSubtree, ino), []byte{rowVersion})
}

// Subtrees walks the directories that moved and whose contents were not queued yet, with the position that PutSubtree left.
// fn ends the walk with false.
func (tx *Tx) Subtrees(fn func(ino Ino, position []byte) bool) error {
	return tx.scan([]byte{tableSubtree}, nil, func(rest, value []byte) (bool, error) {
		ino, err := parseIno(rest)
		if err != nil || len(value) == 0 {
			return false, tx.damaged("note of a moved directory", orShort(err))
		}
		return fn(ino, append([]byte(nil), value[1:]...)), nil
	})
}

func orShort(err error) error {
	if err != nil {
		return err
	}
	return errShort
}

// PutSubtree saves how far the walk below a moved directory came. Another move of the directory begins it anew.
func (tx *Tx) PutSubtree(ino Ino, position []byte) error {
	return tx.set(inoKey(tableSubtree, ino), append([]byte{rowVersion}, position...))
}

// ClearSubtree removes the note: everything below was queued.
func (tx *Tx) ClearSubtree(ino Ino) error { return tx.remove(inoKey(tableSubtree, ino)) }
