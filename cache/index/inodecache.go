package index

import (
	"math"
	"sync"
)

// inodeCache keeps decoded inodes. An entry says since which commit it holds, so that a View that began before does not see
// it. What is read from an old view enters only when nothing of its shard changed since.
type inodeCache struct{ shards [64]inodeShard }

type inodeShard struct {
	mu      sync.RWMutex // guards the fields below
	entries map[Ino]inodeEntry
	changed uint64 // version of the last change in this shard
}

type inodeEntry struct {
	inode *Inode // never written to
	since uint64
}

// shardSize bounds a shard; with all 64 that is 32,768 inodes, about 16 MiB.
const shardSize = 512

// latest asks for the newest committed state.
const latest = math.MaxUint64

func newInodeCache() *inodeCache {
	c := new(inodeCache)
	for n := range c.shards {
		c.shards[n].entries = make(map[Ino]inodeEntry)
	}
	return c
}

func (c *inodeCache) shard(ino Ino) *inodeShard { return &c.shards[ino%Ino(len(c.shards))] }

// get finds an inode as it was at a version.
func (c *inodeCache) get(ino Ino, version uint64) (*Inode, bool) {
	s := c.shard(ino)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[ino]
	if !ok || e.since > version {
		return nil, false
	}
	return e.inode, true
}

// fill keeps what was read from the database at a version.
func (c *inodeCache) fill(i *Inode, version uint64) {
	s := c.shard(i.Ino)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed > version {
		return
	}
	s.putLocked(i, s.changed)
}

// change records a commit: nil means deleted.
func (c *inodeCache) change(ino Ino, i *Inode, version uint64) {
	s := c.shard(ino)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = version
	if i == nil {
		delete(s.entries, ino)
		return
	}
	s.putLocked(i, version)
}

func (s *inodeShard) putLocked(i *Inode, since uint64) {
	if _, ok := s.entries[i.Ino]; !ok && len(s.entries) >= shardSize {
		for old := range s.entries { // any: the order of a map is random enough
			delete(s.entries, old)
			break
		}
	}
	s.entries[i.Ino] = inodeEntry{inode: i, since: since}
}
