package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ossencfs/ossencfs/keys"
)

// Records that open and do not count. Test with errors.Is.
var (
	// ErrElsewhere: the record was made for another bucket or directory.
	ErrElsewhere = keys.ErrElsewhere
	// ErrUnbound: the record does not say for which bucket and directory it was made, as records of format 1, or says it to those only who
	// open it by another slot. It counts only on a machine that knows the volume or was told its id.
	ErrUnbound = errors.New("the volume record is not bound to its bucket")
	// ErrUnvouched: no holder of a key of this volume gave his word for the record.
	ErrUnvouched = errors.New("no known key of this volume vouches for the volume key")
	// ErrForReading: the volume key opens with a master key that is given for reading only, and is newer than what the primary one opens.
	ErrForReading = errors.New("the volume key opens with a key for reading only, and none that the primary key opens is as new")
	// ErrApart: several volume keys open that do not vouch for each other, and it is not said which to expect.
	ErrApart = errors.New("the bucket has records of several volumes")
)

// doesNotCount reports whether a record opens and does not count.
func doesNotCount(err error) bool {
	return errors.Is(err, ErrUnbound) || errors.Is(err, ErrUnvouched) || errors.Is(err, ErrForReading) || errors.Is(err, ErrApart)
}

// stand finds out which of the volume keys that open belong to this volume. A master key alone does not decide that: its owner may have
// further volumes, and had others before, whose records somebody could bring here.
//
// On a machine that knows the volume, it is what it knows, and what these keys vouch for, one by the other: an endorsement counts for
// both sides, since it is in a record that a holder of the endorsed key signed. On the first contact it is what is bound to this place,
// if all of that belongs together.
//
// A key may retire keys of earlier epochs that endorsed it. They belong to the volume, and nothing that they vouch for does.
func (s *records) stand() {
	s.apart, s.retired = nil, map[keys.VolumeID]bool{}
	if s.anyKnown() && !s.fresh {
		s.count(s.anchors())
		return
	}
	bound := slices.DeleteFunc(s.opened(), func(e *volumeEntry) bool { return !e.record.Bound() })
	if s.fresh {
		s.count(bound)
		return
	}
	retired := s.retiredBy(bound)
	live := slices.DeleteFunc(bound, func(e *volumeEntry) bool { return retired[e.id] })
	live = slices.DeleteFunc(live, s.forReading())
	if !s.together(live) {
		live = nil
	}
	s.count(live)
}

// forReading tells the volume keys that opened with a master key which is given for reading, where the primary one opens any. Often that key was replaced,
// because somebody else may have it: he could make a slot for it.
func (s *records) forReading() func(e *volumeEntry) bool {
	primary := s.b.ring.Primary()
	with := func(e *volumeEntry) string { return e.record.OpenedWith() }
	if primary == nil || !slices.ContainsFunc(s.opened(), func(e *volumeEntry) bool { return with(e) == primary.ID() }) {
		return func(*volumeEntry) bool { return false }
	}
	return func(e *volumeEntry) bool { return with(e) != "" && with(e) != primary.ID() }
}

// anyKnown reports whether this machine knows what to expect.
func (s *records) anyKnown() bool {
	return len(s.pinned.Keys)+len(s.b.opt.VolumeIDs)+len(s.trusted) > 0
}

// known reports whether this machine expects a volume key.
func (s *records) known(id keys.VolumeID) bool {
	_, pinned := s.pinned.Keys[id.String()]
	return pinned || s.trusted[id] || slices.ContainsFunc(s.b.opt.VolumeIDs, func(wanted string) bool { return strings.EqualFold(wanted, id.String()) })
}

// anchors are the keys that open and are known.
func (s *records) anchors() []*volumeEntry {
	return slices.DeleteFunc(s.opened(), func(e *volumeEntry) bool { return !s.known(e.id) })
}

// count lets the anchors count and what they vouch for, and nothing else.
func (s *records) count(anchors []*volumeEntry) {
	counted := s.counted(anchors)
	s.retired = s.retiredBy(counted)
	forReading := s.forReading()
	for _, e := range s.opened() {
		if slices.Contains(counted, e) {
			continue
		}
		e.secret, e.failed = nil, ErrUnvouched
		switch {
		case forReading(e):
			e.failed = ErrForReading
		case s.apart != nil:
			e.failed = ErrApart
		case !s.anyKnown():
			e.failed = ErrUnbound
		}
	}
	for _, e := range counted {
		e.news = s.anyKnown() && !s.known(e.id)
	}
	for _, e := range counted {
		s.trusted[e.id] = true
	}
}

