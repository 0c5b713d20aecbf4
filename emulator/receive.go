package emulator

import (
	"crypto/md5"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"os"
	"sync"
)

// received is a request body that has arrived whole, with its checksums. Its owner must either give it to
// the store or drop it.
type received struct {
	size int64
	md5  [md5.Size]byte
	crc  uint64
	body body // one extent, or none when empty
}

func (r *received) drop() { r.body.release() }

// errBodyRead says that the client's body did not arrive whole.
var errBodyRead = errors.New("read request body")

// errTooLong says that a body is longer than its limit.
var errTooLong = errors.New("body is longer than the limit")

var buffers = sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }}

// sink takes a body in: in memory up to a threshold, then, when the store has a folder, in a blob file.
type sink struct {
	st     *store
	b      *blob
	f      *os.File
	size   int64
	md5    hash.Hash
	crc    uint64
	damage bool // flip a bit of what is stored, after the checksums
}

// receive reads r to its end, at most limit bytes; hint is the expected size, or negative.
func (st *store) receive(r io.Reader, hint, limit int64, damage bool) (*received, error) {
	k := &sink{st: st, b: &blob{}, md5: md5.New(), damage: damage}
	k.b.refs.Store(1)
	err := k.readAll(r, hint, limit)
	if k.f != nil {
		if cerr := k.f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		k.b.release()
		return nil, err
	}
	got := &received{size: k.size, crc: k.crc}
	k.md5.Sum(got.md5[:0])
	if k.size > 0 {
		got.body = body{{k.b, 0, k.size}}
	} else {
		k.b.release()
	}
	return got, nil
}

func (k *sink) readAll(r io.Reader, hint, limit int64) error {
	var spare []byte
	if k.st.dir != "" {
		p := buffers.Get().(*[]byte)
		defer buffers.Put(p)
		spare = *p
	}
	for {
		into, inChunk := k.room(spare, hint)
		n, err := r.Read(into)
		if n > 0 {
			if k.size+int64(n) > limit {
				return errTooLong
			}
			if werr := k.take(into[:n], inChunk); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			if last := len(k.b.chunks) - 1; last >= 0 && len(k.b.chunks[last]) == 0 {
				k.b.chunks = k.b.chunks[:last]
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errBodyRead, err)
		}
	}
}

// room returns where the next bytes go: the free end of the last chunk, or spare when they go to a file.
func (k *sink) room(spare []byte, hint int64) (into []byte, inChunk bool) {
	if k.f != nil || (k.st.dir != "" && hint > inlineMax) {
		return spare, false
	}
	if n := len(k.b.chunks); n > 0 {
		last := k.b.chunks[n-1]
		if len(last) < cap(last) {
			return last[len(last):cap(last)], true
		}
	}
	size := int64(memoryChunk)
	switch {
	case hint >= 0:
		size = min(size, max(hint-k.size, 0)+1) // one byte more, so that the end is seen without another chunk
	case k.size == 0:
		size = 4 << 10
	}
	k.b.chunks = append(k.b.chunks, make([]byte, 0, size))
	return k.b.chunks[len(k.b.chunks)-1][:size], true
}

// take accounts for p, which lies in room's answer.
func (k *sink) take(p []byte, inChunk bool) error {
	k.md5.Write(p)
	k.crc = crc64.Update(k.crc, crcTable, p)
	if k.damage {
		p[0] ^= 0x01
		k.damage = false
	}
	k.size += int64(len(p))
	if inChunk {
		last := &k.b.chunks[len(k.b.chunks)-1]
		*last = (*last)[:len(*last)+len(p)]
		if k.st.dir == "" || k.size <= inlineMax {
			return nil
		}
		return k.spill()
	}
	if k.f == nil {
		if err := k.spill(); err != nil {
			return err
		}
	}
	_, err := k.f.Write(p)
	return err
}

// spill moves what has arrived to a blob file.
func (k *sink) spill() error {
	f, path, id, err := k.st.createBlob()
	if err != nil {
		return err
	}
	k.f, k.b.path, k.b.id = f, path, id
	for _, c := range k.b.chunks {
		if _, err := f.Write(c); err != nil {
			return fmt.Errorf("write blob: %w", err)
		}
	}
	k.b.chunks = nil
	return nil
}
