package object

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	for id := range p.Keys {
		if _, err := keys.ParseVolumeID(id); err != nil {
			return nil, err
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
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("pin volume: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return fmt.Errorf("pin volume: %w", err)
	}
	_, err = tmp.Write(append(text, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("pin volume: %w", err), os.Remove(tmp.Name()))
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
	b.opt.PinFile = path
	return pinned.save(path)
}

// note remembers a volume key and reports whether that is news.
func (p *pins) note(root string, r *keys.Record) bool {
	id, now := r.ID.String(), pinnedID{Epoch: r.Epoch, Revision: r.Revision}
	if p.Root == root && p.Keys[id] == now {
		return false
	}
	p.Root, p.Keys[id] = root, now
	return true
}
