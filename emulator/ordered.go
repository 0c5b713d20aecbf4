package emulator

import "sort"

// chunkMax is where a chunk of an ordered map is split; small enough that an insert moves few bytes, large
// enough that a million keys need only a few thousand chunks.
const chunkMax = 512

type pair[V any] struct {
	key string
	val V
}

// ordered is a map in byte order of its keys: a sorted list of sorted chunks. The zero value is empty. It
// is not safe for concurrent use.
//
// INVARIANT: no chunk is empty, and the keys of a chunk all come before those of the next.
type ordered[V any] struct {
	chunks [][]pair[V]
	n      int
}

// Len returns the number of keys.
func (o *ordered[V]) Len() int { return o.n }

// find returns where key is, or where it belongs.
func (o *ordered[V]) find(key string) (chunk, at int, ok bool) {
	chunk = sort.Search(len(o.chunks), func(i int) bool { return o.chunks[i][0].key > key }) - 1
	if chunk < 0 {
		return 0, 0, false
	}
	c := o.chunks[chunk]
	at = sort.Search(len(c), func(i int) bool { return c[i].key >= key })
	return chunk, at, at < len(c) && c[at].key == key
}

// Get returns the value under key.
func (o *ordered[V]) Get(key string) (V, bool) {
	if c, i, ok := o.find(key); ok {
		return o.chunks[c][i].val, true
	}
	var zero V
	return zero, false
}

// Set puts val under key.
func (o *ordered[V]) Set(key string, val V) {
	c, i, ok := o.find(key)
	if ok {
		o.chunks[c][i].val = val
		return
	}
	o.n++
	if len(o.chunks) == 0 {
		o.chunks = [][]pair[V]{{{key, val}}}
		return
	}
	chunk := append(o.chunks[c], pair[V]{})
	copy(chunk[i+1:], chunk[i:])
	chunk[i] = pair[V]{key, val}
	o.chunks[c] = chunk
	if len(chunk) > chunkMax {
		o.split(c)
	}
}

// split cuts a chunk: in half, or, when it is the last one (keys arriving in order), near its end.
func (o *ordered[V]) split(c int) {
	chunk := o.chunks[c]
	cut := len(chunk) / 2
	if c == len(o.chunks)-1 {
		cut = len(chunk) * 7 / 8
	}
	tail := append(make([]pair[V], 0, chunkMax+1), chunk[cut:]...)
	clear(chunk[cut:])
	o.chunks = append(o.chunks, nil)
	copy(o.chunks[c+2:], o.chunks[c+1:])
	o.chunks[c], o.chunks[c+1] = chunk[:cut], tail
}

// Delete removes key.
func (o *ordered[V]) Delete(key string) {
	c, i, ok := o.find(key)
	if !ok {
		return
	}
	o.n--
	chunk := o.chunks[c]
	copy(chunk[i:], chunk[i+1:])
	chunk[len(chunk)-1] = pair[V]{}
	o.chunks[c] = chunk[:len(chunk)-1]
	if len(o.chunks[c]) == 0 {
		o.chunks = append(o.chunks[:c], o.chunks[c+1:]...)
	}
}

// cursor walks an ordered map upwards; it is invalid after any change of the map.
type cursor[V any] struct {
	o         *ordered[V]
	chunk, at int
}

// Seek returns a cursor whose Next is the first key that is not before from.
func (o *ordered[V]) Seek(from string) cursor[V] {
	c, i, _ := o.find(from)
	return cursor[V]{o, c, i}
}

// Next returns the key under the cursor and moves on.
func (c *cursor[V]) Next() (string, V, bool) {
	for c.chunk < len(c.o.chunks) {
		if chunk := c.o.chunks[c.chunk]; c.at < len(chunk) {
			p := chunk[c.at]
			c.at++
			return p.key, p.val, true
		}
		c.chunk, c.at = c.chunk+1, 0
	}
	var zero V
	return "", zero, false
}