// counted is the anchors and what they vouch for. Where all of them are retired, by keys that they vouch for, the word of a former holder is as
// good as that of the owner: what follows them counts if all of it belongs together.
func (s *records) counted(anchors []*volumeEntry) []*volumeEntry {
	reached := s.reach(anchors, s.opened(), s.retiredBy(anchors))
	retired := s.retiredBy(reached)
	isRetired := func(e *volumeEntry) bool { return retired[e.id] }
	if len(anchors) == 0 || !allOf(anchors, isRetired) {
		return s.reach(anchors, s.opened(), retired)
	}
	if !s.together(slices.DeleteFunc(slices.Clone(reached), isRetired)) {
		return nil
	}
	return reached
}

// together reports whether volume keys vouch for each other; if not, apart says so.
func (s *records) together(live []*volumeEntry) bool {
	if len(live) == 0 || len(s.reach(live[:1], live, nil)) == len(live) {
		return true
	}
	s.apart = fmt.Errorf("%s, and none vouches for the others: %w", idsOf(live), ErrApart)
	return false
}

func allOf(entries []*volumeEntry, is func(*volumeEntry) bool) bool {
	return !slices.ContainsFunc(entries, func(e *volumeEntry) bool { return !is(e) })
}

// reach is what the anchors vouch for, one by the other, themselves included. Retired ones vouch for nothing.
func (s *records) reach(anchors, all []*volumeEntry, retired map[keys.VolumeID]bool) []*volumeEntry {
	forReading := s.forReading()
	reached := slices.Clone(anchors)
	for n := 0; n < len(reached); n++ {
		by := reached[n]
		if retired[by.id] {
			continue
		}
		for _, e := range all {
			if !slices.Contains(reached, e) && tiedTo(by, e, forReading(e)) {
				reached = append(reached, e)
			}
		}
	}
	return reached
}

// maxEpochStep is how many epochs later than what vouches for it a volume key can be: more than are ever made, and so few that maxRecordObjects
// such steps leave an epoch behind. Who forges one cannot make it the last.
const maxEpochStep = 1024

// tiedTo reports whether a volume key vouches for another one, or the other way round. Of one that opens by an unbound slot only those who
// hold it and the first say that it belongs here, and they may hold another volume's: it is never the newer one, under which new objects would
// be sealed. Nor is one that opens with a key for reading only.
func tiedTo(by, e *volumeEntry, forReading bool) bool {
	old, now := by.record.Epoch, e.record.Epoch
	if (forReading || !e.record.Bound()) && now >= old || now > old && now-old > maxEpochStep {
		return false
	}
	return e.record.EndorsedBy(by.secret) || by.record.EndorsedBy(e.secret)
}

// retiredBy is what these keys retire.
func (s *records) retiredBy(by []*volumeEntry) map[keys.VolumeID]bool {
	return s.retiredAmong(by, s.entries)
}

// retiredAmong is what volume keys retire: keys of earlier epochs, each of which endorsed the one that retires it. One that does not open is
// known by its epoch: a former holder can make its record anew, without our slots. What this machine remembers as retired stays so.
func (s *records) retiredAmong(by, all []*volumeEntry) map[keys.VolumeID]bool {
	retired := map[keys.VolumeID]bool{}
	for _, by := range by {
		for _, id := range by.record.Retired {
			i := slices.IndexFunc(all, func(e *volumeEntry) bool { return e.id == id && e.secret != nil })
			if i >= 0 {
				retired[id] = retired[id] || all[i].record.Epoch < by.record.Epoch && by.record.EndorsedBy(all[i].secret)
			} else if pin, known := s.pinned.Keys[id.String()]; known && pin.Epoch < by.record.Epoch {
				retired[id] = true
			}
		}
	}
	for name, pin := range s.pinned.Keys {
		if id, err := keys.ParseVolumeID(name); err == nil && len(pin.RetiredBy) > 0 && !s.restored(id, pin, retired, by) {
			retired[id] = true
		}
	}
	return retired
}

