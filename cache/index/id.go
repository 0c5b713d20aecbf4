package index

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// idMeta is where the index keeps its id.
const idMeta = "id"

// ID is a random name of the index and of the cache that it belongs to, 32 lower-case hexadecimal digits. It stays for as long as the
// folder does, and no other cache has it.
func (d *DB) ID() string { return d.id }

// loadID reads the id. A new index, and one of a version before, draw it, durably: no name in the bucket may be made of an id that a power cut
// takes back.
func (d *DB) loadID() error {
	var id []byte
	read := func(tx *Tx) (err error) {
		id, _, err = tx.Meta(idMeta)
		return err
	}
	if err := d.View(read); err != nil {
		return err
	}
	if id == nil {
		id = make([]byte, 16)
		_, _ = rand.Read(id) // never fails: it ends the program instead
		if err := d.UpdateSync(func(tx *Tx) error { return tx.PutMeta(idMeta, id) }); err != nil {
			return err
		}
	}
	if len(id) != 16 {
		return fmt.Errorf("%w: %s: an id of %d bytes", ErrCorrupt, d.dir, len(id))
	}
	d.id = hex.EncodeToString(id)
	return nil
}
