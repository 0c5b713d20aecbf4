package object

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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
	records, secrets := make(map[keys.VolumeID]*keys.Record), make(map[keys.VolumeID]*keys.VolumeKey)
	for _, e := range v.opened() {
		records[e.id], secrets[e.id] = e.record, e.secret
	}
	return exportRecords(v.root, records, secrets)
}

// exportRecords is the text of a file with these records; nil when there are none.
func exportRecords(root string, records map[keys.VolumeID]*keys.Record, secrets map[keys.VolumeID]*keys.VolumeKey) ([]byte, error) {
	file := exportFile{Format: exportFormat, Root: root}
	ids := slices.SortedFunc(maps.Keys(records), func(a, b keys.VolumeID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		r := *records[id] // Marshal notes what it signed, and others may read the record now
		text, err := r.Marshal(secrets[id])
		if err != nil {
			return nil, err
		}
		file.Records = append(file.Records, text)
	}
	if len(file.Records) == 0 {
		return nil, nil
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
// remembers. Like records in the bucket they count only where they belong, and on a machine that knows the volume only if they are of it. A
// record in the bucket that is authentic and not older stays; one that shuts everybody out whose keys are given is ErrShutOut, and replaced with
// force. They go where they were exported from, or to Options.Prefix when that is another place; those of another bucket or directory need
// OpenVolumesFrom, and are bound to this one.
func (v *Volumes) Import(ctx context.Context, text []byte, force bool) (Imported, error) {
	root, parsed, err := parseExport(text)
	if err != nil {
		return Imported{}, err
	}
	if !strings.HasPrefix(v.b.prefix, root) {
		root = v.b.prefix
	}
	out := Imported{Root: root}
	v.root = root
	fresh, err := v.openImported(ctx, parsed)
	if err != nil {
		return Imported{}, err
	}
	if err := v.reload(ctx); err != nil {
		return Imported{}, err
	}
	for _, e := range fresh {
		stored, err := v.restore(ctx, e, force)
		if err != nil {
			return out, fmt.Errorf("record of volume %s: %w", e.id, err)
		}
		if stored {
			out.Stored = append(out.Stored, e.id.String())
		} else {
			out.Kept = append(out.Kept, e.id.String())
		}
	}
	return out, nil
}

// openImported opens the records of a file, all of which have to count.
func (v *Volumes) openImported(ctx context.Context, parsed []*keys.Record) ([]*volumeEntry, error) {
	file := newRecords(v.b, v.pinned)
	file.code, file.from, file.root = v.code, v.from, v.root
	for _, r := range parsed {
		k, err := (*keys.VolumeKey)(nil), file.belongs(r)
		if err == nil {
			k, err = file.open(ctx, r, true)
		}
		if errors.Is(err, keys.ErrNoSlot) {
			err = fmt.Errorf("%w: %w", ErrWrongKey, err)
		}
		if err == nil {
			err = checkImported(r, v.pinned)
		}
		if err != nil {
			return nil, fmt.Errorf("record of volume %s: %w", r.ID, err)
		}
		file.entries = append(file.entries, &volumeEntry{id: r.ID, record: r, secret: k})
	}
	file.stand()
	for _, e := range file.entries {
		if e.secret == nil {
			return nil, fmt.Errorf("record of volume %s: %w", e.id, e.failed)
		}
		v.trusted[e.id] = true
	}
	return file.entries, nil
}

// checkImported refuses a record that is older than the one remembered.
func checkImported(r *keys.Record, pinned *pins) error {
	pin, known := pinned.Keys[r.ID.String()]
	if known && (r.Revision < pin.Revision || r.Epoch != pin.Epoch) {
		return fmt.Errorf("revision %d, seen before %d: %w", r.Revision, pin.Revision, ErrRecordRolledBack)
	}
	return nil
}

// reopen removes the revisions of a volume key from one on. Whoever held the key once can have made them, so that it opens for nobody else, and with so
// large a number that none can follow.
func (v *Volumes) reopen(ctx context.Context, e *volumeEntry, from string) error {
	for _, key := range e.revisions {
		if key < from {
			continue
		}
		if err := v.b.repeat(ctx, func() error { return ignoreMissing(v.b.oss.Delete(ctx, key)) }); err != nil {
			return err
		}
	}
	e.revisions = slices.DeleteFunc(e.revisions, func(key string) bool { return key >= from })
	return nil
}

// restore puts one record back, unless the bucket has it or a newer one. What stands in its place and is not authentic is removed:
// whoever holds the volume key knows that it is none.
func (v *Volumes) restore(ctx context.Context, r *volumeEntry, force bool) (stored bool, err error) {
	e := v.find(r.id)
	if e == nil {
		e = &volumeEntry{id: r.id}
		v.entries = append(v.entries, e)
	}
	shut := e.record != nil && e.secret == nil && e.record.MadeBy(r.secret) && e.record.Revision >= r.record.Revision
	switch {
	case shut && !force:
		return false, fmt.Errorf("the bucket has revision %d, which does not open with what was given: %w: %w", e.record.Revision, ErrShutOut, e.whyNot())
	case shut: // removed below
	case e.secret != nil && e.record.Revision >= r.record.Revision:
		return false, v.note(e.record)
	}
	e.secret = r.secret
	key := recordKey(v.root, r.record)
	if !shut && slices.Contains(e.revisions, key) {
		if err := v.b.repeat(ctx, func() error { return ignoreMissing(v.b.oss.Delete(ctx, key)) }); err != nil {
			return false, err
		}
		e.revisions = slices.DeleteFunc(e.revisions, func(other string) bool { return other == key })
	}
	put := r.record
	if !put.Place.IsZero() && !put.Place.Is(v.b.here(v.root)) {
		bound, err := v.bind(ctx, put, r.secret)
		if err == nil {
			err = bound.refuse(put, force)
		}
		if err != nil {
			return false, err
		}
		put = bound.record
	}
	if shut { // last, so that nothing is missing when something before fails
		if err := v.reopen(ctx, e, key); err != nil {
			return false, err
		}
	}
	err = v.store(ctx, e, put)
	if errors.Is(err, oss.ErrExists) {
		err = fmt.Errorf("another host writes it at the same moment, look again with `key list`: %w", err)
	}
	return err == nil, err
}
