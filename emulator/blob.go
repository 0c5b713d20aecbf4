package emulator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
)

const (
	// inlineMax is the largest body kept in its record file; a larger one has a blob file.
	inlineMax = 128 << 10
	// memoryChunk is the unit in which bodies grow in memory.
	memoryChunk = 1 << 20
	// copyBuffer is the unit in which large bodies move.
	copyBuffer = 256 << 10
)

// blob is immutable bytes, in memory or in a file, counted by reference; a file goes with the last one.
type blob struct {
	path   string // "" when in memory
	id     string // name of a blob file; "" for record files and memory
	chunks [][]byte
	refs   atomic.Int64
}

func (b *blob) release() {
	if b.refs.Add(-1) == 0 && b.path != "" {
		// A file that stays behind is unreferenced and removed at the next start.
		_ = os.Remove(b.path)
	}
}

// extent is n bytes of a blob from off.
type extent struct {
	b      *blob
	off, n int64
}

// body is the content of a version or part: its extents in order.
type body []extent

func (x body) size() (n int64) {
	for _, e := range x {
		n += e.n
	}
	return n
}

func (x body) acquire() {
	for _, e := range x {
		e.b.refs.Add(1)
	}
}

func (x body) release() {
	for _, e := range x {
		e.b.release()
	}
}

// slice returns the extents of n bytes from off, without taking references.
func (x body) slice(off, n int64) body {
	var out body
	for _, e := range x {
		if off >= e.n {
			off -= e.n
			continue
		}
		take := min(e.n-off, n)
		if take <= 0 {
			break
		}
		out = append(out, extent{e.b, e.off + off, take})
		n -= take
		off = 0
	}
	return out
}

// copyTo writes n bytes from off to w, by sendfile where the kernel can.
func (x body) copyTo(w io.Writer, off, n int64) error {
	for _, e := range x.slice(off, n) {
		if err := e.copyTo(w); err != nil {
			return err
		}
	}
	return nil
}

func (e extent) copyTo(w io.Writer) error {
	if e.b.path == "" {
		return copyChunks(w, e.b.chunks, e.off, e.n)
	}
	f, err := os.Open(e.b.path)
	if err != nil {
		return fmt.Errorf("open stored body: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(e.off, io.SeekStart); err != nil {
		return fmt.Errorf("seek stored body: %w", err)
	}
	if n, err := io.CopyN(w, f, e.n); err != nil {
		return fmt.Errorf("copy stored body after %d of %d bytes: %w", n, e.n, err)
	}
	return nil
}

func copyChunks(w io.Writer, chunks [][]byte, off, n int64) error {
	for _, c := range chunks {
		if off >= int64(len(c)) {
			off -= int64(len(c))
			continue
		}
		part := c[off:]
		off = 0
		if int64(len(part)) > n {
			part = part[:n]
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		if n -= int64(len(part)); n == 0 {
			return nil
		}
	}
	if n > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (st *store) createBlob() (f *os.File, path, id string, err error) {
	id = st.newID()
	path = st.blobPath(id)
	const flags = os.O_CREATE | os.O_EXCL | os.O_WRONLY
	f, err = os.OpenFile(path, flags, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = os.OpenFile(path, flags, 0o600)
		}
	}
	if err != nil {
		return nil, "", "", fmt.Errorf("create blob: %w", err)
	}
	return f, path, id, nil
}

// intoBlobs returns x with every extent in a blob file, so that records can name it. It takes over x's
// references, also when it fails.
func (st *store) intoBlobs(x body) (body, error) {
	out := make(body, 0, len(x))
	for i, e := range x {
		if e.b.id != "" {
			out = append(out, e)
			continue
		}
		f, path, id, err := st.createBlob()
		if err == nil {
			err = e.copyTo(f)
			if cerr := f.Close(); err == nil {
				err = cerr
			}
		}
		if err != nil {
			x[i:].release()
			out.release()
			return nil, fmt.Errorf("move body to a blob: %w", err)
		}
		b := &blob{path: path, id: id}
		b.refs.Store(1)
		out = append(out, extent{b, 0, e.n})
		e.b.release()
	}
	return out, nil
}
