package object

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/ossencfs/ossencfs/emulator"
	"github.com/ossencfs/ossencfs/keys"
)

// TestPlantedRecordsFitIntoMemory: of many large records that somebody planted, few are kept whole at a time, on a machine that knows the volume
// and on a new one, whether they have other ids or ours. The volume opens.
func TestPlantedRecordsFitIntoMemory(t *testing.T) {
	const planted, hosts = 300, 50
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	ours := opened(t, o).Volume().Writer
	other, err := keys.NewVolumeKey(1, true)
	must(t, err)
	large := keys.NewRecord(other, keys.Place{Bucket: testBucket})
	must(t, large.AddSlot(t.Context(), other, masterRSA(t, 1)))
	for n := range hosts {
		host, err := keys.NewHostKey(fmt.Sprint("host-", n), []string{"somewhere/"})
		must(t, err)
		must(t, large.AddHost(host.Host()))
	}
	text, err := large.Marshal(other)
	must(t, err)
	for name, as := range map[string]func(n int) (id string, revision int){
		"other ids": func(n int) (string, int) { return fmt.Sprintf("%032x", n+1), 1 },
		"ours":      func(n int) (string, int) { return ours, n + 100 },
	} {
		var list []string
		for n := range planted {
			id, revision := as(n)
			key := fmt.Sprintf("%s%s/%08d", volumeDir, id, revision)
			one := strings.NewReplacer(other.ID().String(), id, `"revision": 1,`, fmt.Sprintf(`"revision": %d,`, revision)).Replace(string(text))
			must(t, s.WriteObject(testBucket, key, nil, []byte(one)))
			list = append(list, key)
		}
		for _, known := range [][]string{nil, {ours}} {
			b := unopened(t, Options{Connection: connection(s), VolumeIDs: known})
			r := newRecords(b, &pins{})
			must(t, r.load(t.Context()))
			whole := 0
			for _, e := range r.entries {
				for _, p := range e.parsed {
					if p.record != nil && len(p.record.Hosts) == hosts {
						whole++
					}
				}
			}
			if len(r.opened()) != 1 || whole > maxHeld {
				t.Errorf("%s, known %v: %d open, %d of %d are kept whole", name, known, len(r.opened()), whole, planted)
			}
		}
		for _, key := range list {
			must(t, s.RemoveObject(testBucket, key))
		}
	}
}

// TestOutlineIsReadAgain: a revision that a holder made without our slot is found though it is one of those that are not kept whole.
func TestOutlineIsReadAgain(t *testing.T) {
	s := emulated(t, emulator.Options{})
	o := Options{Connection: connection(s)}
	first := opened(t, o)
	id := first.Volume().Writer
	older, h, err := s.ReadObject(testBucket, recordsOf(s)[0])
	must(t, err)
	olderKey := recordsOf(s)[0]
	v := volumesOf(t, o, "", masterRSA(t, 0))
	_, err = v.AddSlot(t.Context(), masterRSA(t, 1))
	must(t, err)
	_, err = volumesOf(t, o, "", masterRSA(t, 1)).RemoveSlot(t.Context(), masterRSA(t, 0).ID(), false)
	must(t, err)
	must(t, s.WriteObject(testBucket, olderKey, h, older)) // brought back
	for _, known := range [][]string{nil, {id}} {
		b := unopened(t, Options{Connection: connection(s), VolumeIDs: known})
		r := newRecords(b, &pins{})
		list, err := b.listRecords(t.Context(), "")
		must(t, err)
		r.listed, r.held = list, maxHeld
		for _, e := range r.byAge(groupRevisions("", maps.Keys(list))) {
			must(t, r.readEntry(t.Context(), e, true))
			if e.secret != nil || e.record == nil || len(e.record.Slots) != 1 {
				t.Errorf("known %v: it opens: %v, or the record is not whole", known, e.secret != nil)
			}
		}
	}
}
