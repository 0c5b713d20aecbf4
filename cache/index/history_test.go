package index

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"

	"github.com/ossencfs/ossencfs/object"
)

// TestHistory tells stories of one key: what this mount wrote, and what it saw of others.
func TestHistory(t *testing.T) {
	const auth, foreign, refused = object.StateAuthentic, object.StateForeign, object.StateRefused
	type step struct {
		do     string // "put", "delete": by this mount; "see", "gone": what others did
		upload byte
		state  object.State
		boxed  bool // afterwards
		back   bool // an older version was seen
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"ours is deleted by others", []step{{"put", 1, auth, true, false}, {"gone", 0, 0, true, false}, {"see", 0, foreign, true, false}}},
		{"ours is deleted here", []step{{"put", 1, auth, true, false}, {"delete", 0, 0, false, false}, {"see", 0, foreign, false, false}}},
		{"ours is replaced by others", []step{{"put", 1, auth, true, false}, {"see", 0, 0, true, false}, {"see", 0, refused, true, false}}},
		{"and good again", []step{{"put", 1, auth, true, false}, {"see", 0, 0, true, false}, {"see", 1, auth, true, false}, {"delete", 0, 0, false, false}}},
		{"foreign is never boxed", []step{{"see", 0, 0, false, false}, {"see", 0, foreign, false, false}, {"gone", 0, 0, false, false}}},
		{"written after a loss", []step{{"put", 1, auth, true, false}, {"gone", 0, 0, true, false}, {"put", 2, auth, true, false}, {"delete", 0, 0, false, false}}},
		{"a copy of what is refused", []step{{"put", 1, refused, true, false}, {"see", 0, 0, true, false}}},
		{"rolled back, ours", []step{{"put", 1, auth, true, false}, {"put", 2, auth, true, false}, {"see", 1, auth, true, true}}},
		{"rolled back and seen again", []step{{"put", 1, auth, true, false}, {"put", 2, auth, true, false}, {"see", 1, auth, true, true}, {"see", 1, auth, true, false}}},
		{"rolled back after a listing", []step{{"put", 1, auth, true, false}, {"put", 2, auth, true, false}, {"see", 0, 0, true, false}, {"see", 1, auth, true, true}}},
		{"rolled back and healed", []step{{"put", 1, auth, true, false}, {"put", 2, auth, true, false}, {"see", 1, auth, true, true}, {"see", 0, 0, true, false}, {"see", 2, auth, true, false}}},
		{"version of others rolled back", []step{{"see", 1, auth, true, false}, {"see", 0, 0, true, false}, {"see", 2, auth, true, false}, {"see", 0, 0, true, false}, {"see", 1, auth, true, true}}},
		{"comes back after it was deleted here", []step{{"put", 1, auth, true, false}, {"delete", 0, 0, false, false}, {"see", 1, auth, true, true}}},
		{"an id that nobody proves supersedes nothing", []step{{"see", 1, auth, true, false}, {"see", 9, foreign, true, false}, {"see", 1, auth, true, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openTest(t, t.TempDir())
			for n, s := range c.steps {
				o := Object{Key: "k", Ino: 5, State: s.state, Upload: ID{s.upload}, ETag: "e", Size: 1}
				back, boxed := false, false
				mustUpdate(t, d, func(tx *Tx) (err error) {
					switch s.do {
					case "put":
						err = tx.PutObject(o)
					case "delete":
						err = tx.DeleteObject("k")
					case "see":
						back, err = tx.SawObject(o)
					case "gone":
						err = tx.SawGone("k")
					}
					return err
				})
				mustView(t, d, func(tx *Tx) (err error) {
					boxed, err = tx.Boxed("k")
					return err
				})
				if boxed != s.boxed || back != s.back {
					t.Fatalf("step %d (%+v): got boxed %v and back %v", n, s, boxed, back)
				}
			}
		})
	}
}

// TestOldIdsAreBounded: the oldest superseded upload id is forgotten when there are too many.
func TestOldIdsAreBounded(t *testing.T) {
	d := openTest(t, t.TempDir())
	known := func(id ID) (known bool) {
		mustView(t, d, func(tx *Tx) (err error) {
			known, err = tx.has(idKey(tableOld, id))
			return err
		})
		return known
	}
	mustUpdate(t, d, func(tx *Tx) error { return tx.supersede(ID{1}) })
	mustUpdate(t, d, func(tx *Tx) error { return tx.PutMeta(oldMeta, binary.BigEndian.AppendUint64(nil, maxOld)) })
	if !known(ID{1}) {
		t.Fatal("an id that was superseded is not known")
	}
	mustUpdate(t, d, func(tx *Tx) error { return tx.supersede(ID{2}) })
	if known(ID{1}) || !known(ID{2}) {
		t.Errorf("got first %v and last %v, want only the last", known(ID{1}), known(ID{2}))
	}
}

// TestRefusedRows: refused rows are found without looking at all others.
func TestRefusedRows(t *testing.T) {
	d := openTest(t, t.TempDir())
	refused := func() (keys []string) {
		mustView(t, d, func(tx *Tx) error {
			return tx.Refused("", func(key string) bool { keys = append(keys, key); return true })
		})
		return keys
	}
	row := func(key string, state object.State) {
		mustUpdate(t, d, func(tx *Tx) error {
			_, err := tx.SawObject(Object{Key: key, Ino: 5, State: state})
			return err
		})
	}
	row("a", object.StateRefused)
	row("b", object.StateForeign)
	row("c", object.StateRefused)
	if got, want := refused(), []string{"a", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	row("a", object.StateAuthentic)
	mustUpdate(t, d, func(tx *Tx) error { return tx.SawGone("c") })
	if got := refused(); len(got) != 0 {
		t.Errorf("got %q, want none", got)
	}
}

// TestUnusedLeaves: the leaf-tag object of a large file goes when the last key with its generation does, by our own requests.
func TestUnusedLeaves(t *testing.T) {
	d := openTest(t, t.TempDir())
	large := Object{Key: "a", Ino: 5, Size: largeObject + 1, Generation: ID{7}, Upload: ID{1}}
	unused := func() (list []ID) {
		mustView(t, d, func(tx *Tx) (err error) {
			list, err = tx.UnusedLeaves(10)
			return err
		})
		return list
	}
	put := func(o Object) { mustUpdate(t, d, func(tx *Tx) error { return tx.PutObject(o) }) }
	check := func(what string, want ...ID) {
		t.Helper()
		if got := unused(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	put(large)
	copied := large
	copied.Key, copied.Upload = "b", ID{2}
	put(copied)
	mustUpdate(t, d, func(tx *Tx) error { return tx.DeleteObject("a") })
	check("another key has it")
	tagged := copied
	tagged.Upload = ID{3}
	put(tagged)
	check("only attributes changed")
	put(Object{Key: "b", Ino: 5, Size: 1, Generation: ID{8}, Upload: ID{4}})
	check("replaced", ID{7})
	mustUpdate(t, d, func(tx *Tx) error { return tx.LeafRemoved(ID{7}) })
	check("removed")
	put(Object{Key: "s", Ino: 6, Size: largeObject, Generation: ID{9}, Upload: ID{5}})
	mustUpdate(t, d, func(tx *Tx) error { return tx.DeleteObject("s") })
	check("a file of 128 MiB has its tags in the box")
	put(large)
	mustUpdate(t, d, func(tx *Tx) error { return tx.SawGone("a") })
	check("who deleted it removes its leaf tags")
}
