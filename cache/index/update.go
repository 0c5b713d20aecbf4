package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/ossencfs/ossencfs/cache/killpoint"
)

// counters are the numbers handed out last. They are written with the transaction that took one.
type counters struct{ ino, gen, seq uint64 }

var countersKey = []byte{tableCounters}

func (d *DB) loadCounters() error {
	row, closer, err := d.pebble.Get(countersKey)
	if errors.Is(err, pebble.ErrNotFound) {
		d.counters = counters{ino: uint64(Root)}
		return nil
	}
	if err != nil {
		return d.readError(err)
	}
	defer func() { _ = closer.Close() }()
	if len(row) != 24 {
		return fmt.Errorf("%w: %s: counters are %d bytes", ErrCorrupt, d.dir, len(row))
	}
	d.counters = counters{
		ino: binary.BigEndian.Uint64(row), gen: binary.BigEndian.Uint64(row[8:]), seq: binary.BigEndian.Uint64(row[16:]),
	}
	return nil
}

func (c counters) row() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), c.ino)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, c.gen), c.seq)
}

// Update runs fn as one atomic change. When fn fails nothing is changed and its error is returned. When Update returns nil the
// change survives a SIGKILL of this process; a power cut may take it back, and then all later ones with it. fn must not call
// Update.
func (d *DB) Update(fn func(*Tx) error) error { return d.update(fn, false) }

// UpdateSync is Update that also waits until this change and all before it are on the disk.
func (d *DB) UpdateSync(fn func(*Tx) error) error { return d.update(fn, true) }

// Sync waits until all changes made before are on the disk.
func (d *DB) Sync() error { return d.update(func(*Tx) error { return nil }, true) }

func (d *DB) update(fn func(*Tx) error, barrier bool) error {
	batch, dirty, err := d.apply(fn, barrier)
	if err != nil {
		return err
	}
	if batch == nil {
		return nil
	}
	killpoint.At(killpoint.IndexApplied)
	err = batch.SyncWait()
	killpoint.At(killpoint.IndexLogged)
	if err == nil && barrier {
		err = d.wal.barrier()
		killpoint.At(killpoint.IndexSynced)
	}
	if err != nil && !errors.Is(err, errBytes) {
		err = d.fail(err)
	} else if closeErr := batch.Close(); closeErr != nil && err == nil {
		err = fmt.Errorf("change index: %w", closeErr)
	}
	d.leave()
	if hear := d.onDirty.Load(); (err == nil || errors.Is(err, errBytes)) && hear != nil && len(dirty) > 0 {
		(*hear)(dirty)
	}
	return err
}

// apply runs fn and makes its change visible. The caller waits for the log, and then leaves, when a batch is
// returned.
func (d *DB) apply(fn func(*Tx) error, barrier bool) (batch *pebble.Batch, dirty []string, err error) {
	d.writer.Lock()
	defer d.writer.Unlock()
	if err := d.enter(); err != nil {
		return nil, nil, err
	}
	defer func() {
		if batch == nil {
			d.leave()
		}
	}()
	if f := d.failure.Load(); f != nil {
		return nil, nil, *f
	}
	tx := &Tx{d: d, batch: d.pebble.NewIndexedBatch(), version: latest, counters: d.counters}
	tx.reader = tx.batch
	if err = fn(tx); err == nil {
		err = tx.finish()
	}
	if err != nil || tx.batch.Empty() && !barrier {
		_ = tx.batch.Close()
		return nil, nil, err
	}
	if tx.batch.Empty() {
		_ = tx.batch.LogData([]byte{0}, nil) // something to wait for
	}
	if err := d.publish(tx); err != nil {
		return nil, nil, d.fail(err)
	}
	d.counters = tx.counters
	d.secrets += tx.secrets
	if tx.sent {
		if err := d.raiseUnsent(); err != nil {
			return nil, nil, d.fail(err)
		}
	}
	return tx.batch, tx.queued, nil
}

// publish makes a change visible to later Views, at one moment.
func (d *DB) publish(tx *Tx) error {
	d.commit.Lock()
	defer d.commit.Unlock()
	if err := d.pebble.ApplyNoSyncWait(tx.batch, pebble.Sync); err != nil {
		return err
	}
	if f := d.failure.Load(); f != nil {
		return *f
	}
	d.version++
	d.changes.Add(1)
	d.publishRows(tx)
	return nil
}

// View runs fn on one consistent state: that of the moment when View was called.
func (d *DB) View(fn func(*Tx) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.commit.RLock()
	tx := &Tx{d: d, version: d.version}
	snapshot := d.pebble.NewSnapshot()
	d.commit.RUnlock()
	tx.reader = snapshot
	err := fn(tx)
	if err == nil {
		err = tx.err
	}
	if closeErr := snapshot.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("read index: %w", closeErr)
	}
	return err
}

// readError names a failed read.
func (d *DB) readError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, d.dir, err)
	}
	return fmt.Errorf("read index: %w", err)
}
