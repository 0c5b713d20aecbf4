package object

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

	"github.com/ossencfs/ossencfs/cipher"
)

// maxOpened bounds the content keys that are kept opened. They are in memory only.
const maxOpened = 2048

// keyCache remembers opened content keys by their envelopes, so that HEAD, GET and each range of one object cost one
// unwrapping. The zero value is ready.
type keyCache struct {
	mu   sync.Mutex // guards the field below
	keys map[[sha256.Size]byte]*ContentKey
}

// get is the opened key of an envelope, or nil.
func (c *keyCache) get(id [sha256.Size]byte) *ContentKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys[id]
}

// put remembers a key; where there is no room, some other is forgotten.
func (c *keyCache) put(id [sha256.Size]byte, k *ContentKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[[sha256.Size]byte]*ContentKey)
	}
	for other := range c.keys {
		if len(c.keys) < maxOpened {
			break
		}
		delete(c.keys, other)
	}
	c.keys[id] = k
}

// envelopeID is a digest of all headers of an envelope, of both dialects.
func envelopeID(meta map[string]string) [sha256.Size]byte {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(meta)) {
		if cipher.IsCryptoHeader(name) {
			h.Write([]byte(name + ":" + meta[name] + "\n"))
		}
	}
	var id [sha256.Size]byte
	h.Sum(id[:0])
	return id
}
