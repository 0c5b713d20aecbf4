package object

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// exportFormat is the first field of a file of records.
const exportFormat = "ossencfs volume records v1"

// MaxExport bounds in bytes a file of records.
const MaxExport = 16 << 20

// ErrExport: the text is no file of volume records that this version reads.
var ErrExport = errors.New("unreadable file of volume records")

// exportFile is a file of records as JSON. It holds no secret: the volume keys are wrapped in their slots.
type exportFile struct {
	Format  string            `json:"format"`
	Root    string            `json:"root"` // prefix of the records in the bucket
	Records []json.RawMessage `json:"records"`
}

// Export is the text of a file with the records that open; Import puts them back.
func (v *Volumes) Export() ([]byte, error) {
	if err := v.ready(); err != nil {
		return nil, err
	}
	file := exportFile{Format: exportFormat, Root: v.root}
	for _, e := range v.opened() {
		text, err := e.record.Marshal(e.secret)
		if err != nil {
			return nil, err
		}
		file.Records = append(file.Records, text)
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode volume records: %w", err)
	}
	return append(text, '\n'), nil
}

// parseExport reads what Export wrote. Nothing in it is to be believed before it was opened.
func parseExport(text []byte) (root string, records []*keys.Record, err error) {
	if len(text) > MaxExport {
		return "", nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrExport, len(text), MaxExport)
	}
	var file exportFile
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrExport, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", nil, fmt.Errorf("%w: something behind its end", ErrExport)
	}
	if file.Format != exportFormat {
		return "", nil, fmt.Errorf("%w: format %.40q, this version reads %q", ErrExport, file.Format, exportFormat)
	}
	if clean, err := CleanPrefix(file.Root); err != nil || clean != file.Root || len(file.Records) == 0 {
		return "", nil, fmt.Errorf("%w: root %.40q with %d records", ErrExport, file.Root, len(file.Records))
	}
	seen := make(map[keys.VolumeID]bool, len(file.Records))
	for _, text := range file.Records {
		r, err := keys.ParseRecord(text)
		if err != nil {
			return "", nil, fmt.Errorf("%w: %w", ErrExport, err)
		}
		if seen[r.ID] {
			return "", nil, fmt.Errorf("%w: volume %s is there twice", ErrExport, r.ID)
		}
		seen[r.ID] = true
		records = append(records, r)
	}
	return file.Root, records, nil
}

// Imported is what Import did.
type Imported struct {
	Root   string   // where the records belong
	Stored []string // ids of the volume keys whose records were put back
	Kept   []string // ids of those whose record in the bucket is the same or newer
}

// Import puts records of a file back, all or none: each must open with what was given, and none may be older than what this machine
// remembers. A record in the bucket that is authentic and not older stays. They go where they were exported from, or to
// Options.Prefix when that is another place.
func (v *Volumes) Import(ctx context.Context, text []byte) (Imported, error) {
	root, records, err := parseExport(text)
	if err != nil {
		return Imported{}, err
	}
	if !strings.HasPrefix(v.b.prefix, root) {
		root = v.b.prefix
	}
	out := Imported{Root: root}
	fresh := make([]openedRecord, 0, len(records))
	for _, r := range records {
		k, err := v.open(ctx, r)
		if errors.Is(err, keys.ErrNoSlot) {
			err = fmt.Errorf("%w: %w", ErrWrongKey, err)
		}
		if err == nil {
			err = checkImported(r, v.pinned)
		}
		if err != nil {
			return Imported{}, fmt.Errorf("record of volume %s: %w", r.ID, err)
		}
		fresh = append(fresh, openedRecord{r, k})
	}
	v.root = root
	if err := v.reload(ctx); err != nil {
		return Imported{}, err
	}
	for _, r := range fresh {
		stored, err := v.restore(ctx, r)
		if err != nil {
			return out, fmt.Errorf("record of volume %s: %w", r.ID, err)
		}
		if stored {
			out.Stored = append(out.Stored, r.ID.String())
		} else {
			out.Kept = append(out.Kept, r.ID.String())
		}
	}
	return out, nil
}

// checkImported refuses a record that is older than the one remembered.
func checkImported(r *keys.Record, pinned *pins) error {
	pin, known := pinned.Keys[r.ID.String()]
	if known && (r.Revision < pin.Revision || r.Epoch != pin.Epoch) {
		return fmt.Errorf("revision %d, seen before %d: %w", r.Revision, pin.Revision, ErrRecordRolledBack)
	}
	return nil
}

// restore puts one record back, unless the bucket has it or a newer one. What stands in its place and is not authentic is removed:
// whoever holds the volume key knows that it is none.
func (v *Volumes) restore(ctx context.Context, r openedRecord) (stored bool, err error) {
	e := v.find(r.ID)
	if e == nil {
		e = &volumeEntry{id: r.ID}
		v.entries = append(v.entries, e)
	}
	switch {
	case e.record != nil && e.secret == nil && e.record.Revision >= r.Revision:
		return false, fmt.Errorf("the bucket has revision %d, which does not open with what was given: %w", e.record.Revision, e.whyNot())
	case e.secret != nil && e.record.Revision >= r.Revision:
		return false, v.note(e.record)
	}
	e.secret = r.key
	key := recordKey(v.root, r.Record)
	if slices.Contains(e.revisions, key) {
		if err := v.b.repeat(ctx, func() error { return ignoreMissing(v.b.oss.Delete(ctx, key)) }); err != nil {
			return false, err
		}
		e.revisions = slices.DeleteFunc(e.revisions, func(other string) bool { return other == key })
	}
	err = v.store(ctx, e, r.Record)
	if errors.Is(err, oss.ErrExists) {
		err = fmt.Errorf("another host writes it at the same moment, look again with `key list`: %w", err)
	}
	return err == nil, err
}
