package object

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ossencfs/ossencfs/keys"
	"github.com/ossencfs/ossencfs/oss"
)

// listedRecord is an object among the records as it was listed.
type listedRecord struct {
	etag     string
	modified time.Time
}

// list lists what is to be read, by key.
func (s *records) list(ctx context.Context) (map[string]listedRecord, error) {
	if s.kept == nil {
		return s.b.listRecords(ctx, s.root)
	}
	list := make(map[string]listedRecord, len(s.kept))
	for key := range s.kept {
		list[key] = listedRecord{}
	}
	return list, nil
}

// fetch reads one revision of the record of a volume key.
func (s *records) fetch(ctx context.Context, id keys.VolumeID, key string) (*keys.Record, error) {
	if s.kept == nil {
		return s.b.readRecord(ctx, s.root, id, key)
	}
	return s.kept[key], nil
}

// listRecords lists all that lies where records of a root do, by key.
func (b *Bucket) listRecords(ctx context.Context, root string) (list map[string]listedRecord, err error) {
	list = make(map[string]listedRecord)
	err = b.oss.ListAll(ctx, oss.ListOptions{Prefix: root + volumeDir}, func(p oss.Page) error {
		for _, e := range p.Objects {
			list[e.Key] = listedRecord{e.ETag, e.LastModified}
		}
		if len(list) > maxRecordObjects {
			return errManyRecords
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for the volume record: %w", err)
	}
	return list, nil
}

// groupRevisions sorts the keys of records by volume key, newest revision first. Other names are left out.
func groupRevisions(root string, list iter.Seq[string]) map[keys.VolumeID][]string {
	groups := make(map[keys.VolumeID][]string)
	for key := range list {
		name, revision, ok := strings.Cut(strings.TrimPrefix(key, root+volumeDir), "/")
		id, err := keys.ParseVolumeID(name)
		if !ok || err != nil || len(revision) != revisionDigits || strings.Trim(revision, "0123456789") != "" {
			continue
		}
		groups[id] = append(groups[id], key)
	}
	for id := range groups {
		slices.SortFunc(groups[id], func(a, b string) int { return cmp.Compare(b, a) })
	}
	return groups
}

// byAge makes an entry of each volume key: those that are known first, then the one with the oldest object. What may be tried on all of them is
// limited, and what somebody plants is younger than what is there.
func (s *records) byAge(groups map[keys.VolumeID][]string) []*volumeEntry {
	list := make([]*volumeEntry, 0, len(groups))
	for id, revisions := range groups {
		list = append(list, &volumeEntry{id: id, revisions: revisions, expected: s.fresh || s.known(id),
			parsed: make(map[string]parsedRecord), tried: make(map[string]triedRecord)})
	}
	slices.SortFunc(list, func(a, b *volumeEntry) int {
		switch {
		case a.expected && !b.expected:
			return -1
		case b.expected && !a.expected:
			return 1
		}
		at, bt := s.listed[s.oldest(a)].modified, s.listed[s.oldest(b)].modified
		return cmp.Or(at.Compare(bt), slices.Compare(a.id[:], b.id[:]))
	})
	return list
}

// oldest is the key of the revision that was written first, which need not be that of the smallest number.
func (s *records) oldest(e *volumeEntry) string {
	return slices.MinFunc(e.revisions, func(a, b string) int {
		return cmp.Or(s.listed[a].modified.Compare(s.listed[b].modified), cmp.Compare(a, b))
	})
}

// likeliest are the revisions that are genuine if any is: the one that this machine has seen, that which was written first, and the one with the
// smallest number, since who changes a record removes what has smaller ones. Of a single revision there is nothing to choose.
func (s *records) likeliest(e *volumeEntry) []string {
	if len(e.revisions) == 1 {
		return nil
	}
	list := []string{s.oldest(e), e.revisions[len(e.revisions)-1]}
	if pin, ok := s.pinned.Keys[e.id.String()]; ok {
		if key := recordKey(s.root, &keys.Record{ID: e.id, Revision: pin.Revision}); slices.Contains(e.revisions, key) {
			return append([]string{key}, list...)
		}
	}
	return list
}
