package index

import (
	"errors"
	"fmt"
)

// ErrInUse: something that the present secret seals is still needed.
var ErrInUse = errors.New("the index's secret is in use")

// Stale reports whether the present secret has sealed anything since it came: then what the database's files still hold of it can be
// opened by whoever gets the secret.
func (d *DB) Stale() bool { return d.sealers.Load().current.used.Load() }

// Rekey replaces the secret when nothing needs the old one: no inode has a target or extended attributes, there is no Body row, and
// idle says that nobody holds a value of SealSecret that is not in the index yet; it calls swap at a moment when that is so. Otherwise
// it is ErrInUse. What was sealed before cannot be opened afterwards, wherever it is left, once the caller has destroyed the old
// secret. When Rekey returns nil, the new one is needed to open the index.
func (d *DB) Rekey(secret [32]byte, idle func(swap func()) bool) error {
	fresh, err := newSealer(secret)
	if err != nil {
		return err
	}
	before := d.sealers.Load().current
	swapped := false
	err = d.UpdateSync(func(tx *Tx) error {
		if err := tx.nothingSealed(); err != nil {
			return err
		}
		if err := tx.PutMeta(secretMeta, fresh.seal(secretLabel, []byte(versionText))); err != nil {
			return err
		}
		if !idle(func() { d.sealers.Store(&sealers{current: fresh, old: before}); swapped = true }) {
			return ErrInUse
		}
		return nil
	})
	if err != nil {
		if swapped { // what was sealed meanwhile could not be opened after a restart
			err = d.fail(err)
		}
		return fmt.Errorf("replace the index's secret: %w", err)
	}
	d.forgetOld(fresh)
	return nil
}

// nothingSealed is ErrInUse when a row holds something sealed. Inodes are counted once, and then with each change.
func (tx *Tx) nothingSealed() error {
	held := false
	if err := tx.Bodies(func(Ino, []byte) bool { held = true; return false }); err != nil || held {
		return orInUse(err)
	}
	d := tx.d
	if !d.secretsCounted {
		n := int64(0)
		err := tx.scan([]byte{tableInode}, nil, func(rest, row []byte) (bool, error) {
			ino, err := parseIno(rest)
			if err != nil {
				return false, tx.damaged("inode", err)
			}
			_, secret, err := decodeInode(ino, row)
			if err != nil {
				return false, tx.damaged("inode", err)
			}
			if len(secret) > 0 {
				n++
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		d.secrets, d.secretsCounted = n, true
	}
	if d.secrets > 0 {
		return ErrInUse
	}
	return nil
}

func orInUse(err error) error {
	if err != nil {
		return err
	}
	return ErrInUse
}

// forgetOld drops the old secret once no call is under way that began before.
func (d *DB) forgetOld(fresh *sealer) {
	d.use.Lock()
	defer d.use.Unlock()
	for d.users > 0 {
		d.idle.Wait()
	}
	d.sealers.Store(&sealers{current: fresh})
}

// sealed is 1 for an inode whose row seals something.
func (i *Inode) sealed() int64 {
	if i != nil && (i.Target != "" || len(i.Xattrs) > 0) {
		return 1
	}
	return 0
}
