package index

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"github.com/ossencfs/ossencfs/cache/killpoint"
)

// bootFile names the boot in which the index was last open, or says that it was closed well.
const (
	bootFile  = "boot"
	cleanText = "clean"
)

// ending is how the index was last left.
type ending int

const (
	endClean  ending = iota // closed, or new
	endKilled               // the process ended: what it wrote is in the kernel's hands, if not on the disk
	endCut                  // the machine ended: of what was written since the last barrier, anything may be on the disk or not
)

// lastEnd reads how the index was left. Where the boot cannot be told it counts as the same.
func lastEnd(dir string, old bool) (ending, error) {
	text, err := os.ReadFile(filepath.Join(dir, bootFile))
	boot := strings.TrimSpace(string(text))
	switch {
	case errors.Is(err, os.ErrNotExist) && !old:
		return endClean, nil
	case errors.Is(err, os.ErrNotExist):
		return endKilled, nil
	case err != nil:
		return endKilled, fmt.Errorf("open index: %w", err)
	case boot == cleanText:
		return endClean, nil
	case boot != BootID():
		return endCut, nil
	}
	return endKilled, nil
}

// BootID names the running boot of the machine (/proc/sys/kernel/random/boot_id); empty where it cannot be told, which counts as the same
// boot.
func BootID() string {
	if boot := killpoint.Boot(); boot != "" {
		return boot
	}
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// noteBoot writes the boot file durably. On a full disk the reserve makes room for it.
func (d *DB) noteBoot(text string) error {
	path := filepath.Join(d.dir, bootFile)
	err := replaceFile(path, text+"\n")
	if !isFull(err) {
		return err
	}
	d.spare.use()
	if err = replaceFile(path, text+"\n"); isFull(err) {
		err = d.spare.short()
	}
	return err
}

// replaceFile writes a file whole or not at all, durably.
func replaceFile(path, text string) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// place is a position in the logs: the bytes of one log before it, and all logs before that one.
type place struct {
	log    int
	offset int64
}

// cutLogs takes everything out of the logs that stands behind the last barrier: after a power cut some of it may be there without the
// bytes it refers to.
func cutLogs(fs vfs.FS, dir string) error {
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: dir})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list logs: %w", err)
	}
	begins, cut := map[uint64]place{}, place{}
	for n := range logs {
		end, err := readMarks(logs[n], n, begins)
		if err != nil {
			return err
		}
		if end == 0 {
			continue
		}
		if at, here := begins[end]; here {
			cut = at
		} else {
			cut = place{log: n} // it began in a log that is in a table by now
		}
	}
	return cutBehind(logs, cut)
}

// readMarks notes where the rounds of a log begin, and returns the last one that ends in it, 0 for none. An unreadable record is the
// end of a log.
func readMarks(log wal.LogicalLog, n int, begins map[uint64]place) (end uint64, err error) {
	r := log.OpenForRead()
	defer func() { err = errors.Join(err, r.Close()) }()
	var begun uint64 // its row was the last record
	for {
		record, at, err := r.NextRecord()
		if begun != 0 {
			begins[begun], begun = place{log: n, offset: at.Physical}, 0
		}
		if err != nil {
			return end, nil //nolint:nilerr // what comes after an unreadable record was not synced
		}
		text, err := io.ReadAll(record)
		if err != nil {
			return end, nil //nolint:nilerr // likewise
		}
		key, round := markOf(text)
		switch {
		case bytes.Equal(key, beginKey):
			begun = round
		case bytes.Equal(key, endKey):
			end = round
		}
	}
}

// markOf reads a record that is a mark of a barrier; nil: it is something else.
func markOf(record []byte) (key []byte, round uint64) {
	if h, ok := batchrepr.ReadHeader(record); !ok || h.Count != 1 {
		return nil, 0
	}
	reader := batchrepr.Read(record)
	kind, key, value, ok, err := reader.Next()
	if !ok || err != nil || kind != pebble.InternalKeyKindSet {
		return nil, 0
	}
	round, err = parseRound(value)
	if err != nil {
		return nil, 0
	}
	return key, round
}

// cutBehind shortens the log of a place, and removes those after it.
func cutBehind(logs wal.Logs, at place) error {
	for n := range logs {
		for k := range logs[n].NumSegments() {
			_, path := logs[n].SegmentLocation(k)
			var err error
			switch {
			case n < at.log:
				continue
			case n == at.log && at.offset > 0:
				err = truncateFile(path, at.offset)
			default:
				err = os.Remove(path)
			}
			if err == nil {
				err = syncDir(filepath.Dir(path))
			}
			if err != nil {
				return fmt.Errorf("take back what was not synced: %w", err)
			}
		}
	}
	return nil
}

func truncateFile(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}
