package object

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/localfile"
)

// Failures of a volume's record. Test with errors.Is.
var (
	// ErrNoRecord: the prefix holds objects and no volume record, so that it is not clear whether the record was removed.
	ErrNoRecord = errors.New("the bucket holds objects and no volume record")
	// ErrRecordMissing: a volume that this machine knows has no record in the bucket any more.
	ErrRecordMissing = errors.New("the record of a known volume is missing in the bucket")
	// ErrRecordRolledBack: the record in the bucket is older than the one this machine has seen.
	ErrRecordRolledBack = errors.New("the volume record in the bucket is older than the one seen before")
	// ErrRecordForged: the record was not made by an owner of the master key.
	ErrRecordForged = errors.New("the volume record is not authentic")
	// ErrNoVolume: the bucket was opened without its volume, so that nothing can be sealed for it.
	ErrNoVolume = errors.New("no volume is open")
)

// pinVersion is the version of the pin file.
const pinVersion = 1

// pins is what a machine remembers of a volume, as ssh remembers host keys: JSON in a file of mode 0600.
type pins struct {
	Version int                 `json:"version"`
	Root    string              `json:"root"` // prefix of the record in the bucket, "" or ending in "/"
	Keys    map[string]pinnedID `json:"keys"` // by volume key id, 32 hexadecimal digits
}

// pinnedID is what is remembered of one volume key.
type pinnedID struct {
	Epoch    uint32 `json:"epoch"`
	Revision uint32 `json:"revision"` // newest seen; an older one is refused

	// RetiredBy are the volume keys that were seen to retire this one. It stays retired, whatever is hidden of their records, until one of
	// them that is not retired itself does not say it any more.
	RetiredBy []string `json:"retired_by,omitempty"`
}

// maxPinFile bounds in bytes what is read of a pin file.
const maxPinFile = 1 << 20

// loadPins reads a pin file; one that does not exist pins nothing.
func loadPins(path string) (*pins, error) {
	none := &pins{Version: pinVersion, Keys: map[string]pinnedID{}}
	if path == "" {
		return none, nil
	}
	text, err := localfile.Read(context.Background(), path, localfile.Own, maxPinFile)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	var p *pins
	if err == nil {
		p, err = parsePins(text)
	}
	if err != nil {
		return nil, fmt.Errorf("read pinned volume %s: %w", path, err)
	}
	return p, nil
}

// parsePins reads what save writes.
func parsePins(text []byte) (*pins, error) {
	p := &pins{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, err
	}
	if p.Version != pinVersion {
		return nil, fmt.Errorf("version %d is not known", p.Version)
	}
	for id, pin := range p.Keys {
		for _, id := range append(pin.RetiredBy, id) {
			if _, err := keys.ParseVolumeID(id); err != nil {
				return nil, err
			}
		}
	}
	if p.Keys == nil {
		p.Keys = map[string]pinnedID{}
	}
	return p, nil
}

// save writes the file, whole or not at all.
func (p *pins) save(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("pin volume: %w", err)
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
		err = writeWhole(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("pin volume: %w", err)
	}
	return nil
}

// writeWhole writes a file of mode 0600, whole or not at all.
func writeWhole(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// PinVolume remembers the open volume in a file from now on. It is for buckets that were opened without Options.PinFile, because only
// the volume's root tells where to remember it, and is called before the bucket is used. Without a volume it does nothing.
func (b *Bucket) PinVolume(path string) error {
	v := &b.volume
	v.mu.RLock()
	defer v.mu.RUnlock()
	if len(v.records) == 0 {
		return nil
	}
	pinned, err := loadPins(path)
	if err != nil {
		return err
	}
	for _, r := range v.records {
		pinned.note(v.root, r)
	}
	pinned.noteRetired(v.retired, slices.Collect(maps.Values(v.records)))
	b.opt.PinFile = path
	return pinned.save(path)
}

// note remembers a volume key and reports whether that is news.
func (p *pins) note(root string, r *keys.Record) bool {
	id := r.ID.String()
	now, known := p.Keys[id]
	if known && p.Root == root && now.Epoch == r.Epoch && now.Revision == r.Revision {
		return false
	}
	now.Epoch, now.Revision = r.Epoch, r.Revision
	p.Root, p.Keys[id] = root, now
	return true
}

// noteRetired remembers which of the volume keys are retired, by the records that count, and reports whether that is news. It forgets it of one that was
// restored.
func (p *pins) noteRetired(retired map[keys.VolumeID]bool, records []*keys.Record) (news bool) {
	for name, pin := range p.Keys {
		id, err := keys.ParseVolumeID(name)
		if err != nil {
			continue
		}
		var by []string
		for _, r := range records {
			if retired[id] && !retired[r.ID] && slices.Contains(r.Retired, id) {
				by = append(by, r.ID.String())
			}
		}
		slices.Sort(by)
		if retired[id] && len(by) == 0 || slices.Equal(by, pin.RetiredBy) {
			continue
		}
		pin.RetiredBy, news = by, true
		p.Keys[name] = pin
	}
	return news
}

// pin remembers the volume keys that open and count, and which are retired, and reports whether that is news.
func (s *records) pin() (news bool) {
	list := make([]*keys.Record, 0, len(s.entries))
	for _, e := range s.opened() {
		news = s.pinned.note(s.root, e.record) || news
		list = append(list, e.record)
	}
	return s.pinned.noteRetired(s.retired, list) || news
}
