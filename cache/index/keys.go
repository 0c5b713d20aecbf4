package index

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Tables are told apart by the first byte of a key:
//
//	i ino            inode               r table key    row of another package
//	d parent name    directory entry     b ino          body of an inode (package body)
//	k key            row of the bucket   m name         meta value
//	h ino key        rows by inode       q key          work queue
//	p key            pend                t ino          renamed directory to walk
//	s src 0 key      copies by source    v ino          unsent content of an inode
//	c                counters            u seq ino      unsent content by sequence number
//	x key            last authentic      w number       superseded upload id
//	                 object that others  W id           its number
//	                 took away           g id key       large rows by generation
//	y key            refused row         G id           leaf-tag object to remove
//	B                last barrier begun  E              last barrier ended
//	l seq            lost content by the  z seq key      rows by GoneSeq
//	                 end of its name
//
// Inode and sequence numbers are 8 bytes, big-endian, so that they sort.
const (
	tableInode    = 'i'
	tableDirent   = 'd'
	tableObject   = 'k'
	tableHolder   = 'h'
	tablePend     = 'p'
	tableSource   = 's'
	tableCounters = 'c'
	tableRaw      = 'r'
	tableBody     = 'b'
	tableMeta     = 'm'
	tableQueue    = 'q'
	tableSubtree  = 't'
	tableUnsent   = 'v'
	tableUnsentBy = 'u'
	tableLost     = 'x'
	tableRefused  = 'y'
	tableOldByNum = 'w'
	tableOld      = 'W'
	tableLarge    = 'g'
	tableLeaf     = 'G'
	tableBegin    = 'B'
	tableEnd      = 'E'
	tableGone     = 'z'
	tableLostSeq  = 'l'
)

// AppendIno appends the sortable form of an inode number: 8 bytes, big-endian.
func AppendIno(dst []byte, ino Ino) []byte { return binary.BigEndian.AppendUint64(dst, uint64(ino)) }

func parseIno(b []byte) (Ino, error) {
	if len(b) != 8 {
		return 0, errors.New("inode number is not 8 bytes")
	}
	return Ino(binary.BigEndian.Uint64(b)), nil
}

func inoKey(table byte, ino Ino) []byte { return AppendIno([]byte{table}, ino) }

func direntKey(parent Ino, name string) []byte {
	return append(AppendIno(append(make([]byte, 0, 9+len(name)), tableDirent), parent), name...)
}

func nameKey(table byte, name string) []byte {
	return append(append(make([]byte, 0, 1+len(name)), table), name...)
}

func holderKey(ino Ino, key string) []byte {
	return append(AppendIno(append(make([]byte, 0, 9+len(key)), tableHolder), ino), key...)
}

func sourceKey(src, key string) []byte {
	k := append(append(make([]byte, 0, 2+len(src)+len(key)), tableSource), src...)
	return append(append(k, 0), key...)
}

func unsentByKey(seq uint64, ino Ino) []byte {
	return AppendIno(binary.BigEndian.AppendUint64([]byte{tableUnsentBy}, seq), ino)
}

func rawKey(table byte, key []byte) []byte {
	return append(append(make([]byte, 0, 2+len(key)), tableRaw, table), key...)
}

// upper is the smallest key above all that begin with prefix; nil: there is none.
func upper(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for n := len(end) - 1; n >= 0; n-- {
		if end[n]++; end[n] != 0 {
			return end[:n+1]
		}
	}
	return nil
}

// IsDirKey reports whether a key is that of a directory's marker: it ends in a slash, or is the root's, which is empty.
func IsDirKey(key string) bool { return key == "" || key[len(key)-1] == '/' }

// checkKey refuses keys the tables cannot hold.
func checkKey(key string) error {
	if len(key) > MaxKey {
		return fmt.Errorf("%w: key of %d bytes", ErrInvalid, len(key))
	}
	for n := range len(key) {
		if key[n] == 0 {
			return fmt.Errorf("%w: key with a NUL", ErrInvalid)
		}
	}
	return nil
}
