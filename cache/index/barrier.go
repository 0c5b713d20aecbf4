package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sys/unix"
)

// A change may refer to bytes outside of the index, which are written before it but reach the disk when the kernel likes, as the
// log does. A barrier makes both durable, in this order:
//
//	row 'B' = n       begins round n: of what stands before it in the log, all bytes are written
//	OnBarrier         makes these bytes durable
//	row 'E' = n       ends round n
//	sync of the log
//
// After a power cut the log is cut behind the last 'B' whose 'E' is in it (cut.go). The index is then as it was at one moment, all
// bytes that it refers to are there, and nothing that anybody waited for is lost. A table is durable only once the bytes of its rows
// are (walFS), so that what is no longer in a log is never cut.
var (
	beginKey = []byte{tableBegin}
	endKey   = []byte{tableEnd}
)

// errBytes wraps failures of the OnBarrier function.
var errBytes = errors.New("bytes cannot be made durable")

// OnBarrier sets the function that makes durable what was written outside of the index. The package that owns those bytes calls it
// before it writes any. Bytes that such a function was never told of, because they are of an earlier process, are durable by then.
func (d *DB) OnBarrier(fn func() error) { d.bytes.Store(&fn) }

// bytesDurable runs the function.
func (d *DB) bytesDurable() error {
	fn := d.bytes.Load()
	if fn == nil {
		return nil
	}
	if err := (*fn)(); err != nil {
		return fmt.Errorf("%w: %w", errBytes, err)
	}
	return nil
}

// beforeLog is the part of a barrier that comes before the sync of the log. One runs at a time.
func (d *DB) beforeLog() error {
	if f := d.failure.Load(); f != nil {
		return *f
	}
	round := d.round.Add(1)
	row := binary.BigEndian.AppendUint64(nil, round)
	seen := d.changes.Load()
	if err := d.pebble.Set(beginKey, row, pebble.NoSync); err != nil {
		return err
	}
	if err := d.bytesDurable(); err != nil {
		return err
	}
	if err := d.pebble.Set(endKey, row, pebble.Sync); err != nil {
		return err
	}
	d.last.Store(&barrierEnd{round, seen})
	return nil
}

// barrierEnd is a barrier whose marks are in the log.
type barrierEnd struct{ round, changes uint64 }

// afterLog notes that the log with the marks of the last barrier is on the disk.
func (d *DB) afterLog() {
	if last := d.last.Load(); last != nil {
		d.durable.Store(last.changes)
		d.ended.Store(last.round)
	}
}

// Rounds counts barriers: the last one that began, and the last one that ended. What was committed before a barrier began is durable
// once that one, or a later one, has ended.
func (d *DB) Rounds() (begun, ended uint64) {
	ended = d.ended.Load()
	return d.round.Load(), ended
}

// loadRound reads the number of the last round, so that none is used twice.
func (d *DB) loadRound() error {
	for _, key := range [][]byte{beginKey, endKey} {
		row, closer, err := d.pebble.Get(key)
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return d.readError(err)
		}
		n, err := parseRound(row)
		_ = closer.Close()
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrCorrupt, d.dir, err)
		}
		d.round.Store(max(d.round.Load(), n))
	}
	return nil
}

func parseRound(row []byte) (uint64, error) {
	if len(row) != 8 {
		return 0, fmt.Errorf("the number of a barrier has %d bytes", len(row))
	}
	return binary.BigEndian.Uint64(row), nil
}

// Behind reports whether something was changed since the last barrier.
func (d *DB) Behind() bool { return d.changes.Load() != d.durable.Load() }

// syncAll makes everything on the file system of a folder durable.
func syncAll(dir string) error {
	start := time.Now()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("sync %s after %v: %w", dir, time.Since(start).Round(time.Millisecond), err)
	}
	return nil
}
