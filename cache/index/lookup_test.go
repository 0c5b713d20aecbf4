package index

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// rowsOf reads names and holders from the database itself, past the caches.
func rowsOf(t *testing.T, tx *Tx) (names map[dirent]Ino, held map[Ino][]string) {
	t.Helper()
	names, held = map[dirent]Ino{}, map[Ino][]string{}
	err := tx.scan([]byte{tableDirent}, nil, func(rest, value []byte) (bool, error) {
		parent, err := parseIno(rest[:8])
		if err != nil {
			return false, err
		}
		ino, err := parseIno(value)
		names[dirent{parent, string(rest[8:])}] = ino
		return true, err
	})
	if err == nil {
		err = tx.scan([]byte{tableHolder}, nil, func(rest, _ []byte) (bool, error) {
			ino, err := parseIno(rest[:8])
			held[ino] = append(held[ino], string(rest[8:]))
			return true, err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return names, held
}

const (
	lookupNames = 12
	lookupInos  = 40
)

// checkLookups compares what a transaction finds with the rows.
func checkLookups(t *testing.T, tx *Tx) {
	t.Helper()
	names, held := rowsOf(t, tx)
	for n := range lookupNames {
		name := fmt.Sprint("n", n)
		got, ok, err := tx.Child(Root, name)
		if want := names[dirent{Root, name}]; got != want || ok != (want != 0) || err != nil {
			t.Fatalf("name %s: got %d, %v (%v), want %d", name, got, ok, err, want)
		}
	}
	for ino := range Ino(lookupInos) {
		got, err := tx.holders(ino)
		if !slices.Equal(got, held[ino]) || err != nil {
			t.Fatalf("holders of %d: got %q (%v), want %q", ino, got, err, held[ino])
		}
	}
}

// lookupStep changes one name or one row of the bucket.
func lookupStep(tx *Tx, r *rand.Rand) error {
	name, key := fmt.Sprint("n", r.IntN(lookupNames)), fmt.Sprint("k", r.IntN(lookupNames))
	ino, ok, err := tx.Child(Root, name)
	if err != nil {
		return err
	}
	switch r.IntN(5) {
	case 0:
		return tx.PutObject(Object{Key: key, Ino: Ino(2 + r.IntN(lookupInos-2))})
	case 1:
		return tx.DeleteObject(key)
	case 2:
		if !ok {
			return nil
		}
		return tx.DeleteInode(ino)
	default:
	}
	if !ok {
		fresh := tx.NextIno()
		if err := tx.PutInode(Inode{Ino: fresh, Parent: Root, Name: name, Mode: unix.S_IFREG}); err != nil {
			return err
		}
		return tx.PutObject(Object{Key: key, Ino: fresh})
	}
	i, _, err := tx.Inode(ino)
	to := fmt.Sprint("n", r.IntN(lookupNames))
	if _, taken, _ := tx.Child(Root, to); err != nil || taken {
		return err
	}
	i.Name = to
	return tx.PutInode(i)
}

// TestLookupsFollowRows: names and holders that are kept in memory are those of the rows, within a transaction, in views that
// began earlier, and after a transaction that was given up.
func TestLookupsFollowRows(t *testing.T) {
	d := openTest(t, t.TempDir())
	giveUp := errors.New("given up")
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		update := func() {
			err := d.Update(func(tx *Tx) error {
				for range r.IntN(4) {
					if err := lookupStep(tx, r); err != nil {
						return err
					}
				}
				checkLookups(t, tx)
				if r.IntN(3) == 0 {
					return giveUp
				}
				return nil
			})
			if err != nil && !errors.Is(err, giveUp) {
				t.Fatal(err)
			}
		}
		mustView(t, d, func(tx *Tx) error {
			update() // this view is an old one from now on
			checkLookups(t, tx)
			return nil
		})
		mustView(t, d, func(tx *Tx) error {
			checkLookups(t, tx)
			names, _ := rowsOf(t, tx)
			for n := range lookupNames {
				name := fmt.Sprint("n", n)
				ino, ok, err := d.Child(Root, name)
				if want := names[dirent{Root, name}]; ino != want || ok != (want != 0) || err != nil {
					t.Fatalf("%s: got %d, %v (%v), want %d", name, ino, ok, err, want)
				}
				if i, ok, err := d.Inode(ino); ok && (i.Name != name || err != nil) || ino != 0 && !ok {
					t.Fatalf("inode %d is called %q (%v), want %s", ino, i.Name, err, name)
				}
			}
			return nil
		})
	}
}

// TestLookupsOfClosed: what is in memory is not shown any more once the database is closed.
func TestLookupsOfClosed(t *testing.T) {
	d := openTest(t, t.TempDir())
	if _, ok, err := d.Inode(Root); !ok || err != nil {
		t.Fatalf("root: %v, %v", ok, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err := d.Inode(Root)
	_, _, childErr := d.Child(Root, "a")
	if !errors.Is(err, ErrClosed) || !errors.Is(childErr, ErrClosed) {
		t.Errorf("got %v and %v, want %v", err, childErr, ErrClosed)
	}
}
