package keys

import (
	"crypto/hmac"
	"fmt"
	"slices"
)

// endorsementInfo derives the key of an endorsement's MAC.
const endorsementInfo = "ossencfs endorsement v1"

// Limits of what a record says of other volume keys. With all of them, and as many slots of large RSA keys as there can be, it has less than the bytes
// that are read of one.
const (
	// MaxEndorsements is how many other volume keys vouch for one. Where there are more, the newest do: each vouches for the next, so that
	// they belong together all the same.
	MaxEndorsements = 512
	maxRetired      = 1024
)

// Endorsement is the word of a holder of another volume key that a record is of the same volume.
type Endorsement struct {
	By  VolumeID
	MAC []byte // HMAC-SHA256 under By's Derive(nil, "ossencfs endorsement v1") over the facts of the endorsed record
}

// Endorse adds the word of another volume key for this record, or renews it. Records of format 1, and those that have MaxEndorsements others, have no
// room for one: ErrRecord.
func (r *Record) Endorse(by *VolumeKey) error {
	r.Endorsements = slices.DeleteFunc(r.Endorsements, func(e Endorsement) bool { return e.By == by.ID() })
	if r.Place.IsZero() || by.ID() == r.ID || len(r.Endorsements) >= MaxEndorsements {
		return fmt.Errorf("endorse volume %s by %s, beside %d others: %w", r.ID, by.ID(), len(r.Endorsements), ErrRecord)
	}
	mac := by.MAC(endorsementInfo, r.Volume().facts())
	r.Endorsements = append(r.Endorsements, Endorsement{By: by.ID(), MAC: mac[:]})
	return nil
}

// EndorsedBy reports whether a holder of another volume key gave his word for this record.
func (r *Record) EndorsedBy(by *VolumeKey) bool {
	i := slices.IndexFunc(r.Endorsements, func(e Endorsement) bool { return e.By == by.ID() })
	if i < 0 {
		return false
	}
	mac := by.MAC(endorsementInfo, r.Volume().facts())
	return hmac.Equal(mac[:], r.Endorsements[i].MAC)
}

// Retire says that nothing counts any more that was sealed under another volume key. Format 1 cannot say it: ErrRecord.
func (r *Record) Retire(id VolumeID) error {
	if r.Place.IsZero() || id == r.ID || len(r.Retired) >= maxRetired {
		return fmt.Errorf("retire volume key %s by %s, beside %d others: %w", id, r.ID, len(r.Retired), ErrRecord)
	}
	if !slices.Contains(r.Retired, id) {
		r.Retired = append(r.Retired, id)
	}
	return nil
}

// Restore takes Retire back.
func (r *Record) Restore(id VolumeID) {
	r.Retired = slices.DeleteFunc(r.Retired, func(other VolumeID) bool { return other == id })
}

// checkOthers tells what no record can say of other volume keys.
func (r *Record) checkOthers() error {
	if r.Place.IsZero() && (r.Made != 0 || len(r.Endorsements)+len(r.Retired) > 0) || r.Made < 0 || len(r.Endorsements) > MaxEndorsements || len(r.Retired) > maxRetired {
		return fmt.Errorf("made at %d, %d endorsements, %d retired volume keys: %w", r.Made, len(r.Endorsements), len(r.Retired), ErrRecord)
	}
	seen := map[VolumeID]bool{r.ID: true}
	for i, e := range r.Endorsements {
		if e.By.IsZero() || seen[e.By] || len(e.MAC) != macSize {
			return fmt.Errorf("endorsement %d: by itself, of no form, or there twice: %w", i, ErrRecord)
		}
		seen[e.By] = true
	}
	seen = map[VolumeID]bool{r.ID: true}
	for i, id := range r.Retired {
		if id.IsZero() || seen[id] {
			return fmt.Errorf("retired volume key %d: itself, or there twice: %w", i, ErrRecord)
		}
		seen[id] = true
	}
	return nil
}
