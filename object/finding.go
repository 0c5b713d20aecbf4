package object

import (
	"cmp"
	"errors"
	"maps"
	"slices"
)

// FindingKind is a kind of Finding.
type FindingKind string

// The kinds of findings. Those of the first group are damage: something of the volume is not what its key holders wrote, cannot be read
// or is gone.
const (
	FoundTampered      FindingKind = "tampered"      // box, headers, size or bytes of an object do not fit together
	FoundChecksum      FindingKind = "checksum"      // the bytes have another CRC-64 than OSS says
	FoundStripped      FindingKind = "stripped"      // an object has lost its box
	FoundUnauthentic   FindingKind = "unauthentic"   // an object that no key holder wrote, and that is not accepted
	FoundMisplaced     FindingKind = "misplaced"     // with Trust.Strict: an object stands under a name that it is not bound to
	FoundUndecryptable FindingKind = "undecryptable" // no key of the keyring opens an object, or its envelope is damaged
	FoundUnreadable    FindingKind = "unreadable"    // OSS does not hand an object out: it is archived, or access is denied
	FoundRolledBack    FindingKind = "rolled-back"   // an older version of an object has come back
	FoundVanished      FindingKind = "vanished"      // an object that was not deleted here is gone
	FoundTag           FindingKind = "tag"           // an attribute tag is not one of ours and is ignored, or was taken away
	FoundMarker        FindingKind = "marker"        // a directory's marker is not authentic; its attributes are ignored
	FoundLeafMissing   FindingKind = "leaf-missing"  // the leaf-tag object of a large object is lost
	FoundLeafWrong     FindingKind = "leaf-wrong"    // the leaf-tag object of a large object is another one
	FoundRecord        FindingKind = "record"        // a volume record is forged, damaged or missing
	FoundNested        FindingKind = "nested-volume" // another volume begins below: what is in it is not verified by this one's keys
)

// Kinds of findings that are information: what others may do, or what takes up room.
const (
	FoundForeign    FindingKind = "foreign"      // an accepted object that is encrypted and has no box of this volume
	FoundPlain      FindingKind = "plain"        // an accepted object that is not encrypted
	FoundOutside    FindingKind = "outside"      // an object was written by another host since this mount saw it
	FoundAttributes FindingKind = "attributes"   // plain headers differ from the box and are ignored, or xattrs cannot be understood
	FoundMoved      FindingKind = "moved"        // an object was copied or renamed by another program
	FoundName       FindingKind = "name"         // an object's name cannot be shown as a path
	FoundSymlink    FindingKind = "symlink"      // a symbolic link of OSS, which is not followed
	FoundStrayLeaf  FindingKind = "stray-leaf"   // a leaf-tag object that no object needs
	FoundOrphan     FindingKind = "orphan"       // an object parked by a mount that has not taken it back
	FoundHidden     FindingKind = "hidden"       // an object in the hidden area that is none of ours
	FoundUpload     FindingKind = "stale-upload" // a multipart upload that was never finished
)

// kindFacts is what follows from a kind.
type kindFacts struct {
	damage bool
	upload bool // what a mount holds in its cache can replace it
}

var kinds = map[FindingKind]kindFacts{
	FoundTampered:      {damage: true, upload: true},
	FoundChecksum:      {damage: true, upload: true},
	FoundStripped:      {damage: true, upload: true},
	FoundUnauthentic:   {damage: true, upload: true},
	FoundMisplaced:     {damage: true, upload: true},
	FoundUndecryptable: {damage: true, upload: true},
	FoundRolledBack:    {damage: true, upload: true},
	FoundVanished:      {damage: true, upload: true},
	FoundMarker:        {damage: true, upload: true},
	FoundUnreadable:    {damage: true},
	FoundTag:           {damage: true},
	FoundLeafMissing:   {damage: true},
	FoundLeafWrong:     {damage: true},
	FoundRecord:        {damage: true},
	FoundNested:        {damage: true},
}

// Damage reports whether a finding of this kind means that something is wrong, and not only noteworthy.
func (k FindingKind) Damage() bool { return kinds[k].damage }

// Finding is one thing that Verify noticed.
type Finding struct {
	Kind     FindingKind `json:"kind"`
	Key      string      `json:"key"` // relative to the prefix of the bucket
	Detail   string      `json:"detail,omitempty"`
	Repaired string      `json:"repaired,omitempty"` // what VerifyOptions.Repair did about it; empty: nothing
}

// VerifyReport is the result of Verify.
type VerifyReport struct {
	Objects  int64                 `json:"objects"` // that were looked at
	Bytes    int64                 `json:"bytes"`   // that were read and verified
	Counts   map[FindingKind]int64 `json:"counts"`
	Repaired int64                 `json:"repaired"`
	// Findings are sorted by key. There are at most MaxFindings of each kind; Counts has them all.
	Findings []Finding `json:"findings"`
}

// MaxFindings is how many findings of a kind a report keeps.
const MaxFindings = 1000

// Damaged is the number of findings that are damage and were not repaired.
func (r *VerifyReport) Damaged() (n int64) {
	for kind, count := range r.Counts {
		if kind.Damage() {
			n += count
		}
	}
	return n - r.Repaired
}

// Add counts a finding, and keeps it if there is room. Litter that was removed is not counted as repaired damage.
func (r *VerifyReport) Add(f Finding) {
	if f.Repaired != "" && f.Kind.Damage() {
		r.Repaired++
	}
	if r.Counts == nil {
		r.Counts = make(map[FindingKind]int64)
	}
	if r.Counts[f.Kind]++; r.Counts[f.Kind] <= MaxFindings {
		r.Findings = append(r.Findings, f)
	}
}

// sorted is a copy whose findings are in order.
func (r *VerifyReport) sorted() VerifyReport {
	c := *r
	c.Counts, c.Findings = maps.Clone(r.Counts), slices.Clone(r.Findings)
	slices.SortStableFunc(c.Findings, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Kind, b.Kind)) })
	return c
}

// kindOfRefusal is the kind of finding that an object is refused for.
func kindOfRefusal(key string, why error) FindingKind {
	switch {
	case errors.Is(why, ErrStripped):
		return FoundStripped
	case errors.Is(why, ErrMoved):
		return FoundMisplaced
	case errors.Is(why, ErrTampered):
		return FoundTampered
	case isDirKey(key):
		return FoundMarker
	}
	return FoundUnauthentic
}
