package index

import "github.com/ossencfs/ossencfs/object"

// originsMeta is where the index notes that Inode.Origin and Object.Volume tell what they say. Format 1 did not have them.
const originsMeta = "origins"

var originsKnown = []byte{1}

// originsBatch is how many rows one transaction changes.
const originsBatch = 1000

// knowOrigins makes an index of format 1 one of this format: content and attributes that came from the bucket rest on the word of a volume key, of
// which it is not known which. It goes on where it was stopped.
func (d *DB) knowOrigins() error {
	known := false
	err := d.View(func(tx *Tx) (err error) {
		_, known, err = tx.Meta(originsMeta)
		return err
	})
	if err != nil || known {
		return err
	}
	for last, more := Ino(0), true; more && err == nil; {
		err = d.Update(func(tx *Tx) (err error) {
			last, more, err = tx.originsOfInodes(last)
			return err
		})
	}
	for last, more := "", true; more && err == nil; {
		err = d.Update(func(tx *Tx) (err error) {
			last, more, err = tx.originsOfObjects(last)
			return err
		})
	}
	if err != nil {
		return err
	}
	return d.UpdateSync(func(tx *Tx) error { return tx.PutMeta(originsMeta, originsKnown) })
}

// originsOfInodes marks the next inodes whose content is here and in the bucket: it may have come from there. What the bucket never had was
// written here.
func (tx *Tx) originsOfInodes(after Ino) (last Ino, more bool, err error) {
	last = after
	var list []Inode
	from := inoKey(tableInode, after+1)
	err = tx.scan([]byte{tableInode}, from, func(rest, row []byte) (bool, error) {
		if last, err = parseIno(rest); err != nil {
			return false, tx.damaged("inode", err)
		}
		i, err := tx.d.openInode(last, row)
		if err != nil {
			return false, err
		}
		if i.CachedGen != 0 && i.Origin == (ID{}) {
			list = append(list, *i)
		}
		more = len(list) == originsBatch
		return !more, nil
	})
	for n := 0; n < len(list) && err == nil; n++ {
		err = tx.originOf(&list[n])
	}
	return last, more, err
}

func (tx *Tx) originOf(i *Inode) error {
	rows, err := tx.ObjectsOf(i.Ino)
	if err != nil {
		return err
	}
	for _, o := range rows {
		if o.Gen == i.Gen {
			i.Origin = ID(object.SomeVolume)
			return tx.PutInode(*i)
		}
	}
	return nil
}

// originsOfObjects marks the next rows of objects that others wrote.
func (tx *Tx) originsOfObjects(after string) (last string, more bool, err error) {
	last = after
	var list []Object
	err = tx.ObjectsAfter(after, func(o Object) bool {
		if last = o.Key; o.Volume == (ID{}) && o.Sent == (ID{}) && o.State == object.StateAuthentic {
			list = append(list, o)
		}
		more = len(list) == originsBatch
		return !more
	})
	for n := 0; n < len(list) && err == nil; n++ {
		list[n].Volume = ID(object.SomeVolume)
		err = tx.set(nameKey(tableObject, list[n].Key), encodeObject(&list[n]))
	}
	return last, more, err
}
