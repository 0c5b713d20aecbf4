package index

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/ossencfs/ossencfs/object"
	"github.com/ossencfs/ossencfs/test/membound"
)

func TestRowsSurvive(t *testing.T) {
	o := Object{
		Key: "a/b", Ino: 7, Gen: 1 << 60, AttrVer: 2, XattrVer: 3, Upload: ID{1}, Generation: ID{2}, ETag: "E", Size: 1 << 40,
		Modified: -1, GoneSeq: 9, Sent: ID{10}, Base: ID{11}, State: object.StateRefused, Reason: object.ReasonMoved,
	}
	for _, o := range []Object{o, {Key: "k", Volume: ID{1}}, {Key: "k", Sent: ID{1}}, {Key: "k", Sent: ID{1}, Volume: ID{2}}} {
		if got, err := decodeObject(o.Key, encodeObject(&o)); err != nil || got != o {
			t.Errorf("got %+v (%v), want %+v", got, err, o)
		}
	}
	for _, i := range []Inode{{Ino: 5, Origin: ID{1}}, {Ino: 5, Tight: 2}, {Ino: 5, Unproven: object.FieldMode, Tight: 2, Origin: ID{3}}, {Ino: 5, Moves: 1, Moving: true},
		{Ino: 5, Tight: 2, Origin: ID{3}, Moves: 300}, {Ino: 5, Holes: 4096}, {Ino: 5, Moves: 2, Moving: true, Holes: 1 << 40}} {
		if got, _, err := decodeInode(i.Ino, encodeInode(&i, nil)); err != nil || !reflect.DeepEqual(got, i) {
			t.Errorf("got %+v (%v), want %+v", got, err, i)
		}
	}
	for _, p := range []Pend{
		{Key: "k", Op: Put, Ino: 1, Gen: 2, AttrVer: 3, XattrVer: 4, Upload: ID{5}, Generation: ID{6}, State: object.StateAuthentic, IfAbsent: true, Until: 7, Multipart: []byte("m")},
		{Key: "k", Op: Copy, Src: "s", SrcETag: "e", Error: true, Answered: true, Fence: -8, Attempts: 9},
		{Key: "k", Op: Put, Void: true, Attempts: 1, Multipart: []byte("m")},
		{Key: "k", Op: Delete}, {Key: "k", Op: Tag},
		{Key: "k", Op: Put, Covers: "v", Over: []ID{{1}, {2}}}, {Key: "k", Op: Delete, Covers: "v"}, {Key: "k", Op: Copy, Over: []ID{{1}}},
		{Key: "k", Op: Put, GoneSeq: 7}, {Key: "k", Op: Put, Over: []ID{{1}}, GoneSeq: 7},
	} {
		if got, err := decodePend(p.Key, encodePend(&p)); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("got %+v (%v), want %+v", got, err, p)
		}
	}
	list := []unsentEntry{{1, 2, 3}, {4, 5, 6}}
	if got, err := decodeUnsent(encodeUnsent(list)); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("got %v (%v), want %v", got, err, list)
	}
}

func TestBadRowsAreRefused(t *testing.T) {
	good := encodeInode(&Inode{Ino: 5, Parent: 1, Name: "n"}, nil)
	for name, row := range map[string][]byte{
		"empty": nil, "other version": append([]byte{rowVersion + 1}, good[1:]...), "cut": good[:len(good)-1],
		"too long": append(bytes.Clone(good), 0), "name longer than row": {rowVersion, 1, 0xff, 0xff, 0x03},
	} {
		if _, _, err := decodeInode(5, row); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, row := range map[string][]byte{"no kind": {rowVersion, 0}, "unknown kind": {rowVersion, 5}} {
		if _, err := decodePend("k", row); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzRows: no bytes make a decoder panic, and what is accepted means the same when it is written again.
func FuzzRows(f *testing.F) {
	f.Add(encodeInode(&Inode{Parent: 1, Name: "n", Sealed: true, Gen: 3}, []byte("secret")))
	f.Add(encodeObject(&Object{Ino: 1, ETag: "e"}))
	f.Add(encodePend(&Pend{Op: Copy, Src: "s", Multipart: []byte("x")}))
	f.Add(encodePend(&Pend{Op: Put, Covers: "v", Over: []ID{{1}, {2}}}))
	f.Add(encodeObject(&Object{Ino: 1, ETag: "e", Sent: ID{1}}))
	f.Add(encodeObject(&Object{Ino: 1, ETag: "e", Volume: ID{1}}))
	f.Add(encodeInode(&Inode{Parent: 1, Name: "n", Tight: 1, Origin: ID{1}}, nil))
	f.Add(encodeInode(&Inode{Parent: 1, Name: "n", Moves: 1, Moving: true}, nil))
	f.Add(encodeInode(&Inode{Parent: 1, Name: "n", Holes: 4096}, nil))
	f.Add(encodeSecret("target", map[string][]byte{"user.a": []byte("v")}))
	f.Add(encodeUnsent([]unsentEntry{{1, 2, 3}}))
	f.Add(binary.AppendUvarint([]byte{rowVersion}, 1<<40))
	f.Fuzz(func(t *testing.T, row []byte) {
		membound.Check(t, len(row), 200, func() {
			_, _, _ = decodeInode(9, row)
			_, _ = decodeObject("k", row)
			_, _ = decodePend("k", row)
			_, _, _ = decodeSecret(row)
			_, _ = decodeUnsent(row)
		})
		if i, secret, err := decodeInode(9, row); err == nil {
			again, s, err := decodeInode(9, encodeInode(&i, secret))
			if err != nil || !reflect.DeepEqual(again, i) || !bytes.Equal(s, secret) {
				t.Errorf("inode %+v became %+v (%v)", i, again, err)
			}
		}
		if o, err := decodeObject("k", row); err == nil {
			if again, err := decodeObject("k", encodeObject(&o)); err != nil || again != o {
				t.Errorf("row %+v became %+v (%v)", o, again, err)
			}
		}
		if p, err := decodePend("k", row); err == nil {
			if again, err := decodePend("k", encodePend(&p)); err != nil || !reflect.DeepEqual(again, p) {
				t.Errorf("intent %+v became %+v (%v)", p, again, err)
			}
		}
		if target, x, err := decodeSecret(row); err == nil {
			t2, x2, err := decodeSecret(encodeSecret(target, x))
			if err != nil || t2 != target || !reflect.DeepEqual(x, x2) {
				t.Errorf("secret changed (%v)", err)
			}
		}
		if list, err := decodeUnsent(row); err == nil {
			if again, err := decodeUnsent(encodeUnsent(list)); err != nil || !reflect.DeepEqual(again, list) {
				t.Errorf("unsent %v became %v (%v)", list, again, err)
			}
		}
	})
}
