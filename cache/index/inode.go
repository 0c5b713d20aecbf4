package index

import (
	"fmt"
	"strings"
)

// Inode reads an inode. Its Xattrs must not be written to.
func (tx *Tx) Inode(ino Ino) (Inode, bool, error) {
	i, err := tx.inode(ino)
	if err != nil || i == nil {
		return Inode{}, false, err
	}
	return *i, true, nil
}

// inode finds an inode without copying it; nil: there is none.
func (tx *Tx) inode(ino Ino) (*Inode, error) {
	if i, ok := tx.inodes[ino]; ok {
		return i, nil
	}
	if i, ok := tx.d.inodes.get(ino, tx.version); ok {
		return i, nil
	}
	var found *Inode
	_, err := tx.get(inoKey(tableInode, ino), func(row []byte) error {
		i, err := tx.d.openInode(ino, row)
		found = i
		return err
	})
	if err != nil || found == nil {
		return nil, err
	}
	tx.d.inodes.fill(ino, found, tx.version)
	return found, nil
}

// openInode decodes a row and opens what is sealed in it.
func (d *DB) openInode(ino Ino, row []byte) (*Inode, error) {
	i, secret, err := decodeInode(ino, row)
	if err == nil && len(secret) > 0 {
		var plain []byte
		if plain, err = d.OpenSecret(inodeLabel(ino), secret); err == nil {
			i.Target, i.Xattrs, err = decodeSecret(plain)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: inode %d: %w", ErrCorrupt, d.dir, ino, err)
	}
	return &i, nil
}

// Inodes walks all inodes by number. fn ends the walk with false.
func (tx *Tx) Inodes(fn func(i Inode) bool) error {
	return tx.scan([]byte{tableInode}, nil, func(rest, row []byte) (bool, error) {
		ino, err := parseIno(rest)
		if err != nil {
			return false, tx.damaged("inode", err)
		}
		i, err := tx.d.openInode(ino, row)
		if err != nil {
			return false, err
		}
		return fn(*i), nil
	})
}

// PutInode writes an inode. Its directory entry follows Parent, Name and Unlinked; a name that another inode holds is
// ErrInvalid. Keys whose desired state changed are queued; a directory that moved gets a note to walk what is below.
// The Xattrs must not be written to afterwards.
func (tx *Tx) PutInode(i Inode) error {
	if tx.batch == nil {
		return errReadOnly
	}
	if err := checkInode(&i); err != nil {
		return err
	}
	old, err := tx.inode(i.Ino)
	if err != nil {
		return err
	}
	if old == nil {
		return tx.addInode(&i)
	}
	i.CommitSeq = max(i.CommitSeq, old.CommitSeq)
	moved := old.Parent != i.Parent || old.Name != i.Name || old.Unlinked != i.Unlinked
	if !moved && !changes(old, &i) {
		return tx.storeInode(&i)
	}
	asked := moved && !i.Unlinked || i.AttrVer != old.AttrVer && !i.Moving || i.XattrVer != old.XattrVer
	if asked && tx.d.spare.tight() {
		return ErrFull
	}
	if err := tx.touch(old); err != nil {
		return err
	}
	if moved {
		if err := tx.moveDirent(old, &i); err != nil {
			return err
		}
	}
	if err := tx.storeInode(&i); err != nil {
		return err
	}
	if !moved {
		return nil
	}
	tx.touchPath(&i)
	if i.Unlinked {
		tx.unlinked = append(tx.unlinked, i.Ino)
		return nil
	}
	if i.IsDir() {
		return tx.markSubtree(i.Ino)
	}
	return nil
}

// addInode writes an inode that did not exist.
func (tx *Tx) addInode(i *Inode) error {
	if tx.d.spare.check() {
		return ErrFull
	}
	if err := tx.moveDirent(nil, i); err != nil {
		return err
	}
	if err := tx.storeInode(i); err != nil {
		return err
	}
	tx.touchPath(i)
	return nil
}

// checkInode refuses what would break the tree.
func checkInode(i *Inode) error {
	switch {
	case i.Ino == Root && (i.Unlinked || i.Name != "" || i.Parent != 0):
		return fmt.Errorf("%w: the root has neither name nor parent", ErrInvalid)
	case i.Ino == 0:
		return fmt.Errorf("%w: inode without a number", ErrInvalid)
	case i.Ino != Root && !i.Unlinked && (i.Name == "" || strings.ContainsAny(i.Name, "/\x00") || i.Parent == 0 || i.Parent == i.Ino):
		return fmt.Errorf("%w: inode %d with name %q in %d", ErrInvalid, i.Ino, i.Name, i.Parent)
	}
	return nil
}

// changes reports whether two states of an inode want different things of the bucket.
func changes(a, b *Inode) bool {
	return a.Gen != b.Gen || a.Sealed != b.Sealed || a.AttrVer != b.AttrVer || a.XattrVer != b.XattrVer ||
		a.CachedGen != b.CachedGen || a.WantsMarker() != b.WantsMarker() || a.IsDir() != b.IsDir()
}

// storeInode writes the row.
func (tx *Tx) storeInode(i *Inode) error {
	var secret []byte
	if i.sealed() > 0 {
		secret = tx.d.SealSecret(inodeLabel(i.Ino), encodeSecret(i.Target, i.Xattrs))
	}
	old, err := tx.inode(i.Ino)
	if err != nil {
		return err
	}
	tx.secrets += i.sealed() - old.sealed()
	if err := tx.set(inoKey(tableInode, i.Ino), encodeInode(i, secret)); err != nil {
		return err
	}
	if tx.inodes == nil {
		tx.inodes = make(map[Ino]*Inode)
	}
	kept := *i
	tx.inodes[i.Ino] = &kept
	return nil
}

// moveDirent changes the directory entry of an inode.
func (tx *Tx) moveDirent(old, i *Inode) error {
	if old != nil && !old.Unlinked && old.Ino != Root {
		if err := tx.setDirent(old.Parent, old.Name, 0); err != nil {
			return err
		}
	}
	if i.Unlinked || i.Ino == Root {
		return nil
	}
	holder, taken, err := tx.Child(i.Parent, i.Name)
	if err != nil {
		return err
	}
	if taken && holder != i.Ino {
		return fmt.Errorf("%w: name %q is held by inode %d", ErrInvalid, i.Name, holder)
	}
	return tx.setDirent(i.Parent, i.Name, i.Ino)
}

// leaveKeys numbers the moment when an inode lost its last name, in the rows that hold it; again: those that were numbered stay so.
func (tx *Tx) leaveKeys(ino Ino, again bool) error {
	rows, err := tx.ObjectsOf(ino)
	if err != nil || len(rows) == 0 {
		return err
	}
	i, err := tx.inode(ino)
	if err != nil {
		return err
	}
	for _, o := range rows {
		if again && o.GoneSeq != 0 {
			continue
		}
		if o.GoneSeq, err = tx.goneSeq(i); err != nil {
			return err
		}
		if err := tx.PutObject(o); err != nil {
			return err
		}
	}
	return nil
}

// DeleteInode removes an inode, its name and its unsent content. Rows of the bucket that hold it stay and are queued: they are
// garbage now. An inode that does not exist is no error.
func (tx *Tx) DeleteInode(ino Ino) error {
	if tx.batch == nil {
		return errReadOnly
	}
	if ino == Root {
		return fmt.Errorf("%w: the root stays", ErrInvalid)
	}
	i, err := tx.inode(ino)
	if err != nil || i == nil {
		return err
	}
	if err := tx.touch(i); err != nil {
		return err
	}
	if !i.Unlinked {
		if err := tx.setDirent(i.Parent, i.Name, 0); err != nil {
			return err
		}
	}
	if err := tx.leaveKeys(ino, i.Unlinked); err != nil {
		return err
	}
	if err := tx.ClearUnsent(ino); err != nil {
		return err
	}
	tx.secrets -= i.sealed()
	if tx.inodes == nil {
		tx.inodes = make(map[Ino]*Inode)
	}
	tx.inodes[ino] = nil
	if i.IsDir() {
		if err := tx.remove(inoKey(tableSubtree, ino)); err != nil {
			return err
		}
	}
	return tx.remove(inoKey(tableInode, ino))
}

// Children walks the names of a directory behind after, sorted by their bytes. fn ends the walk with false. Names that fn adds or
// removes may be seen or not.
func (tx *Tx) Children(parent Ino, after string, fn func(name string, ino Ino) bool) error {
	prefix := direntKey(parent, "")
	var from []byte
	if after != "" {
		from = append(direntKey(parent, after), 0)
	}
	return tx.scan(prefix, from, func(rest, value []byte) (bool, error) {
		ino, err := parseIno(value)
		if err != nil {
			return false, tx.damaged("directory entry", err)
		}
		return fn(string(rest), ino), nil
	})
}

// HasChildren reports whether a directory has a name in it.
func (tx *Tx) HasChildren(parent Ino) (bool, error) {
	found := false
	err := tx.Children(parent, "", func(string, Ino) bool {
		found = true
		return false
	})
	return found, err
}

// maxDepth ends walks up a damaged tree; keys of MaxKey bytes cannot be deeper.
const maxDepth = MaxKey

// Path is the key an inode wants to have: the names from the root down, with a slash at the end of a directory. The root's is
// "". ok is false without a name, or below a directory without one.
func (tx *Tx) Path(ino Ino) (key string, ok bool) {
	if ino == Root {
		return "", true
	}
	var parts []string
	dir := false
	for at := ino; at != Root; {
		i, err := tx.inode(at)
		if err == nil && len(parts) > maxDepth {
			err = tx.damaged("directories", fmt.Errorf("inode %d is below itself", ino))
		}
		if err != nil {
			tx.keep(err)
			return "", false
		}
		if i == nil || i.Unlinked {
			return "", false
		}
		if at == ino {
			dir = i.IsDir()
		}
		parts = append(parts, i.Name)
		at = i.Parent
	}
	return joinPath(parts, dir), true
}

// joinPath joins names that stand in reverse order.
func joinPath(parts []string, dir bool) string {
	n := len(parts)
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n)
	for k := len(parts) - 1; k >= 0; k-- {
		b = append(b, parts[k]...)
		if k > 0 || dir {
			b = append(b, '/')
		}
	}
	return string(b)
}

// Resolve finds the inode that wants a key. A key with a slash at its end is wanted by a directory only, one without by
// anything else only. "" is the root.
func (tx *Tx) Resolve(key string) (Ino, bool, error) {
	at := Root
	rest, wantDir := strings.CutSuffix(key, "/")
	if rest == "" {
		return Root, !wantDir, nil
	}
	for {
		name, more, deeper := strings.Cut(rest, "/")
		if name == "" {
			return 0, false, nil
		}
		ino, ok, err := tx.Child(at, name)
		if err != nil || !ok {
			return 0, false, err
		}
		if !deeper {
			i, err := tx.inode(ino)
			if err != nil || i == nil || i.IsDir() != wantDir {
				return 0, false, err
			}
			return ino, true, nil
		}
		at, rest = ino, more
	}
}
