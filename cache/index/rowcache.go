package index

import (
	"hash/maphash"
	"math"
	"sync"
)

// rowCache keeps decoded rows. An entry says since which commit it holds, so that a View that began before does not see
// it. What is read from an old view enters only when nothing of its shard changed since.
type rowCache[K comparable, V any] struct {
	seed   maphash.Seed
	shards [64]rowShard[K, V]
}

type rowShard[K comparable, V any] struct {
	mu      sync.RWMutex // guards the fields below
	entries map[K]rowEntry[V]
	changed uint64 // version of the last change in this shard
}

type rowEntry[V any] struct {
	value V // never written to
	since uint64
}

// shardSize bounds a shard; with all 64 that is 32,768 rows, about 16 MiB of inodes and much less of the other kinds.
const shardSize = 512

// latest asks for the newest committed state.
const latest = math.MaxUint64

// dirent is the key of a directory entry. The entry is the inode that holds the name, 0: nobody does.
type dirent struct {
	parent Ino
	name   string
}

type (
	inodeCache  = rowCache[Ino, *Inode]   // nil: deleted
	direntCache = rowCache[dirent, Ino]   // 0: absent
	holderCache = rowCache[Ino, []string] // keys whose rows hold an inode, sorted
)

func newRowCache[K comparable, V any]() *rowCache[K, V] {
	c := &rowCache[K, V]{seed: maphash.MakeSeed()}
	for n := range c.shards {
		c.shards[n].entries = make(map[K]rowEntry[V])
	}
	return c
}

func (c *rowCache[K, V]) shard(key K) *rowShard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, key)%uint64(len(c.shards))]
}

// get finds a row as it was at a version.
func (c *rowCache[K, V]) get(key K, version uint64) (value V, ok bool) {
	s := c.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[key]
	if !ok || e.since > version {
		return value, false
	}
	return e.value, true
}

// fill keeps what was read from the database at a version.
func (c *rowCache[K, V]) fill(key K, value V, version uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed > version {
		return
	}
	s.putLocked(key, value, s.changed)
}

// change records a commit.
func (c *rowCache[K, V]) change(key K, value V, version uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = version
	s.putLocked(key, value, version)
}

func (s *rowShard[K, V]) putLocked(key K, value V, since uint64) {
	if _, ok := s.entries[key]; !ok && len(s.entries) >= shardSize {
		for old := range s.entries { // any: the order of a map is random enough
			delete(s.entries, old)
			break
		}
	}
	s.entries[key] = rowEntry[V]{value: value, since: since}
}
