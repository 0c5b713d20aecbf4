package object

import (
	"fmt"
	"io"
	"sync"

	"github.com/ossencfs/ossencfs/cipher"
)

// leafBuffers are of cipher.LeafSize bytes.
var leafBuffers = sync.Pool{New: func() any { return new([cipher.LeafSize]byte) }}

// verifiedBody hands out ciphertext leaf by leaf, each only after its tag was found right.
type verifiedBody struct {
	src   io.ReadCloser
	tags  *cipher.Tags
	leaf  int64 // the next one
	buf   *[cipher.LeafSize]byte
	ready []byte // verified bytes in buf
	err   error  // sticky

	// again reads a leaf once more into p: one that does not verify may have been damaged on the way.
	again  func(leaf int64, p []byte) error
	failed func(error) // told of a leaf that is wrong in the bucket
}

// Read implements io.Reader.
func (v *verifiedBody) Read(p []byte) (int, error) {
	for len(v.ready) == 0 {
		if v.err != nil {
			return 0, v.err
		}
		if len(p) == 0 {
			return 0, nil
		}
		v.next()
	}
	n := copy(p, v.ready)
	v.ready = v.ready[n:]
	return n, nil
}

// next reads and verifies one leaf. At the end of src there is none; an end within a leaf is an error, which src has found itself
// where the whole object was asked for.
func (v *verifiedBody) next() {
	if v.leaf == v.tags.Leaves() {
		_, v.err = io.ReadFull(v.src, make([]byte, 1)) // io.EOF, or what the checksum of the whole says
		if v.err == nil {
			v.err = fmt.Errorf("more bytes than were sealed: %w", ErrTampered)
		}
		return
	}
	if v.buf == nil {
		v.buf = leafBuffers.Get().(*[cipher.LeafSize]byte) //nolint:forcetypeassert // nothing else is put in
	}
	size := min(cipher.LeafSize, v.tags.Size()-v.leaf*cipher.LeafSize)
	n, err := io.ReadFull(v.src, v.buf[:size])
	if err != nil {
		if v.err = err; n > 0 && err == io.ErrUnexpectedEOF {
			v.err = fmt.Errorf("leaf %d ended after %d of %d bytes: %w", v.leaf, n, size, ErrTruncated)
		}
		return
	}
	if v.err = v.verify(v.buf[:size]); v.err != nil {
		return
	}
	v.ready = v.buf[:size]
	v.leaf++
}

// verify checks the leaf in p, and fetches it once more before it is called wrong.
func (v *verifiedBody) verify(p []byte) error {
	if v.tags.VerifyLeaf(v.leaf, p) == nil {
		return nil
	}
	if err := v.again(v.leaf, p); err != nil {
		return fmt.Errorf("read leaf %d again: %w", v.leaf, err)
	}
	err := v.tags.VerifyLeaf(v.leaf, p)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrTampered, err)
		v.failed(err)
	}
	return err
}

// Close implements io.Closer.
func (v *verifiedBody) Close() error {
	if v.buf != nil {
		leafBuffers.Put(v.buf)
		v.buf, v.ready = nil, nil
	}
	if v.err == nil {
		v.err = errClosedBody
	}
	return v.src.Close()
}

var errClosedBody = fmt.Errorf("read of a closed body: %w", ErrInvalid)

// window is a part of a body: what lies before it is read and thrown away.
type window struct {
	src    io.ReadCloser
	skip   int64
	remain int64 // -1: to the end
}

// Read implements io.Reader.
func (w *window) Read(p []byte) (int, error) {
	if w.skip > 0 {
		n, err := io.CopyN(io.Discard, w.src, w.skip)
		w.skip -= n
		if err != nil {
			return 0, err
		}
	}
	if w.remain == 0 {
		return 0, io.EOF
	}
	if w.remain > 0 && int64(len(p)) > w.remain {
		p = p[:w.remain]
	}
	n, err := w.src.Read(p)
	if w.remain > 0 {
		w.remain -= int64(n)
	}
	return n, err
}

// Close implements io.Closer.
func (w *window) Close() error { return w.src.Close() }
