package body

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/ossencfs/ossencfs/cache/index"
)

// ownedFile is what is known of one file below DIR/files.
type ownedFile struct {
	ino    index.Ino
	bytes  int64 // counted as used space
	used   int64 // clock of the last use
	remote *remote
}

// newFile creates a file under a random number that was never used; put must follow.
func (s *Store) newFile() (uint64, *diskFile, error) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	id := max(binary.BigEndian.Uint64(b[:]), 1)
	d, err := s.files.create(id)
	if err != nil {
		return 0, nil, fmt.Errorf("new cache file: %w", err)
	}
	return id, d, nil
}

// diskBlock is the unit in which disks give room to files.
const diskBlock = 4 << 10

// registerFile counts a file as n bytes of an inode's content, in whole blocks.
func (s *Store) registerFile(id uint64, ino index.Ino, n int64) {
	if id == 0 {
		return
	}
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	f := s.owned[id]
	if f == nil {
		f = &ownedFile{ino: ino}
		s.owned[id] = f
	}
	n = (n + diskBlock - 1) / diskBlock * diskBlock
	s.space.add(n - f.bytes)
	f.bytes, f.used, f.remote = n, s.space.tick(), nil
}

// registerRemote notes the file of fetched chunks.
func (s *Store) registerRemote(r *remote) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.owned[r.file] = &ownedFile{ino: r.ino, used: s.space.tick(), remote: r}
}

// growRemote counts n bytes more of fetched chunks.
func (s *Store) growRemote(id uint64, n int64) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if f := s.owned[id]; f != nil {
		f.bytes += n
		s.space.add(n)
	}
}

func (s *Store) touchFile(id uint64) {
	now := s.space.tick()
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if f := s.owned[id]; f != nil {
		f.used = now
	}
}

// removeFile deletes a file and its count.
func (s *Store) removeFile(id uint64) {
	s.fileMu.Lock()
	f := s.owned[id]
	delete(s.owned, id)
	s.fileMu.Unlock()
	if err := s.files.remove(id); err != nil {
		s.o.Logger.Error("cache: cannot remove a file", "error", err)
	}
	if f != nil {
		s.space.add(-f.bytes)
	}
}