// restored reports whether one of the keys that retired another, as far as this machine remembers, does not do so any more. Who holds only what is
// retired has no say in it, and a record that is not there says nothing.
func (s *records) restored(id keys.VolumeID, pin pinnedID, retired map[keys.VolumeID]bool, by []*volumeEntry) bool {
	return slices.ContainsFunc(by, func(by *volumeEntry) bool {
		name := by.id.String()
		return slices.Contains(pin.RetiredBy, name) && !slices.Contains(by.record.Retired, id) && !retired[by.id] && len(s.pinned.Keys[name].RetiredBy) == 0
	})
}

// report tells what opens and does not count, what is not authentic, and what is new on a machine that knows the volume. Where nothing counts,
// the error says why.
func (s *records) report() {
	if len(s.opened()) == 0 {
		return
	}
	for _, e := range s.entries {
		key := strings.TrimPrefix(e.revisions[0], s.b.prefix)
		switch {
		case e.told && !e.unsaid:
		case e.forged != nil:
			s.b.notice(NoticeRecord, key, e.forged)
		case e.secret == nil && (doesNotCount(e.failed) || e.passing()):
			s.b.notice(NoticeRecord, key, fmt.Errorf("volume key %s is left out: %w", e.id, e.failed))
		case e.news:
			s.b.notice(NoticeVolumeKey, key, fmt.Errorf("volume key %s, epoch %d, is new here; a known one vouches for it", e.id, e.record.Epoch))
		}
	}
}

// idsOf names volume keys.
func idsOf(entries []*volumeEntry) string {
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.id.String())
	}
	return strings.Join(names, ", ")
}

// problem tells why the records do not agree with what this machine remembers and was told to expect, or why none of them counts; nil when
// they do. What was retired may be missing: its former holders decide what its record is.
func (s *records) problem() error {
	for id, pin := range s.pinned.Keys {
		e := s.entryOf(id)
		switch parsed, err := keys.ParseVolumeID(id); {
		case err == nil && s.retired[parsed]:
		case e == nil:
			return s.missing(id)
		case e.secret == nil:
			return e.asMissing(s.missing(id))
		case e.record.Revision < pin.Revision || e.record.Epoch != pin.Epoch:
			return fmt.Errorf("volume %s: revision %d, seen before %d: %w", id, e.record.Revision, pin.Revision, ErrRecordRolledBack)
		}
	}
	for _, id := range s.b.opt.VolumeIDs {
		if e := s.entryOf(strings.ToLower(id)); e == nil {
			return s.missing(id)
		} else if e.secret == nil {
			return e.asMissing(s.missing(id))
		}
	}
	return nil
}

// entryOf finds a volume key by the text of its id.
func (s *records) entryOf(id string) *volumeEntry {
	i := slices.IndexFunc(s.entries, func(e *volumeEntry) bool { return e.id.String() == id })
	if i < 0 {
		return nil
	}
	return s.entries[i]
}

// asMissing is why a volume key that has to be there does not count.
func (e *volumeEntry) asMissing(missing error) error {
	switch {
	case e.failed != nil:
		return e.whyNot()
	case e.forged != nil:
		return e.forged
	}
	return missing
}

// missing is the error of a volume key without a record: what is there instead says more.
func (s *records) missing(id string) error {
	if err := s.wrong(); err != nil {
		return err
	}
	return fmt.Errorf("volume %s below %q: %w", id, s.root, ErrRecordMissing)
}

// wrong is the first record that is not what it should be; nil: there is none.
func (s *records) wrong() error {
	for _, e := range s.entries {
		if e.forged != nil {
			return e.forged
		}
	}
	for _, e := range s.entries {
		if errors.Is(e.failed, keys.ErrNoSlot) {
			return fmt.Errorf("volume record below %q: no slot is for a key that is given: %w", s.root, ErrWrongKey)
		}
	}
	return nil
}

// none is why nothing counts though there are records; nil when something does, or when there is no record at all.
func (s *records) none() error {
	if len(s.opened()) > 0 || len(s.entries) == 0 {
		return nil
	}
	if s.apart != nil {
		return fmt.Errorf("volume records below %q: %w", s.root, s.apart)
	}
	for _, e := range s.entries {
		if doesNotCount(e.failed) {
			return e.whyNot()
		}
	}
	if err := s.wrong(); err != nil {
		return err
	}
	return s.entries[0].whyNot()
}
