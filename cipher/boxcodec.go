package cipher

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// BoxContent is what a box keeps of an object. It shows no key when it is printed.
type BoxContent struct {
	Key         *ContentKey // nil: not in the box, so that only the SDK envelope has it
	Tags        *Tags       // of the object's bytes; they know its size. Leaf tags may be missing
	Generation  [16]byte    // of the content
	Upload      [16]byte    // of the request that wrote the object
	Wrapper     [8]byte     // WrapperOf the master key under which the SDK envelope is wrapped
	Mode        uint32      // st_mode with its type
	UID, GID    uint32
	Rdev        uint32
	Mtime       int64    // nanoseconds since 1970
	XattrDigest [32]byte // SHA-256 of the value of the header of sealed xattrs
	HasXattr    bool     // whether there is that header
}

// The content is
//
//	content     = uv(flags) [ key(32) iv(16) ] mac(32) generation(16) upload(16) wrapper(8)
//	              uv(size) uv(mode) uv(uid) uv(gid) uv(rdev) sv(mtime) [ xattr digest(32) ]
//	              %d20 uv(number of coarse tags) coarse tags(16 each)       ; a leaf has 2^20 bytes
const (
	flagKey      = 1 << iota // content key and IV are there
	flagXattr                // xattr digest is there
	flagSeparate             // leaf tags are an object of their own
	allFlags     = flagKey | flagXattr | flagSeparate
)

const (
	logLeafSize = 20
	minContent  = 1 + MACKeySize + 16 + 16 + 8 + 6 + 1 + 1
	maxContent  = 1 + KeySize + IVSize + MACKeySize + 16 + 16 + 8 +
		9 + 3 + 5 + 5 + 5 + 10 + 32 + 1 + 2 + MaxCoarse*TagSize
)

// marshal checks and encodes the content. The caller wipes it.
func (c *BoxContent) marshal() ([]byte, error) {
	if c.Tags == nil {
		return nil, errors.New("content of a box without tags")
	}
	if !validMode(c.Mode) {
		return nil, fmt.Errorf("content of a box with mode %o", c.Mode)
	}
	flags := uint64(0)
	if c.Key != nil {
		flags |= flagKey
	}
	if c.HasXattr {
		flags |= flagXattr
	}
	if c.Tags.Separate() {
		flags |= flagSeparate
	}
	b := make([]byte, 0, maxContent) // never moved, so that wiping it is enough
	b = binary.AppendUvarint(b, flags)
	if c.Key != nil {
		b = append(append(b, c.Key.key[:]...), c.Key.iv[:]...)
	}
	for _, part := range [][]byte{c.Tags.mac[:], c.Generation[:], c.Upload[:], c.Wrapper[:]} {
		b = append(b, part...)
	}
	for _, n := range []uint64{uint64(c.Tags.size), uint64(c.Mode), uint64(c.UID), uint64(c.GID), uint64(c.Rdev)} {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendVarint(b, c.Mtime)
	if c.HasXattr {
		b = append(b, c.XattrDigest[:]...)
	}
	b = append(b, logLeafSize)
	b = binary.AppendUvarint(b, uint64(len(c.Tags.coarse)/TagSize))
	return append(b, c.Tags.coarse...), nil
}

// parseContent reads what marshal wrote; ErrTampered otherwise. A write-only host that is not ours may have sealed anything.
func parseContent(plain []byte) (*BoxContent, error) {
	r := contentReader{b: plain}
	c := &BoxContent{}
	flags := r.uvarint(allFlags)
	var secret []byte
	if flags&flagKey != 0 {
		secret = r.bytes(SecretSize)
	}
	var mac [MACKeySize]byte
	for _, part := range [][]byte{mac[:], c.Generation[:], c.Upload[:], c.Wrapper[:]} {
		copy(part, r.bytes(len(part)))
	}
	size := int64(r.uvarint(math.MaxInt64)) //nolint:gosec // bounded
	for _, n := range []*uint32{&c.Mode, &c.UID, &c.GID, &c.Rdev} {
		*n = uint32(r.uvarint(math.MaxUint32)) //nolint:gosec // bounded
	}
	c.Mtime = r.varint()
	if c.HasXattr = flags&flagXattr != 0; c.HasXattr {
		copy(c.XattrDigest[:], r.bytes(len(c.XattrDigest)))
	}
	leaf := r.bytes(1)
	coarse := bytes.Clone(r.bytes(int(r.uvarint(MaxCoarse)) * TagSize)) //nolint:gosec // bounded
	if r.bad || len(r.b) > 0 || leaf[0] != logLeafSize || !validMode(c.Mode) {
		return nil, fmt.Errorf("content of the box: %w", ErrTampered)
	}
	defer clear(mac[:])
	var err error
	if c.Tags, err = newTags(&mac, size, coarse); err != nil {
		return nil, fmt.Errorf("content of the box: %w", err)
	}
	if c.Tags.Separate() != (flags&flagSeparate != 0) {
		return nil, fmt.Errorf("content of the box: place of the leaf tags: %w", ErrTampered)
	}
	if secret != nil {
		if c.Key, err = UnmarshalContentKey(secret); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// validMode reports whether a st_mode has a file type of Linux and nothing beyond its 16 bits.
func validMode(mode uint32) bool {
	if mode > 0o177777 {
		return false
	}
	switch mode >> 12 {
	case 0o01, 0o02, 0o04, 0o06, 0o10, 0o12, 0o14: // fifo, character device, directory, block device, file, link, socket
		return true
	}
	return false
}

// contentReader reads parts one after the other and remembers that something was wrong. Varints are minimal, so that
// one content has one encoding.
type contentReader struct {
	b   []byte
	bad bool
}

func (r *contentReader) bytes(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *contentReader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || n != len(binary.AppendUvarint(nil, v)) || v > limit {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *contentReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if r.bad || n <= 0 || n != len(binary.AppendVarint(nil, v)) {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}
