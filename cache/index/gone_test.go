package index

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// gone lists the rows and intents that are to go, by number.
func gone(t *testing.T, d *DB) (keys []string, seqs []uint64) {
	t.Helper()
	err := d.View(func(tx *Tx) error {
		return tx.Gone(func(seq uint64, key string) bool {
			keys, seqs = append(keys, key), append(seqs, seq)
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys, seqs
}

// TestGone keeps the order in which names went away, and lets many of one directory share a number.
func TestGone(t *testing.T) {
	d := openTest(t, t.TempDir())
	dir := node(t, d, Root, "dir", unix.S_IFDIR|0o755)
	var files []Inode
	for n := range bulk + 8 {
		i := file(t, d, dir.Ino, fmt.Sprintf("f%02d", n))
		sent(t, d, i, "dir/"+i.Name)
		files = append(files, i)
	}
	other := file(t, d, Root, "other")
	sent(t, d, other, "other")
	for _, i := range append(files, other) {
		i.Unlinked = true
		mustUpdate(t, d, func(tx *Tx) error { return tx.PutInode(i) })
		mustUpdate(t, d, func(tx *Tx) error { return tx.DeleteInode(i.Ino) }) // it does not come later for that
	}
	keys, seqs := gone(t, d)
	if len(keys) != bulk+9 || keys[0] != "dir/f00" || keys[len(keys)-1] != "other" || !slices.IsSorted(seqs) {
		t.Fatalf("gone %q at %d", keys, seqs)
	}
	if different := len(slices.Compact(slices.Clone(seqs))); different != bulk+1 {
		t.Errorf("%d numbers, want %d", different, bulk+1)
	}
	mustUpdate(t, d, func(tx *Tx) error {
		for _, key := range keys {
			if err := tx.DeleteObject(key); err != nil {
				return err
			}
		}
		return nil
	})
	if keys, _ := gone(t, d); len(keys) > 0 {
		t.Errorf("still to go: %q", keys)
	}
}

// TestGoneIntent numbers the end of a name while the request for it is under way; the number becomes that of the row.
func TestGoneIntent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer bool
		back   bool
		want   []string
	}{
		{"answered", true, false, []string{"f"}},
		{"not executed", false, false, nil},
		{"the name came back", true, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openTest(t, t.TempDir())
			i := file(t, d, Root, "f")
			mustUpdate(t, d, func(tx *Tx) error { return tx.PutPend(Pend{Key: "f", Op: Put, Ino: i.Ino, Gen: i.Gen}) })
			mustUpdate(t, d, func(tx *Tx) error { return tx.LeaveKey("f", i.Ino) })
			keys, seqs := gone(t, d)
			if !slices.Equal(keys, []string{"f"}) {
				t.Fatalf("gone %q", keys)
			}
			mustUpdate(t, d, func(tx *Tx) error {
				if tt.back {
					return tx.ReturnKey("f", i.Ino)
				}
				return tx.PutPend(Pend{Key: "f", Op: Put, Ino: i.Ino, Gen: i.Gen, Attempts: 1}) // as it was read before
			})
			mustUpdate(t, d, func(tx *Tx) error {
				if tt.answer {
					o := Object{Key: "f", Ino: i.Ino, Gen: i.Gen}
					if !tt.back {
						o.GoneSeq = seqs[0]
					}
					if err := tx.PutObject(o); err != nil {
						return err
					}
				}
				return tx.DeletePend("f")
			})
			if keys, _ := gone(t, d); !slices.Equal(keys, tt.want) {
				t.Errorf("gone %q, want %q", keys, tt.want)
			}
		})
	}
}

// TestLost notes states that can no longer be had, and forgets them when what was there at their end is in the bucket.
func TestLost(t *testing.T) {
	d := openTest(t, t.TempDir())
	fan := node(t, d, node(t, d, Root, "objects", unix.S_IFDIR|0o755).Ino, "a7", unix.S_IFDIR|0o755)
	lost := func() (n int, dirs []Ino) {
		err := d.View(func(tx *Tx) error {
			return tx.Lost(0, func(from, to uint64, dir Ino) bool {
				if from == 0 || from >= to {
					t.Errorf("lost from %d to %d", from, to)
				}
				n, dirs = n+1, append(dirs, dir)
				return true
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return n, dirs
	}
	commit := func(i Inode) {
		mustUpdate(t, d, func(tx *Tx) error {
			seq, err := tx.NextSeq()
			if err != nil {
				return err
			}
			return tx.SetUnsent(i.Ino, seq)
		})
	}
	remove := func(i Inode) {
		i.Unlinked = true
		mustUpdate(t, d, func(tx *Tx) error { return tx.PutInode(i) })
	}
	plain, moved, stays := file(t, d, fan.Ino, "plain"), file(t, d, fan.Ino, "moved"), file(t, d, Root, "stays")
	moved.Refers = true
	for _, i := range []Inode{stays, plain, moved} {
		commit(i)
	}
	remove(plain)
	if n, _ := lost(); n != 0 {
		t.Errorf("%d notes for a file that nobody refers to", n)
	}
	remove(moved)
	if n, dirs := lost(); n != 1 || dirs[0] != fan.Parent {
		t.Errorf("lost %d in %d, want one in %d", n, dirs, fan.Parent)
	}
	mustUpdate(t, d, func(tx *Tx) error { return tx.SentGen(stays.Ino, stays.Gen) })
	if n, _ := lost(); n != 0 {
		t.Errorf("%d notes after everything was sent", n)
	}
}
